//! One of our members in a quorum with two genuine ones.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use tests::dump;
use tests::ensemble::{Ensemble, Make};
use tests::load::{self, Load, Shape};
use tests::words;
use tokio::runtime::Runtime;

use crate::Setting;

const LIMIT: Duration = Duration::from_secs(60);
/// Our member's id: the greatest, so that it wins an election among equals.
const OURS: i64 = 3;
const MIXED: [Make; 3] = [Make::Apache, Make::Apache, Make::Ferrokeeper];
const LOAD: Shape = Shape {
    clients: 4,
    in_flight: 16,
    bytes: 100,
};

/// The yardstick: three genuine members, so that a failure elsewhere is ours.
pub(crate) fn apache_alone(setting: &Setting) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::new(&setting.programs, &setting.folder, &[Make::Apache; 3], "")?;
    ensemble.start_all()?;
    ensemble.leader(LIMIT)?;
    Runtime::new()?.block_on(async {
        let load = Load::start(&ensemble.connect_string(), "alone", &LOAD).await?;
        load.advance(1000, LIMIT).await?;
        let acknowledged = load.stop().await?;
        load::verify(&ensemble.connect_string(), &acknowledged).await?;
        agree(&ensemble).await
    })
}

/// Our member, empty, gets a whole snapshot while clients write.
pub(crate) fn join_by_snapshot(setting: &Setting) -> anyhow::Result<()> {
    // A factor of -1 keeps Apache from sending its log instead.
    let settings = "snapCount=300\nsnapshotSizeFactor=-1\ncommitLogCount=100";
    let mut ensemble = Ensemble::new(&setting.programs, &setting.folder, &MIXED, settings)?;
    ensemble.start(1)?;
    ensemble.start(2)?;
    let leader = ensemble.leader(LIMIT)?;
    Runtime::new()?.block_on(async {
        let load = Load::start(&ensemble.connect_string(), "snap", &LOAD).await?;
        load.advance(2000, LIMIT).await?;
        ensemble.start(OURS)?;
        ensemble.leader(LIMIT)?;
        load.advance(1000, LIMIT).await?;
        let acknowledged = load.stop().await?;
        synchronised(&ensemble, leader, "SNAP")?;
        load::verify(&ensemble.member(OURS).client.to_string(), &acknowledged).await?;
        agree(&ensemble).await
    })
}

/// Members that keep all that is written here, to send it by DIFF.
fn with_long_memory(setting: &Setting) -> anyhow::Result<Ensemble> {
    let settings = "commitLogCount=100000";
    Ensemble::new(&setting.programs, &setting.folder, &MIXED, settings)
}

/// The genuine members make a quorum, then our member starts. Tells who leads.
fn ours_joins_last(ensemble: &mut Ensemble) -> anyhow::Result<i64> {
    ensemble.start(1)?;
    ensemble.start(2)?;
    let leader = ensemble.leader(LIMIT)?;
    ensemble.start(OURS)?;
    ensemble.leader(LIMIT)?;
    Ok(leader)
}

/// Our member was away for a few transactions.
pub(crate) fn join_by_diff(setting: &Setting) -> anyhow::Result<()> {
    let mut ensemble = with_long_memory(setting)?;
    let leader = ours_joins_last(&mut ensemble)?;
    Runtime::new()?.block_on(async {
        let load = Load::start(&ensemble.connect_string(), "diff", &LOAD).await?;
        load.advance(300, LIMIT).await?;
        ensemble.kill(OURS)?;
        load.advance(300, LIMIT).await?;
        let before = ensemble.log(OURS)?.len();
        ensemble.start(OURS)?;
        ensemble.leader(LIMIT)?;
        load.advance(300, LIMIT).await?;
        let acknowledged = load.stop().await?;
        let log = ensemble.log(OURS)?;
        ensure!(log[before..].contains("DIFF"), "our log does not name DIFF");
        synchronised(&ensemble, leader, "DIFF")?;
        load::verify(&ensemble.member(OURS).client.to_string(), &acknowledged).await?;
        agree(&ensemble).await
    })
}

/// Our member led, logged what nobody else has, and comes back under another leader.
pub(crate) fn join_by_truncation(setting: &Setting) -> anyhow::Result<()> {
    let mut ensemble = with_long_memory(setting)?;
    ensemble.start_all()?;
    let leader = ensemble.leader(LIMIT)?;
    ensure!(
        leader == OURS,
        "the greatest id leads among equals, not {leader}"
    );
    // A runtime of its own, whose end is the end of the clients, with what they had not sent:
    // Apache truncates only while nothing was written in the new epoch.
    let mut acknowledged = Runtime::new()?.block_on(async {
        let load = Load::start(&ensemble.connect_string(), "trunc", &LOAD).await?;
        load.advance(300, LIMIT).await?;
        ensemble.process(1)?.signal(Signal::STOP)?;
        ensemble.process(2)?.signal(Signal::STOP)?;
        // The clients' writes under way reach our log, and nobody else's.
        tokio::time::sleep(Duration::from_millis(500)).await;
        // What the others have not read yet dies with them.
        for id in [1, 2, OURS] {
            ensemble.kill(id)?;
        }
        load.abandon()
    })?;
    let leader = ours_joins_last(&mut ensemble)?;
    Runtime::new()?.block_on(async {
        let load = Load::start(&ensemble.connect_string(), "after", &LOAD).await?;
        load.advance(300, LIMIT).await?;
        acknowledged.extend(load.stop().await?);
        synchronised(&ensemble, leader, "TRUNC")?;
        load::verify(&ensemble.member(OURS).client.to_string(), &acknowledged).await?;
        agree(&ensemble).await
    })
}

