//! Key material against the samples of NIST, and what it seals.

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
    let proposal =
        IkeProposal { cipher: CipherAlg::Aes256Cbc, hash: HashAlg::Sha1, group: DhGroup::Modp1024 };
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
    assert_eq!(hash(Author::Initiator).expose(), hex("3385f67534bb1c693aa428ea8c61396937c7681e"));
    assert_eq!(hash(Author::Responder).expose(), hex("506688e3b302eb9d5e4e9a12655cb8a2a8c5d136"));
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
    assert_eq!(hash(&exchange.nonce_i).expose(), hex("4e767f457956cd3f9ed127f91f7dba5674847b3d"));
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
