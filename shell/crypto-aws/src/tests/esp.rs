//! ESP transforms: RFC 3602 §4, draft-mcgrew-gcm-test-01 §4, refusals, batches.

use isthmus_core::{Rng, SecretBytes};
use isthmus_crypto::{CryptoError, EspCipher, EspJob, EspJobResult, EspKeys, EspSuite, HashAlg};

use super::hex;
use crate::provider;

/// A packet with keys, as the documents give it; `plain` has its trailer.
struct GcmCase {
    key: &'static str,
    salt: &'static str,
    spi: u32,
    seq: u64,
    extended: bool,
    iv: &'static str,
    plain: &'static str,
    cipher_and_icv: &'static str,
}

#[test]
fn gcm_matches_the_esp_test_cases_of_draft_mcgrew_gcm_test() {
    for case in GCM_CASES {
        let suite = match case.key.len() {
            32 => EspSuite::Aes128Gcm16,
            _ => EspSuite::Aes256Gcm16,
        };
        let keys = EspKeys {
            cipher: SecretBytes::new([hex(case.key), hex(case.salt)].concat()),
            integrity: SecretBytes::default(),
        };
        let cipher = provider().esp(suite, &keys).unwrap();
        let seq = case.seq.to_be_bytes();
        let seq_hi = case.extended.then(|| u32::from_be_bytes(seq[..4].try_into().unwrap()));
        let header = [&case.spi.to_be_bytes()[..], &seq[4..], &hex(case.iv)].concat();
        let sealed = [&header[..], &hex(case.cipher_and_icv)].concat();
        let mut packet = [&header[..], &hex(case.plain), &[0; 16]].concat();
        let plain_end = packet.len() - 16;
        assert_eq!(seal(&*cipher, &mut packet, seq_hi), EspJobResult::Done);
        assert_eq!(packet, sealed);
        assert_eq!(open(&*cipher, &mut packet, seq_hi), EspJobResult::Done);
        assert_eq!(packet[16..plain_end], hex(case.plain));
    }
}

#[test]
fn cbc_matches_the_esp_packets_of_rfc_3602() {
    let ping = "08000ebda70a00008e9c083db95b0700 08090a0b0c0d0e0f1011121314151617
                18191a1b1c1d1e1f2021222324252627 28292a2b2c2d2e2f3031323334353637
                0102030405060708090a0b0c0d0e0e01";
    let sealed = "0000432100000001 e96e8c08ab465763fd098d45dd3ff893
                  f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856
                  a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a
                  a269add047ad2d5913ac19b7cfbad4a6";
    check_rfc_3602("90d382b410eeba7ad938c46cec1a82bf", ping, sealed);
    let ping = "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777 01020201";
    let sealed = "0000432100000008 69d08df7d203329db093fc4924e5bd80
                  f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75";
    check_rfc_3602("90d382b410eeba7ad938c46cec1a82bf", ping, sealed);
    let tunnel = "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083d
                  a3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffff
                  ffffffff 0102030405060708090a0a04";
    let sealed = "0000876500000005 85d47224b5f3dd5d2101d4ea8dffab22
                  15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5
                  0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3
                  d2726d9b5ef6affc6d17a0decbb13892";
    check_rfc_3602("0123456789abcdef0123456789abcdef", tunnel, sealed);
}

/// RFC 3602's packets carry no ICV, so the ciphertext is compared with the document and the ICV with
/// an HMAC of its own.
fn check_rfc_3602(key: &str, plain: &str, sealed: &str) {
    let (plain, sealed) = (hex(plain), hex(sealed));
    for (suite, hash, icv_len) in [
        (EspSuite::Aes128CbcSha1, HashAlg::Sha1, 12),
        (EspSuite::Aes128CbcSha256, HashAlg::Sha256, 16),
        (EspSuite::Aes128CbcSha384, HashAlg::Sha384, 24),
        (EspSuite::Aes128CbcSha512, HashAlg::Sha512, 32),
        (EspSuite::Aes128CbcSha256Cut96, HashAlg::Sha256, 12),
    ] {
        // RFC 4868 §2.3: half of the hash; RFC 2404 and the old SHA-256: 96 bits.
        assert_eq!(suite.icv_len(), icv_len);
        let integrity = SecretBytes::new(vec![3; suite.integrity_key_len()]);
        let keys = EspKeys { cipher: SecretBytes::new(hex(key)), integrity: integrity.clone() };
        let cipher = provider().esp(suite, &keys).unwrap();
        for seq_hi in [None, Some(0x0102_0304)] {
            let mut packet = [&sealed[..24], &plain, &vec![0; suite.icv_len()]].concat();
            assert_eq!(seal(&*cipher, &mut packet, seq_hi), EspJobResult::Done);
            let (covered, icv) = packet.split_at(sealed.len());
            assert_eq!(covered, sealed);
            let seq_hi_bytes = seq_hi.map(u32::to_be_bytes).unwrap_or_default();
            let parts: &[&[u8]] = match seq_hi {
                Some(_) => &[covered, &seq_hi_bytes],
                None => &[covered],
            };
            let mut tag = vec![0; hash.len()];
            provider().hmac(hash, integrity.expose(), parts, &mut tag).unwrap();
            assert_eq!(icv, &tag[..suite.icv_len()]);
            assert_eq!(open(&*cipher, &mut packet, seq_hi), EspJobResult::Done);
            assert_eq!(packet[24..24 + plain.len()], plain);
        }
    }
}