/// Our member follows, sees the genuine leader die, leads, and is deposed in its turn.
pub(crate) fn survive_and_lead(setting: &Setting) -> anyhow::Result<()> {
    let mut ensemble = Ensemble::new(&setting.programs, &setting.folder, &MIXED, "")?;
    let first = ours_joins_last(&mut ensemble)?;
    Runtime::new()?.block_on(async {
        let load = Load::start(&ensemble.connect_string(), "lead", &LOAD).await?;
        load.advance(500, LIMIT).await?;
        let dead = depose_until_ours_leads(&mut ensemble, first)?;
        load.advance(500, LIMIT).await?;
        ensemble.start(dead)?;
        ensemble.leader(LIMIT)?;
        load.advance(500, LIMIT).await?;
        agree_while_running(&ensemble)?;
        ensemble.kill(OURS)?;
        ensemble.leader(LIMIT)?;
        load.advance(500, LIMIT).await?;
        ensemble.start(OURS)?;
        ensemble.leader(LIMIT)?;
        load.advance(500, LIMIT).await?;
        let acknowledged = load.stop().await?;
        for id in 1..=3 {
            load::verify(&ensemble.member(id).client.to_string(), &acknowledged).await?;
        }
        agree(&ensemble).await
    })
}

/// Kills one genuine leader after the other, each back before the next one dies, until our member
/// leads. While clients write, the leader's death leaves the survivors with logs of different
/// lengths, and the longer one wins. Tells whom it left dead.
fn depose_until_ours_leads(ensemble: &mut Ensemble, first: i64) -> anyhow::Result<i64> {
    let mut leader = first;
    for _ in 0..10 {
        let dead = leader;
        ensemble.kill(dead)?;
        leader = ensemble.leader(LIMIT)?;
        if leader == OURS {
            return Ok(dead);
        }
        ensemble.start(dead)?;
        ensemble.leader(LIMIT)?;
    }
    bail!("our log was the shorter one ten times");
}

/// Both logs name the way in which our member was brought up to date.
fn synchronised(ensemble: &Ensemble, leader: i64, way: &str) -> anyhow::Result<()> {
    ensure!(
        ensemble.log(OURS)?.to_uppercase().contains(way),
        "our log does not name {way}"
    );
    let theirs = ensemble.log(leader)?;
    let named = theirs
        .lines()
        .any(|line| line.contains("LearnerHandler") && line.to_uppercase().contains(way));
    ensure!(named, "the leader's log does not name {way}");
    Ok(())
}

/// No digest mismatch anywhere, and equal answers to `hash` where two members know one zxid.
fn agree_while_running(ensemble: &Ensemble) -> anyhow::Result<()> {
    let mut known: std::collections::BTreeMap<String, (i64, String)> = Default::default();
    let mut compared = 0;
    for member in &ensemble.members {
        let metrics = words::metrics(member.client)?;
        let mismatches = metrics.get("zk_digest_mismatches_count");
        ensure!(
            mismatches.is_some_and(|count| count == "0"),
            "member {}: digest mismatches {mismatches:?}",
            member.id
        );
        for line in words::ask(member.client, "hash")?.lines() {
            let Some((zxid, digest)) = line.split_once(": ") else {
                continue;
            };
            match known.get(zxid) {
                Some((other, theirs)) if theirs != digest => {
                    bail!(
                        "at {zxid} member {} has digest {digest}, member {other} {theirs}",
                        member.id
                    )
                }
                Some(_) => compared += 1,
                None => {
                    known.insert(zxid.to_owned(), (member.id, digest.to_owned()));
                }
            }
        }
    }
    ensure!(compared > 0, "no zxid is known to two members: {known:?}");
    Ok(())
}

/// All members show the same tree, to the last stat and ACL.
async fn agree(ensemble: &Ensemble) -> anyhow::Result<()> {
    agree_while_running(ensemble)?;
    let deadline = Instant::now() + LIMIT;
    let first = &ensemble.members[0];
    loop {
        let expected = dump::dump(&first.client.to_string())
            .await
            .context("dump")?;
        let mut differences = Vec::new();
        for member in &ensemble.members[1..] {
            let found = dump::dump(&member.client.to_string())
                .await
                .context("dump")?;
            differences.extend(dump::difference(&expected, &found));
        }
        if differences.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("members differ:\n{}", differences.join("\n"));
        }
    }
}
