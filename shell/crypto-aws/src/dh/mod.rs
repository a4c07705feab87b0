//! Diffie-Hellman: dispatch of jobs to the two families of groups.

mod bignum;
mod ecp;
mod modp;
pub(crate) mod primes;

use isthmus_core::SecretBytes;
use isthmus_crypto::{CryptoError, DhGroup, DhJob, DhKeyPair, DhOutput, DhPrivate};

/// Runs one job.
pub(crate) fn run(job: &DhJob) -> Result<DhOutput, CryptoError> {
    match job {
        DhJob::Generate { group, seed } => generate(*group, *seed).map(DhOutput::KeyPair),
        DhJob::GenerateAndAgree { group, seed, peer } => {
            // A hostile share is found out before the first slow operation.
            check_peer(*group, peer)?;
            let pair = generate(*group, *seed)?;
            let shared = agree(*group, &pair.private, peer)?;
            Ok(DhOutput::Both(pair, shared))
        }
        DhJob::Agree { group, private, peer } => {
            check_peer(*group, peer)?;
            agree(*group, private, peer).map(DhOutput::Shared)
        }
    }
}

fn generate(group: DhGroup, seed: isthmus_core::Seed) -> Result<DhKeyPair, CryptoError> {
    match family(group) {
        Family::Ecp(curve) => ecp::generate(curve, seed),
        Family::Modp(params) => modp::generate(params, seed),
    }
}

fn agree(group: DhGroup, private: &DhPrivate, peer: &[u8]) -> Result<SecretBytes, CryptoError> {
    match family(group) {
        Family::Ecp(curve) => ecp::agree(curve, private, peer),
        Family::Modp(params) => modp::agree(params, private, peer),
    }
}

/// The cheap checks; whether a point is on its curve is seen by the library when it agrees.
fn check_peer(group: DhGroup, peer: &[u8]) -> Result<(), CryptoError> {
    if peer.len() != group.public_len() {
        return Err(CryptoError::BadLength);
    }
    match family(group) {
        Family::Ecp(_) => Ok(()),
        Family::Modp(params) => modp::check_public(params, peer),
    }
}

/// The arithmetic a group needs.
enum Family {
    Ecp(ecp::Curve),
    Modp(&'static modp::Params),
}

fn family(group: DhGroup) -> Family {
    match group {
        DhGroup::Ecp256 => Family::Ecp(ecp::Curve::P256),
        DhGroup::Ecp384 => Family::Ecp(ecp::Curve::P384),
        DhGroup::Modp1024 => Family::Modp(&modp::MODP_1024),
        DhGroup::Modp1536 => Family::Modp(&modp::MODP_1536),
        DhGroup::Modp2048 => Family::Modp(&modp::MODP_2048),
        DhGroup::Modp3072 => Family::Modp(&modp::MODP_3072),
        DhGroup::Modp4096 => Family::Modp(&modp::MODP_4096),
    }
}
