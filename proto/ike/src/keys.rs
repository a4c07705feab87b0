//! Key derivation and encryption of IKE messages (RFC 2409 §5, §5.5, §B).

use alloc::vec::Vec;

use isthmus_core::SecretBytes;
use isthmus_crypto::{
    CipherAlg, CryptoError, EspKeys, EspSuite, HashAlg, KeyKind, Provider, hmac_vec,
};
use isthmus_wire::Writer;
use serde::{Deserialize, Serialize};

use crate::codec::{Chain, Cookies, Flags, Header, Message, Out};
use crate::error::Rejected;
use crate::iana::{ExchangeType, PayloadType, ProtocolId};
use crate::proposal::IkeProposal;

/// What main mode leaves behind: everything that protects the rest of an IKE SA's life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IkeKeys {
    hash: HashAlg,
    cipher: CipherAlg,
    /// Derives keys for children.
    skeyid_d: SecretBytes,
    /// Authenticates phase 2.
    skeyid_a: SecretBytes,
    /// Encrypts.
    encryption: SecretBytes,
}

/// Both Diffie-Hellman shares, both nonces and the shared secret of one main mode.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) cookies: Cookies,
    pub(crate) ke_i: Vec<u8>,
    pub(crate) ke_r: Vec<u8>,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
    pub(crate) shared: SecretBytes,
}

/// Keys of a main mode that is not authenticated yet.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Authenticates phase 1; forgotten afterwards.
    skeyid: SecretBytes,
    pub(crate) keys: IkeKeys,
}

/// Which of the two phase 1 hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    Initiator,
    Responder,
}

impl Candidate {
    /// SKEYID and what follows from it (RFC 2409 §5).
    pub(crate) fn derive(
        provider: &dyn Provider,
        proposal: IkeProposal,
        psk: &SecretBytes,
        exchange: &Exchange,
    ) -> Result<Self, CryptoError> {
        let nonces: [&[u8]; 2] = [&exchange.nonce_i, &exchange.nonce_r];
        let skeyid = hmac_vec(provider, proposal.hash, psk.expose(), &nonces)?;
        Self::of_skeyid(provider, proposal, skeyid, exchange)
    }

    /// The same for signatures, where nothing but the key exchange is secret.
    pub(crate) fn derive_signed(
        provider: &dyn Provider,
        proposal: IkeProposal,
        exchange: &Exchange,
    ) -> Result<Self, CryptoError> {
        let nonces = [exchange.nonce_i.as_slice(), &exchange.nonce_r].concat();
        let skeyid = hmac_vec(provider, proposal.hash, &nonces, &[exchange.shared.expose()])?;
        Self::of_skeyid(provider, proposal, skeyid, exchange)
    }

    fn of_skeyid(
        provider: &dyn Provider,
        proposal: IkeProposal,
        skeyid: SecretBytes,
        exchange: &Exchange,
    ) -> Result<Self, CryptoError> {
        let alg = proposal.hash;
        let prf = |key: &SecretBytes, parts: &[&[u8]]| hmac_vec(provider, alg, key.expose(), parts);
        let (shared, cookies) = (exchange.shared.expose(), exchange.cookies.concat());
        let skeyid_d = prf(&skeyid, &[shared, &cookies, &[0]])?;
        let skeyid_a = prf(&skeyid, &[skeyid_d.expose(), shared, &cookies, &[1]])?;
        let skeyid_e = prf(&skeyid, &[skeyid_a.expose(), shared, &cookies, &[2]])?;
        let encryption = encryption_key(provider, alg, &skeyid_e, proposal.cipher.key_len())?;
        let keys = IkeKeys { hash: alg, cipher: proposal.cipher, skeyid_d, skeyid_a, encryption };
        Ok(Self { skeyid, keys })
    }

    /// `HASH_I` or `HASH_R` (RFC 2409 §5).
    pub(crate) fn phase1_hash(
        &self,
        provider: &dyn Provider,
        exchange: &Exchange,
        author: Author,
        sa_i: &[u8],
        id: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        self.hash_with(provider, self.keys.hash, exchange, author, (sa_i, id))
    }

    /// `HASH_I` or `HASH_R` as a signature covers it: a kind of key that is tied to a hash has the HMAC
    /// of that one (RFC 2409 §5.1).
    pub(crate) fn signed_hash(
        &self,
        provider: &dyn Provider,
        exchange: &Exchange,
        (author, kind): (Author, KeyKind),
        sa_i: &[u8],
        id: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        let alg = kind.hash().unwrap_or(self.keys.hash);
        self.hash_with(provider, alg, exchange, author, (sa_i, id))
    }

