//! A whole server, a few clients, and anything that they may do.
//!
//! The input is a [`Script`]. It is played on a [`Rehearsal`]: the server's own connections, member
//! and tree, moved step by step. What must hold is checked while it is played and at its end:
//!
//! - each request is answered once, in its turn, by a record that can be read; zxids do not go back;
//! - nobody is disconnected without a reason, and no session ends early or stays for ever ([`client`]);
//! - the tree's counts, sizes and digest are those of its znodes; its log makes it again, and so
//!   does any snapshot with the log after it ([`laws`]);
//! - who is gone leaves nothing behind.

pub(crate) mod asks;
mod client;
pub(crate) mod laws;
mod script;

use std::net::SocketAddr;

use arbitrary::{Arbitrary, Unstructured};
use ferrokeeper::rehearsal::{Load, Rehearsal};
use wire::Zxid;

use self::client::Client;
use self::laws::Quotas;
use self::script::{Knock, Script, Setting, Step, Who};

/// Steps of a script that are played.
const STEPS: usize = 120;
/// Clients that ever connect.
const CLIENTS: usize = 12;
/// Longer than any session and anything that lapses: milliseconds.
const FOR_EVER: u64 = 60_000;
/// Milliseconds that what has lapsed may still be there.
const SLOWNESS: i64 = 5_000;

/// See the module.
///
/// # Panics
/// If something does not hold.
pub fn connection(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok(script) = Script::arbitrary(&mut bytes) else {
        return;
    };
    let mut stage = Stage::new(script.setting);
    for step in script.steps.into_iter().take(STEPS) {
        stage.play(step);
    }
    stage.end();
}

/// A server and its clients.
struct Stage {
    setting: Setting,
    server: Rehearsal,
    clients: Vec<Client>,
    /// Milliseconds.
    now: u64,
    /// Taken on the way: zxid and body.
    snapshots: Vec<(Zxid, Vec<u8>)>,
}

impl Stage {
    fn new(setting: Setting) -> Self {
        let server = Rehearsal::new(setting.config()).expect("a server");
        Self {
            setting,
            server,
            clients: Vec::new(),
            now: 0,
            snapshots: Vec::new(),
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Connect(knock) => self.connect(&knock),
            Step::Ask { by, xid, ask } => {
                self.with(by, |client, server, now, setting| {
                    client.ask(server, now, setting, xid, &ask, None);
                });
            }
            Step::Pieces { by, at, ask } => {
                self.with(by, |client, server, now, setting| {
                    client.ask(server, now, setting, None, &ask, Some(at.into()));
                });
            }
            Step::Raw { by, framed, bytes } => {
                self.with(by, |client, server, _, _| {
                    client.send_raw(server, framed, &bytes);
                });
            }
            Step::Stranger(bytes) => {
                if self.clients.len() < CLIENTS {
                    let number = self.server.connect(address(1));
                    let mut client = Client::new(number);
                    client.send_raw(&mut self.server, false, &bytes);
                    self.clients.push(client);
                }
            }
            Step::HangUp(by) => self.with(by, |client, server, _, _| client.hang_up(server)),
            Step::Hold(by, room) => {
                self.with(by, |client, server, _, _| client.hold(server, room.into()));
            }
            Step::Take(by) => self.with(by, |client, server, _, _| client.take(server)),
            // Mostly less than a session lasts.
            Step::Pass(milliseconds) => self.pass(u64::from(milliseconds) / 8),
            Step::Run(who) => self.run(who),
            Step::Snapshot => {
                if self.snapshots.len() < 2 {
                    let snapshot = self.server.snapshot();
                    self.snapshots.push(snapshot);
                }
            }
        }
    }

    fn with(&mut self, by: u8, act: impl FnOnce(&mut Client, &mut Rehearsal, u64, Setting)) {
        let count = self.clients.len();
        if count > 0 {
            let client = &mut self.clients[usize::from(by) % count];
            act(client, &mut self.server, self.now, self.setting);
        }
    }

    fn connect(&mut self, knock: &Knock) {
        if self.clients.len() == CLIENTS {
            return;
        }
        let known: Vec<_> = self.clients.iter().filter_map(Client::session).collect();
        let applied = self.server.with_tree(tree::Tree::last_zxid);
        let (request, wanted) = knock.request(&known, applied);
        for client in &mut self.clients {
            if let Some((session, _)) = client.session()
                && session == wanted
            {
                client.may_end();
            }
        }
        let number = self.server.connect(address(knock.host));
        let mut client = Client::new(number);
        client.greet(&mut self.server, self.now, request, self.setting);
        self.clients.push(client);
    }

    fn run(&mut self, who: Who) {
        match who {
            Who::Client(by) => {
                self.with(by, |client, server, _, _| {
                    server.run_client(client.number());
                });
            }
            Who::Member => {
                self.server.run_member();
            }
            Who::Log => {
                self.server.run_log();
            }
            Who::All => self.settle(),
        }
    }

    fn settle(&mut self) {
        self.server.settle();
        for client in &mut self.clients {
            client.take(&mut self.server);
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        self.settle();
        self.now += milliseconds;
        for client in &mut self.clients {
            client.grow_old(self.now);
        }
        self.server.pass(milliseconds);
        self.settle();
        for client in &self.clients {
            client.check_session(&self.server, self.now, self.setting);
        }
    }

    /// Everybody takes what is for them; then they leave, and their sessions end.
    fn end(mut self) {
        for client in &mut self.clients {
            client.hold(&mut self.server, usize::MAX);
        }
        // What was held back may lead to more.
        self.settle();
        self.settle();
        for client in &self.clients {
            client.check_rest(&self.server);
        }
        let quotas = if self.clients.iter().any(Client::has_touched_quotas) {
            Quotas::Touched
        } else {
            Quotas::Kept
        };
        laws::hold(&mut self.server, &self.snapshots, quotas);
        for client in &mut self.clients {
            client.hang_up(&mut self.server);
        }
        self.pass(FOR_EVER);
        laws::hold(&mut self.server, &[], quotas);
        let wall = self.server.wall() - SLOWNESS;
        let never_used = self.setting.never_used();
        self.server.with_tree(|tree| {
            assert_eq!(tree.session_count(), 0, "sessions without clients");
            assert_eq!(tree.ephemerals_count(), 0, "ephemerals without sessions");
            let lapsed = tree.lapsed(wall, never_used, 10);
            assert_eq!(lapsed, [""; 0], "znodes that should have gone");
        });
        let nothing = Load {
            sessions: Some(0),
            ..Load::default()
        };
        assert_eq!(self.server.load(), nothing, "nobody is there");
        let watches = self
            .server
            .with_watches(|w| (w.len(), w.path_count(), w.watcher_count()));
        assert_eq!(watches, (0, 0, 0), "watches of nobody");
    }
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, host % 4], 40_000))
}

#[cfg(test)]
mod tests {
    use super::asks::Ask;
    use super::*;

    #[test]
    fn who_speaks_keeps_its_session_and_who_does_not_loses_it() {
        let mut stage = Stage::new(Setting::Plain);
        stage.play(Step::Connect(Knock::usual()));
        for _ in 0..5 {
            stage.pass(6_000);
            let (by, xid, ask) = (0, None, Ask::WhoAmI);
            stage.play(Step::Ask { by, xid, ask });
        }
        assert!(!stage.server.is_over(0));
        stage.pass(20_000);
        assert!(stage.server.is_over(0));
        stage.end();
    }
}
