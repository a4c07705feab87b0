//! What both ends of a PPP link asked for, kept so that a failed negotiation can be explained.
//!
//! It looks at frames from outside and decides nothing.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use isthmus_ppp::Frame;
use isthmus_ppp::iana::{Protocol, ipcp_option, lcp_option};

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Peer,
    Us,
}

/// The last of each kind of message.
#[derive(Debug, Default)]
pub(crate) struct Negotiation {
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Note {
    sender: Sender,
    protocol: Protocol,
    verb: Verb,
    options: Vec<u8>,
}

/// What is said about options; Configure-Ack says nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Request,
    Nak,
    Reject,
}

impl Verb {
    /// RFC 1661 §5.
    const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Request),
            3 => Some(Self::Nak),
            4 => Some(Self::Reject),
            _ => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Request => "asks for",
            Self::Nak => "wants instead",
            Self::Reject => "refuses",
        }
    }
}

impl Negotiation {
    /// Looks at a frame; everything but LCP and IPCP negotiation is passed over.
    pub(crate) fn note(&mut self, sender: Sender, frame: &[u8]) {
        let Ok(Frame { protocol, body }) = Frame::read(frame) else { return };
        if protocol != Protocol::LCP && protocol != Protocol::IPCP {
            return;
        }
        let (Some(verb), Some(options)) =
            (body.first().copied().and_then(Verb::of_code), body.get(4..))
        else {
            return;
        };
        let options = options.get(..OPTION_BYTES_MAX).unwrap_or(options).to_vec();
        self.notes.retain(|n| (n.sender, n.protocol, n.verb) != (sender, protocol, verb));
        self.notes.push(Note { sender, protocol, verb, options });
    }

    /// What each side wanted, of the protocol that was negotiated last; empty when nothing was.
    pub(crate) fn describe(&self) -> String {
        let Some(last) = self.notes.last() else { return String::new() };
        let mut of_it: Vec<&Note> =
            self.notes.iter().filter(|n| n.protocol == last.protocol).collect();
        of_it.sort_by_key(|n| (n.sender == Sender::Us, n.verb));
        let parts: Vec<String> = of_it.iter().map(|note| note.describe()).collect();
        parts.join("; ")
    }
}

impl Note {
    fn describe(&self) -> String {
        let who = match self.sender {
            Sender::Peer => "the client",
            Sender::Us => "the gateway",
        };
        let options = options(self.protocol, &self.options);
        let options = if options.is_empty() { String::from("nothing") } else { options.join(", ") };
        format!("{who} {} {options}", self.verb.words())
    }
}

fn options(protocol: Protocol, mut bytes: &[u8]) -> Vec<String> {
    let mut shown = Vec::new();
    while let Some((&[kind, len], _)) = bytes.split_first_chunk::<2>() {
        let len = usize::from(len);
        let Some(value) = bytes.get(2..len) else { break };
        let told =
            if protocol == Protocol::LCP { lcp(kind, value) } else { Some(ipcp(kind, value)) };
        shown.extend(told);
        bytes = bytes.get(len..).unwrap_or_default();
    }
    shown
}

/// What nobody quarrels about is left out.
fn lcp(kind: u8, value: &[u8]) -> Option<String> {
    Some(match (kind, value) {
        (lcp_option::ACCM | lcp_option::MAGIC | lcp_option::PFC | lcp_option::ACFC, _) => {
            return None;
        }
        (lcp_option::MRU, &[a, b]) => format!("MRU {}", u16::from_be_bytes([a, b])),
        (lcp_option::AUTH, value) => auth(value),
        (lcp_option::CALLBACK, _) => "callback".into(),
        (lcp_option::MRRU | lcp_option::SHORT_SEQUENCE | lcp_option::ENDPOINT, _) => {
            "multilink".into()
        }
        (kind, _) => format!("LCP option {kind}"),
    })
}

/// The numbers of RFC 1661 §6.2, RFC 1994, RFC 2433, RFC 2759, RFC 2284.
fn auth(value: &[u8]) -> String {
    match value {
        [0xc0, 0x23, ..] => "PAP".into(),
        [0xc2, 0x23, 0x05, ..] => "CHAP with MD5".into(),
        [0xc2, 0x23, 0x80, ..] => "MS-CHAPv1".into(),
        [0xc2, 0x23, 0x81, ..] => "MS-CHAPv2".into(),
        [0xc2, 0x27, ..] => "EAP".into(),
        other => format!("authentication {other:02x?}"),
    }
}

fn ipcp(kind: u8, value: &[u8]) -> String {
    let name = match kind {
        ipcp_option::ADDRESS => "the address",
        ipcp_option::DNS1 | ipcp_option::DNS2 => "the name server",
        ipcp_option::NBNS1 | ipcp_option::NBNS2 => "the WINS server",
        ipcp_option::COMPRESSION => return "header compression".into(),
        ipcp_option::ADDRESSES => return "the old address option".into(),
        _ => return format!("IPCP option {kind}"),
    };
    match <[u8; 4]>::try_from(value) {
        Ok(octets) => format!("{name} {}", core::net::Ipv4Addr::from(octets)),
        Err(_) => name.into(),
    }
}

/// Most bytes of options kept of one message; six messages at most are kept of each protocol.
pub(crate) const OPTION_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(protocol: u16, code: u8, options: &[u8]) -> Vec<u8> {
        let len = u16::try_from(options.len() + 4).unwrap().to_be_bytes();
        [&[0xff, 3], protocol.to_be_bytes().as_slice(), &[code, 1], &len, options].concat()
    }

    #[test]
    fn both_sides_wishes_are_told_in_words() {
        let mut seen = Negotiation::default();
        assert_eq!(seen.describe(), "");
        seen.note(Sender::Us, &frame(0xc021, 1, &[3, 5, 0xc2, 0x23, 0x81, 1, 4, 5, 0x78]));
        seen.note(Sender::Peer, &frame(0xc021, 1, &[1, 4, 5, 0xdc, 13, 3, 6]));
        seen.note(Sender::Us, &frame(0xc021, 4, &[13, 3, 6]));
        seen.note(Sender::Peer, &frame(0xc021, 3, &[3, 4, 0xc2, 0x27]));
        assert_eq!(
            seen.describe(),
            "the client asks for MRU 1500, callback; the client wants instead EAP; the gateway asks \
             for MS-CHAPv2, MRU 1400; the gateway refuses callback"
        );
        seen.note(Sender::Peer, &frame(0x8021, 1, &[3, 6, 0, 0, 0, 0, 130, 6, 0, 0, 0, 0]));
        assert_eq!(
            seen.describe(),
            "the client asks for the address 0.0.0.0, the WINS server 0.0.0.0"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_garbage_is_harmless() {
        let mut seen = Negotiation::default();
        for code in 0..=255 {
            for sender in [Sender::Peer, Sender::Us] {
                seen.note(sender, &frame(0xc021, code, &[1; 400]));
                seen.note(sender, &frame(0x8021, code, &[0; 400]));
                seen.note(sender, &frame(0xc021, code, &[3, 200, 1]));
                seen.note(sender, &[code]);
                seen.describe();
            }
        }
        assert_eq!(seen.notes.len(), 12);
        assert!(seen.notes.iter().all(|note| note.options.len() <= OPTION_BYTES_MAX));
    }
}
