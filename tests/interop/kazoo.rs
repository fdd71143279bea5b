//! kazoo's recipes on three of our members while their leader is killed.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use tests::ensemble::{Ensemble, Make};
use tests::process::Process;

use crate::Setting;

const LIMIT: Duration = Duration::from_secs(60);
const SCRIPT: &str = include_str!("recipes.py");

/// The script announces when it wants the leader dead, and checks everything else itself.
pub(crate) fn recipes(setting: &Setting) -> anyhow::Result<()> {
    let makes = [Make::Ferrokeeper; 3];
    let mut ensemble = Ensemble::new(&setting.programs, &setting.folder, &makes, "")?;
    ensemble.start_all()?;
    let leader = ensemble.leader(LIMIT)?;
    let script = setting.folder.join("recipes.py");
    std::fs::write(&script, SCRIPT)?;
    let ready = setting.folder.join("ready");
    let killed = setting.folder.join("killed");
    let log = setting.folder.join("kazoo.log");
    let mut command = Command::new(&setting.python);
    command
        .arg(script)
        .arg(leader_first(&ensemble, leader))
        .arg(&ready)
        .arg(&killed);
    let mut kazoo = Process::start(&mut command, &log)?;
    let deadline = std::time::Instant::now() + LIMIT;
    while !ready.exists() {
        let text = std::fs::read_to_string(&log)?;
        ensure!(kazoo.is_running(), "kazoo ended early:\n{text}");
        ensure!(
            std::time::Instant::now() < deadline,
            "kazoo is not ready:\n{text}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    ensemble.kill(leader)?;
    std::fs::write(&killed, "")?;
    let status = kazoo.wait(Duration::from_secs(120))?;
    let text = std::fs::read_to_string(&log)?;
    ensure!(status.success(), "kazoo ended with {status}:\n{text}");
    ensemble.start(leader)?;
    ensemble.leader(LIMIT)?;
    Ok(())
}

fn leader_first(ensemble: &Ensemble, leader: i64) -> String {
    let others = ensemble.members.iter().filter(|member| member.id != leader);
    let mut addresses = vec![ensemble.member(leader).client.to_string()];
    addresses.extend(others.map(|member| member.client.to_string()));
    addresses.join(",")
}
