//! What the Helm chart's Deployment passes is what the operator's binary takes.

use std::path::Path;
use std::process::Command;

/// A value for an expression of the template.
fn sample(expression: &str) -> &'static str {
    let samples = [
        ("address", "0.0.0.0"),
        ("port", "8080"),
        ("memberUser", "65532"),
        ("format", "json"),
    ];
    let found = samples.iter().find(|(part, _)| expression.contains(part));
    found.map_or("name", |(_, value)| value)
}

fn rendered(argument: &str) -> String {
    let mut parts = argument.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (expression, rest) = part
            .split_once("}}")
            .expect("an expression ends in its line");
        text += sample(expression);
        text += rest;
    }
    text
}

fn is_understood(arguments: &[String]) -> bool {
    let mut operator = Command::new(env!("CARGO_BIN_EXE_ferrokeeper-operator"));
    // With --help arguments are judged, and nothing runs.
    let output = operator.arg("run").args(arguments).arg("--help").output();
    output
        .expect("the operator's binary starts")
        .status
        .success()
}

#[test]
fn the_deployments_arguments_are_understood() {
    let template = "../charts/ferrokeeper-operator/templates/deployment.yaml";
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join(template);
    let template = std::fs::read_to_string(template).expect("the chart is there");
    let arguments: Vec<String> = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter(|argument| argument.starts_with("--"))
        .map(rendered)
        .collect();
    assert!(arguments.len() > 5, "found only {arguments:?}");
    let wrong: Vec<&String> = arguments
        .iter()
        .filter(|argument| !is_understood(&[(*argument).clone()]))
        .collect();
    assert_eq!(wrong, Vec::<&String>::new());
    assert!(is_understood(&arguments), "not together: {arguments:?}");
    assert!(!is_understood(&["--no-such-flag".to_owned()]));
}
