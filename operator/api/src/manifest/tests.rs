use super::*;
use crate::cluster::LogLevel;

fn manifest(spec: &str) -> String {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: ferrokeeper.io/v1alpha1\nkind: ZooKeeperCluster\nmetadata:\n  name: zk\n\
         spec:\n{indented}"
    )
}

fn refusals(result: Result<ZooKeeperCluster, Vec<Invalid>>) -> Vec<String> {
    result
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn assert_refused(spec: &str, expected: &[&str]) {
    assert_eq!(refusals(validate_manifest(&manifest(spec))), expected);
}

#[track_caller]
fn assert_change_refused(old: &str, new: &str, expected: &[&str]) {
    let old = validate_manifest(&manifest(old)).unwrap();
    assert_eq!(refusals(validate_update(&old, &manifest(new))), expected);
}

#[test]
fn what_is_left_out_has_the_one_schema_default() {
    let text = manifest("{}");
    let cluster = validate_manifest(&text).unwrap();
    assert_eq!(cluster.spec.replicas, 3);
    let expected = crate::ZooKeeperClusterSpec {
        replicas: 3,
        ..Default::default()
    };
    assert_eq!(cluster.spec, expected);
}

#[test]
fn a_full_manifest_is_read() {
    let cluster = validate_manifest(&manifest(
        "replicas: 5\n\
         storage: {size: 20Gi, storageClassName: fast, reclaimPolicy: Delete}\n\
         resources: {server: {requests: {cpu: 1, memory: 1Gi}}}\n\
         config: {tickTime: 500, logLevel: debug, fourLetterWords: [srvr, ruok]}\n\
         ports: {client: 12181}\n\
         pod: {labels: {team: a}, tolerations: [{key: x, operator: Exists}]}\n\
         service: {type: NodePort, ipFamilies: [IPv4, IPv6]}\n\
         bootstrap: {mode: New}\n\
         paused: null",
    ))
    .unwrap();
    assert_eq!(cluster.spec.replicas, 5);
    let config = cluster.spec.config.unwrap();
    assert_eq!(config.log_level, Some(LogLevel::Debug));
    let server = cluster.spec.resources.unwrap().server.unwrap();
    assert_eq!(server.requests["cpu"].0, "1");
}

#[test]
fn other_documents_beside_the_one_do_not_matter() {
    let text = format!("kind: Namespace\n---\n{}---\n", manifest("replicas: 1"));
    assert_eq!(validate_manifest(&text).unwrap().spec.replicas, 1);
}

#[test]
fn there_must_be_exactly_one() {
    assert_eq!(
        refusals(validate_manifest("kind: Namespace")),
        [
            "there is no document with `kind: ZooKeeperCluster`; it is to begin with \
             `apiVersion: ferrokeeper.io/v1alpha1`"
        ]
    );
    let twice = format!("{}---\n{}", manifest("{}"), manifest("{}"));
    assert_eq!(
        refusals(validate_manifest(&twice)),
        ["there is more than one ZooKeeperCluster; exactly one is wanted"]
    );
}

#[test]
fn text_that_is_not_yaml_names_the_place() {
    let refused = refusals(validate_manifest("kind: [\n"));
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("this is not YAML: "), "{refused:?}");
    assert!(refused[0].contains("line "), "{refused:?}");
}

#[test]
fn unknown_fields_are_refused_at_every_depth() {
    assert_refused(
        "replica: 3\nstorage: {emptyDir: {}}\npod: {affinity: {nodeAffinitee: {}}}",
        &[
            "spec.pod.affinity.nodeAffinitee: unknown field; allowed here: nodeAffinity, \
             podAffinity, podAntiAffinity",
            "spec.replica: unknown field; allowed here: auth, bootstrap, clusterDomain, config, \
             image, paused, pod, ports, replicas, resources, service, sidecarImage, storage, tls",
            "spec.storage.emptyDir: unknown field; allowed here: reclaimPolicy, size, \
             storageClassName",
        ],
    );
}

