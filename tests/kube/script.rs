//! The script that the Kubernetes in memory passes, on a real one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::StreamExt as _;
use kube::Client;
use tests::kubernetes::script::{SCRIPT, World, play};

use crate::stage::Stage;

/// Behaviours at a time: most of them wait most of the time.
const AT_ONCE: usize = 4;

/// How long behaviours pause, and how often.
const PAUSE: (Duration, u32) = (Duration::from_millis(200), 450);

struct Real {
    client: Client,
    image: String,
}

impl World for Real {
    fn client(&self) -> Client {
        self.client.clone()
    }

    fn image(&self) -> String {
        self.image.clone()
    }

    fn missing_image(&self) -> String {
        "e2e.ferrokeeper.local/missing:1".to_owned()
    }

    fn pause(&self, attempt: u32) -> BoxFuture<'_, bool> {
        let (pause, most) = PAUSE;
        async move {
            tokio::time::sleep(pause).await;
            attempt < most
        }
        .boxed()
    }
}

/// Every behaviour holds.
pub(crate) async fn holds(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    let world: Arc<dyn World> = Arc::new(Real {
        client: stage.client(),
        image: stage.images.pause.reference.clone(),
    });
    let failed: Vec<String> = futures::stream::iter(SCRIPT)
        .map(|behaviour| play(Arc::clone(&world), behaviour))
        .buffer_unordered(AT_ONCE)
        .filter_map(async |outcome| outcome.err().map(|error| format!("{error:#}")))
        .collect()
        .await;
    ensure!(
        failed.is_empty(),
        "{} of {} behaviours differ:\n{}",
        failed.len(),
        SCRIPT.len(),
        failed.join("\n\n")
    );
    Ok(())
}