    fn hash_with(
        &self,
        provider: &dyn Provider,
        alg: HashAlg,
        exchange: &Exchange,
        author: Author,
        (sa_i, id): (&[u8], &[u8]),
    ) -> Result<SecretBytes, CryptoError> {
        let (i, r) = (&exchange.cookies.initiator, &exchange.cookies.responder);
        let (own_ke, other_ke, own_cookie, other_cookie) = match author {
            Author::Initiator => (&exchange.ke_i, &exchange.ke_r, i, r),
            Author::Responder => (&exchange.ke_r, &exchange.ke_i, r, i),
        };
        let parts: [&[u8]; 6] = [own_ke, other_ke, own_cookie, other_cookie, sa_i, id];
        hmac_vec(provider, alg, self.skeyid.expose(), &parts)
    }

    /// The IV of the first encrypted message (RFC 2409 §B).
    pub(crate) fn first_iv(
        &self,
        provider: &dyn Provider,
        exchange: &Exchange,
    ) -> Result<Vec<u8>, CryptoError> {
        self.keys.iv(provider, &[&exchange.ke_i, &exchange.ke_r])
    }
}

impl IkeKeys {
    /// Encrypts a chain into a whole message; also returns the IV of the message after it.
    pub(crate) fn seal(
        &self,
        provider: &dyn Provider,
        iv: &[u8],
        (cookies, exchange, message_id): (Cookies, ExchangeType, u32),
        chain: &Out,
    ) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        let block = self.cipher.block_len();
        let mut body = chain.to_bytes();
        body.resize(body.len().next_multiple_of(block), 0);
        provider.cbc_encrypt(self.cipher, self.encryption.expose(), iv, &mut body)?;
        let flags = Flags::ENCRYPTION;
        let header = Header { cookies, first: chain.first(), exchange, flags, message_id };
        let mut w = Writer::new();
        header.write(&mut w, body.len());
        w.bytes(&body);
        Ok((w.into_vec(), last_block(&body, block)))
    }

    /// Decrypts a message's body; also returns the IV of the message after it.
    pub(crate) fn open(
        &self,
        provider: &dyn Provider,
        iv: &[u8],
        message: &Message<'_>,
    ) -> Result<(Vec<u8>, Vec<u8>), Rejected> {
        let block = self.cipher.block_len();
        if message.body.is_empty() || !message.body.len().is_multiple_of(block) {
            return Err(Rejected::Undecryptable);
        }
        let next = last_block(message.body, block);
        let mut plain = message.body.to_vec();
        provider.cbc_decrypt(self.cipher, self.encryption.expose(), iv, &mut plain)?;
        Ok((plain, next))
    }

    /// The IV of the first message of a phase 2 exchange (RFC 2409 §5.5, §B).
    pub(crate) fn phase2_iv(
        &self,
        provider: &dyn Provider,
        last_phase1_block: &[u8],
        message_id: u32,
    ) -> Result<Vec<u8>, CryptoError> {
        self.iv(provider, &[last_phase1_block, &message_id.to_be_bytes()])
    }

    /// A HASH over `parts` under the authentication key, message id first (RFC 2409 §5.5).
    pub(crate) fn phase2_hash(
        &self,
        provider: &dyn Provider,
        message_id: u32,
        parts: &[&[u8]],
    ) -> Result<SecretBytes, CryptoError> {
        let id = message_id.to_be_bytes();
        let all: Vec<&[u8]> = [&id[..]].into_iter().chain(parts.iter().copied()).collect();
        hmac_vec(provider, self.hash, self.skeyid_a.expose(), &all)
    }

    /// `HASH(3)` (RFC 2409 §5.5), the only one with a byte before the message id.
    pub(crate) fn quick_hash3(
        &self,
        provider: &dyn Provider,
        message_id: u32,
        nonces: [&[u8]; 2],
    ) -> Result<SecretBytes, CryptoError> {
        let id = message_id.to_be_bytes();
        let [nonce_i, nonce_r] = nonces;
        let parts: [&[u8]; 4] = [&[0], &id, nonce_i, nonce_r];
        hmac_vec(provider, self.hash, self.skeyid_a.expose(), &parts)
    }

    /// Verifies the HASH that starts a decrypted chain. `between` goes between the message id and
    /// the payloads: nothing for `HASH(1)` and informational, the initiator's nonce for `HASH(2)`.
    pub(crate) fn verify_phase2(
        &self,
        provider: &dyn Provider,
        message_id: u32,
        between: &[u8],
        chain: &Chain<'_>,
    ) -> Result<(), Rejected> {
        let (hash, rest) = chain.hashed().map_err(Rejected::Decode)?;
        let expected = self.phase2_hash(provider, message_id, &[between, rest])?;
        if expected.ct_eq(hash) { Ok(()) } else { Err(Rejected::HashMismatch) }
    }

    /// Puts the HASH in front that [`IkeKeys::verify_phase2`] expects.
    pub(crate) fn hashed(
        &self,
        provider: &dyn Provider,
        message_id: u32,
        between: &[u8],
        rest: Out,
    ) -> Result<Out, CryptoError> {
        let hash = self.phase2_hash(provider, message_id, &[between, &rest.to_bytes()])?;
        Ok(rest.preceded_by(PayloadType::HASH, hash.expose()))
    }

    /// Keys for one direction of a child (RFC 2409 §5.5).
    pub(crate) fn child_keys(
        &self,
        provider: &dyn Provider,
        suite: EspSuite,
        spi: u32,
        seed: &ChildSeed,
    ) -> Result<EspKeys, CryptoError> {
        let shared = seed.shared.as_ref().map_or(&[][..], SecretBytes::expose);
        let (protocol, spi) = ([ProtocolId::ESP.0], spi.to_be_bytes());
        let parts: [&[u8]; 5] = [shared, &protocol, &spi, &seed.nonce_i, &seed.nonce_r];
        let keymat = expand(provider, self.hash, &self.skeyid_d, &parts, suite.keymat_len())?;
        EspKeys::from_keymat(suite, keymat.expose()).ok_or(CryptoError::BadLength)
    }

    fn iv(&self, provider: &dyn Provider, parts: &[&[u8]]) -> Result<Vec<u8>, CryptoError> {
        let mut iv = alloc::vec![0; self.hash.len()];
        provider.hash(self.hash, parts, &mut iv)?;
        iv.truncate(self.cipher.block_len());
        Ok(iv)
    }
}

