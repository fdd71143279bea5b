//! A driver's end of a connection to a peer.

use std::collections::VecDeque;

use bytes::Bytes;
use member::{Input, LinkId};
use tree::{CutId, CutProgress};
use wire::quorum::{Packet, packet};
use wire::snapshot::encode_stream_end;
use wire::{PeerId, Zxid};

use crate::host::Process;
use crate::invariants::violated;
use crate::network::{End, Frame, HostId};
use crate::shape::between;
use crate::volume::Staging;
use crate::world::{Event, World, host_of};

/// One connection, by the number that zab knows it by.
pub(crate) struct Link {
    /// `None` while it is being dialled.
    connection: Option<u64>,
    /// A snapshot on its way out, and what is to be sent behind it.
    streaming: Option<(CutId, VecDeque<Frame>)>,
    /// A snapshot on its way in, and the SNAP packet that announced it.
    staging: Option<(Packet, Staging)>,
}

impl Link {
    const fn new(connection: Option<u64>) -> Self {
        Self {
            connection,
            streaming: None,
            staging: None,
        }
    }
}

/// Znodes of a snapshot that are sent at once.
const STREAM_STEP: usize = 16;

/// How long an attempt to connect takes to fail when nothing gets through.
const CONNECT_TIMEOUT: u64 = 400;

impl World {
    pub(crate) fn dial(&mut self, id: HostId, process: &mut Process, link: LinkId, peer: PeerId) {
        process.links.insert(link, Link::new(None));
        let target = host_of(peer);
        let delay = if self.network.is_open(id, target) {
            between(&mut self.rng, self.shape.delay)
        } else {
            CONNECT_TIMEOUT
        };
        let life = self.hosts[id].life;
        self.after(
            delay,
            Event::Dialed {
                host: id,
                life,
                link,
                target,
            },
        );
    }

    pub(crate) fn dialed(&mut self, id: HostId, life: u64, link: LinkId, target: HostId) {
        let is_open = self.network.is_open(id, target);
        let target_life = self.hosts[target].life;
        let is_wanted = self.is_alive(id, life)
            && self.hosts[id]
                .process
                .as_ref()
                .is_some_and(|process| process.links.contains_key(&link));
        if !is_wanted {
            return;
        }
        if !is_open || self.hosts[target].process.is_none() {
            self.link_gone(id, link);
            return;
        }
        let Some(accepting) = &mut self.hosts[target].process else {
            return;
        };
        accepting.next_inbound += 2;
        let inbound = LinkId(accepting.next_inbound);
        let connection = self.network.connect([
            End {
                host: id,
                life,
                link,
            },
            End {
                host: target,
                life: target_life,
                link: inbound,
            },
        ]);
        accepting.links.insert(inbound, Link::new(Some(connection)));
        if let Some(process) = &mut self.hosts[id].process {
            process.links.insert(link, Link::new(Some(connection)));
        }
        self.feed_later(target, zab::Input::LinkAccepted { link: inbound });
        // Nothing may arrive before the end is known, so both are told with the same delay.
        self.feed_after(id, 2, Input::Zab(zab::Input::LinkDialed { link }));
    }

    pub(crate) fn send(
        &mut self,
        id: HostId,
        process: &mut Process,
        link: LinkId,
        packets: Vec<Packet>,
    ) {
        self.send_frame(id, process, link, Frame::Packets(packets));
    }

    fn send_frame(&mut self, id: HostId, process: &mut Process, link: LinkId, frame: Frame) {
        let Some(found) = process.links.get_mut(&link) else {
            return;
        };
        if let Some((_, queue)) = &mut found.streaming {
            queue.push_back(frame);
            return;
        }
        if let Some(connection) = found.connection {
            self.transmit(id, connection, frame);
        }
    }

    fn transmit(&mut self, id: HostId, connection: u64, frame: Frame) {
        let Some(ends) = self.network.ends(connection) else {
            return;
        };
        let side = usize::from(ends[0].host == id);
        // The accepting end has to know the connection before anything comes by it.
        let arrival = self.now + between(&mut self.rng, self.shape.delay) + 2;
        if let Some(at) = self.network.send(connection, side, arrival, frame) {
            self.at(at, Event::Pipe { connection, side });
        }
    }

