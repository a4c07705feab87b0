//! NAT detection (RFC 3947 §3.2 and the drafts 02 and 03 before it).
//!
//! Each side sends hashes of the addresses it sees. We compare every hash received with both
//! addresses and ask no particular order or number: RFC 3947 puts the destination first, drafts 04 to
//! 08 put it last, multihomed hosts send several sources.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use isthmus_core::{Encap, Path};
use isthmus_crypto::{CryptoError, HashAlg, Provider};
use serde::{Deserialize, Serialize};

use crate::codec::{Chain, Cookies, Out};
use crate::iana::{Encapsulation, PayloadType};
use crate::vendor::NatT;

/// Which ends are behind a NAT, as far as the hashes tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatStatus {
    /// We are, or the peer says so.
    pub local: bool,
    /// The peer is.
    pub remote: bool,
}

impl NatStatus {
    /// Whether ESP must travel in UDP.
    pub const fn any(self) -> bool {
        self.local || self.remote
    }

    /// How ESP travels: in UDP across a NAT, or when that is `forced`.
    pub(crate) const fn encap(self, forced: bool) -> Encap {
        if self.any() || forced { Encap::Udp } else { Encap::Esp }
    }
}

/// `HASH(CKY-I | CKY-R | IP | Port)`.
pub(crate) fn nat_d(
    provider: &dyn Provider,
    hash: HashAlg,
    cookies: &Cookies,
    address: SocketAddr,
) -> Result<Vec<u8>, CryptoError> {
    let (v4, v6);
    let ip: &[u8] = match address.ip() {
        IpAddr::V4(ip) => {
            v4 = ip.octets();
            &v4
        }
        IpAddr::V6(ip) => {
            v6 = ip.octets();
            &v6
        }
    };
    let mut out = alloc::vec![0; hash.len()];
    let parts: [&[u8]; 3] = [&cookies.concat(), ip, &address.port().to_be_bytes()];
    provider.hash(hash, &parts, &mut out)?;
    Ok(out)
}

/// Every NAT-D body of a message, whichever number it came under.
pub(crate) fn received(chain: &Chain<'_>) -> Vec<Vec<u8>> {
    let is_nat_d = |kind| matches!(kind, PayloadType::NAT_D | PayloadType::NAT_D_DRAFT);
    chain.iter().filter(|p| is_nat_d(p.kind)).map(|p| p.body.to_vec()).collect()
}

/// Compares what was received with the path it came on. A peer that sends none is not behind a NAT
/// and neither are we, as far as we shall ever know.
pub(crate) fn detect(
    provider: &dyn Provider,
    hash: HashAlg,
    cookies: &Cookies,
    path: Path,
    received: &[Vec<u8>],
) -> Result<NatStatus, CryptoError> {
    if received.is_empty() {
        return Ok(NatStatus::default());
    }
    let local = nat_d(provider, hash, cookies, path.local)?;
    let remote = nat_d(provider, hash, cookies, path.remote)?;
    Ok(NatStatus { local: !received.contains(&local), remote: !received.contains(&remote) })
}

/// How our own NAT-D payloads stray from the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disguise<'a> {
    /// Make the peer believe that it is behind a NAT, so that it uses UDP.
    pub(crate) force: bool,
    /// Send this as the hash of our own address.
    pub(crate) source: Option<&'a [u8]>,
    /// Payload type instead of the dialect's.
    pub(crate) number: Option<PayloadType>,
}

/// Appends our NAT-D payloads: the peer's address first, ours second (RFC 3947 §3.2).
pub(crate) fn announce(
    provider: &dyn Provider,
    (dialect, hash): (NatT, HashAlg),
    cookies: &Cookies,
    path: Path,
    disguise: Disguise<'_>,
    out: &mut Out,
) -> Result<(), CryptoError> {
    let kind = disguise.number.unwrap_or(match dialect {
        NatT::Rfc3947 => PayloadType::NAT_D,
        NatT::Draft02 | NatT::Draft02N | NatT::Draft03 => PayloadType::NAT_D_DRAFT,
    });
    let mut destination = nat_d(provider, hash, cookies, path.remote)?;
    if disguise.force {
        for byte in &mut destination {
            *byte = !*byte;
        }
    }
    let source = match disguise.source.filter(|source| source.len() == hash.len()) {
        Some(source) => source.to_vec(),
        None => nat_d(provider, hash, cookies, path.local)?,
    };
    out.push(kind, destination);
    out.push(kind, source);
    Ok(())
}

/// The payload type of NAT-OA in a dialect.
pub(crate) const fn nat_oa(dialect: NatT) -> PayloadType {
    match dialect {
        NatT::Rfc3947 => PayloadType::NAT_OA,
        NatT::Draft02 | NatT::Draft02N | NatT::Draft03 => PayloadType::NAT_OA_DRAFT,
    }
}

/// The number of UDP-encapsulated transport mode in a dialect.
pub(crate) const fn udp_transport(dialect: NatT) -> Encapsulation {
    match dialect {
        NatT::Rfc3947 => Encapsulation::UDP_TRANSPORT,
        NatT::Draft02 | NatT::Draft02N | NatT::Draft03 => Encapsulation::UDP_TRANSPORT_DRAFT,
    }
}
