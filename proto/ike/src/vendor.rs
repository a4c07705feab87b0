//! Vendor ids: what peers say about themselves before anything is protected (RFC 2408 §3.16).
//!
//! Nothing here is trusted beyond choosing a dialect: the ids are not covered by any hash.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::Chain;
use crate::iana::PayloadType;

/// A known vendor id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VendorId {
    /// Apple's private NAT traversal draft.
    AppleNatT,
    /// Dead peer detection (RFC 3706).
    Dpd,
    /// Message fragmentation.
    Fragmentation,
    /// Openswan and Libreswan, which hash their version behind two letters.
    Libreswan,
    /// Microsoft: IKE CGA version 1.
    IkeCga,
    /// Microsoft: no SA towards this peer is alive.
    MicrosoftInitialContact,
    /// Microsoft NT5 ISAKMPOAKLEY, with the version behind it.
    MicrosoftNt5,
    /// Microsoft: negotiation discovery capable.
    NegotiationDiscovery,
    /// draft-ietf-ipsec-nat-t-ike-00.
    NatTDraft00,
    /// draft-ietf-ipsec-nat-t-ike-02.
    NatTDraft02,
    /// draft-ietf-ipsec-nat-t-ike-02 followed by a newline, as most vendors hashed it.
    NatTDraft02N,
    /// draft-ietf-ipsec-nat-t-ike-03.
    NatTDraft03,
    /// draft-ietf-ipsec-nat-t-ike-08.
    NatTDraft08,
    /// RFC 3947.
    Rfc3947,
    /// strongSwan.
    StrongSwan,
    /// Cisco Unity.
    Unity,
    /// XAUTH.
    Xauth,
}

impl VendorId {
    /// The bytes to announce.
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::AppleNatT => const { &hex(b"4df37928e9fc4fd1b3262170d515c662") },
            Self::Dpd => const { &hex(b"afcad71368a1f1c96b8696fc77570100") },
            Self::Fragmentation => const { &hex(b"4048b7d56ebce88525e7de7f00d6c2d3") },
            // Ten characters of hash follow.
            Self::Libreswan => b"OE",
            Self::IkeCga => const { &hex(b"e3a5966a76379fe707228231e5ce8652") },
            Self::MicrosoftInitialContact => const { &hex(b"26244d38eddb61b3172a36e3d0cfb819") },
            Self::MicrosoftNt5 => const { &hex(b"1e2b516905991c7d7c96fcbfb587e461") },
            Self::NegotiationDiscovery => const { &hex(b"fb1de3cdf341b7ea16b7e5be0855f120") },
            Self::NatTDraft00 => const { &hex(b"4485152d18b6bbcd0be8a8469579ddcc") },
            Self::NatTDraft02 => const { &hex(b"cd60464335df21f87cfdb2fc68b6a448") },
            Self::NatTDraft02N => const { &hex(b"90cb80913ebb696e086381b5ec427b1f") },
            Self::NatTDraft03 => const { &hex(b"7d9419a65310ca6f2c179d9215529d56") },
            Self::NatTDraft08 => const { &hex(b"8f8d83826d246b6fc7a8a6a428c11de8") },
            Self::Rfc3947 => const { &hex(b"4a131c81070358455c5728f20e95452f") },
            Self::StrongSwan => const { &hex(b"882fe56d6fd20dbc2251613b2ebe5beb") },
            Self::Unity => const { &hex(b"12f5f28c457168a9702d9fe274cc0100") },
            Self::Xauth => const { &hex8(b"09002689dfd6b712") },
        }
    }

    /// Recognises an announced id. Versions and capabilities may follow the known 16 bytes (8 for
    /// XAUTH, which is never longer); DPD's last two bytes are its version.
    pub fn recognise(body: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|id| match id {
            Self::Dpd => body.len() == 16 && body.starts_with(&hex_dpd()),
            Self::Fragmentation | Self::MicrosoftNt5 => body.starts_with(id.bytes()),
            Self::Libreswan => body.len() == OPENSWAN_LEN && body.starts_with(id.bytes()),
            Self::AppleNatT
            | Self::IkeCga
            | Self::MicrosoftInitialContact
            | Self::NegotiationDiscovery
            | Self::NatTDraft00
            | Self::NatTDraft02
            | Self::NatTDraft02N
            | Self::NatTDraft03
            | Self::NatTDraft08
            | Self::Rfc3947
            | Self::StrongSwan
            | Self::Unity
            | Self::Xauth => body == id.bytes(),
        })
    }

    const ALL: [Self; 17] = [
        Self::AppleNatT,
        Self::Dpd,
        Self::Fragmentation,
        Self::Libreswan,
        Self::IkeCga,
        Self::MicrosoftInitialContact,
        Self::MicrosoftNt5,
        Self::NegotiationDiscovery,
        Self::NatTDraft00,
        Self::NatTDraft02,
        Self::NatTDraft02N,
        Self::NatTDraft03,
        Self::NatTDraft08,
        Self::Rfc3947,
        Self::StrongSwan,
        Self::Unity,
        Self::Xauth,
    ];
}