#[test]
fn one_flipped_bit_anywhere_is_refused() {
    for suite in EspSuite::ALL {
        for seq_hi in [None, Some(7)] {
            let cipher = transform(suite, 1);
            let mut sealed = blank(suite, 3);
            assert_eq!(seal(&*cipher, &mut sealed, seq_hi), EspJobResult::Done);
            for bit in 0..sealed.len() * 8 {
                let mut forged = sealed.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                let result = open(&*cipher, &mut forged, seq_hi);
                assert_eq!(result, EspJobResult::NotAuthentic, "{suite} bit {bit}");
            }
            assert_eq!(open(&*cipher, &mut sealed, seq_hi), EspJobResult::Done);
        }
    }
}

#[test]
fn the_upper_half_of_the_sequence_number_is_authenticated() {
    for suite in EspSuite::ALL {
        let cipher = transform(suite, 1);
        let mut sealed = blank(suite, 2);
        assert_eq!(seal(&*cipher, &mut sealed, Some(5)), EspJobResult::Done);
        for wrong in [None, Some(4), Some(6)] {
            assert_eq!(
                open(&*cipher, &mut sealed.clone(), wrong),
                EspJobResult::NotAuthentic,
                "{suite}"
            );
        }
        assert_eq!(open(&*cipher, &mut sealed, Some(5)), EspJobResult::Done);
    }
}

#[test]
fn every_prefix_of_a_packet_is_refused() {
    for suite in EspSuite::ALL {
        let cipher = transform(suite, 1);
        let mut sealed = blank(suite, 2);
        assert_eq!(seal(&*cipher, &mut sealed, None), EspJobResult::Done);
        for len in 0..sealed.len() {
            let mut prefix = sealed[..len].to_vec();
            let result = open(&*cipher, &mut prefix, None);
            let body = len.checked_sub(8 + suite.iv_len() + suite.icv_len());
            let expected = match body {
                Some(body) if body > 0 && body % suite.block_len() == 0 => {
                    EspJobResult::NotAuthentic
                }
                Some(_) | None => EspJobResult::BadLength,
            };
            assert_eq!(result, expected, "{suite} {len}");
        }
    }
}

#[test]
fn a_packet_of_a_bad_length_is_not_sealed() {
    for suite in EspSuite::ALL {
        let cipher = transform(suite, 1);
        let good = blank(suite, 2);
        for len in
            (0..good.len()).filter(|len| len % suite.block_len() != good.len() % suite.block_len())
        {
            let mut packet = good[..len].to_vec();
            assert_eq!(seal(&*cipher, &mut packet, None), EspJobResult::BadLength);
            assert_eq!(packet, good[..len]);
        }
    }
}

#[test]
fn another_key_opens_nothing() {
    for suite in EspSuite::ALL {
        let mut sealed = blank(suite, 2);
        assert_eq!(seal(&*transform(suite, 1), &mut sealed, None), EspJobResult::Done);
        let result = open(&*transform(suite, 2), &mut sealed, None);
        assert_eq!(result, EspJobResult::NotAuthentic, "{suite}");
    }
}

#[test]
fn keys_that_do_not_fit_the_suite_are_refused() {
    for suite in EspSuite::ALL {
        let fitting = vec![1; suite.cipher_key_len() + suite.salt_len()];
        let integrity = vec![1; suite.integrity_key_len()];
        for (cipher, integrity) in [
            (fitting[1..].to_vec(), integrity.clone()),
            ([&fitting[..], &[1]].concat(), integrity.clone()),
            (vec![], integrity.clone()),
            (fitting, [&integrity[..], &[1]].concat()),
        ] {
            let keys = EspKeys {
                cipher: SecretBytes::new(cipher),
                integrity: SecretBytes::new(integrity),
            };
            let refused = provider().esp(suite, &keys).map(|_| ());
            assert_eq!(refused, Err(CryptoError::BadLength), "{suite}");
        }
    }
}

