//! ESP transforms: AEAD and encrypt-then-MAC.

mod cbc_hmac;
mod gcm;
mod interleave;
mod mac;

use isthmus_crypto::{
    CipherAlg, CryptoError, EspCipher, EspJob, EspKeys, EspSuite, EspWay, HashAlg,
};

/// The transform of a suite with its keys expanded, for packets that go `only` one way or both.
pub(crate) fn transform(
    suite: EspSuite,
    keys: &EspKeys,
    only: Option<EspWay>,
) -> Result<Box<dyn EspCipher>, CryptoError> {
    if keys.cipher.len() != suite.cipher_key_len() + suite.salt_len()
        || keys.integrity.len() != suite.integrity_key_len()
    {
        return Err(CryptoError::BadLength);
    }
    match parts(suite) {
        Parts::Aead => Ok(Box::new(gcm::Gcm::new(suite, keys)?)),
        Parts::Generic(cipher, hash) => {
            Ok(Box::new(cbc_hmac::CbcHmac::new((suite, cipher, hash), keys, only)?))
        }
    }
}

/// How a suite is made up.
enum Parts {
    Aead,
    Generic(CipherAlg, HashAlg),
}

fn parts(suite: EspSuite) -> Parts {
    match suite {
        EspSuite::Aes128CbcSha1 => Parts::Generic(CipherAlg::Aes128Cbc, HashAlg::Sha1),
        EspSuite::Aes192CbcSha1 => Parts::Generic(CipherAlg::Aes192Cbc, HashAlg::Sha1),
        EspSuite::Aes256CbcSha1 => Parts::Generic(CipherAlg::Aes256Cbc, HashAlg::Sha1),
        EspSuite::Aes128CbcSha256 | EspSuite::Aes128CbcSha256Cut96 => {
            Parts::Generic(CipherAlg::Aes128Cbc, HashAlg::Sha256)
        }
        EspSuite::Aes256CbcSha256 | EspSuite::Aes256CbcSha256Cut96 => {
            Parts::Generic(CipherAlg::Aes256Cbc, HashAlg::Sha256)
        }
        EspSuite::Aes128CbcSha384 => Parts::Generic(CipherAlg::Aes128Cbc, HashAlg::Sha384),
        EspSuite::Aes256CbcSha384 => Parts::Generic(CipherAlg::Aes256Cbc, HashAlg::Sha384),
        EspSuite::Aes128CbcSha512 => Parts::Generic(CipherAlg::Aes128Cbc, HashAlg::Sha512),
        EspSuite::Aes256CbcSha512 => Parts::Generic(CipherAlg::Aes256Cbc, HashAlg::Sha512),
        EspSuite::TripleDesSha1 => Parts::Generic(CipherAlg::TripleDesCbc, HashAlg::Sha1),
        EspSuite::Aes128Gcm16 | EspSuite::Aes256Gcm16 => Parts::Aead,
    }
}

/// The fields of a packet, lengths checked.
struct Fields<'a> {
    /// SPI and sequence number.
    header: &'a [u8; HEADER_LEN],
    iv: &'a [u8],
    body: &'a mut [u8],
    icv: &'a mut [u8],
}

impl<'a> Fields<'a> {
    /// Cuts a packet; none when it is too short or its body is not whole blocks.
    fn split(suite: EspSuite, packet: &'a mut [u8]) -> Option<Self> {
        let (header, rest) = packet.split_first_chunk_mut::<HEADER_LEN>()?;
        let (iv, rest) = rest.split_at_mut_checked(suite.iv_len())?;
        let body_len = rest.len().checked_sub(suite.icv_len())?;
        let (body, icv) = rest.split_at_mut_checked(body_len)?;
        let whole = !body.is_empty() && body.len().is_multiple_of(suite.block_len());
        whole.then_some(Self { header, iv, body, icv })
    }
}

/// Whether the packet can be cut into [`Fields`].
fn well_formed(suite: EspSuite, job: &EspJob<'_>) -> bool {
    let overhead = HEADER_LEN + suite.iv_len() + suite.icv_len();
    job.packet
        .len()
        .checked_sub(overhead)
        .is_some_and(|body| body > 0 && body.is_multiple_of(suite.block_len()))
}

/// SPI and sequence number.
const HEADER_LEN: usize = 8;
