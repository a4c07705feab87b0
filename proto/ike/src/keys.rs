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
mod tests {
    extern crate std;
    use std::vec;

    use isthmus_crypto::DhGroup;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digit = |b: &u8| u8::try_from(char::from(*b).to_digit(16).unwrap()).unwrap();
        text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
    }

    /// NIST ACVP sample for IKEv1 with a pre-shared key, SHA-1, test case 100.
    fn nist() -> (Candidate, Exchange) {
        let exchange = Exchange {
            cookies: Cookies {
                initiator: hex("83d374c30b3b5082").try_into().unwrap(),
                responder: hex("5afc0da06c728029").try_into().unwrap(),
            },
            ke_i: vec![0x11; 128],
            ke_r: vec![0x22; 128],
            nonce_i: hex("b9a2d0e922dc66dd"),
            nonce_r: hex("2130166863b5ddef"),
            shared: SecretBytes::new(hex(
                "739003ba2c11c982946c65e26acf661fbf8ebb78011a9fead79efa12fe3e71cc",
            )),
        };
        let proposal = IkeProposal {
            cipher: CipherAlg::Aes256Cbc,
            hash: HashAlg::Sha1,
            group: DhGroup::Modp1024,
        };
        let provider = isthmus_crypto_aws::provider();
        let psk = SecretBytes::new(hex("75"));
        (Candidate::derive(&*provider, proposal, &psk, &exchange).unwrap(), exchange)
    }

    #[test]
    fn the_skeyids_are_those_of_nist() {
        let (candidate, _) = nist();
        let is = |key: &SecretBytes, text| assert_eq!(key.expose(), hex(text));
        is(&candidate.skeyid, "62b04d112877e442fc3282fc37c076997718a0b9");
        is(&candidate.keys.skeyid_d, "369e5aad1bdb5faf6a3d929d500cdc236710a9ab");
        is(&candidate.keys.skeyid_a, "588e957d8d790d093b3a39f121473473af78e9bb");
    }

    // The values below were computed from the same sample by another implementation (Python's hmac).

    #[test]
    fn the_encryption_key_is_stretched_when_the_hash_is_too_short() {
        let (candidate, _) = nist();
        assert_eq!(
            candidate.keys.encryption.expose(),
            hex("9ce3201d5c6cf897a6cba863e68c634d8d63805d1f20e30bf6884e2a4ee9fc8a")
        );
    }

    #[test]
    fn the_hashes_of_phase_1_cover_each_side_first_for_its_author() {
        let (candidate, exchange) = nist();
        let provider = isthmus_crypto_aws::provider();
        let id = hex("010000000a000001");
        let hash =
            |author| candidate.phase1_hash(&*provider, &exchange, author, b"SA body", &id).unwrap();
        assert_eq!(
            hash(Author::Initiator).expose(),
            hex("3385f67534bb1c693aa428ea8c61396937c7681e")
        );
        assert_eq!(
            hash(Author::Responder).expose(),
            hex("506688e3b302eb9d5e4e9a12655cb8a2a8c5d136")
        );
    }

    #[test]
    fn ivs_follow_from_the_shares_and_then_from_the_last_block() {
        let (candidate, exchange) = nist();
        let provider = isthmus_crypto_aws::provider();
        let iv = candidate.first_iv(&*provider, &exchange).unwrap();
        assert_eq!(iv, hex("2e42591c7434efb5f6a4e77048182b4f"));
        let second = candidate.keys.phase2_iv(&*provider, &iv, 1).unwrap();
        assert_eq!(second, hex("fb18b1615a9ebb8378d69014128388f8"));
    }

    #[test]
    fn the_three_hashes_of_quick_mode() {
        let (candidate, exchange) = nist();
        let provider = isthmus_crypto_aws::provider();
        let keys = &candidate.keys;
        let hash = |between: &[u8]| keys.phase2_hash(&*provider, 1, &[between, b"rest"]).unwrap();
        assert_eq!(hash(&[]).expose(), hex("a0d685bdb6fa5c0de444890578672d5de3be1449"));
        assert_eq!(
            hash(&exchange.nonce_i).expose(),
            hex("4e767f457956cd3f9ed127f91f7dba5674847b3d")
        );
        let nonces = [exchange.nonce_i.as_slice(), exchange.nonce_r.as_slice()];
        let third = keys.quick_hash3(&*provider, 1, nonces).unwrap();
        assert_eq!(third.expose(), hex("21a85720f82c3dcb75442217cd9da7164b51bf36"));
    }

    #[test]
    fn keymat_is_expanded_with_and_without_forward_secrecy() {
        let (candidate, exchange) = nist();
        let provider = isthmus_crypto_aws::provider();
        let keymat = |shared: Option<SecretBytes>| {
            let (nonce_i, nonce_r) = (exchange.nonce_i.clone(), exchange.nonce_r.clone());
            let seed = ChildSeed { shared, nonce_i, nonce_r };
            let suite = EspSuite::Aes256CbcSha1;
            let keys = candidate.keys.child_keys(&*provider, suite, 0x0010_0000, &seed).unwrap();
            [keys.cipher.expose(), keys.integrity.expose()].concat()
        };
        assert_eq!(
            keymat(None),
            hex(
                "ddc3387d1184f55655a30a8c5c561498af10fa1950557d75a38df864f7c5991f6da4cf1be2b8cf9a464c52a4d9ee307bb105e5bd"
            )
        );
        assert_eq!(
            keymat(Some(exchange.shared.clone())),
            hex(
                "51c28a6d88d27cb6b4123955ab73f53f523b26636dbe46811701b391233e830663f5cf8e99bd628932a886928b314be6206ffc26"
            )
        );
    }

    #[test]
    fn what_was_sealed_opens_and_chains_its_iv() {
        let (candidate, exchange) = nist();
        let provider = isthmus_crypto_aws::provider();
        let keys = &candidate.keys;
        let chain = Out::new().with(PayloadType::NONCE, vec![7; 21]);
        let about = (exchange.cookies, ExchangeType::QUICK_MODE, 9);
        let (bytes, next) = keys.seal(&*provider, &[3; 16], about, &chain).unwrap();
        assert_eq!(bytes.len(), Header::LEN + 32);
        assert_eq!(next, &bytes[bytes.len() - 16..]);
        let message = Message::read(&bytes).unwrap();
        let (plain, iv) = keys.open(&*provider, &[3; 16], &message).unwrap();
        assert_eq!(iv, next);
        let back = Chain::read_decrypted(message.header.first, &plain).unwrap();
        assert_eq!(back.required(PayloadType::NONCE), Ok(&[7; 21][..]));
        let (garbled, _) = keys.open(&*provider, &[4; 16], &message).unwrap();
        assert_ne!(garbled, plain);
    }

    #[test]
    fn a_body_of_no_whole_block_does_not_decrypt() {
        let (candidate, exchange) = nist();
        let provider = isthmus_crypto_aws::provider();
        let about = (exchange.cookies, ExchangeType::QUICK_MODE, 9);
        let chain = Out::new().with(PayloadType::NONCE, vec![7; 21]);
        let (bytes, _) = candidate.keys.seal(&*provider, &[3; 16], about, &chain).unwrap();
        let mut message = Message::read(&bytes).unwrap();
        for len in [0, 1, 15, 17, 31] {
            message.body = &bytes[Header::LEN..Header::LEN + len];
            let opened = candidate.keys.open(&*provider, &[3; 16], &message);
            assert_eq!(opened.unwrap_err(), Rejected::Undecryptable);
        }
    }
}
