//! Clients that people have, as data: what our own engine must say to be taken for one of them.
//!
//! A profile is for testing servers. Each family is a file; `docs/protocol/clients.md` says what is
//! imitated, how well it is known, and what a server must put up with.

mod android;
mod apple;
mod linux;
mod offers;
mod router;
mod windows;

use alloc::sync::Arc;

use isthmus_core::Duration;
use isthmus_ike as ike;
use isthmus_l2tp as l2tp;

use crate::config::Config;
use crate::manner::Manner;

/// A client that we can speak as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Windows 7.
    Windows7,
    /// Windows 8 and 10.
    Windows10,
    /// Windows 11.
    Windows11,
    /// macOS 10.11 and later, iOS 9 and later.
    MacosIosModern,
    /// macOS 10.6 to 10.10, iOS before 9.
    MacosIosOld,
    /// Android 7 to 11.
    Android7To11,
    /// Android up to 6.
    Android6,
    /// `ChromeOS`.
    ChromeOs,
    /// `NetworkManager-l2tp` over strongSwan.
    NmStrongswan,
    /// `NetworkManager-l2tp` over libreswan, with perfect forward secrecy.
    NmLibreswan,
    /// `MikroTik` `RouterOS`.
    Mikrotik,
    /// Old TP-Link routers.
    TpLink,
    /// xl2tpd over strongSwan, as a Linux server is set up by hand.
    Xl2tpd,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 13] = [
        Self::Windows7,
        Self::Windows10,
        Self::Windows11,
        Self::MacosIosModern,
        Self::MacosIosOld,
        Self::Android7To11,
        Self::Android6,
        Self::ChromeOs,
        Self::NmStrongswan,
        Self::NmLibreswan,
        Self::Mikrotik,
        Self::TpLink,
        Self::Xl2tpd,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Windows7 => "windows7",
            Self::Windows10 => "windows10",
            Self::Windows11 => "windows11",
            Self::MacosIosModern => "macos_ios_modern",
            Self::MacosIosOld => "macos_ios_old",
            Self::Android7To11 => "android_7_11",
            Self::Android6 => "android_6",
            Self::ChromeOs => "chromeos",
            Self::NmStrongswan => "nm_strongswan",
            Self::NmLibreswan => "nm_libreswan",
            Self::Mikrotik => "mikrotik",
            Self::TpLink => "tplink",
            Self::Xl2tpd => "xl2tpd",
        }
    }

    /// What it imitates, for people.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Windows7 => "Windows 7",
            Self::Windows10 => "Windows 8 and 10",
            Self::Windows11 => "Windows 11",
            Self::MacosIosModern => "macOS 10.11 and later, iOS 9 and later",
            Self::MacosIosOld => "macOS 10.6 to 10.10, iOS before 9",
            Self::Android7To11 => "Android 7 to 11",
            Self::Android6 => "Android up to 6",
            Self::ChromeOs => "ChromeOS",
            Self::NmStrongswan => "NetworkManager-l2tp over strongSwan",
            Self::NmLibreswan => "NetworkManager-l2tp over libreswan, with PFS",
            Self::Mikrotik => "MikroTik RouterOS",
            Self::TpLink => "old TP-Link routers",
            Self::Xl2tpd => "xl2tpd over strongSwan",
        }
    }

    /// The profile with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Whether it gets no further than IKE unless the server allows weak algorithms.
    pub const fn needs_legacy(self) -> bool {
        match self {
            Self::MacosIosOld
            | Self::Android7To11
            | Self::Android6
            | Self::Mikrotik
            | Self::TpLink => true,
            Self::Windows7
            | Self::Windows10
            | Self::Windows11
            | Self::MacosIosModern
            | Self::ChromeOs
            | Self::NmStrongswan
            | Self::NmLibreswan
            | Self::Xl2tpd => false,
        }
    }

    /// Makes a connection speak as this client on a machine called `host`. `ephemeral` is the L2TP port
    /// of the clients that do not take 1701.
    pub fn apply(self, config: &mut Config, host: &[u8], ephemeral: u16) {
        let ways = self.ways(host);
        let given = &config.ike;
        let ike = ike::Config {
            legacy: true,
            ike_lifetime: ways.ike_lifetime,
            child_lifetime: ways.child_lifetime,
            child_kilobytes: ways.child_kilobytes,
            dpd_interval: ways.dpd_interval,
            habits: ways.ike,
            ..ike::Config::clone(given)
        };
        config.ike = Arc::new(ike);
        let hello_interval = ways.hello_interval;
        let lac = l2tp::Config::lac(host, ways.dialect);
        config.l2tp = Arc::new(l2tp::Config { hello_interval, ..lac });
        config.l2tp_port = if ways.port_1701 { 1701 } else { ephemeral };
        config.mru = ways.mtu;
        config.manner = ways.manner;
    }

    fn ways(self, host: &[u8]) -> Ways {
        match self {
            Self::Windows7 => windows::windows_7(host),
            Self::Windows10 | Self::Windows11 => windows::windows_10(host),
            Self::MacosIosModern => apple::modern(host),
            Self::MacosIosOld => apple::old(host),
            Self::Android7To11 => android::android_7_to_11(),
            Self::Android6 => android::android_6(),
            Self::ChromeOs => linux::chromeos(host),
            Self::NmStrongswan => linux::nm_strongswan(host),
            Self::NmLibreswan => linux::nm_libreswan(host),
            Self::Mikrotik => router::mikrotik(host),
            Self::TpLink => router::tplink(host),
            Self::Xl2tpd => linux::xl2tpd(host),
        }
    }
}

