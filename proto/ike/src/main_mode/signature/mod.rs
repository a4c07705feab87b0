//! Main mode with signatures (RFC 2409 §5.1, RFC 4754): messages 5 and 6 carry certificates and a
//! signature instead of a hash made with a common key.
//!
//! ```text
//!   5  {IDii, CERT .., SIG_I, [N]}    ->      judge (offloaded), sign (offloaded)
//!      judge (offloaded)              <-   6  {IDir, CERT .., SIG_R}
//! ```
//!
//! The keys follow from the Diffie-Hellman secret alone, so whoever sends message 5 has done the key
//! exchange with us; who it is comes out of the judgement. Certificates are only carried here.

pub(crate) mod initiator;
pub(crate) mod responder;

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Instant, Key, SecretBytes};
use isthmus_crypto::{Claim, CryptoError, JobOutput, KeyKind};
use isthmus_wire::{DecodeError, Fault};

use crate::action::Stage;
use crate::codec::{Chain, IdBody, Notification, Out};
use crate::config::{Certificates, OwnCertificate};
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::PayloadType;
use crate::identity::Identity;

/// What an IKE SA waits for while its main mode is being signed and judged.
pub(crate) enum State {
    // Responder.
    JudgingMm5(Box<responder::Judging>),
    SigningMm6(Box<responder::Signing>),
    // Initiator.
    SigningMm5(Box<initiator::Signing>),
    JudgingMm6(Box<initiator::Judging>),
}

impl State {
    pub(crate) const fn stage(&self) -> Stage {
        match self {
            Self::JudgingMm5(_)
            | Self::SigningMm6(_)
            | Self::SigningMm5(_)
            | Self::JudgingMm6(_) => Stage::Authentication,
        }
    }
}

/// The content of message 5 or 6, decrypted.
pub(crate) struct Signed {
    id: IdBody,
    /// The exact bytes that the signature covers.
    id_bytes: Vec<u8>,
    /// DER, the author's own first.
    chain: Vec<Vec<u8>>,
    signature: Vec<u8>,
    initial_contact: bool,
}

impl Signed {
    fn read(first: PayloadType, plain: &[u8]) -> Result<Self, Rejected> {
        let chain = Chain::read_decrypted(first, plain)?;
        let id_bytes = chain.required(PayloadType::ID)?;
        Ok(Self {
            id: IdBody::read(id_bytes)?,
            id_bytes: id_bytes.to_vec(),
            chain: certificates(&chain)?,
            signature: chain.required(PayloadType::SIGNATURE)?.to_vec(),
            initial_contact: Notification::is_initial_contact(&chain),
        })
    }
}

impl Signed {
    /// What is to be judged: that the author signed `digest`, and is `wanted` besides.
    fn claim(&self, kind: KeyKind, digest: &SecretBytes, wanted: Option<&Identity>) -> Claim {
        Claim {
            chain: self.chain.clone(),
            kind,
            digest: digest.expose().to_vec(),
            signature: self.signature.clone(),
            name: Identity::from_body(self.id.clone()).claimed(),
            wanted: wanted.map(Identity::claimed),
        }
    }
}

/// The X.509 certificates of a message. Other encodings are passed over, among them addresses to fetch
/// certificates from: nothing that a peer names is ever fetched.
fn certificates(chain: &Chain<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut found = Vec::new();
    for body in chain.all(PayloadType::CERT) {
        let Some((encoding, der)) = body.split_first() else {
            return Err(DecodeError::new("CERT", Fault::Truncated));
        };
        if *encoding != X509_SIGNATURE {
            continue;
        }
        if found.len() >= CERTIFICATES_MAX {
            return Err(DecodeError::new("CERT", Fault::TooMany));
        }
        if der.len() > CERTIFICATE_LEN_MAX {
            return Err(DecodeError::new("CERT", Fault::TooLong));
        }
        found.push(der.to_vec());
    }
    Ok(found)
}

/// ID, certificates and signature.
fn payloads(own: &OwnCertificate, id: &[u8], signature: &[u8]) -> Out {
    let mut out = Out::new().with(PayloadType::ID, id);
    for der in own.chain.iter().take(CERTIFICATES_MAX) {
        out.push(PayloadType::CERT, [&[X509_SIGNATURE], der.as_slice()].concat());
    }
    out.with(PayloadType::SIGNATURE, signature)
}

/// Asks for certificates of our authorities, in at most `allowance` bytes; without room for their names,
/// for any. Windows and strongSwan send no certificate unasked.
pub(crate) fn request_certificates(own: &Certificates, mut allowance: usize, out: &mut Out) {
    let mut asked = 0;
    for name in own.trust.authorities().iter().take(CERTIFICATE_REQUESTS_MAX) {
        let body = [&[X509_SIGNATURE], name.as_slice()].concat();
        let Some(left) = allowance.checked_sub(body.len() + GENERIC_LEN) else { continue };
        allowance = left;
        asked += 1;
        out.push(PayloadType::CERT_REQUEST, body);
    }
    if asked == 0 && allowance > GENERIC_LEN {
        out.push(PayloadType::CERT_REQUEST, [X509_SIGNATURE]);
    }
}

impl Endpoint {
    /// A signature was made, or a judgement.
    pub(crate) fn signature_job(
        &mut self,
        key: Key,
        state: State,
        result: Result<JobOutput, CryptoError>,
        now: Instant,
    ) {
        match state {
            State::JudgingMm5(state) => self.fifth_judged(key, *state, result),
            State::SigningMm6(state) => self.sixth_signed(key, &state, result, now),
            State::SigningMm5(state) => self.fifth_signed(key, *state, result, now),
            State::JudgingMm6(state) => self.sixth_judged(key, *state, result, now),
        }
    }
}

/// Certificate encoding "X.509 certificate - signature" (RFC 2408 §3.9).
const X509_SIGNATURE: u8 = 4;
/// Length of a payload's header.
const GENERIC_LEN: usize = 4;
/// Most certificates taken from a message.
pub const CERTIFICATES_MAX: usize = 6;
/// Longest certificate taken.
pub const CERTIFICATE_LEN_MAX: usize = 8192;
/// Most authorities named when asking for certificates.
pub const CERTIFICATE_REQUESTS_MAX: usize = 8;
