//! The operator on a Kubernetes in memory: its births, its rests and its repairs; and that this
//! Kubernetes is one.

mod birth;
mod changes;
mod conflicts;
mod life;
mod memory;
mod obstacles;
mod scene;
mod volumes;

use std::sync::Arc;

use tests::kubernetes::memory::Memory;
use tests::kubernetes::script::{SCRIPT, play};

#[tokio::test]
async fn the_script_holds_in_memory() {
    let mut failed = Vec::new();
    for behaviour in SCRIPT {
        if let Err(error) = play(Arc::new(Memory::new()), behaviour).await {
            failed.push(format!("{error:#}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
