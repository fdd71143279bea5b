//! What reads commands: one, a script's lines or a person's.

use std::fmt::Write as _;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arguments::Plan;
use super::commands::{COMMANDS, Command, Context};
use super::failure::Failure;
use super::line;
use super::output::{Answer, Output};
use super::session::{Options, Session};

/// How many lines `history` shows before the last.
const HISTORY: usize = 10;

/// Commands that the shell carries out itself, with how they are used.
const OWN: &[(&str, &str)] = &[
    ("close", ""),
    ("connect", "host:port"),
    ("help", ""),
    ("history", ""),
    ("printwatches", "on|off"),
    ("quit", ""),
    ("redo", "cmdno"),
];

/// A shell: a session, what was typed so far, and the last exit code.
pub(super) struct Shell {
    plan: Plan,
    output: Output,
    session: Option<Arc<Session>>,
    server: String,
    print_watches: Arc<AtomicBool>,
    lines: Vec<String>,
    exit_code: u8,
    over: bool,
}

impl Shell {
    /// Begins to connect.
    pub(super) fn connect(plan: Plan, output: Output) -> anyhow::Result<Self> {
        let mut shell = Self {
            server: plan.server.clone(),
            plan,
            output,
            session: None,
            print_watches: Arc::new(AtomicBool::new(true)),
            lines: Vec::new(),
            exit_code: 0,
            over: false,
        };
        shell.open()?;
        Ok(shell)
    }

    fn open(&mut self) -> anyhow::Result<()> {
        self.session = None;
        let (output, print) = (self.output.clone(), self.print_watches.clone());
        let session = Session::open(&Options {
            server: self.server.clone(),
            timeout: self.plan.timeout,
            read_only: self.plan.read_only,
            events: Arc::new(move |event| {
                if print.load(Ordering::Relaxed) {
                    output.event(event);
                }
            }),
        })?;
        if self.plan.wait {
            session.wait_for_connection();
        }
        self.session = Some(Arc::new(session));
        Ok(())
    }

    /// The command of the arguments.
    pub(super) fn run_command(&mut self) {
        let words = self.plan.command.clone();
        self.run_words(&words);
    }

    /// Lines until the last, or until one of them quits.
    pub(super) fn run_lines(&mut self, lines: impl BufRead) -> std::io::Result<()> {
        for line in lines.lines() {
            if self.over {
                break;
            }
            self.run_line(&line?);
        }
        Ok(())
    }

    /// One line, which `history` and `redo` will know.
    pub(super) fn run_line(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        self.lines.push(line.to_owned());
        self.run_words(&line::words(line));
    }

    fn run_words(&mut self, words: &[String]) {
        self.exit_code = match self.execute(words) {
            Ok(()) => 0,
            Err(failure) => {
                self.output.failure(&failure);
                failure.exit_code()
            }
        };
    }

    /// Whether `quit` was said.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Closes the session; gives what the last command ended with.
    pub(super) fn end(&mut self) -> u8 {
        if !self.over {
            self.print_watches.store(false, Ordering::Relaxed);
        }
        self.session = None;
        self.exit_code
    }

    /// What a prompt shows.
    pub(super) fn prompt(&self) -> String {
        let state = self
            .session
            .as_ref()
            .map_or("CLOSED", |session| session.state().name());
        format!("[zk: {}({state}) {}] ", self.server, self.lines.len())
    }

    /// For who completes paths.
    pub(super) fn session(&self) -> Option<Arc<Session>> {
        self.session.clone()
    }

    pub(super) const fn output(&self) -> &Output {
        &self.output
    }

    fn execute(&mut self, words: &[String]) -> Result<(), Failure> {
        let Some(name) = words.first() else {
            self.output.remark(&usage());
            return Err(Failure::Words("No command entered".to_owned()));
        };
        let command = COMMANDS.iter().find(|command| command.name == name);
        if let Some(command) = command {
            return self.ask(command, words);
        }
        match (name.as_str(), words.get(1)) {
            ("help", _) => self.output.notice(&usage()),
            ("quit", _) => {
                self.over = true;
                self.session = None;
            }
            ("close", _) => {
                if self.live().is_some() {
                    self.session = None;
                }
            }
            ("redo", Some(number)) => return self.redo(number),
            ("redo", None) => return Err(Failure::Usage("redo cmdno".to_owned())),
            ("history", _) => self.output.answer(&Answer::History(self.recent())),
            ("printwatches", None) => {
                let on = self.print_watches.load(Ordering::Relaxed);
                self.output.answer(&Answer::PrintsWatches(on));
            }
            ("printwatches", Some(word)) => {
                self.print_watches.store(word == "on", Ordering::Relaxed);
            }
            ("connect", server) => {
                if let Some(server) = server {
                    self.server.clone_from(server);
                }
                self.open()
                    .map_err(|why| Failure::Words(format!("{why:#}")))?;
            }
            _ => {
                self.output.remark(&usage());
                return Err(Failure::Unknown(name.clone()));
            }
        }
        Ok(())
    }

    fn live(&self) -> Option<Arc<Session>> {
        let session = self
            .session
            .clone()
            .filter(|session| session.state().is_alive());
        if session.is_none() {
            self.output.notice("Not connected");
        }
        session
    }

    fn ask(&self, command: &Command, words: &[String]) -> Result<(), Failure> {
        let Some(session) = self.live() else {
            return Ok(());
        };
        let context = Context {
            session: &session,
            output: &self.output,
        };
        (command.run)(&context, words)
    }

    fn redo(&mut self, number: &str) -> Result<(), Failure> {
        let refused = |why: &str| Err(Failure::Words(why.to_owned()));
        let number: Option<usize> = number.parse().ok();
        // The last line is the redo itself.
        let known = self.lines.len().saturating_sub(1);
        let Some(line) = number
            .filter(|number| *number < known)
            .map(|at| self.lines[at].clone())
        else {
            return refused("Command index out of range");
        };
        let words = line::words(&line);
        if words.first().is_some_and(|word| word == "redo") {
            return refused("No redoing redos");
        }
        if let Some(last) = self.lines.last_mut() {
            *last = line;
        }
        self.execute(&words)
    }

    /// The last lines with their numbers; the one that is carried out is the last of them.
    fn recent(&self) -> Vec<(usize, Option<String>)> {
        let last = self.lines.len().saturating_sub(1);
        (last.saturating_sub(HISTORY)..=last)
            .map(|number| (number, self.lines.get(number).cloned()))
            .collect()
    }
}

fn usage() -> String {
    let mut all: Vec<(&str, &str)> = COMMANDS
        .iter()
        .map(|command| (command.name, command.usage))
        .chain(OWN.iter().copied())
        .collect();
    all.sort_unstable();
    let mut text = "ferrokeeper cli -server host:port cmd args".to_owned();
    for (name, usage) in all {
        let _ = write!(text, "\n\t{name} {usage}");
    }
    text
}

/// All names, for who completes them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let own = OWN.iter().map(|(name, _)| *name);
    COMMANDS.iter().map(|command| command.name).chain(own)
}
