//! Where one scenario plays: a namespace of its own in a cluster.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::Cluster;
use crate::images::Images;
use crate::product;
use crate::programs::output;

/// How often conditions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What scenarios share.
pub(crate) struct Theatre {
    /// Where everything runs.
    pub(crate) cluster: Cluster,
    /// What pods can run.
    pub(crate) images: Images,
    installed: OnceCell<()>,
}

impl Theatre {
    /// A cluster that nothing is installed in.
    pub(crate) fn new(cluster: Cluster, images: Images) -> Self {
        Self {
            cluster,
            images,
            installed: OnceCell::new(),
        }
    }

    /// Installs the operator with helm, once.
    pub(crate) async fn operator(&self) -> anyhow::Result<()> {
        let install = || product::install(&self.cluster, &self.images);
        self.installed.get_or_try_init(install).await?;
        Ok(())
    }
}

/// One scenario's place.
pub(crate) struct Stage<'a> {
    /// Where everything runs.
    pub(crate) cluster: &'a Cluster,
    /// What pods can run.
    pub(crate) images: &'a Images,
    theatre: &'a Theatre,
    /// The scenario's own; PodSecurity `restricted` is enforced in it.
    pub(crate) namespace: String,
}

impl<'a> Stage<'a> {
    /// Makes the namespace.
    pub(crate) async fn set(theatre: &'a Theatre, name: &str) -> anyhow::Result<Self> {
        let Theatre {
            cluster, images, ..
        } = theatre;
        let namespace = name.replace('_', "-");
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            },
        });
        let object = serde_json::from_value(object).context("a namespace")?;
        Api::<Namespace>::all(cluster.client())
            .create(&PostParams::default(), &object)
            .await
            .context("create the scenario's namespace")?;
        let stage = Self {
            cluster,
            images,
            theatre,
            namespace,
        };
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = stage.api();
        stage
            .until(
                "the default service account",
                Duration::from_secs(60),
                async || {
                    let account = accounts.get_opt("default").await?;
                    Ok(account.ok_or("missing"))
                },
            )
            .await?;
        Ok(stage)
    }

    /// Takes the namespace away; does not wait for it.
    pub(crate) async fn strike(&self) -> anyhow::Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        match namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
        {
            Ok(_) => Ok(()),
            // Gone, or on its way.
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(()),
            Err(error) => Err(error).context("delete the scenario's namespace"),
        }
    }

    /// Installs the operator, unless an earlier scenario did.
    pub(crate) async fn operator(&self) -> anyhow::Result<()> {
        self.theatre.operator().await
    }

    /// A client with all rights.
    pub(crate) fn client(&self) -> Client {
        self.cluster.client()
    }

    /// Objects of the scenario's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.namespace)
    }

    /// Creates an object from its JSON.
    pub(crate) async fn create<K>(&self, object: Value) -> anyhow::Result<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(object).context("an object's form")?;
        let created = self
            .api::<K>()
            .create(&PostParams::default(), &object)
            .await;
        created.context("create an object")
    }

    /// Looks until `look` finds something, at most `limit`. What it saw instead ends up in the
    /// error.
    pub(crate) async fn until<T, W: Debug>(
        &self,
        what: &str,
        limit: Duration,
        look: impl AsyncFn() -> Result<Result<T, W>, kube::Error>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            let seen = look().await;
            if let Ok(Ok(found)) = seen {
                return Ok(found);
            }
            if Instant::now() > deadline {
                match seen {
                    Ok(Err(instead)) => {
                        bail!("not within {limit:?}: {what}; last seen: {instead:#?}")
                    }
                    Err(error) => {
                        return Err(error).with_context(|| format!("not within {limit:?}: {what}"));
                    }
                    Ok(Ok(_)) => {}
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Messages of the events about an object, in the order in which they were first seen.
    pub(crate) async fn events(&self, kind: &str, name: &str) -> Result<Vec<String>, kube::Error> {
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let listed = self
            .api::<Event>()
            .list(&ListParams::default().fields(&fields))
            .await?;
        Ok(listed
            .items
            .into_iter()
            .map(|event| {
                let reason = event.reason.unwrap_or_default();
                format!("{reason}: {}", event.message.unwrap_or_default())
            })
            .collect())
    }

    /// `kubectl` in the scenario's namespace.
    pub(crate) fn kubectl(&self) -> tokio::process::Command {
        let mut kubectl = self.cluster.kubectl();
        kubectl.args(["--namespace", &self.namespace]);
        kubectl
    }

    /// Everything that explains what happened, for a reader who has nothing but this text.
    pub(crate) async fn tell(&self) -> String {
        let mut text = String::new();
        let listed: &[&[&str]] = &[
            &["get", "all,pvc,pdb,configmap,lease", "-o", "wide"],
            &["get", "zk", "-o", "yaml"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["describe", "pods"],
            &["-n", product::NAMESPACE, "get", "pods", "-o", "wide"],
            &[
                "-n",
                product::NAMESPACE,
                "logs",
                "-l",
                product::LABEL,
                "--prefix",
                "--tail=60",
            ],
        ];
        for arguments in listed {
            let told = output(self.kubectl().args(*arguments)).await;
            let told = told.unwrap_or_else(|error| format!("{error:#}"));
            text += &format!("$ kubectl {}\n{told}\n", arguments.join(" "));
        }
        let pods = self.api::<Pod>().list(&ListParams::default()).await;
        for pod in pods.map(|pods| pods.items).unwrap_or_default() {
            let name = pod.metadata.name.unwrap_or_default();
            let logs = ["logs", &name, "--all-containers", "--prefix", "--tail=40"];
            let told = output(self.kubectl().args(logs)).await;
            let told = told.unwrap_or_else(|error| format!("{error:#}"));
            text += &format!("$ kubectl {}\n{told}\n", logs.join(" "));
        }
        text
    }
}
