//! The definition that Kubernetes is given.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::ZooKeeperCluster;

/// The definition of [`ZooKeeperCluster`].
pub fn definition() -> CustomResourceDefinition {
    ZooKeeperCluster::crd()
}

/// The text of `crds/zookeepercluster.yaml`.
pub fn yaml() -> String {
    let yaml = serde_yaml::to_string(&definition()).expect("a definition is plain data");
    format!("# Generated from operator/api: {REGENERATE}\n{yaml}")
}

/// The command that writes `crds/` and the chart's copy of it anew.
pub const REGENERATE: &str = "cargo run -p api --example crdgen";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_definition_is_the_generated_one() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../crds/zookeepercluster.yaml"
        );
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == yaml(),
            "{path} is stale: run `{REGENERATE}` and commit it"
        );
    }

    #[test]
    fn no_string_is_a_boolean_to_kubectl() {
        const YAML_1_1_BOOLEANS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
        fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
            match value {
                serde_json::Value::String(text) => found.push(text.to_lowercase()),
                serde_json::Value::Array(list) => list.iter().for_each(|v| strings(v, found)),
                serde_json::Value::Object(map) => map.iter().for_each(|(key, v)| {
                    found.push(key.to_lowercase());
                    strings(v, found);
                }),
                _ => {}
            }
        }
        let mut found = Vec::new();
        strings(&serde_json::to_value(definition()).unwrap(), &mut found);
        // The condition statuses `True` and `False` are quoted by the writer.
        found.retain(|text| YAML_1_1_BOOLEANS.contains(&text.as_str()));
        found.retain(|text| text != "true" && text != "false");
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn the_definition_fits_the_annotation_of_a_client_side_apply() {
        let size = serde_json::to_string(&definition()).unwrap().len();
        assert!(size < 100_000, "{size} bytes");
    }
}
