//! Routers: `MikroTik` and old TP-Link.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_crypto::DhGroup;
use isthmus_ike::iana::GroupNumber as Group;
use isthmus_ike::{DpdHabit, VendorId};
use isthmus_l2tp::avp::{Avp, Bounded};
use isthmus_l2tp::iana::{Bearer, Framing, PROTOCOL_VERSION};
use isthmus_l2tp::{Dialect, Results, Slot};
use isthmus_ppp::{self as ppp, LcpItem, Wanted, encode_options};

use super::Ways;
use super::linux::{charon, linux};
use super::offers::{Aes128, Aes192, Aes256, Des3, Md5, Sha1, esp_product, ike, vendors};

/// `RouterOS` with its default profile, which is from memory.
pub(super) fn mikrotik(host: &[u8]) -> Ways {
    let phase1 = [Aes128, Des3]
        .into_iter()
        .flat_map(|cipher| [Group::MODP2048, Group::MODP1024].map(|group| ike(cipher, Sha1, group)))
        .collect();
    let mut habits = charon(phase1, esp_product(&[Aes256, Aes192, Aes128], &[Sha1]));
    habits.phase1.vendors = Some(vendors(&[
        VendorId::Rfc3947,
        VendorId::NatTDraft03,
        VendorId::NatTDraft02,
        VendorId::NatTDraft02N,
        VendorId::Dpd,
    ]));
    habits.life.dpd = DpdHabit::Active;
    let mut ways = linux(host, habits);
    ways.ike_lifetime = Duration::from_hours(24);
    ways.child_lifetime = Duration::from_mins(30);
    ways.dpd_interval = Some(Duration::from_mins(2));
    ways.dialect = routeros(host);
    ways.mtu = 1450;
    ways.manner.pfs = Some(DhGroup::Modp1024);
    ways.manner.ppp = ppp::Habits {
        lcp: Some(vec![LcpItem::Mru, LcpItem::Magic]),
        // use-encryption: MPPE with 128 bits, stateless.
        before_ipcp: vec![Wanted {
            protocol: ppp::iana::Protocol::CCP,
            options: encode_options(&[(18, &[1, 0, 0, 0x40])]),
            farewell: None,
        }],
        ..ppp::Habits::default()
    };
    ways
}

fn routeros(host: &[u8]) -> Dialect {
    let mut dialect = Dialect::xl2tpd(host);
    dialect.sccrq = Vec::from([
        Avp::ProtocolVersion(PROTOCOL_VERSION).into(),
        Avp::FramingCapabilities(Framing::SYNC).into(),
        Avp::BearerCapabilities(Bearer::NONE).into(),
        Avp::FirmwareRevision(1).into(),
        Avp::HostName(Bounded::clipped(host)).into(),
        Avp::VendorName(Bounded::clipped(b"MikroTik")).into(),
        Slot::AssignedId,
        Avp::ReceiveWindowSize(4).into(),
        Slot::Challenge,
    ]);
    dialect.habits.results = Results::CodeOnly;
    dialect
}

/// TL-R483G and WAR302: 3DES and nothing else.
pub(super) fn tplink(host: &[u8]) -> Ways {
    let phase1 = vec![ike(Des3, Md5, Group::MODP1024), ike(Des3, Sha1, Group::MODP1024)];
    let mut habits = charon(phase1, esp_product(&[Des3], &[Md5, Sha1]));
    habits.phase1.retransmit = vec![Duration::from_secs(10); 3];
    linux(host, habits)
}
