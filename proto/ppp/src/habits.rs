//! How a client speaks where PPP leaves it free: our own way, and by other values the ways of the
//! clients that people have.
//!
//! Only data, but for the small machine of a network protocol that is asked for in order to be
//! refused ([`Asked`]). A server reads none of this.

use alloc::vec::Vec;

use isthmus_core::Instant;

use crate::config::Timing;
use crate::iana::{Code, Protocol};
use crate::option::{RawOption, write_all};
use crate::packet::Packet;

/// How a client speaks. The default is our own way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// LCP options in order; none for our own.
    pub lcp: Option<Vec<LcpItem>>,
    /// Identifier of the first LCP request; ours is 1.
    pub first_id: Option<u8>,
    /// Texts of LCP Identification packets (RFC 1570 §2.1) that are sent when LCP is open.
    pub identifications: Vec<Vec<u8>>,
    /// Network protocols asked for before IPCP, in order.
    pub before_ipcp: Vec<Wanted>,
    /// IPCP options in order; none for our own.
    pub ipcp: Option<Vec<IpcpItem>>,
    /// Network protocols asked for behind IPCP, in order.
    pub after_ipcp: Vec<Wanted>,
    /// Data of the LCP Terminate-Request, behind the magic number; none for an empty one.
    pub farewell: Option<Vec<u8>>,
}

/// An LCP option in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LcpItem {
    /// Address-and-Control-Field-Compression.
    Acfc,
    /// Our magic number.
    Magic,
    /// Our MRU.
    Mru,
    /// Another option with its value; it goes when the server refuses it.
    Other(u8, Vec<u8>),
    /// Protocol-Field-Compression.
    Pfc,
}

/// An IPCP option in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IpcpItem {
    /// Our address.
    Address,
    /// The first name server.
    Dns1,
    /// The second name server.
    Dns2,
    /// Another option with its value; it goes when the server refuses it.
    Other(u8, Vec<u8>),
}

/// A network protocol that the client asks for and can do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its number.
    pub protocol: Protocol,
    /// The options of its Configure-Request, as they are on the wire.
    pub options: Vec<u8>,
    /// Data of the Terminate-Request that follows a refusal; none for no such request.
    pub farewell: Option<Vec<u8>>,
}

/// A wanted protocol on its way to be refused.
#[derive(Debug)]
pub(crate) struct Asked {
    wanted: Wanted,
    /// When to ask, and how often it was done.
    next: Option<Instant>,
    tries: u8,
}

impl Asked {
    pub(crate) fn new(wanted: &Wanted, now: Instant) -> Self {
        Self { wanted: wanted.clone(), next: Some(now), tries: 0 }
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.wanted.protocol
    }

    /// When [`Asked::poll`] wants to be called.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The request, when it is due.
    pub(crate) fn poll(&mut self, timing: &Timing, now: Instant) -> Option<Vec<u8>> {
        self.next.filter(|at| *at <= now)?;
        self.tries += 1;
        let again = self.tries < timing.configure_max;
        self.next = again.then(|| now + timing.restart);
        let (code, data) = (Code::CONFIGURE_REQUEST, self.wanted.options.as_slice());
        Some(Packet { code, id: 1, data }.write())
    }

    /// The server has answered: it is asked no more. What there is to say about a refusal.
    pub(crate) fn answered(&mut self, refused: bool) -> Option<Vec<u8>> {
        self.next = None;
        let data = self.wanted.farewell.take().filter(|_| refused)?;
        Some(Packet { code: Code::TERMINATE_REQUEST, id: 2, data: &data }.write())
    }
}

/// Options of a habit that the server has not refused.
pub(crate) fn kept(other: u8, value: &[u8], refused: &[u8]) -> Option<RawOption> {
    (!refused.contains(&other)).then(|| RawOption::clipped(other, value))
}

/// Writes options as they stand in a Configure-Request, for [`Wanted::options`].
pub fn encode_options(options: &[(u8, &[u8])]) -> Vec<u8> {
    let raw: Vec<RawOption> =
        options.iter().map(|(kind, value)| RawOption::clipped(*kind, value)).collect();
    write_all(&raw)
}
