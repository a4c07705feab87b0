//! Several pipelines side by side: who works for whom.
//!
//! A peer, its SAs and its sessions have keys of one lane ([`isthmus_core::LANES`]), and a lane belongs
//! to one pipeline. So whoever sees an SPI, a peer or a session knows whose it is by arithmetic alone:
//! the kernel's program that chooses a socket does as well as the command queue. Where a packet comes
//! to the wrong pipeline all the same (a queue of a TUN device follows flows, not sessions), it goes to
//! the right one by [`Outputs::astray`].

use alloc::vec::Vec;

use ipnet::IpNet;
use isthmus_core::{Buf, Instant, Key, LANES};

use crate::packet::{Device, Outputs, Rx, TunId};
use crate::tables::Tables;
use crate::{DropReason, Plane, SessionParams};

/// Which lanes a pipeline works for: those that leave its index when divided by the number of pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    of: usize,
}

impl Share {
    /// One pipeline for everybody.
    pub const SOLE: Self = Self { index: 0, of: 1 };

    /// The share of pipeline `index` of `of`; none unless `index < of <= LANES`.
    pub const fn new(index: usize, of: usize) -> Option<Self> {
        if index < of && of <= LANES { Some(Self { index, of }) } else { None }
    }

    /// The pipeline that works for a key's lane.
    #[inline]
    pub const fn owner(self, key: Key) -> usize {
        key.lane() % self.of
    }

    /// Whether this pipeline does.
    #[inline]
    pub const fn owns(self, key: Key) -> bool {
        self.of == 1 || self.owner(key) == self.index
    }

    /// How many pipelines there are.
    pub const fn of(self) -> usize {
        self.of
    }

    /// A lane of this pipeline's, and its number.
    pub const fn lane(self) -> usize {
        self.index
    }
}

/// What came to the wrong pipeline.
#[derive(Debug)]
pub enum Astray {
    /// From the network.
    Net(Rx),
    /// From a TUN device.
    Tun(Device, Buf),
}

/// Where another pipeline's session is to be found.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    tun: TunId,
    destinations: Vec<IpNet>,
}

impl Plane {
    /// Takes what came to another pipeline but belongs to this one, and leaves `batch` empty. What turns
    /// out not to belong here either is dropped: it never travels in circles.
    pub fn handle_astray(&mut self, batch: &mut Vec<Astray>, out: &mut Outputs, now: Instant) {
        self.settled = true;
        let mut rx = core::mem::take(&mut self.scratch.astray_net);
        let mut inner = core::mem::take(&mut self.scratch.astray_tun);
        let mut device = None;
        for packet in batch.drain(..) {
            match packet {
                Astray::Net(packet) => rx.push(packet),
                Astray::Tun(from, buf) => {
                    if let Some(before) = device.replace(from).filter(|before| *before != from) {
                        self.handle_tun(before, &mut inner, out, now);
                    }
                    inner.push(buf);
                }
            }
        }
        if let Some(device) = device {
            self.handle_tun(device, &mut inner, out, now);
        }
        self.handle_net(&mut rx, out, now);
        self.scratch.astray_net = rx;
        self.scratch.astray_tun = inner;
        self.settled = false;
    }

    /// Sends a packet to the pipeline that works for `key`.
    pub(crate) fn lead(&mut self, key: Key, packet: Astray, out: &mut Outputs) {
        if self.settled {
            let (Astray::Net(Rx { buf, .. }) | Astray::Tun(_, buf)) = packet;
            return self.drop(DropReason::Astray, buf, out);
        }
        self.stats.led = self.stats.led.saturating_add(1);
        out.astray.push((self.share.owner(key), packet));
    }
}

impl Tables {
    /// Notes the way to a session of another pipeline, in place of what was known of it.
    pub(crate) fn open_elsewhere(&mut self, params: SessionParams) {
        let SessionParams { session, tun, destinations, .. } = params;
        if let Some(before) = self.elsewhere.occupant(session) {
            self.close_elsewhere(before);
        }
        self.lead_to(tun, &destinations, session);
        self.elsewhere.insert(session, Elsewhere { tun, destinations });
    }

    /// Forgets the way to a session of another pipeline.
    pub(crate) fn close_elsewhere(&mut self, session: Key) {
        if let Some(known) = self.elsewhere.remove(session) {
            self.unroute(known.tun, &known.destinations, session);
        }
    }
}
