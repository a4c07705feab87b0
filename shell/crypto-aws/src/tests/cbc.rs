//! RFC 3602 §4, NIST SP 800-38A appendix F.2, NIST SP 800-67 and DES.

use isthmus_crypto::{CipherAlg, CryptoError, HashAlg};

use super::hex;
use crate::provider;

/// Checks one known answer both ways.
fn check(alg: CipherAlg, key: &str, iv: &str, plain: &[u8], cipher: &str) {
    let (key, iv, cipher) = (hex(key), hex(iv), hex(cipher));
    let mut data = plain.to_vec();
    provider().cbc_encrypt(alg, &key, &iv, &mut data).unwrap();
    assert_eq!(data, cipher);
    provider().cbc_decrypt(alg, &key, &iv, &mut data).unwrap();
    assert_eq!(data, plain);
}

#[test]
fn aes_128_matches_rfc_3602_cases_1_to_4() {
    check(
        CipherAlg::Aes128Cbc,
        "06a9214036b8a15b512e03d534120006",
        "3dafba429d9eb430b422da802c9fac41",
        b"Single block msg",
        "e353779c1079aeb82708942dbe77181a",
    );
    check(
        CipherAlg::Aes128Cbc,
        "c286696d887c9aa0611bbb3e2025a45a",
        "562e17996d093d28ddb3ba695a2e6f58",
        &(0..32).collect::<Vec<u8>>(),
        "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
    );
    check(
        CipherAlg::Aes128Cbc,
        "6c3ea0477630ce21a2ce334aa746c2cd",
        "c782dc4c098c66cbd9cd27d825682c81",
        b"This is a 48-byte message (exactly 3 AES blocks)",
        "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5
         021c19216bad525c8579695d83ba2684",
    );
    check(
        CipherAlg::Aes128Cbc,
        "56e47a38c5598974bc46903dba290349",
        "8ce82eefbea0da3c44699ed7db51b7d9",
        &(0xa0..0xe0).collect::<Vec<u8>>(),
        "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e
         35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
    );
}

#[test]
fn aes_192_and_256_match_sp_800_38a() {
    let plain = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    check(
        CipherAlg::Aes192Cbc,
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        "000102030405060708090a0b0c0d0e0f",
        &plain,
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a
         571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
    );
    check(
        CipherAlg::Aes256Cbc,
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        "000102030405060708090a0b0c0d0e0f",
        &plain,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d
         39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    );
}

#[test]
fn triple_des_matches_sp_800_67_block_by_block() {
    let key = "0123456789abcdef23456789abcdef01456789abcdef0123";
    let blocks = [
        (b"The qufc", "a826fd8ce53b855f"),
        (b"k brown ", "cce21c8112256fe6"),
        (b"fox jump", "68d5c05dd9b6b900"),
    ];
    for (plain, cipher) in blocks {
        check(CipherAlg::TripleDesCbc, key, "0000000000000000", plain, cipher);
    }
}

#[test]
fn triple_des_chains_its_blocks() {
    let (key, iv) = (hex("0123456789abcdef23456789abcdef01456789abcdef0123"), [9; 8]);
    let mut chained = *b"The qufck brown fox jump";
    provider().cbc_encrypt(CipherAlg::TripleDesCbc, &key, &iv, &mut chained).unwrap();
    let mut previous = iv.to_vec();
    for (plain, cipher) in b"The qufck brown fox jump".chunks(8).zip(chained.chunks(8)) {
        let mut block = plain.to_vec();
        provider().cbc_encrypt(CipherAlg::TripleDesCbc, &key, &previous, &mut block).unwrap();
        assert_eq!(block, cipher);
        previous = cipher.to_vec();
    }
}

#[test]
fn wrong_lengths_are_refused_and_change_nothing() {
    for alg in
        [CipherAlg::Aes128Cbc, CipherAlg::Aes192Cbc, CipherAlg::Aes256Cbc, CipherAlg::TripleDesCbc]
    {
        let key: Vec<u8> = (0..).take(alg.key_len()).collect();
        let (iv, block) = (vec![0; alg.block_len()], alg.block_len());
        let mut data = vec![1; 2 * block];
        let refused = Err(CryptoError::BadLength);
        for encrypting in [true, false] {
            let run = |key: &[u8], iv: &[u8], data: &mut [u8]| {
                if encrypting {
                    provider().cbc_encrypt(alg, key, iv, data)
                } else {
                    provider().cbc_decrypt(alg, key, iv, data)
                }
            };
            assert_eq!(run(&key[1..], &iv, &mut data), refused);
            assert_eq!(run(&[&key[..], &[0]].concat(), &iv, &mut data), refused);
            assert_eq!(run(&[], &iv, &mut data), refused);
            assert_eq!(run(&key, &iv[1..], &mut data), refused);
            assert_eq!(run(&key, &[&iv[..], &[0]].concat(), &mut data), refused);
            assert_eq!(run(&key, &iv, &mut data[1..]), refused);
            assert_eq!(data, vec![1; 2 * block]);
            assert_eq!(run(&key, &iv, &mut []), Ok(()));
        }
    }
}

#[test]
fn a_degenerate_triple_des_key_is_refused() {
    let key = [7; 24];
    let refused = provider().cbc_encrypt(CipherAlg::TripleDesCbc, &key, &[0; 8], &mut [0; 8]);
    assert_eq!(refused, Err(CryptoError::Unsupported));
}

#[test]
fn a_des_block_matches_known_answers() {
    let cases = [
        ("133457799bbcdff1", "0123456789abcdef", "85e813540f0ab405"),
        // NIST SP 800-17, variable plaintext known answer with a weak key.
        ("0101010101010101", "95f8a5e5dd31d900", "8000000000000000"),
    ];
    for (key, plain, cipher) in cases {
        assert_eq!(des(&hex(key), &hex(plain)), hex(cipher));
    }
}

#[test]
fn des_takes_weak_keys_and_ignores_parity() {
    let block = [0x55; 8];
    assert_eq!(des(&[0; 8], &block), des(&[1; 8], &block));
    assert_eq!(des(&[0xfe; 8], &block), des(&[0xff; 8], &block));
    assert_ne!(des(&[0; 8], &block), des(&[2; 8], &block));
}

#[test]
fn the_des_blocks_of_ms_chap_v2_match_rfc_2759_section_9_2() {
    let password: Vec<u8> = "clientPass".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut hash = [0; 21];
    provider().hash(HashAlg::Md4, &[&password], &mut hash).unwrap();
    assert_eq!(hash[..16], hex("44ebba8d5312b8d611474411f56989ae"));
    let challenge = hex("d02e4386bce91226");
    let response: Vec<u8> = hash.chunks(7).flat_map(|key| des(&spread(key), &challenge)).collect();
    assert_eq!(response, hex("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"));
}

fn des(key: &[u8], block: &[u8]) -> Vec<u8> {
    provider().des_block(key.try_into().unwrap(), block.try_into().unwrap()).to_vec()
}

/// 56 bits as eight bytes whose lowest bit is free for parity.
fn spread(key: &[u8]) -> Vec<u8> {
    let bits = key.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    (0..8).map(|i| u8::try_from(bits >> (49 - 7 * i) & 0x7f).unwrap() << 1).collect()
}
