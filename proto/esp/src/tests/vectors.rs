//! Published packets through the receiving half.

use alloc::vec::Vec;

use isthmus_core::{Buf, SecretBytes};
use isthmus_crypto::{EspKeys, EspSuite, HashAlg};

use crate::{Counters, InboundRecord, InboundSa, Lifetime, SaParams};

/// A GCM packet of draft-mcgrew-gcm-test-01 §4.
struct GcmCase {
    key: &'static str,
    salt: &'static str,
    spi: u32,
    seq: u64,
    esn: bool,
    packet: &'static str,
    payload: &'static str,
    next_header: u8,
}

#[test]
fn gcm_packets_of_draft_mcgrew_gcm_test_open() {
    for case in GCM_CASES {
        let suite = match case.key.len() {
            32 => EspSuite::Aes128Gcm16,
            _ => EspSuite::Aes256Gcm16,
        };
        let keys = EspKeys {
            cipher: SecretBytes::new([hex(case.key), hex(case.salt)].concat()),
            integrity: SecretBytes::default(),
        };
        let params =
            SaParams { spi: case.spi, suite, keys, esn: case.esn, lifetime: Lifetime::UNLIMITED };
        let record = InboundRecord { params, top: case.seq - 1, counters: Counters::default() };
        let mut sa = InboundSa::restore(record, &*isthmus_crypto_aws::provider()).unwrap();
        let mut buf = Buf::copy_of(&hex(case.packet));
        assert_eq!(sa.open(&mut buf), Ok(case.next_header));
        assert_eq!(&*buf, hex(case.payload));
        assert_eq!(sa.window().top(), case.seq);
    }
}

#[test]
fn cbc_packets_of_rfc_3602_open() {
    // Cases 5 to 8; the document's packets carry no ICV, so one is added.
    let cases = [
        (
            "90d382b410eeba7ad938c46cec1a82bf",
            "0000432100000001 e96e8c08ab465763fd098d45dd3ff893
             f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856
             a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a
             a269add047ad2d5913ac19b7cfbad4a6",
            "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617
             18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
            1,
        ),
        (
            "90d382b410eeba7ad938c46cec1a82bf",
            "0000432100000008 69d08df7d203329db093fc4924e5bd80
             f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75",
            "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
            1,
        ),
        (
            "0123456789abcdef0123456789abcdef",
            "0000876500000002 f4e765244f6407adf13dc1380f673f37
             773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8
             e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5
             c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
            "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d
             02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
             2425262728292a2b2c2d2e2f3031323334353637",
            4,
        ),
        (
            "0123456789abcdef0123456789abcdef",
            "0000876500000005 85d47224b5f3dd5d2101d4ea8dffab22
             15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5
             0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3
             d2726d9b5ef6affc6d17a0decbb13892",
            "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083d
             a3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffff
             ffffffff",
            4,
        ),
    ];
    let provider = isthmus_crypto_aws::provider();
    for (key, packet, payload, next_header) in cases {
        let mut packet = hex(packet);
        let integrity = [6; 20];
        let mut tag = [0; 20];
        provider.hmac(HashAlg::Sha1, &integrity, &[&packet], &mut tag).unwrap();
        packet.extend_from_slice(&tag[..12]);
        let params = SaParams {
            spi: u32::from_be_bytes(packet[..4].try_into().unwrap()),
            suite: EspSuite::Aes128CbcSha1,
            keys: EspKeys {
                cipher: SecretBytes::new(hex(key)),
                integrity: SecretBytes::copy_of(&integrity),
            },
            esn: false,
            lifetime: Lifetime::UNLIMITED,
        };
        let mut sa = InboundSa::new(params, &*provider).unwrap();
        let mut buf = Buf::copy_of(&packet);
        assert_eq!(sa.open(&mut buf), Ok(next_header));
        assert_eq!(&*buf, hex(payload));
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

const GCM_CASES: [GcmCase; 4] = [
    GcmCase {
        key: "4c80cdefbb5d10da906ac73c3613a634",
        salt: "22433c64",
        spi: 0x4321,
        seq: 0x8765_4321_0000_0007,
        esn: true,
        packet: "0000432100000007 4855ec7d3a234bfd
                 74752e8aeb5d873cd7c0f4acc36c4bff84b7d7b98f0ca8b6acda6894bc619069
                 ef9cbc28fe1b56a7c4e0d58c86cd2bc0",
        payload: "0800c6cd020007006162636465666768696a6b6c6d6e6f7071727374",
        next_header: 1,
    },
    GcmCase {
        key: "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        salt: "11223344",
        spi: 0x4a2c_bfe3,
        seq: 2,
        esn: false,
        packet: "4a2cbfe300000002 0102030405060708
                 ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763
                 748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49
                 15956c96",
        payload: "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000
                  7002400020bf0000020405b401010402",
        next_header: 1,
    },
    GcmCase {
        key: "7d773d00c144c525ac619d18c84a3f47",
        salt: "d9664267",
        spi: 0x3354_67ae,
        seq: 0xffff_ffff,
        esn: false,
        packet: "335467aeffffffff 43457e9182443bc6
                 437f866bcb3f699fe9b0822bac961c4504bef270",
        payload: "",
        next_header: 1,
    },
    GcmCase {
        key: "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961",
        salt: "7475726e",
        spi: 0x796b_6963,
        seq: u64::MAX,
        esn: true,
        packet: "796b6963ffffffff 333021696765746d
                 f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a86
                 4cd3d78ca4ae68a32b42458fb57dbe821dcc63b9d0937ba2945f669368661a32
                 9fb4c053",
        payload: "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364
                  65666768696a6b6c6d6e6f7071727374",
        next_header: 1,
    },
];
