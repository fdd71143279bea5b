//! An ensemble of real processes on loopback, of our members and Apache's in any mix.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::ports::Ports;
use crate::process::Process;
use crate::words;

/// Whose server a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Ours.
    Ferrokeeper,
    /// Apache ZooKeeper.
    Apache,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `ferrokeeper` binary, or another one that becomes it by `ferrokeeper_arguments`.
    pub ferrokeeper: PathBuf,
    /// What comes before `serve`.
    pub ferrokeeper_arguments: Vec<String>,
    /// What is set in its environment.
    pub ferrokeeper_environment: Vec<(String, String)>,
    /// The folder of Apache's jars, if it is at hand.
    pub apache: Option<PathBuf>,
}

/// One member: its folder, its ports, its process while it runs.
#[derive(Debug)]
pub struct Member {
    /// The number in `myid`.
    pub id: i64,
    /// Whose server runs on its folder.
    pub make: Make,
    /// Data, configuration and log.
    pub folder: PathBuf,
    /// Where clients connect.
    pub client: SocketAddr,
    process: Option<Process>,
}

/// Members that share one server list. All processes end with it.
#[derive(Debug)]
pub struct Ensemble {
    /// In the order of their ids, which start at 1.
    pub members: Vec<Member>,
    programs: Programs,
    // Behind the members, whose processes end first.
    _ports: Ports,
}

impl Ensemble {
    /// Lays out folders and configurations below `folder`; starts nothing.
    ///
    /// # Errors
    /// If a folder cannot be written, or no port is free.
    pub fn new(
        programs: &Programs,
        folder: &Path,
        makes: &[Make],
        settings: &str,
    ) -> anyhow::Result<Self> {
        let claimed = Ports::claim(makes.len() * 3)?;
        let ports = claimed.numbers();
        let mut servers = String::new();
        for (index, ports) in ports.chunks(3).enumerate() {
            let id = index + 1;
            writeln!(
                servers,
                "server.{id}=127.0.0.1:{}:{}:participant;127.0.0.1:{}",
                ports[0], ports[1], ports[2]
            )?;
        }
        let mut members = Vec::new();
        for (index, make) in makes.iter().enumerate() {
            let id = i64::try_from(index)? + 1;
            let folder = folder.join(format!("member{id}"));
            std::fs::create_dir_all(&folder).context("create the member's folder")?;
            std::fs::write(folder.join("myid"), id.to_string()).context("write myid")?;
            let text = format!(
                "dataDir={}\ntickTime=500\ninitLimit=20\nsyncLimit=10\nadmin.enableServer=false\n\
                 4lw.commands.whitelist=*\nmaxClientCnxns=0\npreAllocSize=4096\n{settings}\n{servers}",
                folder.display()
            );
            std::fs::write(folder.join("zoo.cfg"), text).context("write zoo.cfg")?;
            let client = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[index * 3 + 2]));
            members.push(Member {
                id,
                make: *make,
                folder,
                client,
                process: None,
            });
        }
        Ok(Self {
            members,
            programs: programs.clone(),
            _ports: claimed,
        })
    }

    /// Starts a member, or starts it again.
    ///
    /// # Errors
    /// If it runs already, or its program is not at hand.
    pub fn start(&mut self, id: i64) -> anyhow::Result<()> {
        let programs = self.programs.clone();
        let member = self.member_mut(id);
        ensure!(member.process.is_none(), "member {id} runs already");
        let config = member.folder.join("zoo.cfg");
        let mut command = match member.make {
            Make::Ferrokeeper => {
                let mut command = Command::new(&programs.ferrokeeper);
                command.args(&programs.ferrokeeper_arguments);
                command.envs(programs.ferrokeeper_environment);
                command.arg("serve").arg(config);
                command
            }
            Make::Apache => {
                let jars = programs
                    .apache
                    .as_deref()
                    .context("Apache's jars are not at hand")?;
                apache(jars, &config)?
            }
        };
        member.process = Some(Process::start(&mut command, &member.folder.join("log"))?);
        Ok(())
    }

    /// Starts all members.
    ///
    /// # Errors
    /// As [`Ensemble::start`].
    pub fn start_all(&mut self) -> anyhow::Result<()> {
        (1..=self.members.len() as i64).try_for_each(|id| self.start(id))
    }

    /// Ends a member as power loss would.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self, id: i64) -> anyhow::Result<()> {
        let process = self.member_mut(id).process.take();
        process
            .with_context(|| format!("member {id} does not run"))?
            .kill()
    }

    /// The process of a running member.
    ///
    /// # Errors
    /// If it does not run.
    pub fn process(&mut self, id: i64) -> anyhow::Result<&mut Process> {
        let process = self.member_mut(id).process.as_mut();
        process.with_context(|| format!("member {id} does not run"))
    }

    /// One member.
    ///
    /// # Panics
    /// If there is none with this id.
    #[must_use]
    pub fn member(&self, id: i64) -> &Member {
        self.members
            .iter()
            .find(|member| member.id == id)
            .expect("a member of this ensemble")
    }

    fn member_mut(&mut self, id: i64) -> &mut Member {
        self.members
            .iter_mut()
            .find(|member| member.id == id)
            .expect("a member of this ensemble")
    }

    /// All client addresses, as clients take them.
    #[must_use]
    pub fn connect_string(&self) -> String {
        let addresses: Vec<String> = self
            .members
            .iter()
            .map(|member| member.client.to_string())
            .collect();
        addresses.join(",")
    }

    /// The id of the leader, once it and all running members serve.
    ///
    /// # Errors
    /// If that takes longer than `limit`.
    pub fn leader(&self, limit: Duration) -> anyhow::Result<i64> {
        let deadline = Instant::now() + limit;
        loop {
            let running: Vec<&Member> = self
                .members
                .iter()
                .filter(|member| member.process.is_some())
                .collect();
            let modes: Vec<Option<String>> = running
                .iter()
                .map(|member| words::mode(member.client))
                .collect();
            let leaders: Vec<i64> = running
                .iter()
                .zip(&modes)
                .filter(|(_, mode)| mode.as_deref() == Some("leader"))
                .map(|(member, _)| member.id)
                .collect();
            if let ([leader], true) = (&leaders[..], modes.iter().all(Option::is_some)) {
                return Ok(*leader);
            }
            if Instant::now() > deadline {
                bail!("no stable leader in {limit:?}: {modes:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a member has written to its log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn log(&self, id: i64) -> anyhow::Result<String> {
        let file = self.member(id).folder.join("log");
        let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Keys that Apache reads only as properties of its JVM, and ours in zoo.cfg too.
const PROPERTIES: &[&str] = &[
    "readonlymode.enabled",
    "jute.maxbuffer",
    "znode.container.checkIntervalMs",
];

fn apache(jars: &Path, config: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new("java");
    command
        .args(["-Xmx1g", "-Dorg.slf4j.simpleLogger.showDateTime=true"])
        // Unless the configuration says otherwise, containers stay.
        .arg("-Dznode.container.checkIntervalMs=86400000");
    let text = std::fs::read_to_string(config).context("read zoo.cfg")?;
    for line in text.lines() {
        let key = line.split('=').next().unwrap_or_default();
        if PROPERTIES.contains(&key) {
            command.arg(format!("-D{line}"));
        }
    }
    command
        // How a learner was brought up to date is said at this level only.
        .arg("-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.quorum.LearnerHandler=debug")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(config);
    Ok(command)
}
