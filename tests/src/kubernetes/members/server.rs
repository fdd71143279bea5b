//! A server in small: its disk, and what it does with its peers.

use std::collections::{BTreeMap, BTreeSet};

use api::{EnsembleConfig, MemberId};
use wire::control::{BootPlan, BootReport, MemberStatus, Role};

/// What is on a member's volume.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    volume_id: String,
    cluster_id: Option<String>,
    /// The grant's mark: nothing was promised from this volume, and it may vote.
    mark: bool,
    accepted_epoch: u32,
    /// The history that it has, and the epoch up to which.
    data: Option<(u32, u32)>,
    config: Option<String>,
}

/// The first start of a volume.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Birth {
    /// Which member.
    pub member: MemberId,
    /// On which volume.
    pub volume_id: String,
    /// Of which ensemble.
    pub cluster_id: String,
}

impl Disk {
    /// A blank one, the `number`th that there ever was.
    pub(super) fn new(number: usize) -> Self {
        Self {
            volume_id: format!("volume-{number}"),
            cluster_id: None,
            mark: false,
            accepted_epoch: 0,
            data: None,
            config: None,
        }
    }

    fn is_blank(&self) -> bool {
        self.data.is_none() && self.accepted_epoch == 0
    }

    fn epoch(&self) -> u32 {
        self.data.map_or(0, |(_, epoch)| epoch)
    }

    pub(super) fn report(&self) -> BootReport {
        BootReport {
            version: "0.1.0".to_owned(),
            volume_id: self.volume_id.clone(),
            cluster_id: self.cluster_id.clone(),
            empty: self.is_blank(),
            accepted_epoch: self.accepted_epoch,
            current_epoch: self.epoch(),
            last_zxid: u64::from(self.epoch()) << 32,
            config: self.config.clone(),
            parked: None,
            running: false,
        }
    }

    /// The newer configuration counts.
    fn learn(&mut self, config: String) {
        let version = |text: &str| EnsembleConfig::parse(text).map_or(0, |c| c.version);
        if self
            .config
            .as_deref()
            .is_none_or(|own| version(own) <= version(&config))
        {
            self.config = Some(config);
        }
    }
}

/// A server's process.
#[derive(Debug)]
pub(super) struct Server {
    member: MemberId,
    runs: bool,
}

impl Server {
    pub(super) fn new(member: MemberId) -> Self {
        Self {
            member,
            runs: false,
        }
    }

    pub(super) fn member(&self) -> MemberId {
        self.member
    }

    pub(super) fn runs(&self) -> bool {
        self.runs
    }

    /// Starts as told, and answers the birth if it is one.
    ///
    /// # Panics
    /// If it is told to be born over data, or to be of another ensemble than its volume.
    pub(super) fn boot(&mut self, disk: &mut Disk, plan: BootPlan) -> Option<Birth> {
        let (cluster_id, config, birth) = match plan {
            BootPlan::Park { .. } => return None,
            BootPlan::Start {
                cluster_id,
                config,
                birth,
            } => (cluster_id, config, birth),
            BootPlan::Join { cluster_id, config } => (cluster_id, config, false),
        };
        let known = disk.cluster_id.get_or_insert_with(|| cluster_id.clone());
        assert_eq!(*known, cluster_id, "a volume changes its ensemble");
        let first = birth && !disk.mark;
        if birth {
            assert!(disk.is_blank(), "{} is born over data", disk.volume_id);
            disk.mark = true;
        }
        disk.learn(config);
        self.runs = true;
        first.then(|| Birth {
            member: self.member,
            volume_id: disk.volume_id.clone(),
            cluster_id,
        })
    }
}

/// What the servers are together.
#[derive(Debug, Default)]
pub(super) struct Ensemble {
    leadership: Option<Leadership>,
    pub(super) births: Vec<Birth>,
    /// Histories that began.
    pub(super) histories: u32,
}

#[derive(Debug)]
struct Leadership {
    leader: MemberId,
    epoch: u32,
    /// Who follows, and from which pod: one that came back has to find the leader anew.
    followers: BTreeMap<MemberId, String>,
}

/// A server that others reach: its id, its claim and its pod.
type Peer = (MemberId, String, String);

impl Ensemble {
    pub(super) fn leader(&self) -> Option<MemberId> {
        self.leadership.as_ref().map(|leadership| leadership.leader)
    }

    pub(super) fn follows(&self, member: MemberId, pod: &str) -> bool {
        let followers = self.leadership.as_ref().map(|l| &l.followers);
        followers.is_some_and(|followers| followers.get(&member).is_some_and(|p| p == pod))
    }

    /// Those who reach each other lose, elect and follow a leader.
    pub(super) fn meet(&mut self, disks: &mut BTreeMap<String, Disk>, peers: &[Peer]) {
        self.lose(disks, peers);
        if self.leadership.is_none() {
            self.elect(disks, peers);
        }
        self.follow(disks, peers);
    }