#[test]
fn voters_are_odd_and_between_one_and_99() {
    assert_refused(
        "replicas: 0",
        &["spec.replicas: is 0, and must be between 1 and 99"],
    );
    assert_refused(
        "replicas: 101",
        &["spec.replicas: is 101, and must be between 1 and 99"],
    );
    assert_refused(
        "replicas: 4",
        &[
            "spec.replicas: replicas must be odd: an even number of voters survives no more \
             losses than one voter less",
        ],
    );
}

#[test]
fn types_ranges_and_choices_are_named() {
    assert_refused(
        "replicas: three\n\
         config: {tickTime: 1.5, maxClientCnxns: -1, fourLetterWords: [RUOK]}\n\
         image: ''\n\
         paused: maybe\n\
         service: {type: External}",
        &[
            "spec.config.fourLetterWords[0]: is \"RUOK\", and must match ^(\\*|[a-z]{4})$",
            "spec.config.maxClientCnxns: is -1, and must be 0 or more",
            "spec.config.tickTime: must be a whole number, and is 1.5",
            "spec.image: must not be empty",
            "spec.paused: must be true or false, and is the string \"maybe\"",
            "spec.replicas: must be a whole number, and is the string \"three\"",
            "spec.service.type: is \"External\", and must be one of ClusterIP, NodePort, \
             LoadBalancer",
        ],
    );
    assert_refused(
        "storage: {size: large}",
        &["spec.storage.size: must be a quantity above zero, such as 10Gi"],
    );
    assert_refused(
        "config: {minSessionTimeout: 5, maxSessionTimeout: 4}",
        &["spec.config: minSessionTimeout must not be above maxSessionTimeout"],
    );
    assert_refused(
        "bootstrap: {mode: Join}",
        &["spec.bootstrap: mode Join needs join.servers"],
    );
}

#[test]
fn head_and_names_are_judged() {
    let text = "apiVersion: ferrokeeper.io/v9\nkind: ZooKeeperCluster\nmetadata:\n  name: A.b\n  \
                lables: {}\n  labels: {a: 1}\nspce: {}\n";
    let refused = refusals(validate_manifest(text));
    let fields: Vec<_> = refused
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "apiVersion",
            "metadata.labels.a",
            "metadata.lables",
            "metadata.name",
            "spce",
            "spec"
        ]
    );
    let long = manifest("{}").replace("name: zk", &format!("name: {}", "z".repeat(41)));
    assert_eq!(
        refusals(validate_manifest(&long)),
        [
            "a ZooKeeperCluster's name must not be longer than 40 characters: pods, services \
             and claims are named after it"
        ]
    );
}

#[test]
fn volumes_may_grow_and_not_shrink() {
    let old = validate_manifest(&manifest("storage: {size: 10Gi}")).unwrap();
    for grown in ["10Gi", "10240Mi", "11Gi", "1Ti"] {
        let new = manifest(&format!("storage: {{size: {grown}}}"));
        assert!(validate_update(&old, &new).is_ok(), "{grown}");
    }
    let shrunk = "spec: storage.size must not become smaller (it is 10Gi where it is left out): \
                  volumes cannot shrink";
    assert_change_refused("storage: {size: 10Gi}", "storage: {size: 10G}", &[shrunk]);
    assert_change_refused("storage: {size: 20Gi}", "{}", &[shrunk]);
    assert_change_refused("{}", "storage: {size: 9Gi}", &[shrunk]);
}

#[test]
fn what_is_fixed_at_birth_stays() {
    assert_change_refused(
        "{}",
        "ports: {quorum: 2889}\nclusterDomain: example.org\nstorage: {storageClassName: a}",
        &[
            "spec: clusterDomain is fixed at birth: it stands in the ensemble's committed \
             configuration",
            "spec: ports.quorum is fixed at birth: it stands in the ensemble's committed \
             configuration",
            "spec: storage.storageClassName cannot change: a volume stays in the class that it \
             was made in",
        ],
    );
    let old = validate_manifest(&manifest("{}")).unwrap();
    let same = manifest("ports: {client: 2181}\nclusterDomain: cluster.local\nreplicas: 5");
    assert!(validate_update(&old, &same).is_ok());
}
