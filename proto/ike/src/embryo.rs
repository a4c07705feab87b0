//! What a responder remembers between messages 1 and 3 of main mode: anybody can send message 1 with
//! any source address, so this is small, bounded, apart from everything else, and costs no timer.
//!
//! ```text
//!  message 1 -> cookie = HMAC(secret, who, message 1), message 2 goes out, an embryo stays
//!  message 1 again -> the same cookie, even if the embryo was gone meanwhile
//!  message 3 with the cookie -> the sender receives what we send: an SA is made, a computation asked for
//! ```
//!
//! When the place is full the oldest goes. A source that has more than its share loses its own
//! oldest. At 20,000 forged messages a second an embryo lives for a second and a half, which is longer
//! than any path takes, and a client whose embryo went repeats message 1 or begins anew.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use isthmus_core::{Duration, Instant, Path, SecretBytes};
use isthmus_crypto::{CryptoError, HashAlg, Provider};

use crate::codec::Cookies;
use crate::context::Digest;
use crate::proposal::{Authentication, IkeProposal};
use crate::sa::Budget;
use crate::table::{HALF_OPEN_LIFETIME, Initiation, source};
use crate::vendor::Vendors;

/// An attempt of which only message 1 is known.
#[derive(Clone, Debug)]
pub(crate) struct Embryo {
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
    pub(crate) marked: bool,
    pub(crate) proposal: IkeProposal,
    pub(crate) authentication: Authentication,
    pub(crate) lifetime: Duration,
    /// The initiator's SA body as received; `HASH_I` covers it.
    pub(crate) sa_i: Vec<u8>,
    pub(crate) vendors: Vendors,
    pub(crate) budget: Budget,
    pub(crate) created: Instant,
}

impl Embryo {
    const fn initiation(&self) -> Initiation {
        Initiation::new(self.cookies.initiator, self.path.remote)
    }
}

/// All embryos.
#[derive(Debug, Default)]
pub(crate) struct Embryos {
    /// By age: the lowest number is the oldest.
    all: BTreeMap<u64, Embryo>,
    places: BTreeMap<Initiation, u64>,
    by_source: BTreeSet<(IpAddr, u64)>,
    counts: BTreeMap<IpAddr, usize>,
    /// Of SA bodies.
    octets: usize,
    next: u64,
}

impl Embryos {
    /// The embryo of an attempt, before its responder cookie is looked at.
    pub(crate) fn of(&mut self, initiation: Initiation) -> Option<&mut Embryo> {
        let serial = self.places.get(&initiation)?;
        self.all.get_mut(serial)
    }

    /// The embryo that these cookies from this address and port name.
    pub(crate) fn find(&mut self, cookies: &Cookies, remote: SocketAddr) -> Option<&mut Embryo> {
        let found = self.of(Initiation::new(cookies.initiator, remote))?;
        (found.cookies == *cookies).then_some(found)
    }

    /// Adds an embryo; returns how many had to go for it.
    pub(crate) fn add(&mut self, embryo: Embryo) -> u64 {
        self.take(embryo.initiation());
        let (serial, from) = (self.next, source(embryo.path.remote.ip()));
        self.next += 1;
        self.octets += embryo.sa_i.len();
        self.places.insert(embryo.initiation(), serial);
        self.by_source.insert((from, serial));
        let count = self.counts.entry(from).or_default();
        *count += 1;
        let excess = *count > EMBRYOS_PER_SOURCE_MAX;
        self.all.insert(serial, embryo);
        let mut evicted = 0;
        if excess && let Some(oldest) = self.oldest_of(from) {
            self.remove(oldest);
            evicted += 1;
        }
        while self.all.len() > EMBRYOS_MAX || self.octets > EMBRYO_OCTETS_MAX {
            let Some(oldest) = self.all.keys().next().copied() else { break };
            self.remove(oldest);
            evicted += 1;
        }
        evicted
    }

    fn oldest_of(&self, from: IpAddr) -> Option<u64> {
        self.by_source.range((from, 0)..=(from, u64::MAX)).next().map(|(_, serial)| *serial)
    }

    /// Takes an embryo out.
    pub(crate) fn take(&mut self, initiation: Initiation) -> Option<Embryo> {
        let serial = self.places.get(&initiation).copied()?;
        self.remove(serial)
    }

    fn remove(&mut self, serial: u64) -> Option<Embryo> {
        let embryo = self.all.remove(&serial)?;
        let from = source(embryo.path.remote.ip());
        self.octets -= embryo.sa_i.len();
        self.places.remove(&embryo.initiation());
        self.by_source.remove(&(from, serial));
        if let Some(count) = self.counts.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&from);
            }
        }
        Some(embryo)
    }

    /// Takes out one that is too old.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<Embryo> {
        let (serial, embryo) = self.all.first_key_value()?;
        let due = now >= embryo.created + HALF_OPEN_LIFETIME;
        let serial = *serial;
        due.then(|| self.remove(serial)).flatten()
    }

    /// When the oldest one is given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.all.values().next().map(|embryo| embryo.created + HALF_OPEN_LIFETIME)
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// The responder cookie for a message 1: nobody else can make it, and the same message gets the same.
pub(crate) fn cookie(
    provider: &dyn Provider,
    secret: &SecretBytes,
    (initiator, remote, marked): ([u8; 8], SocketAddr, bool),
    message: &Digest,
) -> Result<[u8; 8], CryptoError> {
    let ip = match remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let (ip, port, marked) = (ip.octets(), remote.port().to_be_bytes(), [u8::from(marked)]);
    let parts: [&[u8]; 5] = [&initiator, &ip, &port, &marked, message.bytes()];
    let mut out = [0; 32];
    provider.hmac(HashAlg::Sha256, secret.expose(), &parts, &mut out)?;
    let first = out.first_chunk::<8>().copied().unwrap_or_default();
    // Zero means that there is none.
    Ok(u64::from_be_bytes(first).max(1).to_be_bytes())
}

