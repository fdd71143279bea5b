//! The Helm chart and the Dockerfile, as far as they can be judged without Helm and an engine;
//! `cargo e2e` renders and installs the chart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

const CHART: &str = "charts/ferrokeeper-operator";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(repository().join(path)).with_context(|| format!("read {path}"))
}

fn yaml(path: &str) -> anyhow::Result<Value> {
    serde_yaml::from_str(&text(path)?).with_context(|| format!("parse {path}"))
}

fn schema() -> anyhow::Result<Value> {
    let path = format!("{CHART}/values.schema.json");
    serde_json::from_str(&text(&path)?).with_context(|| format!("parse {path}"))
}

fn names_in(folder: &str) -> anyhow::Result<BTreeSet<String>> {
    let entries =
        std::fs::read_dir(repository().join(folder)).with_context(|| format!("list {folder}"))?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

#[test]
fn the_chart_holds_the_definitions_of_crds() -> anyhow::Result<()> {
    let copies = format!("{CHART}/files/crds");
    assert_eq!(names_in(&copies)?, names_in("crds")?);
    for name in names_in("crds")? {
        let definition = text(&format!("crds/{name}"))?;
        assert!(
            text(&format!("{copies}/{name}"))? == definition,
            "{copies}/{name} is stale: run `{}` and commit it",
            api::crd::REGENERATE
        );
        // Where the template puts the annotation that keeps them.
        assert_eq!(definition.matches("\nmetadata:\n").count(), 1, "{name}");
    }
    Ok(())
}

/// What `schema` says of the values below `path`, each `$ref` followed.
fn check_schema(root: &Value, schema: &Value, values: &Value, path: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        match root.pointer(reference.trim_start_matches('#')) {
            Some(found) => check_schema(root, found, values, path, wrong),
            None => wrong.push(format!("{path}: {reference} is not there")),
        }
        return;
    }
    let Value::Object(values) = values else {
        if schema["type"].is_null() && schema["enum"].is_null() {
            wrong.push(format!("{path}: of any type"));
        }
        return;
    };
    let Value::Object(known) = &schema["properties"] else {
        // A map that Kubernetes knows, or one with keys of the user's.
        if schema["type"] != "object" {
            wrong.push(format!("{path}: not an object to the schema"));
        }
        return;
    };
    if schema["additionalProperties"] != false {
        wrong.push(format!("{path}: takes unknown keys"));
    }
    for key in known.keys().filter(|key| *key != "global") {
        let optional = ["tag", "digest", "claims"].contains(&key.as_str());
        if !values.contains_key(key) && !optional {
            wrong.push(format!("{path}.{key}: not in values.yaml"));
        }
    }
    for (key, value) in values {
        let path = format!("{path}.{key}");
        match known.get(key) {
            Some(schema) => check_schema(root, schema, value, &path, wrong),
            None => wrong.push(format!("{path}: not in the schema")),
        }
    }
}

#[test]
fn the_schema_knows_every_value_and_nothing_else() -> anyhow::Result<()> {
    let schema = schema()?;
    let mut wrong = Vec::new();
    check_schema(
        &schema,
        &schema,
        &yaml(&format!("{CHART}/values.yaml"))?,
        "",
        &mut wrong,
    );
    assert_eq!(wrong, Vec::<String>::new());
    Ok(())
}

/// Every `.Values.a.b` of the templates.
fn values_used() -> anyhow::Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for name in names_in(&format!("{CHART}/templates"))? {
        let template = text(&format!("{CHART}/templates/{name}"))?;
        for part in template.split("Values.").skip(1) {
            let end = part
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                .unwrap_or(part.len());
            used.insert(part[..end].to_owned());
        }
    }
    Ok(used)
}

#[test]
fn templates_read_values_that_are_there_and_every_value_is_read() -> anyhow::Result<()> {
    let values = yaml(&format!("{CHART}/values.yaml"))?;
    let used = values_used()?;
    let missing: Vec<&String> = used
        .iter()
        .filter(|path| {
            values
                .pointer(&format!("/{}", path.replace('.', "/")))
                .is_none()
        })
        .collect();
    assert_eq!(missing, Vec::<&String>::new());

    let top = |path: &String| path.split('.').next().unwrap_or_default().to_owned();
    let read: BTreeSet<String> = used.iter().map(top).collect();
    let there: BTreeSet<String> = values
        .as_object()
        .context("values.yaml is not a map")?
        .keys()
        .cloned()
        .collect();
    assert_eq!(read, there);
    Ok(())
}

#[test]
fn the_chart_is_of_this_version() -> anyhow::Result<()> {
    let chart = yaml(&format!("{CHART}/Chart.yaml"))?;
    let ours = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&ours.into(), &ours.into())
    );
    Ok(())
}

#[test]
fn the_example_of_the_notes_is_a_valid_resource() -> anyhow::Result<()> {
    let notes = text(&format!("{CHART}/templates/NOTES.txt"))?;
    let example = notes
        .split_once("<<'EOF'\n")
        .and_then(|(_, rest)| rest.split_once("\nEOF\n"))
        .context("NOTES.txt has no example between <<'EOF' and EOF")?
        .0;
    let found = api::manifest::validate_manifest(example).map(|resource| resource.spec.replicas);
    assert_eq!(found, Ok(3));
    Ok(())
}

#[test]
fn the_dockerfile_copies_what_is_there_and_sent() -> anyhow::Result<()> {
    let dockerfile = text("Dockerfile")?;
    let sent = text(".dockerignore")?;
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "operator",
        "server",
        "tests",
    ] {
        assert!(repository().join(needed).exists(), "{needed}");
        assert!(
            sent.lines().any(|line| line == format!("!{needed}")),
            "{needed}"
        );
    }
    let version = format!("\nARG VERSION={}\n", env!("CARGO_PKG_VERSION"));
    assert!(dockerfile.contains(&version), "no line {version}");
    for stage in ["server", "sidecar", "operator"] {
        let from = format!("\nFROM base AS {stage}\n");
        assert!(dockerfile.contains(&from), "no target {stage}");
    }
    let binaries = ["ferrokeeper", "ferrokeeper-sidecar", "ferrokeeper-operator"];
    for word in dockerfile
        .split_whitespace()
        .filter(|w| w.starts_with("/out/bin/ferro"))
    {
        let name = word.trim_start_matches("/out/bin/");
        assert!(binaries.contains(&name), "{name}");
    }
    Ok(())
}

/// The variants of an enum of `operator/api/src/condition.rs`.
fn variants(name: &str) -> anyhow::Result<Vec<String>> {
    let source = text("operator/api/src/condition.rs")?;
    let body = source
        .split_once(&format!("pub enum {name} {{\n"))
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .with_context(|| format!("no enum {name}"))?
        .0;
    let code = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"));
    let variant = |line: &str| line.strip_suffix(',').map(str::to_owned);
    Ok(code.filter_map(variant).collect())
}

#[test]
fn the_readme_explains_every_condition_and_every_reason() -> anyhow::Result<()> {
    let readme = text("README.md")?;
    let mut unexplained = variants("ConditionType")?;
    unexplained.extend(variants("Reason")?);
    assert!(unexplained.len() > 30, "found only {unexplained:?}");
    // What a newer operator wrote.
    unexplained.retain(|word| word != "Unknown");
    unexplained.retain(|word| !readme.contains(&format!("`{word}`")));
    assert_eq!(unexplained, Vec::<String>::new());
    Ok(())
}
