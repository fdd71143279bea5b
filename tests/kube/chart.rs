//! The Helm chart, judged by Helm and by an API server; the product's own scenarios install it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::process::Command;

use crate::programs::output;
use crate::stage::Stage;

const RBAC: &str = "rbac.authorization.k8s.io";

/// How long an API server may take to act on a changed role.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/ferrokeeper-operator")
}

/// The sets of values that the chart brings for this, and the empty one.
fn value_sets() -> anyhow::Result<Vec<Option<PathBuf>>> {
    let mut sets = vec![None];
    for entry in std::fs::read_dir(chart().join("ci")).context("the chart's sets of values")? {
        sets.push(Some(entry?.path()));
    }
    ensure!(sets.len() > 1, "no sets of values in ci/");
    Ok(sets)
}

fn helm(stage: &Stage<'_>, command: &str, values: Option<&Path>) -> Command {
    let mut helm = stage.cluster.tool("helm");
    helm.arg(command);
    if command != "lint" {
        helm.arg("keeper");
    }
    helm.arg(chart()).args(["--namespace", &stage.namespace]);
    if let Some(values) = values {
        helm.arg("--values").arg(values);
    }
    helm
}

/// Helm finds nothing to say, and the API server takes every object of every set of values
/// without a warning, in a namespace where PodSecurity `restricted` is enforced.
pub(crate) async fn renders(stage: &Stage<'_>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for values in value_sets()? {
        let name = format!("{values:?}");
        output(helm(stage, "lint", values.as_deref()).arg("--strict")).await?;
        let rendered = output(&mut helm(stage, "template", values.as_deref())).await?;
        // The namespaces that a set names are not there.
        let rendered = rendered
            .replace(
                "namespace: team-a",
                &format!("namespace: {}", stage.namespace),
            )
            .replace("namespace: team-b", "namespace: default");
        let file = folder.path().join("rendered.yaml");
        std::fs::write(&file, &rendered)?;
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
        ];
        let judged = stage
            .cluster
            .kubectl()
            .args(apply)
            .args(["--force-conflicts", "--warnings-as-errors", "-f"])
            .arg(&file)
            .output()
            .await?;
        ensure!(
            judged.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&judged.stderr)
        );
        let namespaced = rendered.contains("--namespaces=");
        ensure!(
            namespaced != rendered.contains("\nkind: ClusterRole"),
            "{name}: Roles where namespaces are named, a ClusterRole where none are"
        );
    }
    Ok(())
}

/// Values that cannot work are refused by name.
pub(crate) async fn refuses(stage: &Stage<'_>) -> anyhow::Result<()> {
    for (set, named) in [
        ("image.tag=latest", "/image/tag"),
        ("serverImage.digest=sha256:12", "/serverImage/digest"),
        ("replica=3", "replica"),
        ("log.format=xml", "/log/format"),
        ("watchNamespaces={A_B}", "/watchNamespaces/0"),
        ("resources.limit.memory=1Gi", "limit"),
    ] {
        let refused = helm(stage, "template", None)
            .args(["--set", set])
            .output()
            .await?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(
            !refused.status.success() && said.contains(named),
            "{set}: {} {said}",
            refused.status
        );
    }
    Ok(())
}

/// What the operator of a release may do, told by the API server itself.
pub(crate) async fn grants_the_least(stage: &Stage<'_>) -> anyhow::Result<()> {
    let here = &stage.namespace;
    let watched = format!("watchNamespaces={{{here}}}");
    // No pods: their scenarios are others.
    let mut install = helm(stage, "install", None);
    install.args(["--set", &watched, "--set", "crds.install=false,replicas=0"]);
    output(&mut install).await?;
    let name = "keeper-ferrokeeper-operator";
    let account = format!("system:serviceaccount:{here}:{name}");
    let authority = format!("secrets/{name}-authority");
    let lease = format!("coordination.k8s.io/leases/{name}");
    let questions = [
        (
            "list",
            "ferrokeeper.io/zookeeperclusters",
            here.as_str(),
            true,
        ),
        ("update", "ferrokeeper.io/zookeeperclusters", here, false),
        ("create", "secrets", here, true),
        ("get", "secrets", here, false),
        ("list", "secrets", here, false),
        ("get", &authority, here, true),
        ("update", &lease, here, true),
        ("update", "coordination.k8s.io/leases/another", here, false),
        ("create", "pods", here, false),
        ("delete", "pods", here, true),
        ("list", "pods", "default", false),
        ("create", "secrets", "default", false),
    ];
    let wrong = wrongly_answered(stage, &account, &questions).await;
    let mut uninstall = stage.cluster.tool("helm");
    output(uninstall.args(["uninstall", "keeper", "--namespace", here])).await?;
    ensure!(wrong.is_empty(), "the operator's rights: {wrong:#?}");
    Ok(())
}

/// Who may edit a namespace may have ensembles in it, and who may view it may look at them.
pub(crate) async fn lets_users_in(stage: &Stage<'_>) -> anyhow::Result<()> {
    stage.operator().await?;
    let here = stage.namespace.as_str();
    let ensembles = "ferrokeeper.io/zookeeperclusters";
    for (role, edits) in [("view", false), ("edit", true), ("admin", true)] {
        let user = format!("{here}-{role}");
        let binding = json!({
            "metadata": { "name": role },
            "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": user }],
        });
        stage.create::<RoleBinding>(binding).await?;
        let questions = [
            ("list", ensembles, here, true),
            ("create", ensembles, here, edits),
            ("delete", ensembles, here, edits),
            ("list", ensembles, "default", false),
        ];
        let wrong = wrongly_answered(stage, &user, &questions).await;
        ensure!(wrong.is_empty(), "who may {role}: {wrong:#?}");
    }
    Ok(())
}

/// Those of the questions (verb, what, namespace, whether it is to be granted) that the API
/// server goes on answering otherwise.
async fn wrongly_answered(
    stage: &Stage<'_>,
    user: &str,
    questions: &[(&str, &str, &str, bool)],
) -> Vec<String> {
    let mut wrong = Vec::new();
    for &(verb, what, namespace, granted) in questions {
        // An API server hears of new roles a moment later.
        let answer = stage.until("the answer", HEARD_WITHIN, async || {
            let said = may(stage, user, verb, what, namespace).await?;
            Ok(if said == granted { Ok(()) } else { Err(said) })
        });
        if answer.await.is_err() {
            wrong.push(format!("{verb} {what} in {namespace}: {}", !granted));
        }
    }
    wrong
}

/// Whether a user may do `verb` to `what`: `group/resource/name`, but for the core group's
/// empty name and where any name is meant.
async fn may(
    stage: &Stage<'_>,
    user: &str,
    verb: &str,
    what: &str,
    namespace: &str,
) -> Result<bool, kube::Error> {
    let mut parts: Vec<&str> = what.split('/').collect();
    let group = if parts[0].contains('.') {
        parts.remove(0)
    } else {
        ""
    };
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(parts[0].to_owned()),
        name: parts.get(1).map(|name| (*name).to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(stage.client());
    let judged = reviews.create(&PostParams::default(), &review).await?;
    Ok(judged.status.is_some_and(|status| status.allowed))
}