/// A transform with keys from a seed.
fn transform(suite: EspSuite, seed: u8) -> Box<dyn EspCipher> {
    let mut keymat = vec![0; suite.keymat_len()];
    Rng::new([seed; 32]).fill(&mut keymat);
    provider().esp(suite, &EspKeys::from_keymat(suite, &keymat).unwrap()).unwrap()
}

/// An unsealed packet with a body of `blocks` blocks.
fn blank(suite: EspSuite, blocks: usize) -> Vec<u8> {
    let len = 8 + suite.iv_len() + blocks * suite.block_len() + suite.icv_len();
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

fn seal(cipher: &dyn EspCipher, packet: &mut [u8], seq_hi: Option<u32>) -> EspJobResult {
    let mut job = [EspJob { packet, seq_hi, result: EspJobResult::Pending }];
    cipher.seal(&mut job);
    job[0].result
}

fn open(cipher: &dyn EspCipher, packet: &mut [u8], seq_hi: Option<u32>) -> EspJobResult {
    let mut job = [EspJob { packet, seq_hi, result: EspJobResult::Pending }];
    cipher.open(&mut job);
    job[0].result
}

const GCM_CASES: [GcmCase; 6] = [
    GcmCase {
        key: "4c80cdefbb5d10da906ac73c3613a634",
        salt: "2e443b68",
        spi: 0x4321,
        seq: 0x8765_4321_0000_0000,
        extended: true,
        iv: "4956ed7e3b244cfe",
        plain: "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000
                    00000000045f736970045f756470037369700963796265726369747902646b00
                    0021000101020201",
        cipher_and_icv: "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34
                             cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce
                             61bc17d768fd9732 459018148f6cbe722fd04796562dfdb4",
    },
    GcmCase {
        key: "feffe9928665731c6d6a8f9467308308",
        salt: "cafebabe",
        spi: 0xa5f8,
        seq: 10,
        extended: false,
        iv: "facedbaddecaf888",
        plain: "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100
                    0001000000000000037369700963796265726369747902646b00000100010001",
        cipher_and_icv: "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c
                             3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1
                             83b70d3aa8bc6ee4c309e9d85a41ad4a",
    },
    GcmCase {
        key: "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        salt: "11223344",
        spi: 0x4a2c_bfe3,
        seq: 2,
        extended: false,
        iv: "0102030405060708",
        plain: "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000
                    7002400020bf0000020405b40101040201020201",
        cipher_and_icv: "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763
                             748a637985771d347f0545659f14e99def842d8e
                             b335f4eecfdbf831824b4c4915956c96",
    },
    GcmCase {
        key: "3de09874b388e6491988d0c3607eae1f",
        salt: "57690e43",
        spi: 0x42f6_7e3f,
        seq: 0x1010_1010_1010_1010,
        extended: true,
        iv: "4e280000a2fca1a3",
        plain: "4500003c99c300008001cb7c40679318010101010800085c0200430061626364
                    65666768696a6b6c6d6e6f707172737475767761626364656667686901020201",
        cipher_and_icv: "fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c357917
                             65acbd8701ad79845bf9fe3fba487bc91755e6662b4c8d0d1f5e22739530320a
                             e0d731cc978ecafaeae88f00e80d6e48",
    },
    GcmCase {
        key: "7d773d00c144c525ac619d18c84a3f47",
        salt: "d9664267",
        spi: 0x3354_67ae,
        seq: 0xffff_ffff,
        extended: false,
        iv: "43457e9182443bc6",
        plain: "01020201",
        cipher_and_icv: "437f866b cb3f699fe9b0822bac961c4504bef270",
    },
    GcmCase {
        key: "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961",
        salt: "7475726e",
        spi: 0x796b_6963,
        seq: u64::MAX,
        extended: true,
        iv: "333021696765746d",
        plain: "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364
                    65666768696a6b6c6d6e6f707172737401020201",
        cipher_and_icv: "f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a86
                             4cd3d78ca4ae68a32b42458fb57dbe821dcc63b9
                             d0937ba2945f669368661a329fb4c053",
    },
];
