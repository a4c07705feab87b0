//! macOS and iOS.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_ike::iana::GroupNumber as Group;
use isthmus_ike::{
    DpdHabit, Habits, LifeHabits, OfferedEsp, OfferedIke, Phase1Habits, Phase2Habits, Selector,
    VendorId,
};
use isthmus_l2tp::{CloseReason, Dialect};
use isthmus_ppp as ppp;
use isthmus_ppp::iana::{Protocol, ipcp_option};
use isthmus_ppp::{IpcpItem, LcpItem, Wanted, encode_options};

use super::Ways;
use super::offers::{
    Aes128, Aes256, Des3, Md5, Sha1, Sha256, Sha512, esp_product, fragmentation, ike, vendors,
};
use crate::manner::{Informing, Manner};

/// macOS 10.11 and iOS 9, and later.
pub(super) fn modern(host: &[u8]) -> Ways {
    let phase1 = vec![
        ike(Aes256, Sha256, Group::MODP2048),
        ike(Aes256, Sha1, Group::MODP2048),
        ike(Aes256, Md5, Group::MODP2048),
        ike(Aes256, Sha512, Group::MODP2048),
        ike(Aes256, Sha256, Group::MODP1536),
        ike(Aes256, Sha1, Group::MODP1536),
        ike(Aes256, Md5, Group::MODP1536),
        ike(Aes256, Sha256, Group::MODP1024),
        ike(Aes256, Sha1, Group::MODP1024),
        ike(Aes256, Md5, Group::MODP1024),
        ike(Aes128, Sha1, Group::MODP1024),
        ike(Aes128, Md5, Group::MODP1024),
        ike(Des3, Sha1, Group::MODP1024),
        ike(Des3, Md5, Group::MODP1024),
    ];
    let phase2 = esp_product(&[Aes256, Aes128, Des3], &[Sha256, Sha1, Md5]);
    apple(host, phase1, phase2, Selector::Port)
}

/// macOS 10.6 to 10.10 and iOS before 9.
pub(super) fn old(host: &[u8]) -> Ways {
    let phase1 = [Aes256, Aes128, Des3]
        .into_iter()
        .flat_map(|cipher| [Sha1, Md5].map(|hash| ike(cipher, hash, Group::MODP1024)))
        .collect();
    let phase2 = esp_product(&[Aes256, Aes128, Des3], &[Sha1, Md5]);
    apple(host, phase1, phase2, Selector::AnyPort)
}

fn apple(
    host: &[u8],
    phase1: Vec<OfferedIke>,
    phase2: Vec<OfferedEsp>,
    selector: Selector,
) -> Ways {
    Ways {
        ike: Habits {
            phase1: Phase1Habits {
                transforms: Some(phase1),
                vendors: Some(racoon()),
                ..Phase1Habits::default()
            },
            phase2: Phase2Habits { transforms: Some(phase2), selector, ..Phase2Habits::default() },
            life: LifeHabits {
                dpd: DpdHabit::Answers,
                deletes_children: false,
                deletes_ike: false,
                ..LifeHabits::default()
            },
        },
        ike_lifetime: Duration::from_hours(1),
        child_lifetime: Duration::from_hours(1),
        child_kilobytes: None,
        dpd_interval: None,
        dialect: Dialect::apple(host),
        hello_interval: Duration::from_mins(1),
        port_1701: false,
        mtu: 1280,
        manner: Manner {
            ppp: ppp_habits(),
            echo: None,
            inform: Some(Informing {
                wanted: Some(vec![6, 44, 43, 1, 249, 15]),
                tries: 4,
                wait: Duration::from_secs(3),
            }),
            closes: CloseReason::Administrative,
            ..Manner::default()
        },
    }
}

fn ppp_habits() -> ppp::Habits {
    // Van Jacobson compression, which servers reject.
    let compression = IpcpItem::Other(ipcp_option::COMPRESSION, vec![0, 0x2d, 0x0f, 1]);
    ppp::Habits {
        lcp: Some(vec![LcpItem::Magic, LcpItem::Pfc, LcpItem::Acfc]),
        ipcp: Some(vec![compression, IpcpItem::Address, IpcpItem::Dns1, IpcpItem::Dns2]),
        after_ipcp: vec![
            Wanted {
                protocol: Protocol::IPV6CP,
                options: encode_options(&[(1, &[2, 0x1b, 0x63, 0xff, 0xfe, 0x84, 0x45, 0xe6])]),
                farewell: None,
            },
            Wanted { protocol: Protocol::ACSCP, options: Vec::new(), farewell: None },
        ],
        ..ppp::Habits::default()
    }
}

/// What racoon announces, in its order.
fn racoon() -> Vec<Vec<u8>> {
    let mut ids = vendors(&[VendorId::Rfc3947, VendorId::AppleNatT]);
    ids.extend(DRAFTS.map(Vec::from));
    ids.extend(vendors(&[VendorId::NatTDraft03, VendorId::NatTDraft02, VendorId::NatTDraft02N]));
    ids.push(fragmentation());
    ids.push(VendorId::Dpd.bytes().to_vec());
    ids
}

/// The MD5 sums of `draft-ietf-ipsec-nat-t-ike-08` down to `-04`.
const DRAFTS: [[u8; 16]; 5] = [
    0x8f8d_8382_6d24_6b6f_c7a8_a6a4_28c1_1de8_u128.to_be_bytes(),
    0x439b_59f8_ba67_6c4c_7737_ae22_eab8_f582_u128.to_be_bytes(),
    0x4d1e_0e13_6dea_fa34_c4f3_ea9f_02ec_7285_u128.to_be_bytes(),
    0x80d0_bb3d_ef54_565e_e846_45d4_c85c_e3ee_u128.to_be_bytes(),
    0x9909_b64e_ed93_7c65_73de_52ac_e952_fa6b_u128.to_be_bytes(),
];
