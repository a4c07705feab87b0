//! SAs with what the pipeline knows about them besides.

use alloc::vec::Vec;

use isthmus_core::{Buf, Key, RngStream};
use isthmus_crypto::{CryptoError, Provider};
use isthmus_esp::{DropReason as EspDrop, InboundSa, OutboundSa, SaParams};
use isthmus_wire::ip::protocol;

use crate::command::{InstallInbound, InstallOutbound};
use crate::scratch::Arrival;
use crate::stats::{Direction, SaCounters, Traffic};

/// An inbound SA.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) peer: Key,
    /// The UDP port that L2TP is taken on; 0 takes any.
    pub(crate) local_port: u16,
    /// How many SAs were installed before it; tells the newer of two.
    age: u64,
    used: bool,
    sa: InboundSa,
}

/// What opening a run of packets brought to light.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// The SA was used for the first time.
    pub(crate) first_use: bool,
    /// The SA should be replaced.
    pub(crate) soft_limit: bool,
    /// A packet newer than all before, if the run had one, and the age of the SA.
    pub(crate) newest: Option<(u64, Arrival)>,
}

impl Inbound {
    /// # Errors
    /// Those of [`InboundSa::restore`].
    pub(crate) fn new(
        params: &InstallInbound,
        age: u64,
        provider: &dyn Provider,
    ) -> Result<Self, CryptoError> {
        let sa = InboundSa::restore(params.sa.clone(), provider)?;
        Ok(Self { peer: params.peer, local_port: params.local_port, age, used: false, sa })
    }

    /// Whether this is the SA the parameters describe.
    pub(crate) fn is(&self, params: &InstallInbound) -> bool {
        self.peer == params.peer && same_keys(self.sa.params(), &params.sa.params)
    }

    /// Opens a run of packets in place; `results` gets an entry for each.
    pub(crate) fn open(
        &mut self,
        run: &mut [Buf],
        arrivals: &[Arrival],
        results: &mut Vec<Result<u8, EspDrop>>,
    ) -> Opened {
        self.sa.open_batch(run, results);
        let top = self.sa.window().top();
        let authentic =
            arrivals.iter().zip(results.iter()).filter(|(_, result)| is_authentic(**result));
        // A number is taken once, so a packet with the highest number has just raised it.
        let (mut newest, mut any) = (None, false);
        for (arrival, _) in authentic {
            any = true;
            if u64::from(arrival.sequence) == top & u64::from(u32::MAX) {
                newest = Some((self.age, *arrival));
            }
        }
        let first_use = any && !self.used;
        self.used |= any;
        Opened { first_use, soft_limit: self.sa.poll_soft_limit().is_some(), newest }
    }

    pub(crate) fn counters(&self) -> SaCounters {
        let carried = self.sa.counters();
        SaCounters {
            peer: self.peer,
            spi: self.sa.spi(),
            direction: Direction::Inbound,
            traffic: Traffic { packets: carried.packets, bytes: carried.bytes },
            sequence: self.sa.window().top(),
        }
    }
}

/// Whether the ICV was right, whatever came of the packet then.
const fn is_authentic(result: Result<u8, EspDrop>) -> bool {
    match result {
        Ok(_) | Err(EspDrop::Dummy | EspDrop::BadPadding) => true,
        Err(
            EspDrop::BadLength
            | EspDrop::LifetimeOver
            | EspDrop::NoRoom
            | EspDrop::NotAuthentic
            | EspDrop::Replayed
            | EspDrop::SequenceExhausted
            | EspDrop::SequenceUnreserved
            | EspDrop::TooOld
            | EspDrop::Truncated
            | EspDrop::WrongSpi,
        ) => false,
    }
}

/// An outbound SA.
#[derive(Debug)]
pub(crate) struct Outbound {
    sa: OutboundSa,
    /// Whether the end of the reserved numbers was reported.
    reserve_reported: bool,
}

/// What sealing a run of packets brought to light.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    /// The SA should be replaced.
    pub(crate) soft_limit: bool,
    /// The next number, when few reserved ones are left.
    pub(crate) reserve_low: Option<u64>,
}

impl Outbound {
    /// # Errors
    /// Those of [`OutboundSa::restore`].
    pub(crate) fn new(
        params: &InstallOutbound,
        provider: &dyn Provider,
    ) -> Result<Self, CryptoError> {
        let mut sa = OutboundSa::restore(params.sa.clone(), provider)?;
        sa.reserve_until(params.reserved_until.unwrap_or(u64::MAX));
        Ok(Self { sa, reserve_reported: false })
    }

    /// Whether this is the SA the parameters describe.
    pub(crate) fn is(&self, params: &InstallOutbound) -> bool {
        same_keys(self.sa.params(), &params.sa.params)
    }

    pub(crate) fn spi(&self) -> u32 {
        self.sa.spi()
    }

    /// Allows the numbers below `until`; never fewer than before.
    pub(crate) fn reserve(&mut self, until: u64) {
        let next = self.sa.next_seq().unwrap_or(u64::MAX);
        let end = self.sa.reserved_left().map_or(u64::MAX, |left| next.saturating_add(left));
        if until > end {
            self.sa.reserve_until(until);
            self.reserve_reported = false;
        }
    }

    /// Seals a run of UDP datagrams in place; `results` gets an entry for each.
    pub(crate) fn seal(
        &mut self,
        run: &mut [Buf],
        ivs: &mut RngStream,
        results: &mut Vec<Result<(), EspDrop>>,
    ) -> Sealed {
        self.sa.seal_batch(run, protocol::UDP, ivs, results);
        let low = self.sa.reserved_left().is_some_and(|left| left < RESERVE_LOW);
        let reserve_low = self.sa.next_seq().filter(|_| low && !self.reserve_reported);
        self.reserve_reported |= low;
        Sealed { soft_limit: self.sa.poll_soft_limit().is_some(), reserve_low }
    }

    pub(crate) fn counters(&self, peer: Key) -> SaCounters {
        let carried = self.sa.counters();
        SaCounters {
            peer,
            spi: self.sa.spi(),
            direction: Direction::Outbound,
            traffic: Traffic { packets: carried.packets, bytes: carried.bytes },
            sequence: self.sa.next_seq().unwrap_or(u64::MAX),
        }
    }
}

/// Whether two SAs are one: a peer may use an SPI again, but with other keys.
fn same_keys(a: &SaParams, b: &SaParams) -> bool {
    let keys = |params: &SaParams| (params.keys.cipher.clone(), params.keys.integrity.clone());
    a.spi == b.spi && a.suite == b.suite && keys(a) == keys(b)
}

/// Fewer reserved numbers than this are few: a second at a million packets.
pub const RESERVE_LOW: u64 = 1 << 20;
