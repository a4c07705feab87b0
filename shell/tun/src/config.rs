//! What a TUN device is to be.

use isthmus_net::Namespace;

use crate::TunError;

/// How a TUN device is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunConfig {
    /// The interface's name; one `%d` in it is replaced by the first free number.
    pub name: String,
    /// Bytes of the longest IP packet, 1280 (RFC 8200 §5) to 65535.
    pub mtu: u16,
    /// The network namespace to make it in; the caller's own when absent.
    pub namespace: Option<Namespace>,
    /// Lets a run of TCP or (since Linux 6.2) UDP packets pass in one read or write: read without
    /// checksums, then cut and summed here; joined here and cut by the kernel where it must. Much
    /// faster for bulk transfers. A kernel that refuses gets single packets.
    pub offload: bool,
}

impl Default for TunConfig {
    fn default() -> Self {
        Self { name: "isthmus%d".to_owned(), mtu: 1400, namespace: None, offload: true }
    }
}

impl TunConfig {
    /// Refuses what the kernel would refuse with less helpful words, or take and misunderstand.
    pub(crate) fn check(&self) -> Result<(), TunError> {
        let name = &self.name;
        let allowed = |c: char| c.is_ascii_graphic() && !"/:%".contains(c);
        let plain = name.replacen("%d", "", 1);
        let fits =
            (1..=NAME_BYTES_MAX).contains(&name.len()) && !matches!(name.as_str(), "." | "..");
        if !fits || !plain.chars().all(allowed) {
            return Err(TunError::Name(name.clone()));
        }
        if self.mtu < MTU_MIN {
            return Err(TunError::Mtu(self.mtu));
        }
        Ok(())
    }
}

/// `IFNAMSIZ` without its closing zero.
const NAME_BYTES_MAX: usize = 15;
/// With less the kernel switches IPv6 off on the device.
const MTU_MIN: u16 = 1280;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<(), TunError> {
        TunConfig { name: name.to_owned(), ..TunConfig::default() }.check()
    }

    #[test]
    fn names_are_those_the_kernel_takes() {
        for good in ["isthmus%d", "acme", "a.b-c_d", "123456789012345"] {
            named(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "a b", "a:b", "%s", "%d%d", "1234567890123456", "ü"] {
            assert!(matches!(named(bad), Err(TunError::Name(_))), "{bad}");
        }
    }

    #[test]
    fn an_mtu_without_room_for_ipv6_is_refused() {
        let tun = TunConfig { mtu: MTU_MIN - 1, ..TunConfig::default() };
        assert!(matches!(tun.check(), Err(TunError::Mtu(1279))));
    }
}