/// What KEYMAT is made from besides the IKE SA.
#[derive(Clone, Debug)]
pub(crate) struct ChildSeed {
    /// The quick mode's own Diffie-Hellman secret, with perfect forward secrecy.
    pub(crate) shared: Option<SecretBytes>,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
}

/// The encryption key: `SKEYID_e` cut, or stretched by feeding the PRF to itself (RFC 2409 §B).
fn encryption_key(
    provider: &dyn Provider,
    alg: HashAlg,
    skeyid_e: &SecretBytes,
    len: usize,
) -> Result<SecretBytes, CryptoError> {
    if skeyid_e.len() >= len {
        return Ok(SecretBytes::copy_of(skeyid_e.expose().get(..len).unwrap_or_default()));
    }
    let mut key = SecretBytes::default();
    let mut block = hmac_vec(provider, alg, skeyid_e.expose(), &[&[0]])?;
    while key.len() < len {
        key = joined(&key, &block);
        block = hmac_vec(provider, alg, skeyid_e.expose(), &[block.expose()])?;
    }
    Ok(SecretBytes::copy_of(key.expose().get(..len).unwrap_or_default()))
}

/// `K1 | K2 | ..` with each block feeding the next (RFC 2409 §5.5).
fn expand(
    provider: &dyn Provider,
    alg: HashAlg,
    key: &SecretBytes,
    parts: &[&[u8]],
    len: usize,
) -> Result<SecretBytes, CryptoError> {
    let mut keymat = SecretBytes::default();
    let mut block = SecretBytes::default();
    while keymat.len() < len {
        let all: Vec<&[u8]> = [block.expose()].into_iter().chain(parts.iter().copied()).collect();
        block = hmac_vec(provider, alg, key.expose(), &all)?;
        keymat = joined(&keymat, &block);
    }
    Ok(SecretBytes::copy_of(keymat.expose().get(..len).unwrap_or_default()))
}

fn joined(left: &SecretBytes, right: &SecretBytes) -> SecretBytes {
    SecretBytes::new([left.expose(), right.expose()].concat())
}

fn last_block(bytes: &[u8], block: usize) -> Vec<u8> {
    bytes.get(bytes.len().saturating_sub(block)..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests;