    /// A leader without a majority behind it leads no more.
    fn lose(&mut self, disks: &BTreeMap<String, Disk>, peers: &[Peer]) {
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        let there: BTreeSet<_> = peers
            .iter()
            .map(|(id, _, pod)| (*id, pod.clone()))
            .collect();
        leadership
            .followers
            .retain(|id, pod| there.contains(&(*id, pod.clone())));
        let leader = peers.iter().find(|(id, _, _)| *id == leadership.leader);
        let config = leader.and_then(|(_, claim, _)| config(&disks[claim]));
        let holds = config.is_some_and(|config| {
            let followers = config
                .voters()
                .filter(|v| leadership.followers.contains_key(v));
            followers.count() >= config.majority()
        });
        if !holds || !leadership.followers.contains_key(&leadership.leader) {
            self.leadership = None;
        }
    }

    /// A majority of the configuration of the most advanced, each with data or with the mark of
    /// a grant, makes it their leader.
    fn elect(&mut self, disks: &mut BTreeMap<String, Disk>, peers: &[Peer]) {
        let may_vote = |claim: &String| disks[claim].data.is_some() || disks[claim].mark;
        let voting: Vec<_> = peers
            .iter()
            .filter(|(_, claim, _)| may_vote(claim))
            .collect();
        let best = voting
            .iter()
            .max_by_key(|(id, claim, _)| (disks[claim].epoch(), *id));
        let Some((leader, claim, _)) = best else {
            return;
        };
        let Some(mut config) = config(&disks[claim]) else {
            return;
        };
        let voters = config
            .voters()
            .filter(|v| voting.iter().any(|(id, _, _)| id == v));
        if voters.count() < config.majority() {
            return;
        }
        let accepted = voting
            .iter()
            .map(|(_, claim, _)| disks[claim].accepted_epoch);
        let epoch = accepted.max().unwrap_or_default() + 1;
        let history = disks[claim].data.map_or_else(
            || {
                self.histories += 1;
                self.histories
            },
            |(history, _)| history,
        );
        if config.version == 0 {
            config.version = u64::from(epoch) << 32;
        }
        if let Some(disk) = disks.get_mut(claim) {
            disk.data = Some((history, epoch));
            disk.accepted_epoch = epoch;
            disk.config = Some(config.text());
        }
        self.leadership = Some(Leadership {
            leader: *leader,
            epoch,
            followers: BTreeMap::new(),
        });
    }

    /// Whoever runs and is reached is brought up to the leader.
    fn follow(&mut self, disks: &mut BTreeMap<String, Disk>, peers: &[Peer]) {
        let Some(leadership) = &mut self.leadership else {
            return;
        };
        let leader = peers.iter().find(|(id, _, _)| *id == leadership.leader);
        let Some(of_leader) = leader.map(|(_, claim, _)| disks[claim].clone()) else {
            return;
        };
        for (id, claim, pod) in peers {
            if let Some(disk) = disks.get_mut(claim) {
                disk.accepted_epoch = leadership.epoch;
                disk.data = of_leader
                    .data
                    .map(|(history, _)| (history, leadership.epoch));
                disk.config.clone_from(&of_leader.config);
                disk.mark = false;
                leadership.followers.insert(*id, pod.clone());
            }
        }
    }

    pub(super) fn status(&self, member: MemberId, pod: &str, disk: &Disk) -> MemberStatus {
        let follows = self.follows(member, pod);
        let leadership = self.leadership.as_ref().filter(|_| follows);
        let leads = leadership.is_some_and(|leadership| leadership.leader == member);
        let epoch = leadership.map_or(0, |leadership| leadership.epoch);
        let config = disk.config.clone().unwrap_or_default();
        let version = EnsembleConfig::parse(&config).map_or(0, |config| config.version);
        // Between two leaders it has no epoch, but what it got from the last one.
        let zxid = u64::from(disk.epoch()) << 32;
        MemberStatus {
            role: match leadership {
                None => Role::Looking,
                Some(_) if leads => Role::Leader,
                Some(_) => Role::Follower,
            },
            ready: follows,
            draining: false,
            epoch,
            last_zxid: zxid,
            committed_zxid: zxid,
            leader: leadership.map(|leadership| leadership.leader.into()),
            synced: leadership.filter(|_| leads).map_or_else(Vec::new, |l| {
                l.followers.keys().map(|id| i64::from(*id)).collect()
            }),
            config_version: format!("{version:x}"),
            config,
            sessions: 0,
            connections: 0,
        }
    }
}

fn config(disk: &Disk) -> Option<EnsembleConfig> {
    EnsembleConfig::parse(disk.config.as_deref()?).ok()
}