    /// Starts to send the tree as it is now.
    pub(crate) fn stream_snapshot(
        &mut self,
        id: HostId,
        process: &mut Process,
        link: LinkId,
        zxid: Zxid,
    ) {
        let at = process.tree.last_zxid();
        if at != zxid {
            let peer = self.hosts[id].peer;
            self.judge(violated(
                "interface",
                format!("{peer} is to send a snapshot of {zxid} and is at {at}"),
            ));
        }
        let snap = Packet::bare(packet::SNAP, zxid);
        self.send(id, process, link, vec![snap]);
        let Some(found) = process.links.get_mut(&link) else {
            return;
        };
        let cut = process.tree.begin_cut();
        found.streaming = Some((cut, VecDeque::new()));
        let life = self.hosts[id].life;
        self.after(
            1,
            Event::Stream {
                host: id,
                life,
                link,
            },
        );
    }

    pub(crate) fn stream_more(&mut self, id: HostId, life: u64, link: LinkId) {
        if !self.is_alive(id, life) {
            return;
        }
        let Some(mut process) = self.hosts[id].process.take() else {
            return;
        };
        if let Some(found) = process.links.get_mut(&link)
            && let Some(connection) = found.connection
            && let Some((cut, mut queue)) = found.streaming.take()
        {
            // A tree that was replaced meanwhile knows nothing of the cut; the link is void then.
            if process.tree.cut_position(cut).is_some() {
                let mut body = Vec::new();
                let progress = process.tree.cut_next(cut, STREAM_STEP, &mut body);
                if progress == CutProgress::Done {
                    encode_stream_end(&mut body);
                    self.transmit(id, connection, Frame::Body(body.into()));
                    for frame in queue.drain(..) {
                        self.transmit(id, connection, frame);
                    }
                } else {
                    found.streaming = Some((cut, queue));
                    self.transmit(id, connection, Frame::Body(body.into()));
                    let delay = self.rng.u64(1..=4);
                    self.after(
                        delay,
                        Event::Stream {
                            host: id,
                            life,
                            link,
                        },
                    );
                }
            }
        }
        self.hosts[id].process = Some(process);
        self.feed_now(id, zab::Input::SnapshotPassing { link });
    }

    /// Takes what has arrived at an end of a connection.
    pub(crate) fn pipe_arrives(&mut self, connection: u64, side: usize) {
        let Some(end) = self.network.ends(connection).map(|ends| ends[side]) else {
            return;
        };
        while let Some(frame) = self.network.receive(connection, side, self.now) {
            if !self.is_alive(end.host, end.life) {
                return;
            }
            match frame {
                Frame::Packets(packets) => self.packets_arrive(end, packets),
                Frame::Body(bytes) => self.body_arrives(end, bytes),
                Frame::Fin => {
                    self.network.forget(connection);
                    self.link_gone(end.host, end.link);
                    return;
                }
            }
        }
    }

    fn packets_arrive(&mut self, end: End, packets: Vec<Packet>) {
        let mut before = Vec::new();
        for found in packets {
            self.count_synchronization(end.host, &found);
            if found.kind != packet::SNAP {
                before.push(found);
                continue;
            }
            if let Some(process) = &mut self.hosts[end.host].process
                && let Some(link) = process.links.get_mut(&end.link)
            {
                match Staging::begin(&process.volume, found.zxid) {
                    Ok(staging) => link.staging = Some((found, staging)),
                    Err(error) => return self.disk_failed(end.host, &error),
                }
            }
        }
        self.pass_packets(end, before);
    }

    fn pass_packets(&mut self, end: End, packets: Vec<Packet>) {
        let Some(process) = &mut self.hosts[end.host].process else {
            return;
        };
        if packets.is_empty() || !process.links.contains_key(&end.link) {
            return;
        }
        self.see_commits(end.host, &packets);
        let link = end.link;
        self.feed_now(end.host, zab::Input::Packets { link, packets });
    }

