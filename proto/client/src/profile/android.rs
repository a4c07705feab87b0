//! Android up to 11; later versions have no L2TP.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_ike::iana::GroupNumber as Group;
use isthmus_ike::{
    DpdHabit, Habits, LifeHabits, OfferedEsp, OfferedIke, Phase1Habits, Phase2Habits, Selector,
    VendorId,
};
use isthmus_l2tp::{CloseReason, Dialect};
use isthmus_ppp::iana::lcp_option;
use isthmus_ppp::{self as ppp, LcpItem};

use super::Ways;
use super::offers::{
    Aes128, Aes256, Cipher, Des, Des3, Hash, Md5, Sha1, Sha256, Sha384, Sha512, esp_product,
    fragmentation, ike, vendors,
};
use crate::manner::Manner;

pub(super) fn android_7_to_11() -> Ways {
    let mut phase1 = ikes(Aes256, &[Sha384, Sha256, Sha512, Sha1, Md5]);
    phase1.extend(ikes(Aes128, &[Sha512, Sha384, Sha256, Sha1, Md5]));
    phase1.extend(ikes(Des3, &[Sha256, Sha1, Md5]));
    phase1.extend(ikes(Des, &[Sha256, Sha1, Md5]));
    let phase2 = esp_product(&[Aes256, Aes128, Des3, Des], &[Sha512, Sha384, Sha1, Sha256, Md5]);
    android(phase1, phase2)
}

pub(super) fn android_6() -> Ways {
    let ciphers = [Aes256, Aes128, Des3, Des];
    let phase1 = ciphers.into_iter().flat_map(|cipher| ikes(cipher, &[Sha1, Md5])).collect();
    android(phase1, esp_product(&ciphers, &[Sha1, Md5, Sha256]))
}

fn ikes(cipher: Cipher, hashes: &[Hash]) -> Vec<OfferedIke> {
    hashes.iter().map(|hash| ike(cipher, *hash, Group::MODP1024)).collect()
}

fn android(phase1: Vec<OfferedIke>, phase2: Vec<OfferedEsp>) -> Ways {
    let mut ids = vendors(&[
        VendorId::Rfc3947,
        VendorId::NatTDraft02,
        VendorId::NatTDraft02N,
        VendorId::NatTDraft00,
    ]);
    ids.push(fragmentation());
    ids.push(VendorId::Dpd.bytes().to_vec());
    Ways {
        ike: Habits {
            phase1: Phase1Habits {
                transforms: Some(phase1),
                vendors: Some(ids),
                retransmit: vec![Duration::from_secs(3); 10],
                ..Phase1Habits::default()
            },
            phase2: Phase2Habits {
                transforms: Some(phase2),
                selector: Selector::AnyPort,
                ..Phase2Habits::default()
            },
            life: LifeHabits { dpd: DpdHabit::Answers, ..LifeHabits::default() },
        },
        ike_lifetime: Duration::from_hours(8),
        child_lifetime: Duration::from_hours(8),
        child_kilobytes: None,
        dpd_interval: None,
        dialect: Dialect::android(),
        hello_interval: Duration::from_mins(1),
        port_1701: false,
        mtu: 1400,
        manner: Manner {
            ppp: pppd(),
            echo: None,
            inform: None,
            closes: CloseReason::Shutdown,
            ..Manner::default()
        },
    }
}

/// pppd's LCP: an empty character map between MRU and magic number.
pub(super) fn pppd() -> ppp::Habits {
    ppp::Habits {
        lcp: Some(vec![
            LcpItem::Mru,
            LcpItem::Other(lcp_option::ACCM, vec![0; 4]),
            LcpItem::Magic,
            LcpItem::Pfc,
            LcpItem::Acfc,
        ]),
        ..ppp::Habits::default()
    }
}
