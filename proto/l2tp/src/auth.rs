//! Tunnel authentication (RFC 2661 §5.1.1): a CHAP-like proof of a shared secret, both ways.

use isthmus_core::ct_eq;
use isthmus_crypto::{CryptoError, HashAlg, Provider};

use crate::iana::MessageType;

/// The answer to a challenge. `carrier` is the message that carries the answer, SCCRP or SCCCN: its
/// number is the CHAP identifier, so an answer cannot be sent back to its author.
pub(crate) fn response(
    provider: &dyn Provider,
    carrier: MessageType,
    secret: &[u8],
    challenge: &[u8],
) -> Result<[u8; 16], CryptoError> {
    let mut out = [0; 16];
    let [_, id] = carrier.0.to_be_bytes();
    provider.hash(HashAlg::Md5, &[&[id], secret, challenge], &mut out)?;
    Ok(out)
}

/// Whether `answer` is right, in constant time.
pub(crate) fn verify(
    provider: &dyn Provider,
    carrier: MessageType,
    (secret, challenge): (&[u8], &[u8]),
    answer: Option<[u8; 16]>,
) -> bool {
    let Some(answer) = answer else { return false };
    response(provider, carrier, secret, challenge).is_ok_and(|right| ct_eq(&right, &answer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::md5;

    /// Made with another implementation (Python's hashlib): secret "secret", challenge 00..0f.
    #[test]
    fn an_independent_response_is_right() {
        let challenge: [u8; 16] = core::array::from_fn(|n| u8::try_from(n).unwrap());
        let sccrp = 0xdd41_86e2_196f_0012_4a9d_588f_0270_1259_u128.to_be_bytes();
        let scccn = 0x8f3c_2fa6_fcfe_a722_15ae_83ea_89ec_2b77_u128.to_be_bytes();
        let provider = md5();
        let given = (&b"secret"[..], &challenge[..]);
        assert!(verify(&*provider, MessageType::SCCRP, given, Some(sccrp)));
        assert!(verify(&*provider, MessageType::SCCCN, given, Some(scccn)));
        assert!(!verify(&*provider, MessageType::SCCCN, given, Some(sccrp)), "replayed answer");
        assert!(!verify(&*provider, MessageType::SCCRP, (b"wrong", &challenge), Some(sccrp)));
        assert!(!verify(&*provider, MessageType::SCCRP, given, None));
    }
}
