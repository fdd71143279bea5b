//! What goes by itself: containers, znodes with a time to live, sessions that fall silent.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use tests::ensemble::{Ensemble, Make};
use wire::Acl;
use wire::client::{
    AddWatchRequest, BarePath, CreateRequest, CreateTtlRequest, DeleteRequest, PathRequest, Request,
};

use super::LIMIT;
use super::asked::Asked;
use super::requests::Random;
use super::session::{Answer, Light, Order, Session};
use crate::Setting;

const SETTINGS: &str = "extendedTypesEnabled=true\nmaxSessionTimeout=60000\n\
    znode.container.checkIntervalMs=300";
/// Longer than it takes to make a round's znodes.
const LIFE: u64 = 8_000;
/// Nothing more goes after so long.
const QUIET: Duration = Duration::from_secs(1);
const ROUNDS: usize = 2;
/// Znodes of a round, beside what is below them.
const ZNODES: usize = 40;

/// Makes the same znodes in an ensemble of each make, and compares what is left of them, and what
/// a client that watches was told.
pub(crate) fn same_expiry(setting: &Setting) -> anyhow::Result<()> {
    let tell = |make| told(setting, make).with_context(|| format!("an ensemble of {make:?}"));
    let (expected, found) = std::thread::scope(|scope| {
        let apache = scope.spawn(|| tell(Make::Apache));
        let ours = tell(Make::Ferrokeeper);
        match apache.join() {
            Ok(apache) => (apache, ours),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    let (expected, found) = (expected?, found?);
    for (expected, found) in expected.iter().zip(&found) {
        ensure!(
            expected == found,
            "seed {}\nApache: {expected}\n  ours: {found}",
            setting.seed
        );
    }
    ensure!(expected.len() == found.len(), "one was told more");
    println!("        {} answers and lists of events", found.len());
    Ok(())
}

fn told(setting: &Setting, make: Make) -> anyhow::Result<Vec<String>> {
    let folder = setting.folder.join(format!("{make:?}"));
    let mut ensemble = Ensemble::new(&setting.programs, &folder, &[make; 3], SETTINGS)?;
    ensemble.start_all()?;
    ensemble.leader(LIMIT)?;
    let mut maker = Session::open(ensemble.members[0].client, 1, false)?;
    let mut watcher = Session::open(ensemble.members[1].client, 1, false)?;
    maker.hides_zxids();
    watcher.hides_zxids();
    let mut scene = Scene {
        random: Random::new(setting.seed),
        maker,
        watcher,
        left: 0,
        told: Vec::new(),
    };
    for round in 0..ROUNDS {
        let top = format!("/t{round}");
        let mut silent = Session::open_short(ensemble.members[2].client, 1, 3_000)?;
        silent.hides_zxids();
        scene.prepare(&top)?;
        scene.make(&top)?;
        for number in 0..5 {
            let create = create(&format!("{top}/e{number}"), 1);
            scene.told.push(ask(&mut silent, &create)?.text);
        }
        ensure!(
            silent.await_end()? == 0,
            "a silent session was told something"
        );
        scene.await_end(&top)?;
    }
    Ok(scene.told)
}

struct Scene {
    random: Random,
    maker: Session,
    watcher: Session,
    /// Znodes of this round that stay.
    left: usize,
    told: Vec<String>,
}

impl Scene {
    fn prepare(&mut self, top: &str) -> anyhow::Result<()> {
        self.do_made(&create(top, 0))?;
        self.watcher.catch_up()?;
        let path = top.to_owned();
        let watched = Request::AddWatch(AddWatchRequest { path, mode: 1 });
        let path = top.to_owned();
        let watch = true;
        let listed = Request::GetChildren(PathRequest { path, watch });
        for request in [watched, listed] {
            let answer = ask(&mut self.watcher, &request)?;
            self.told.push(answer.text);
        }
        self.left = 0;
        Ok(())
    }

    fn do_made(&mut self, request: &Request) -> anyhow::Result<()> {
        let answer = ask(&mut self.maker, request)?;
        ensure!(answer.err == 0, "{request:?}: {}", answer.text);
        self.told.push(answer.text);
        Ok(())
    }

    fn make(&mut self, top: &str) -> anyhow::Result<()> {
        let mut emptied = Vec::new();
        let started = Instant::now();
        for number in 0..ZNODES {
            let path = format!("{top}/n{number}");
            let child = format!("{path}/x");
            match self.random.below(7) {
                0 => {
                    self.do_made(&with_ttl(&path, 5, 1 << 39))?;
                    self.left += 1;
                }
                1 => self.do_made(&with_ttl(&path, 5, LIFE as i64))?,
                2 => self.do_made(&with_ttl(&path, 6, LIFE as i64 / 2))?,
                // Its child keeps it, and goes.
                3 => {
                    self.do_made(&with_ttl(&path, 5, LIFE as i64))?;
                    self.do_made(&with_ttl(&child, 5, LIFE as i64))?;
                }
                4 => {
                    self.do_made(&create(&path, 4))?;
                    self.do_made(&create(&child, 0))?;
                    emptied.push(child);
                }
                // Never used.
                5 => {
                    self.do_made(&create(&path, 4))?;
                    self.left += 1;
                }
                _ => {
                    self.do_made(&create(&path, 4))?;
                    self.do_made(&create(&child, 0))?;
                    self.left += 2;
                }
            }
        }
        let took = started.elapsed();
        ensure!(
            took < Duration::from_millis(LIFE / 2),
            "{took:?} to make what was to live for {LIFE} ms"
        );
        for path in emptied {
            self.do_made(&Request::Delete(DeleteRequest { path, version: -1 }))?;
        }
        Ok(())
    }

    /// Waits for what is to go; tells what is left, and the events.
    fn await_end(&mut self, top: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        let count = Request::GetAllChildrenNumber(BarePath {
            path: top.to_owned(),
        });
        let expected = format!(
            "{:?}",
            Bytes::copy_from_slice(&(self.left as i32).to_be_bytes())
        );
        loop {
            self.watcher.catch_up()?;
            // Events are kept by a session until it answers.
            let answer = ask(&mut self.maker, &count)?;
            if answer.text.ends_with(&expected) {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "not {} are left: {}",
                self.left,
                answer.text
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(QUIET);
        self.maker.catch_up()?;
        self.watcher.catch_up()?;
        let path = top.to_owned();
        let watch = false;
        let listed = Request::GetChildren2(PathRequest { path, watch });
        for request in [count, listed] {
            self.do_made(&request)?;
            let answer = ask(&mut self.watcher, &request)?;
            self.told.push(answer.text);
        }
        Ok(())
    }
}

fn ask(session: &mut Session, request: &Request) -> anyhow::Result<Answer> {
    let light = Light {
        owners: &[session.id()],
        order: Order::None,
    };
    session.ask(&Asked::Request(request.clone()), &light)
}

fn create(path: &str, flags: i32) -> Request {
    let create = CreateRequest {
        path: path.to_owned(),
        data: None,
        acl: Acl::open(),
        flags,
    };
    if flags == 4 {
        Request::CreateContainer(create)
    } else {
        Request::Create2(create)
    }
}

fn with_ttl(path: &str, flags: i32, ttl: i64) -> Request {
    Request::CreateTtl(CreateTtlRequest {
        path: path.to_owned(),
        data: None,
        acl: Acl::open(),
        flags,
        ttl,
    })
}
