//! Windows 7 to 11.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_ike::iana::GroupNumber as Group;
use isthmus_ike::{
    DpdHabit, Habits, InitialContact, LifeHabits, MessageIds, Phase1Habits, Phase2Habits, Replaced,
    VendorId,
};
use isthmus_l2tp::{CloseReason, Dialect};
use isthmus_ppp as ppp;
use isthmus_ppp::iana::{Protocol, ipcp_option, lcp_option};
use isthmus_ppp::{IpcpItem, LcpItem, Wanted, encode_options};

use super::Ways;
use super::offers::{
    Aes128, Aes256, Des, Des3, Null, Sha1, esp_product, ike, vendor_with, vendors,
};
use crate::manner::{Informing, Manner};

pub(super) fn windows_7(host: &[u8]) -> Ways {
    let mut ways = windows(host, 0x0601);
    let mut ids = vec![vendor_with(VendorId::MicrosoftNt5, [0, 0, 0, 8])];
    ids.extend(vendors(&COMMON));
    ways.ike.phase1.vendors = Some(ids);
    ways
}

/// Windows 8 to 11; the version behind the vendor id is the same.
pub(super) fn windows_10(host: &[u8]) -> Ways {
    windows(host, 0x0a00)
}

fn windows(host: &[u8], firmware: u16) -> Ways {
    Ways {
        ike: Habits {
            phase1: Phase1Habits {
                transforms: Some(vec![
                    ike(Aes256, Sha1, Group::ECP384),
                    ike(Aes128, Sha1, Group::ECP256),
                    ike(Aes256, Sha1, Group::MODP2048),
                    ike(Des3, Sha1, Group::MODP2048),
                    ike(Des3, Sha1, Group::MODP1024),
                ]),
                wide_lifetimes: true,
                vendors: Some(vendors_10()),
                initial_contact: InitialContact::VendorId,
                ..Phase1Habits::default()
            },
            phase2: Phase2Habits {
                message_ids: MessageIds::Counter,
                transforms: Some(esp_product(&[Aes256, Aes128, Des3, Des, Null], &[Sha1])),
                wide_lifetimes: true,
                nonce_len: 48,
                ..Phase2Habits::default()
            },
            life: LifeHabits {
                dpd: DpdHabit::Unknown,
                replaced: Replaced::DeleteBefore,
                ..LifeHabits::default()
            },
        },
        ike_lifetime: Duration::from_hours(8),
        child_lifetime: Duration::from_hours(1),
        child_kilobytes: Some(250_000),
        dpd_interval: None,
        dialect: Dialect::windows(host, firmware),
        hello_interval: Duration::from_secs(40),
        port_1701: true,
        mtu: 1400,
        manner: Manner {
            ppp: ppp_habits(host),
            restart: Duration::from_secs(2),
            echo: None,
            inform: Some(Informing { wanted: Some(vec![6, 15, 249, 121]), ..Informing::default() }),
            closes: CloseReason::Administrative,
            lingers: Duration::from_secs(4),
            ..Manner::default()
        },
    }
}

fn vendors_10() -> Vec<Vec<u8>> {
    let mut ids = vec![KEY_MODS.to_vec(), vendor_with(VendorId::MicrosoftNt5, [0, 0, 0, 9])];
    ids.extend(vendors(&COMMON));
    ids
}

fn ppp_habits(host: &[u8]) -> ppp::Habits {
    let nbns = |kind| IpcpItem::Other(kind, vec![0; 4]);
    ppp::Habits {
        lcp: Some(vec![
            LcpItem::Mru,
            LcpItem::Magic,
            LcpItem::Pfc,
            LcpItem::Acfc,
            LcpItem::Other(lcp_option::CALLBACK, vec![6]),
        ]),
        first_id: Some(0),
        identifications: vec![
            b"MSRASV5.20".to_vec(),
            [b"MSRAS-0-".as_slice(), host].concat(),
            vec![
                0xf3, 0x84, 0x9a, 0xc6, 0x00, 0x1b, 0x5b, 0x27, 0x5c, 0x91, 0x00, 0x0a, 0xd3, 0x42,
                0xff, 0x7e,
            ],
        ],
        before_ipcp: vec![
            Wanted {
                protocol: Protocol::IPV6CP,
                options: encode_options(&[(1, &[0xd1, 0x2f, 0, 0x62, 0x0a, 0x4b, 0x91, 0x38])]),
                farewell: None,
            },
            // MPPC without encryption: option 18 with the C bit alone.
            Wanted {
                protocol: Protocol::CCP,
                options: encode_options(&[(18, &[0, 0, 0, 1])]),
                farewell: Some(vec![0, 0x3c, 0xcd, 0x74, 0, 0, 2, 0xdc]),
            },
        ],
        ipcp: Some(vec![
            IpcpItem::Address,
            IpcpItem::Dns1,
            nbns(ipcp_option::NBNS1),
            IpcpItem::Dns2,
            nbns(ipcp_option::NBNS2),
        ]),
        after_ipcp: Vec::new(),
        farewell: Some(vec![0, 0x3c, 0xcd, 0x74, 0, 0, 0, 0]),
    }
}

/// What Windows 7 to 11 have in common, behind the versions.
const COMMON: [VendorId; 6] = [
    VendorId::Rfc3947,
    VendorId::NatTDraft02N,
    VendorId::Fragmentation,
    VendorId::NegotiationDiscovery,
    VendorId::MicrosoftInitialContact,
    VendorId::IkeCga,
];
/// `IKE KEY_MODS`, version 1; Windows 8 and later.
const KEY_MODS: [u8; 20] = [
    0x01, 0x52, 0x8b, 0xbb, 0xc0, 0x06, 0x96, 0x12, 0x18, 0x49, 0xab, 0x9a, 0x1c, 0x5b, 0x2a, 0x51,
    0, 0, 0, 1,
];