/// Most attempts of which only message 1 is known.
pub const EMBRYOS_MAX: usize = 32_768;
/// Most of them from one source.
pub const EMBRYOS_PER_SOURCE_MAX: usize = 1024;
/// Most octets of SA bodies in them.
pub const EMBRYO_OCTETS_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;

    use super::*;

    fn embryo(cookie: u64, remote: SocketAddr, at: Instant) -> Embryo {
        Embryo {
            cookies: Cookies { initiator: cookie.to_be_bytes(), responder: [1; 8] },
            path: Path::new(from(0), remote),
            marked: false,
            proposal: IkeProposal::from_name("aes256-sha1-modp2048").unwrap(),
            authentication: Authentication::Psk,
            lifetime: Duration::from_hours(8),
            sa_i: vec![0; 100],
            vendors: Vendors::default(),
            budget: Budget::default(),
            created: at,
        }
    }

    fn from(n: u32) -> SocketAddr {
        SocketAddr::new(core::net::Ipv4Addr::from(0x0a00_0000 + n).into(), 500)
    }

    #[test]
    fn the_oldest_goes_when_the_place_is_full() {
        let mut all = Embryos::default();
        for n in 0..u32::try_from(EMBRYOS_MAX).unwrap() {
            assert_eq!(all.add(embryo(1, from(n), Instant::ZERO)), 0);
        }
        assert_eq!(all.add(embryo(1, from(u32::MAX >> 8), Instant::ZERO)), 1);
        assert_eq!(all.len(), EMBRYOS_MAX);
        assert!(all.of(Initiation::new([0, 0, 0, 0, 0, 0, 0, 1], from(0))).is_none());
        assert!(all.of(Initiation::new([0, 0, 0, 0, 0, 0, 0, 1], from(1))).is_some());
    }

    #[test]
    fn a_greedy_source_loses_its_own_oldest_and_nobody_elses() {
        let mut all = Embryos::default();
        all.add(embryo(7, from(9), Instant::ZERO));
        for n in 0..u64::try_from(EMBRYOS_PER_SOURCE_MAX * 3).unwrap() {
            all.add(embryo(n, from(1), Instant::ZERO));
        }
        assert_eq!(all.len(), EMBRYOS_PER_SOURCE_MAX + 1);
        assert!(all.of(Initiation::new(7u64.to_be_bytes(), from(9))).is_some());
        let newest = u64::try_from(EMBRYOS_PER_SOURCE_MAX * 3 - 1).unwrap();
        assert!(all.of(Initiation::new(newest.to_be_bytes(), from(1))).is_some());
    }

    #[test]
    fn long_offers_are_bounded_in_octets() {
        let mut all = Embryos::default();
        let long = |n| Embryo { sa_i: vec![0; 15_000], ..embryo(1, from(n), Instant::ZERO) };
        for n in 0..2000 {
            all.add(long(n));
            assert!(all.octets <= EMBRYO_OCTETS_MAX);
        }
        assert!(
            all.len() < 600 && all.of(Initiation::new(1u64.to_be_bytes(), from(1999))).is_some()
        );
        assert!(all.pop_expired(Instant::ZERO + Duration::from_secs(29)).is_none());
        while all.pop_expired(Instant::ZERO + HALF_OPEN_LIFETIME).is_some() {}
        assert_eq!((all.len(), all.octets, all.deadline()), (0, 0, None));
        assert!(all.counts.is_empty() && all.by_source.is_empty() && all.places.is_empty());
    }

    #[test]
    fn only_the_right_cookie_from_the_right_place_finds_it() {
        let mut all = Embryos::default();
        let one = embryo(1, from(1), Instant::ZERO);
        let cookies = one.cookies;
        all.add(one);
        assert!(all.find(&cookies, from(1)).is_some());
        assert!(all.find(&cookies, from(2)).is_none());
        let other = Cookies { responder: [2; 8], ..cookies };
        assert!(all.find(&other, from(1)).is_none());
    }

    #[test]
    fn a_cookie_depends_on_everything_and_is_never_zero() {
        let provider = isthmus_crypto_aws::provider();
        let secret = SecretBytes::new(vec![3; 32]);
        let digest = |n| Digest::of_bytes([n; 32]);
        let make = |secret: &SecretBytes, who, n| cookie(&*provider, secret, who, &digest(n));
        let base = ([1; 8], from(1), false);
        let one = make(&secret, base, 0).unwrap();
        assert_eq!(make(&secret, base, 0), Ok(one));
        assert_ne!(one, [0; 8]);
        let others = [
            make(&SecretBytes::new(vec![4; 32]), base, 0),
            make(&secret, ([2; 8], from(1), false), 0),
            make(&secret, ([1; 8], from(2), false), 0),
            make(&secret, ([1; 8], from(1), true), 0),
            make(&secret, base, 1),
        ];
        assert!(others.iter().all(|other| *other != Ok(one)));
    }
}
