use std::path::Path;

use api::ZooKeeperCluster;
use api::validate_manifest;
use serde::Serialize;
use serde_json::Value;

use super::*;
use crate::kubernetes::Issued;

/// Set to anything, it has the files written anew.
const REWRITE: &str = "FERROKEEPER_REWRITE_TESTDATA";

/// All objects of a resource, one YAML document each.
fn objects_of(resource: &ZooKeeperCluster) -> String {
    let names = Names {
        namespace: "data".into(),
        name: "zk".into(),
    };
    let desired = plan::validate(resource).expect("a valid spec");
    let addresses = desired.voters.iter();
    let addresses = addresses.map(|id| (*id, names.address(*id, &resource.spec)));
    let blueprint = Blueprint {
        names: &names,
        uid: "uid-1",
        desired: &desired,
        server_image: "server:1",
        sidecar_image: "sidecar:1",
        addresses: &addresses.collect(),
        connection_string: "zk-0:2181,zk-1:2181",
        user: Some(65532),
    };
    let issued = Issued {
        authority: "A".into(),
        certificate: "C".into(),
        key: "K".into(),
        renew_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let first = MemberId::voter(0).expect("a member");
    let [template] = blueprint.claim_templates(api::Kind::Voter);
    [
        text(&certificate(&names, "uid-1", &issued)),
        text(&blueprint.peers()),
        text(&blueprint.client()),
        text(&blueprint.connection()),
        text(&blueprint.budget()),
        text(&blueprint.claim(first)),
        text(&template),
        text(&blueprint.stateful_set(api::Kind::Voter)),
    ]
    .join("---\n")
}

fn text(object: &impl Serialize) -> String {
    let value: Value = serde_json::to_value(object).expect("plain data");
    serde_yaml::to_string(&value).expect("plain data")
}

fn assert_is(found: &str, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/kubernetes/objects/testdata")
        .join(file);
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, found).expect("testdata can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("testdata is there");
    assert_eq!(
        found, expected,
        "{file} is out of date; {REWRITE}=1 writes it"
    );
}

#[test]
fn an_empty_spec_takes_every_default() {
    let resource = validate_manifest(
        "apiVersion: ferrokeeper.io/v1alpha1\n\
         kind: ZooKeeperCluster\n\
         metadata: {name: zk, namespace: data}\n\
         spec: {}\n",
    )
    .expect("a valid manifest");
    assert_is(&objects_of(&resource), "defaults.yaml");
}

#[test]
fn every_field_of_the_spec_reaches_an_object() {
    let manifest = include_str!("testdata/full-spec.yaml");
    let resource = validate_manifest(manifest).expect("a valid manifest");
    assert_is(&objects_of(&resource), "full.yaml");
}
