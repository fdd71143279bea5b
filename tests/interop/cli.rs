//! One script through zkCli and through `ferrokeeper cli`, on Apache and on ours: the same
//! answers, errors, events and exit codes.

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use tests::ensemble::{Ensemble, Make};
use tests::process::Process;

use crate::Setting;

const LIMIT: Duration = Duration::from_secs(60);
const SCRIPT: &str = include_str!("cli.txt");
const SETTINGS: &str = "extendedTypesEnabled=true\n";

/// The genuine one on Apache is what the three others are compared with.
pub(crate) fn same(setting: &Setting) -> anyhow::Result<()> {
    let expected = told(setting, Make::Apache, Make::Apache)?;
    for line in ["Created /shop", "[crates, milk, order-0000000000"] {
        ensure!(
            expected.errors.contains(line) || expected.answers.contains(line),
            "zkCli itself did not work:\n{expected:#?}"
        );
    }
    for (client, server) in [
        (Make::Apache, Make::Ferrokeeper),
        (Make::Ferrokeeper, Make::Apache),
        (Make::Ferrokeeper, Make::Ferrokeeper),
    ] {
        let found = told(setting, client, server)?;
        for (what, expected, found) in [
            ("standard output", &expected.answers, &found.answers),
            ("standard error", &expected.errors, &found.errors),
            ("events", &expected.events, &found.events),
        ] {
            let differs = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
            ensure!(
                expected == found,
                "{client:?}'s client on {server:?}: {what} differs, first {differs:?}\n\
                 expected:\n{expected}\nfound:\n{found}"
            );
        }
        ensure!(
            expected.status == found.status,
            "{client:?}'s client on {server:?} ended with {:?}, not {:?}",
            found.status,
            expected.status
        );
    }
    Ok(())
}

/// What a client told, without what two runs cannot have in common.
#[derive(Debug)]
struct Told {
    answers: String,
    errors: String,
    /// Apart, since they come when they come.
    events: String,
    status: Option<i32>,
}

/// Runs the script on a server of its own.
fn told(setting: &Setting, client: Make, server: Make) -> anyhow::Result<Told> {
    let folder = setting.folder.join(format!("{client:?}-on-{server:?}"));
    let mut ensemble = Ensemble::new(&setting.programs, &folder, &[server; 3], SETTINGS)?;
    ensemble.start_all()?;
    let leader = ensemble.leader(LIMIT)?;
    let address = ensemble.member(leader).client.to_string();
    let script = folder.join("script");
    std::fs::write(&script, SCRIPT).context("write the script")?;
    let mut command = match client {
        Make::Ferrokeeper => {
            let mut command = Command::new(&setting.programs.ferrokeeper);
            command.arg("cli");
            command
        }
        Make::Apache => genuine(setting)?,
    };
    command
        .args(["-server", &address])
        .stdin(File::open(&script).context("open the script")?)
        .stdout(File::create(folder.join("out")).context("make the output")?)
        .stderr(File::create(folder.join("err")).context("make the errors")?);
    let status = Process::redirected(&mut command, &folder.join("err"))?.wait(LIMIT)?;
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).context("read the output");
    let (answers, events) = plain(&read("out")?, &address);
    Ok(Told {
        answers,
        events,
        errors: plain(&read("err")?, &address).0,
        status: status.code(),
    })
}

fn genuine(setting: &Setting) -> anyhow::Result<Command> {
    let jars = setting.programs.apache.as_deref();
    let jars = jars.context("Apache's jars are not at hand")?;
    let mut command = Command::new("java");
    command
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=off")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg("org.apache.zookeeper.ZooKeeperMain");
    Ok(command)
}

/// The lines without times, session ids and addresses, and the events among them.
fn plain(text: &str, address: &str) -> (String, String) {
    let (mut answers, mut events) = (String::new(), String::new());
    for line in text.lines() {
        let line = match line.split_once(" = ") {
            Some((name @ ("ctime" | "mtime"), _)) => format!("{name} = TIME"),
            Some(("ephemeralOwner", owner)) if owner != "0x0" => "ephemeralOwner = ID".to_owned(),
            _ => line.replace(address, "SERVER"),
        };
        // What each client says of itself.
        let own = ["JLine support is disabled", "ZooKeeper CLI version: "];
        if line.is_empty() || line == "WATCHER::" || own.iter().any(|own| line.starts_with(own)) {
            continue;
        }
        let to = match line.starts_with("WatchedEvent ") {
            true => &mut events,
            false => &mut answers,
        };
        to.push_str(&line);
        to.push('\n');
    }
    (answers, events)
}