    fn body_arrives(&mut self, end: End, bytes: Bytes) {
        let Some(process) = &mut self.hosts[end.host].process else {
            return;
        };
        let Some(link) = process.links.get_mut(&end.link) else {
            return;
        };
        let Some((_, staging)) = &mut link.staging else {
            return;
        };
        let link_id = end.link;
        match staging.take(bytes) {
            Ok(None) => {
                self.feed_now(end.host, zab::Input::SnapshotPassing { link: link_id });
            }
            Ok(Some(staged)) => {
                let snap = link.staging.take().map(|(snap, _)| snap);
                process.staged.insert(end.link, staged);
                self.pass_packets(end, snap.into_iter().collect());
            }
            Err(error) => self.disk_failed(end.host, &error),
        }
    }

    fn count_synchronization(&mut self, id: HostId, found: &Packet) {
        let Some(process) = &self.hosts[id].process else {
            return;
        };
        match found.kind {
            packet::SNAP => self.tally.snaps += 1,
            packet::TRUNC => self.tally.truncs += 1,
            packet::DIFF if found.zxid > process.bounds.logged => self.tally.diffs += 1,
            _ => {}
        }
    }

    /// This member closes: what was sent before still arrives.
    pub(crate) fn close_link(&mut self, id: HostId, process: &mut Process, link: LinkId) {
        let Some(found) = process.links.remove(&link) else {
            return;
        };
        if let Some((cut, _)) = found.streaming {
            process.tree.abandon_cut(cut);
        }
        if let Some(connection) = found.connection {
            self.transmit(id, connection, Frame::Fin);
        }
        if !process.disk.installs(link) {
            process.staged.remove(&link);
        }
    }

    /// The other end closed, or the connection broke.
    pub(crate) fn link_gone(&mut self, id: HostId, link: LinkId) {
        let Some(process) = &mut self.hosts[id].process else {
            return;
        };
        let Some(found) = process.links.remove(&link) else {
            return;
        };
        if let Some((cut, _)) = found.streaming {
            process.tree.abandon_cut(cut);
        }
        if !process.disk.installs(link) {
            process.staged.remove(&link);
        }
        self.feed_now(id, zab::Input::LinkClosed { link });
    }

    /// A connection ends for both, at once; what was on its way is lost.
    pub(crate) fn break_connection(&mut self, connection: u64) {
        let Some(ends) = self.network.ends(connection) else {
            return;
        };
        self.network.forget(connection);
        for end in ends {
            if self.is_alive(end.host, end.life) {
                let stopped = self.hosts[end.host].stopped_until > self.now;
                if stopped {
                    // It learns of it when it goes on.
                    self.learn_of_break(end);
                } else {
                    self.link_gone(end.host, end.link);
                }
            }
        }
    }

    /// One end's process is gone. The other learns of it when something gets through.
    pub(crate) fn end_connection(&mut self, connection: u64, gone: HostId) {
        let Some(ends) = self.network.ends(connection) else {
            return;
        };
        let side = usize::from(ends[0].host == gone);
        if self.network.is_blocked(gone, ends[side].host) {
            self.network.send(connection, side, self.now, Frame::Fin);
        } else {
            self.break_connection(connection);
        }
    }

    /// What was held is looked at again.
    pub(crate) fn wake_pipes(&mut self) {
        for connection in self.network.all() {
            for side in 0..2 {
                let delay = between(&mut self.rng, self.shape.delay);
                self.after(delay, Event::Pipe { connection, side });
            }
        }
    }

    fn learn_of_break(&mut self, end: End) {
        let Some(process) = &mut self.hosts[end.host].process else {
            return;
        };
        if let Some(found) = process.links.remove(&end.link)
            && let Some((cut, _)) = found.streaming
        {
            process.tree.abandon_cut(cut);
        }
        let link = end.link;
        self.feed_after(end.host, 0, Input::Zab(zab::Input::LinkClosed { link }));
    }
}