/// Everything that makes a profile.
struct Ways {
    ike: ike::Habits,
    ike_lifetime: Duration,
    child_lifetime: Duration,
    child_kilobytes: Option<u32>,
    dpd_interval: Option<Duration>,
    dialect: l2tp::Dialect,
    hello_interval: Duration,
    /// L2TP from port 1701; else from an ephemeral one.
    port_1701: bool,
    /// Largest inner packet.
    mtu: u16,
    manner: Manner,
}

#[cfg(test)]
mod tests {
    use isthmus_crypto::DhGroup;

    use super::*;

    #[test]
    fn names_and_profiles_are_the_same_thing() {
        for profile in Profile::ALL {
            assert_eq!(Profile::from_name(profile.name()), Some(profile));
            assert!(!profile.about().is_empty());
        }
        assert_eq!(Profile::from_name("windows"), None);
    }

    #[test]
    fn no_profile_offers_more_than_is_sent() {
        for profile in Profile::ALL {
            let ways = profile.ways(b"host");
            let phase1 = ways.ike.phase1.transforms.map_or(0, |t| t.len());
            let phase2 = ways.ike.phase2.transforms.map_or(0, |t| t.len());
            assert!((1..=ike::bounds::OFFERS_MAX).contains(&phase1), "{profile:?}: {phase1}");
            assert!((1..=ike::bounds::SUITES_MAX).contains(&phase2), "{profile:?}: {phase2}");
        }
    }

    #[test]
    fn legacy_is_needed_by_those_without_a_modern_offer() {
        let modern = ike::IkeProposal::acceptable(false);
        for profile in Profile::ALL {
            let ways = profile.ways(b"host");
            let offered = ways.ike.phase1.transforms.unwrap_or_default();
            let first = |t: &ike::OfferedIke| t.proposal().is_some_and(|p| modern.contains(&p));
            let weak_pfs = ways.manner.pfs.is_some_and(DhGroup::is_legacy);
            let modern_child = ways
                .ike
                .phase2
                .transforms
                .unwrap_or_default()
                .iter()
                .any(|t| t.suite().is_some_and(|suite| !suite.is_legacy()));
            let needs = !offered.iter().any(first) || weak_pfs || !modern_child;
            assert_eq!(needs, profile.needs_legacy(), "{profile:?}");
        }
    }
}