/// What the vendor ids of a peer add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent announcements")]
pub struct Vendors {
    /// Apple's racoon.
    pub apple: bool,
    /// Dead peer detection is understood.
    pub dpd: bool,
    /// Fragments are understood.
    pub fragmentation: bool,
    /// Openswan or Libreswan.
    pub libreswan: bool,
    /// It said so with a word of capabilities behind the id, as racoon does and racoon wants.
    #[serde(skip)]
    fragmentation_capability: bool,
    /// Windows, with the number behind its id: 3 XP, 5 Vista, 7 Windows 7, 9 Windows 8 and later.
    pub microsoft: Option<u32>,
    /// Windows says that it has no SA with us (its way to say INITIAL-CONTACT).
    pub microsoft_initial_contact: bool,
    /// Best NAT traversal dialect announced.
    pub nat_t: Option<NatT>,
    /// The oldest draft of NAT traversal, which only racoon and its heirs announce.
    pub nat_t_00: bool,
    /// The last draft of NAT traversal.
    pub nat_t_08: bool,
    /// strongSwan.
    pub strongswan: bool,
    /// XAUTH is understood.
    pub xauth: bool,
}

impl Vendors {
    /// What a message announces.
    pub(crate) fn of(chain: &Chain<'_>) -> Self {
        let mut vendors = Self::default();
        chain.all(PayloadType::VENDOR_ID).for_each(|body| vendors.note(body));
        vendors
    }

    /// Adds one announced id; unknown ones change nothing.
    pub fn note(&mut self, body: &[u8]) {
        let Some(id) = VendorId::recognise(body) else { return };
        match id {
            VendorId::AppleNatT => self.apple = true,
            VendorId::Dpd => self.dpd = true,
            VendorId::Fragmentation => {
                self.fragmentation = true;
                self.fragmentation_capability = body.len() >= FRAGMENTATION_WITH_CAPABILITY.len();
            }
            VendorId::MicrosoftInitialContact => self.microsoft_initial_contact = true,
            VendorId::MicrosoftNt5 => {
                let version = body.get(16..20).and_then(|v| <[u8; 4]>::try_from(v).ok());
                self.microsoft = Some(version.map_or(0, u32::from_be_bytes));
            }
            VendorId::Libreswan => self.libreswan = true,
            VendorId::NatTDraft00 => self.nat_t_00 = true,
            VendorId::NatTDraft08 => self.nat_t_08 = true,
            VendorId::NatTDraft02 => self.note_nat_t(NatT::Draft02),
            VendorId::NatTDraft02N => self.note_nat_t(NatT::Draft02N),
            VendorId::NatTDraft03 => self.note_nat_t(NatT::Draft03),
            VendorId::Rfc3947 => self.note_nat_t(NatT::Rfc3947),
            VendorId::StrongSwan => self.strongswan = true,
            VendorId::Xauth => self.xauth = true,
            VendorId::IkeCga | VendorId::NegotiationDiscovery | VendorId::Unity => {}
        }
    }

