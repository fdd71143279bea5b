//! The whole product: a client written by others, while the leader is killed and everything is
//! started again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error};

use crate::ensemble::{Up, eventually, kill, manifest};

/// Znodes created; the leader is killed half way.
const ZNODES: usize = 400;

/// Longest time without an acknowledged write.
const PATIENCE: Duration = Duration::from_secs(30);

fn persistent() -> CreateOptions<'static> {
    CreateMode::Persistent.with_acls(Acls::anyone_all())
}

/// Creates a znode, however often the connection breaks meanwhile.
async fn create(client: &Client, path: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.create(path, b"data", &persistent()).await {
            // An attempt whose answer was lost may have been carried out.
            Ok(_) | Err(Error::NodeExists) => return,
            Err(error @ Error::SessionExpired) => panic!("{path}: {error}"),
            Err(_) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }
}

async fn children(client: &Client) -> BTreeSet<String> {
    let listed = client.list_children("/app").await.expect("listed");
    listed
        .into_iter()
        .filter(|name| name.starts_with('n'))
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn nothing_acknowledged_is_lost_when_the_leader_is_killed_nor_when_all_is_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start_genuine(folder.path(), &manifest("demo", 3, "1Gi"));
    up.ready(3);
    let hosts = up.connection_string();
    let written: BTreeSet<_> = (0..ZNODES).map(|n| format!("n{n:04}")).collect();
    let runtime = runtime();
    runtime.block_on(async {
        let client = Client::connect(&hosts).await.expect("connected");
        let session = client.session_id();
        create(&client, "/app").await;
        let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
        let (own, _) = client
            .create("/app/own", b"", &ephemeral)
            .await
            .expect("created");
        for (index, name) in written.iter().enumerate() {
            if index == ZNODES / 2 {
                tokio::task::block_in_place(|| kill(up.leader()));
            }
            create(&client, &format!("/app/{name}")).await;
        }
        assert_eq!(children(&client).await, written);
        assert_eq!(client.session_id(), session);
        let still = client
            .check_stat("/app/own")
            .await
            .expect("asked")
            .expect("still there");
        assert_eq!(still.czxid, own.czxid);
    });
    up.ready(3);
    let (code, printed) = up.interrupt();
    assert_eq!(code, Some(0), "{printed}");

    let up = Up::start_genuine(folder.path(), &manifest("demo", 3, "1Gi"));
    up.ready(3);
    assert_eq!(up.connection_string(), hosts);
    runtime.block_on(async {
        let client = Client::connect(&hosts).await.expect("connected");
        assert_eq!(children(&client).await, written);
    });
    up.interrupt();
}

fn serves_writes(up: &Up) {
    let hosts = up.connection_string();
    runtime().block_on(async {
        let client = Client::connect(&hosts).await.expect("connected");
        create(&client, "/app").await;
    });
}

#[test]
fn one_member_alone_is_an_ensemble_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start_genuine(folder.path(), &manifest("solo", 1, "1Gi"));
    up.ready(1);
    serves_writes(&up);
    up.interrupt();
}

#[test]
fn all_members_killed_at_once_come_back_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start_genuine(folder.path(), &manifest("demo", 3, "1Gi"));
    let world = up.ready(3);
    let hosts = up.connection_string();
    let runtime = runtime();
    runtime.block_on(async {
        let client = Client::connect(&hosts).await.expect("connected");
        create(&client, "/app").await;
    });
    Up::servers(&world).into_iter().for_each(kill);
    up.until("all were started again", |world| {
        world.pods.values().all(|pod| pod.server.restarts == 1)
    });
    up.ready(3);
    eventually("the data is there", || {
        runtime.block_on(async {
            let client = Client::connect(&hosts).await.expect("connected");
            client.check_stat("/app").await.expect("asked").is_some()
        })
    });
    up.interrupt();
}

#[test]
fn an_operator_killed_during_the_birth_costs_time_only() {
    for after in [30, 100, 250] {
        let folder = tempfile::tempdir().expect("a folder");
        let up = Up::start_genuine(folder.path(), &manifest("demo", 3, "1Gi"));
        up.kill_operator_twice(Duration::from_millis(after));
        up.ready(3);
        serves_writes(&up);
        up.interrupt();
    }
}

#[test]
fn servers_killed_during_their_birth_are_born_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let up = Up::start_genuine(folder.path(), &manifest("demo", 3, "1Gi"));
    let granted = up.until("the birth is decided", |world| {
        let status = world.ensemble.status.as_ref();
        status.is_some_and(|status| status.bootstrap.is_some())
    });
    Up::servers(&granted).into_iter().for_each(kill);
    up.ready(3);
    serves_writes(&up);
    up.interrupt();
}
