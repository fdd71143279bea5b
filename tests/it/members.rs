//! Members as processes of this very binary.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use ferrokeeper::commands::{Arguments, run};
use tests::ensemble::{Ensemble, Make, Programs};
use tests::ports::Ports;
use tests::process::Process;
use tests::words;

/// How long a member may take to serve.
pub(crate) const START: Duration = Duration::from_secs(30);

/// Not a test of its own: what a process of a test does, which the words behind its name say.
#[test]
fn serve() {
    let arguments = std::env::args().skip_while(|argument| argument != "serve");
    let arguments: Vec<String> = arguments.collect();
    // As a test, it is given no configuration.
    if arguments.len() < 2 {
        return;
    }
    let arguments = ["ferrokeeper".to_owned()].into_iter().chain(arguments);
    match run(Arguments::parse_from(arguments)) {
        Ok(_) => std::process::exit(0),
        Err(error) => {
            eprintln!("Error: {error:?}");
            std::process::exit(1);
        }
    }
}

/// This binary, in the part of `ferrokeeper`.
pub(crate) fn programs() -> anyhow::Result<Programs> {
    Ok(Programs {
        ferrokeeper: std::env::current_exe().context("find this binary")?,
        ferrokeeper_arguments: ["--exact", "members::serve", "--nocapture"]
            .map(str::to_owned)
            .to_vec(),
        ferrokeeper_environment: Vec::new(),
        apache: None,
    })
}

/// Members of one ensemble that all serve.
pub(crate) fn ensemble(folder: &Path, count: usize, settings: &str) -> anyhow::Result<Ensemble> {
    let makes = vec![Make::Ferrokeeper; count];
    let mut ensemble = Ensemble::new(&programs()?, folder, &makes, settings)?;
    ensemble.start_all()?;
    ensemble.leader(START)?;
    Ok(ensemble)
}

/// A single server.
pub(crate) struct Single {
    pub(crate) client: SocketAddr,
    pub(crate) process: Process,
    command: Command,
    log: std::path::PathBuf,
    // Behind the process, which ends first.
    _ports: Ports,
}

impl Single {
    pub(crate) fn start(folder: &Path, settings: &str) -> anyhow::Result<Self> {
        let ports = Ports::claim(1)?;
        let port = ports.numbers()[0];
        let client = SocketAddr::from(([127, 0, 0, 1], port));
        let config = folder.join("zoo.cfg");
        let text = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\n\
             maxClientCnxns=0\npreAllocSize=4096\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\n{settings}\n",
            folder.join("data").display()
        );
        std::fs::write(&config, text).context("write zoo.cfg")?;
        let programs = programs()?;
        let mut command = Command::new(&programs.ferrokeeper);
        command.args(&programs.ferrokeeper_arguments);
        command.arg("serve").arg(config);
        let log = folder.join("log");
        let process = Process::start(&mut command, &log)?;
        let single = Self {
            client,
            process,
            command,
            log,
            _ports: ports,
        };
        single.wait()?;
        Ok(single)
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(&self.log).context("read the log")
    }

    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.process = Process::start(&mut self.command, &self.log)?;
        self.wait()
    }

    fn wait(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while words::mode(self.client).is_none() {
            anyhow::ensure!(
                Instant::now() < deadline,
                "the server does not serve: {}",
                std::fs::read_to_string(&self.log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Asks again and again until it is so.
pub(crate) fn until(mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + START;
    while !is_so()? {
        anyhow::ensure!(Instant::now() < deadline, "it does not come to pass");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