    /// The id that announces fragmentation to a peer that announced it, in the form that the peer knows:
    /// Windows has no capabilities behind it, racoon looks at nothing else.
    pub(crate) fn fragmentation_reply(&self) -> Option<&'static [u8]> {
        let with = self.fragmentation_capability;
        let form =
            if with { FRAGMENTATION_WITH_CAPABILITY } else { VendorId::Fragmentation.bytes() };
        self.fragmentation.then_some(form)
    }

    fn note_nat_t(&mut self, dialect: NatT) {
        self.nat_t = self.nat_t.max(Some(dialect));
    }
}

/// What a peer probably is. A guess, for people to read: vendor ids can be forged and are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ClientKind {
    /// Android up to 11, or another racoon.
    Android,
    /// macOS, iOS, iPadOS.
    Apple,
    /// Openswan or Libreswan.
    Libreswan,
    /// `RouterOS` and other routers that announce every draft.
    RouterOs,
    /// strongSwan, where it says so.
    StrongSwan,
    /// Nothing tells.
    Unknown,
    /// Windows, with the number behind its id.
    Windows(u32),
}

impl Vendors {
    /// What announces itself like this.
    pub const fn client(&self) -> ClientKind {
        match self.microsoft {
            Some(version) => ClientKind::Windows(version),
            None if self.apple => ClientKind::Apple,
            None if self.libreswan => ClientKind::Libreswan,
            None if self.strongswan => ClientKind::StrongSwan,
            None if self.nat_t_08 => ClientKind::RouterOs,
            None if self.nat_t_00 => ClientKind::Android,
            None => ClientKind::Unknown,
        }
    }
}

impl fmt::Display for ClientKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Android => f.write_str("Android or another racoon"),
            Self::Apple => f.write_str("Apple"),
            Self::Libreswan => f.write_str("Libreswan or Openswan"),
            Self::RouterOs => f.write_str("RouterOS or a similar router"),
            Self::StrongSwan => f.write_str("strongSwan"),
            Self::Unknown => f.write_str("unknown"),
            // [MS-IKEE] §1.7.
            Self::Windows(2) => f.write_str("Windows 2000"),
            Self::Windows(3) => f.write_str("Windows XP"),
            Self::Windows(4) => f.write_str("Windows Server 2003"),
            Self::Windows(5) => f.write_str("Windows Vista"),
            Self::Windows(6) => f.write_str("Windows Server 2008"),
            Self::Windows(7) => f.write_str("Windows 7"),
            Self::Windows(8) => f.write_str("Windows Server 2008 R2"),
            Self::Windows(9) => f.write_str("Windows 8 or later"),
            Self::Windows(version) => write!(f, "Windows ({version})"),
        }
    }
}

impl fmt::Display for Vendors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client().fmt(f)
    }
}

/// The dialects of NAT traversal we speak, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NatT {
    /// draft-ietf-ipsec-nat-t-ike-02 under its proper hash.
    Draft02,
    /// draft-02 under the hash with a newline; all that Windows XP knows.
    Draft02N,
    /// draft-03; the same numbers on the wire.
    Draft03,
    /// RFC 3947.
    Rfc3947,
}

impl NatT {
    /// The dialects in order of preference.
    pub const ALL: [Self; 4] = [Self::Rfc3947, Self::Draft03, Self::Draft02N, Self::Draft02];

    /// The vendor id that announces the dialect.
    pub const fn vendor_id(self) -> VendorId {
        match self {
            Self::Draft02 => VendorId::NatTDraft02,
            Self::Draft02N => VendorId::NatTDraft02N,
            Self::Draft03 => VendorId::NatTDraft03,
            Self::Rfc3947 => VendorId::Rfc3947,
        }
    }
}

/// Length of the id of Openswan and Libreswan.
const OPENSWAN_LEN: usize = 12;

