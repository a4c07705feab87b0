//! What IPV6CP negotiates: an interface identifier for each end (RFC 5072 §4.1).

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;
use core::num::NonZeroU64;

use isthmus_core::Rng;
use serde::{Deserialize, Serialize};

use crate::action::Ipv6Up;
use crate::error::NegotiationFailure;
use crate::iana::ipv6cp_option::INTERFACE_ID;
use crate::negotiation::{Judgement, Options};
use crate::option::RawOption;

/// The lower half of the addresses of one end of a link; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InterfaceId(NonZeroU64);

impl InterfaceId {
    /// The identifier with this value in network order; none for zero.
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// A random identifier with the "universal" bit clear (RFC 5072 §4.1).
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let value = u64::from_be_bytes(rng.array()) & !UNIVERSAL;
        Self(NonZeroU64::new(value).unwrap_or(NonZeroU64::MIN))
    }

    /// The address with this identifier in the /64 that `prefix` lies in.
    pub fn address_in(self, prefix: Ipv6Addr) -> Ipv6Addr {
        let network = prefix.to_bits() & !u128::from(u64::MAX);
        Ipv6Addr::from_bits(network | u128::from(self.0.get()))
    }

    /// The link-local address (RFC 5072 §5).
    pub fn link_local(self) -> Ipv6Addr {
        self.address_in(LINK_LOCAL)
    }

    /// In network order.
    pub const fn octets(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// IPV6CP's side of a [`Negotiation`](crate::negotiation::Negotiation), the same for both roles.
#[derive(Debug)]
pub(crate) struct Ipv6cpOptions {
    ours: InterfaceId,
    /// What the peer asked for and we acknowledged.
    peer: Option<InterfaceId>,
    /// Suggested to a peer that has none, or ours.
    spare: InterfaceId,
    rng: Rng,
}

impl Ipv6cpOptions {
    /// The options of a new link.
    pub(crate) fn new(mut rng: Rng) -> Self {
        let (ours, spare) = (InterfaceId::random(&mut rng), InterfaceId::random(&mut rng));
        Self { ours, peer: None, spare, rng }
    }

    /// The options of a link that was open when it was recorded.
    pub(crate) fn restore(up: Ipv6Up, rng: Rng) -> Self {
        Self { ours: up.local, peer: Some(up.remote), ..Self::new(rng) }
    }

    /// What is agreed, once both sides are.
    pub(crate) fn agreement(&self) -> Option<Ipv6Up> {
        self.peer.map(|remote| Ipv6Up { local: self.ours, remote })
    }

    /// An identifier of ours that is not the peer's.
    fn choose_anew(&mut self) {
        let fresh = InterfaceId::random(&mut self.rng);
        // Of two different ones at least one is not the peer's.
        self.ours = if Some(fresh) == self.peer { self.spare } else { fresh };
    }
}

impl Options for Ipv6cpOptions {
    fn request(&self) -> Vec<RawOption> {
        alloc::vec![option(self.ours)]
    }

    fn judge(&self, asked: &RawOption) -> Judgement {
        if asked.kind != INTERFACE_ID {
            return Judgement::Reject;
        }
        match read(asked) {
            Some(id) if id != self.ours => Judgement::Ack,
            Some(_) | None => Judgement::Nak(option(self.spare)),
        }
    }

    fn missing(&self, request: &[RawOption]) -> Vec<RawOption> {
        let has_one = request.iter().any(|option| option.kind == INTERFACE_ID);
        if has_one { Vec::new() } else { alloc::vec![option(self.spare)] }
    }

    fn is_required(&self, kind: u8) -> bool {
        kind == INTERFACE_ID
    }

    fn suspect(&self, _request: &[RawOption]) -> Option<RawOption> {
        None
    }

    fn note_request(&mut self, _request: &[RawOption]) -> Result<(), NegotiationFailure> {
        Ok(())
    }

    fn agree(&mut self, request: &[RawOption]) {
        self.peer = request.iter().find(|o| o.kind == INTERFACE_ID).and_then(read);
    }

    fn agreed(&mut self) -> Result<(), NegotiationFailure> {
        Ok(())
    }

    fn naked(&mut self, suggestion: &[RawOption]) -> Result<(), NegotiationFailure> {
        let suggested = suggestion.iter().find(|o| o.kind == INTERFACE_ID).and_then(read);
        match suggested.filter(|id| Some(*id) != self.peer && *id != self.ours) {
            Some(id) => self.ours = id,
            None => self.choose_anew(),
        }
        Ok(())
    }

    fn refused(&mut self, _options: &[RawOption]) -> Result<(), NegotiationFailure> {
        // It is the only one we ask for, and without it there is no address.
        Err(NegotiationFailure::OptionRequired(INTERFACE_ID))
    }
}

fn option(id: InterfaceId) -> RawOption {
    RawOption::new(INTERFACE_ID, id.octets())
}

fn read(option: &RawOption) -> Option<InterfaceId> {
    InterfaceId::new(u64::from_be_bytes(option.array()?))
}

/// The bit that says an identifier is unique in the world (RFC 4291 §2.5.1).
const UNIVERSAL: u64 = 0x0200_0000_0000_0000;
/// The prefix of link-local addresses (RFC 4291 §2.5.6).
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn options() -> Ipv6cpOptions {
        Ipv6cpOptions::new(Rng::new([4; 32]))
    }

    #[test]
    fn addresses_are_the_identifier_behind_the_prefix() {
        let id = InterfaceId::new(0x0211_22ff_fe33_4455).unwrap();
        assert_eq!(id.link_local().to_string(), "fe80::211:22ff:fe33:4455");
        let prefix = "2001:db8:64:7::".parse().unwrap();
        assert_eq!(id.address_in(prefix).to_string(), "2001:db8:64:7:211:22ff:fe33:4455");
        assert_eq!(id.to_string(), "021122fffe334455");
        assert_eq!(InterfaceId::new(0), None);
    }

    #[test]
    fn random_identifiers_do_not_claim_to_be_unique() {
        let mut rng = Rng::new([9; 32]);
        for _ in 0..1000 {
            assert_eq!(InterfaceId::random(&mut rng).octets()[0] & 2, 0);
        }
    }

    #[test]
    fn zero_our_own_and_the_wrong_length_are_corrected_and_compression_is_rejected() {
        let options = options();
        let nak = Judgement::Nak(option(options.spare));
        assert_eq!(options.judge(&RawOption::new(INTERFACE_ID, [0; 8])), nak);
        assert_eq!(options.judge(&option(options.ours)), nak);
        assert_eq!(options.judge(&RawOption::new(INTERFACE_ID, [1; 4])), nak);
        assert_eq!(options.judge(&RawOption::new(INTERFACE_ID, [1; 8])), Judgement::Ack);
        assert_eq!(options.judge(&RawOption::new(2, [0, 0x61])), Judgement::Reject);
        assert_eq!(options.missing(&[]), [option(options.spare)]);
    }

    #[test]
    fn a_suggestion_is_taken_unless_it_is_useless() {
        let mut options = options();
        let peer = InterfaceId::new(7).unwrap();
        options.agree(&[option(peer)]);
        let wanted = InterfaceId::new(8).unwrap();
        options.naked(&[option(wanted)]).unwrap();
        assert_eq!(options.agreement(), Some(Ipv6Up { local: wanted, remote: peer }));
        for useless in [option(peer), option(wanted), RawOption::new(INTERFACE_ID, [0; 8])] {
            let before = options.ours;
            options.naked(&[useless]).unwrap();
            assert!(options.ours != before && options.ours != peer);
        }
    }
}
