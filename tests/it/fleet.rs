//! The operator's process over a Kubernetes in memory: what it takes on, what wakes it, how it
//! lets go. No pod ever runs, so no sidecar is asked.

use std::sync::Arc;
use std::time::Duration;

use api::ZooKeeperCluster;
use api::status::Images;
use ferrokeeper_operator::authority::{Authority, Holder, LIFE};
use ferrokeeper_operator::fleet::Fleet;
use ferrokeeper_operator::kubernetes::Options;
use ferrokeeper_operator::metrics::Metrics;
use ferrokeeper_operator::sidecars::Sidecars;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use tests::kubernetes::memory::{Memory, kinds};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Far below the ten seconds after which an operator looks again by itself.
const SOON: Duration = Duration::from_secs(4);

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn start(memory: &Memory, namespaces: &[&str]) -> Running {
    // Installed already if another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Authority::make("test").expect("made");
    let own = authority.issue(Holder::Operator, Timestamp::now(), LIFE);
    let fleet = Fleet {
        client: memory.client(),
        sidecars: Sidecars::new(&own.expect("issued").credentials).expect("usable"),
        options: Options {
            images: Images {
                server: Some("server:1".into()),
                sidecar: Some("sidecar:1".into()),
            },
            authority: Arc::new(authority),
            user: Some(65532),
        },
        metrics: Metrics::new().expect("our own names"),
    };
    let (stop, stopped) = oneshot::channel();
    let namespaces: Vec<_> = namespaces.iter().map(|name| (*name).to_owned()).collect();
    let task = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        fleet.run(&namespaces, stopped).await.expect("it leads");
    });
    Running { stop, task }
}

impl Running {
    async fn end(self) {
        self.stop.send(()).expect("it runs");
        let ended = tokio::time::timeout(SOON, self.task).await;
        ended.expect("in time").expect("in order");
    }
}

async fn create(memory: &Memory, namespace: &str, name: &str) {
    let api: Api<ZooKeeperCluster> = Api::namespaced(memory.client(), namespace);
    let resource = json!({
        "apiVersion": "ferrokeeper.io/v1alpha1",
        "kind": "ZooKeeperCluster",
        "metadata": { "name": name },
        "spec": { "replicas": 3, "storage": { "size": "1Gi" } },
    });
    let resource = serde_json::from_value(resource).expect("a resource");
    let made = api.create(&PostParams::default(), &resource).await;
    made.expect("created");
}

fn services(memory: &Memory, namespace: &str) -> Vec<String> {
    let services = memory.list(&kinds::SERVICE, namespace);
    let name = |service: &serde_json::Value| service["metadata"]["name"].as_str().map(Into::into);
    services.iter().filter_map(name).collect()
}

async fn until(within: Duration, what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(within, waiting).await;
    waited.unwrap_or_else(|_| panic!("not within {within:?}: {what}"));
}

#[tokio::test]
async fn what_is_deleted_wakes_the_operator() {
    let memory = Memory::new();
    create(&memory, "default", "demo").await;
    let running = start(&memory, &[]);
    let complete = || services(&memory, "default") == ["demo-client", "demo-peers"];
    until(PATIENCE, "its services are made", complete).await;
    let replicas = || {
        let set = memory.get(&kinds::STATEFUL_SET, "default", "demo");
        set.is_some_and(|set| set["spec"]["replicas"] == 3)
    };
    until(PATIENCE, "the whole first pass", replicas).await;
    let api: Api<Service> = Api::namespaced(memory.client(), "default");
    let deleted = api.delete("demo-client", &DeleteParams::default()).await;
    deleted.expect("deleted");
    until(SOON, "the service is there again", complete).await;
    running.end().await;
}

#[tokio::test]
async fn a_resource_that_is_gone_is_let_go_and_taken_on_again() {
    let memory = Memory::new();
    // Ticks make pods: they get no address.
    memory.rule(|rules| rules.volumes_held = true);
    create(&memory, "default", "first").await;
    let running = start(&memory, &[]);
    let names = || services(&memory, "default");
    until(PATIENCE, "the first is taken on", || names().len() == 2).await;
    create(&memory, "default", "second").await;
    until(SOON, "the second is taken on", || names().len() == 4).await;
    let api: Api<ZooKeeperCluster> = Api::namespaced(memory.client(), "default");
    let deleted = api.delete("first", &DeleteParams::default()).await;
    deleted.expect("deleted");
    let only_second = ["second-client", "second-peers"];
    // Collected by the cluster, and not made again by an operator that still believes in it.
    until(PATIENCE, "the first is collected", || {
        memory.tick();
        names() == only_second
    })
    .await;
    create(&memory, "default", "first").await;
    until(SOON, "the first is there again", || names().len() == 4).await;
    running.end().await;
}

#[tokio::test]
async fn an_operator_of_one_namespace_leaves_the_others_alone() {
    let memory = Memory::new();
    for namespace in ["mine", "theirs"] {
        memory.add_namespace(namespace, json!({}));
        create(&memory, namespace, "demo").await;
    }
    let running = start(&memory, &["mine"]);
    until(PATIENCE, "its own is taken on", || {
        services(&memory, "mine").len() == 2
    })
    .await;
    running.end().await;
    assert_eq!(services(&memory, "theirs"), Vec::<String>::new());
}