/// The vendor id of fragmentation followed by the capabilities "main mode" and "aggressive mode".
pub(crate) const FRAGMENTATION_WITH_CAPABILITY: &[u8] = &[
    0x40, 0x48, 0xb7, 0xd5, 0x6e, 0xbc, 0xe8, 0x85, 0x25, 0xe7, 0xde, 0x7f, 0x00, 0xd6, 0xc2, 0xd3,
    0x80, 0x00, 0x00, 0x00,
];

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 0,
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn hex(digits: &[u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    let mut at = 0;
    while at < 16 {
        out[at] = nibble(digits[2 * at]) << 4 | nibble(digits[2 * at + 1]);
        at += 1;
    }
    out
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn hex8(digits: &[u8; 16]) -> [u8; 8] {
    let mut out = [0; 8];
    let mut at = 0;
    while at < 8 {
        out[at] = nibble(digits[2 * at]) << 4 | nibble(digits[2 * at + 1]);
        at += 1;
    }
    out
}

const fn hex_dpd() -> [u8; 14] {
    [0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_recognises_itself() {
        for id in VendorId::ALL.into_iter().filter(|id| *id != VendorId::Libreswan) {
            assert_eq!(VendorId::recognise(id.bytes()), Some(id));
        }
        assert_eq!(VendorId::recognise(b"OEhyLdACecfa"), Some(VendorId::Libreswan));
        assert_eq!(VendorId::recognise(b"OEhyLdACecf"), None);
    }

    #[test]
    fn windows_10_is_read_with_its_version_and_best_dialect() {
        let mut vendors = Vendors::default();
        vendors.note(&[VendorId::MicrosoftNt5.bytes(), &[0, 0, 0, 9]].concat());
        vendors.note(VendorId::Rfc3947.bytes());
        vendors.note(VendorId::NatTDraft02N.bytes());
        vendors.note(VendorId::Fragmentation.bytes());
        vendors.note(&[0x55; 40]);
        assert_eq!(vendors.microsoft, Some(9));
        assert_eq!(vendors.nat_t, Some(NatT::Rfc3947));
        assert!(vendors.fragmentation && !vendors.dpd);
    }

    #[test]
    fn fragmentation_is_announced_back_in_the_form_it_was_announced() {
        let announce = |body: &[u8]| {
            let mut vendors = Vendors::default();
            vendors.note(body);
            vendors.fragmentation_reply()
        };
        let bare = VendorId::Fragmentation.bytes();
        assert_eq!(announce(bare), Some(bare));
        for capability in [[0x80, 0, 0, 0], [0xc0, 0, 0, 0]] {
            let body = [bare, &capability].concat();
            assert_eq!(announce(&body), Some(FRAGMENTATION_WITH_CAPABILITY));
            assert!(FRAGMENTATION_WITH_CAPABILITY.starts_with(bare));
        }
        assert_eq!(announce(VendorId::Dpd.bytes()), None);
    }

    #[test]
    fn apples_own_dialect_is_not_chosen() {
        let mut vendors = Vendors::default();
        vendors.note(VendorId::AppleNatT.bytes());
        assert!(vendors.apple);
        assert_eq!(vendors.nat_t, None);
    }

    #[test]
    fn a_client_is_guessed_by_what_only_it_announces() {
        let kind = |ids: &[VendorId]| {
            let mut vendors = Vendors::default();
            for id in ids {
                vendors.note(id.bytes());
            }
            vendors.client()
        };
        let drafts = [VendorId::Rfc3947, VendorId::NatTDraft08, VendorId::NatTDraft02N];
        assert_eq!(kind(&drafts), ClientKind::RouterOs);
        assert_eq!(kind(&[drafts.as_slice(), &[VendorId::AppleNatT]].concat()), ClientKind::Apple);
        let android = [VendorId::Rfc3947, VendorId::NatTDraft02, VendorId::NatTDraft00];
        assert_eq!(kind(&android), ClientKind::Android);
        assert_eq!(kind(&[VendorId::Rfc3947, VendorId::Dpd]), ClientKind::Unknown);
        assert_eq!(kind(&[VendorId::StrongSwan]), ClientKind::StrongSwan);
        let mut windows = Vendors::default();
        windows.note(&[VendorId::MicrosoftNt5.bytes(), &[0, 0, 0, 9]].concat());
        assert_eq!(alloc::string::ToString::to_string(&windows), "Windows 8 or later");
    }
}
