//! Linux desktops: `ChromeOS`, `NetworkManager-l2tp`, xl2tpd by hand.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Duration;
use isthmus_crypto::DhGroup;
use isthmus_ike::iana::GroupNumber as Group;
use isthmus_ike::{
    DpdHabit, Habits, LifeHabits, OfferedEsp, OfferedIke, Phase1Habits, Phase2Habits, Selector,
    VendorId,
};
use isthmus_l2tp::{CloseReason, Dialect};

use super::Ways;
use super::android::pppd;
use super::offers::{
    Aes128, Aes128Gcm, Aes256, Des3, Hash, Md5, Sha1, Sha256, esp, esp_product, fragmentation, ike,
    vendors,
};
use crate::manner::Manner;

/// strongSwan and xl2tpd run by shill; the list of proposals is from memory.
pub(super) fn chromeos(host: &[u8]) -> Ways {
    let phase1 = vec![
        ike(Aes128, Sha256, Group::MODP3072),
        ike(Aes128, Sha1, Group::MODP2048),
        ike(Des3, Sha1, Group::MODP1536),
        ike(Des3, Sha1, Group::MODP1024),
    ];
    let phase2 = vec![
        esp(Aes128Gcm, Hash::None),
        esp(Aes128, Sha256),
        esp(Aes128, Sha1),
        esp(Des3, Sha1),
        esp(Aes128, Md5),
        esp(Des3, Md5),
    ];
    Ways { port_1701: false, ..linux(host, charon(phase1, phase2)) }
}

/// `NetworkManager-l2tp` 1.52 with strongSwan.
pub(super) fn nm_strongswan(host: &[u8]) -> Ways {
    let phase1 = vec![
        ike(Aes256, Sha256, Group::MODP2048),
        ike(Aes256, Sha256, Group::MODP1536),
        ike(Aes256, Sha256, Group::MODP1024),
        ike(Aes256, Sha1, Group::MODP2048),
        ike(Aes256, Sha1, Group::MODP1536),
        ike(Aes256, Sha1, Group::MODP1024),
        ike(Aes256, Sha1, Group::ECP384),
        ike(Aes128, Sha1, Group::MODP1024),
        ike(Aes128, Sha1, Group::ECP256),
        ike(Des3, Sha1, Group::MODP2048),
        ike(Des3, Sha1, Group::MODP1024),
    ];
    linux(host, charon(phase1, network_manager_esp()))
}

/// `NetworkManager-l2tp` 1.52 with a libreswan built without group 2, on an ephemeral port: no port and
/// no protocol in its selector.
pub(super) fn nm_libreswan(host: &[u8]) -> Ways {
    let phase1 = vec![
        ike(Aes256, Sha256, Group::MODP2048),
        ike(Aes256, Sha256, Group::MODP1536),
        ike(Aes256, Sha1, Group::MODP2048),
        ike(Aes256, Sha1, Group::MODP1536),
        ike(Aes256, Sha1, Group::ECP384),
        ike(Aes128, Sha1, Group::ECP256),
        ike(Des3, Sha1, Group::MODP2048),
    ];
    let mut ids = vec![fragmentation()];
    ids.extend(vendors(&[
        VendorId::Dpd,
        VendorId::Rfc3947,
        VendorId::NatTDraft03,
        VendorId::NatTDraft02N,
        VendorId::NatTDraft02,
    ]));
    let mut habits = charon(phase1, network_manager_esp());
    habits.phase1.vendors = Some(ids);
    habits.phase2.selector = Selector::Any;
    let mut ways = linux(host, habits);
    ways.ike_lifetime = Duration::from_hours(1);
    ways.child_lifetime = Duration::from_hours(8);
    ways.port_1701 = false;
    ways.manner.pfs = Some(DhGroup::Modp2048);
    ways
}

/// xl2tpd as Debian ships it, over strongSwan.
pub(super) fn xl2tpd(host: &[u8]) -> Ways {
    let phase1 = vec![
        ike(Aes128, Sha256, Group::MODP3072),
        ike(Aes256, Sha256, Group::MODP2048),
        ike(Aes128, Sha1, Group::MODP2048),
    ];
    linux(host, charon(phase1, esp_product(&[Aes256, Aes128], &[Sha256, Sha1])))
}

fn network_manager_esp() -> Vec<OfferedEsp> {
    esp_product(&[Aes256, Aes128, Des3], &[Sha1])
}

/// strongSwan's daemon.
pub(super) fn charon(phase1: Vec<OfferedIke>, phase2: Vec<OfferedEsp>) -> Habits {
    let mut ids = vendors(&[VendorId::Xauth, VendorId::Dpd]);
    ids.push(fragmentation());
    ids.extend(vendors(&[VendorId::Rfc3947, VendorId::NatTDraft02N]));
    Habits {
        phase1: Phase1Habits {
            transforms: Some(phase1),
            vendors: Some(ids),
            ..Phase1Habits::default()
        },
        phase2: Phase2Habits { transforms: Some(phase2), ..Phase2Habits::default() },
        life: LifeHabits { dpd: DpdHabit::Answers, ..LifeHabits::default() },
    }
}

/// xl2tpd and pppd over these habits of IKE.
pub(super) fn linux(host: &[u8], habits: Habits) -> Ways {
    Ways {
        ike: habits,
        ike_lifetime: Duration::from_hours(3),
        child_lifetime: Duration::from_hours(1),
        child_kilobytes: None,
        dpd_interval: None,
        dialect: Dialect::xl2tpd(host),
        hello_interval: Duration::from_mins(1),
        port_1701: true,
        mtu: 1400,
        manner: Manner {
            ppp: pppd(),
            echo: None,
            inform: None,
            closes: CloseReason::Administrative,
            ..Manner::default()
        },
    }
}
