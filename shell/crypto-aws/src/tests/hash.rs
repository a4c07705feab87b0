//! RFC 1320, RFC 1321, FIPS 180-4, RFC 2202 and RFC 4231.

use isthmus_crypto::{CryptoError, HashAlg};

use super::hex;
use crate::provider;

#[test]
fn md4_matches_rfc_1320_appendix_a5() {
    let digits = "1234567890".repeat(8);
    let cases: [(&str, &str); 7] = [
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        ("a", "bde52cb31de33e46245e05fbdbd6fb24"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
        ("message digest", "d9130a8164549fe818874806e1c7014b"),
        ("abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        (ALPHANUMERIC, "043f8582f241db351ce627e153e7f0e4"),
        (&digits, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ];
    for (text, digest) in cases {
        assert_eq!(hash(HashAlg::Md4, &[text.as_bytes()]), hex(digest), "{text:?}");
    }
}

#[test]
fn md5_matches_rfc_1321_appendix_a5() {
    let digits = "1234567890".repeat(8);
    let cases: [(&str, &str); 7] = [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        (ALPHANUMERIC, "d174ab98d277d9f5a5611c2c9f419d9f"),
        (&digits, "57edf4a22be3c955ac49da2e2107b67a"),
    ];
    for (text, digest) in cases {
        assert_eq!(hash(HashAlg::Md5, &[text.as_bytes()]), hex(digest), "{text:?}");
    }
}

#[test]
fn the_sha_family_matches_fips_180() {
    let cases = [
        (HashAlg::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (HashAlg::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            HashAlg::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163
             1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            HashAlg::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    for (alg, digest) in cases {
        assert_eq!(hash(alg, &[b"abc"]), hex(digest), "{alg:?}");
    }
}

#[test]
fn parts_are_hashed_as_one_string() {
    for alg in ALL {
        assert_eq!(hash(alg, &[b"a", b"", b"bc"]), hash(alg, &[b"abc"]), "{alg:?}");
        if alg != HashAlg::Md4 {
            assert_eq!(hmac(alg, b"k", &[b"a", b"", b"bc"]), hmac(alg, b"k", &[b"abc"]));
        }
    }
}

#[test]
fn hmac_md5_and_sha1_match_rfc_2202() {
    let md5 = [
        "9294727a3638bb1c13f48ef8158bfc9d",
        "750c783e6ab0b503eaa86e310a5db738",
        "56be34521d144c88dbb8c733f0e8b3f6",
        "697eaf0aca3a3aea3a75164746ffaa79",
        "56461ef2342edc00f9bab995690efd4c",
        "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
        "6f630fad67cda0ee1fb1f562db3aa53e",
    ];
    for ((key, data), tag) in rfc_2202_inputs(16).iter().zip(md5) {
        assert_eq!(hmac(HashAlg::Md5, key, &[data]), hex(tag));
    }
    let sha1 = [
        "b617318655057264e28bc0b6fb378c8ef146be00",
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
        "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
        "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
        "aa4ae5e15272d00e95705637ce8a3b55ed402112",
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
    ];
    for ((key, data), tag) in rfc_2202_inputs(20).iter().zip(sha1) {
        assert_eq!(hmac(HashAlg::Sha1, key, &[data]), hex(tag));
    }
}

#[test]
fn hmac_sha2_matches_rfc_4231() {
    let long_key = vec![0xaa; 131];
    let counting_key: Vec<u8> = (1..=25).collect();
    let long_data: &[u8] = b"This is a test using a larger than block-size key and a larger than \
        block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
    let cases: [HmacCase<'_>; 6] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6
             82aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde
             daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47
             e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            "88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9feb
             e83ef4e55966144b2a5ab39dc13814b94e3ab6e101a34f27",
            "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39
             bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
        ),
        (
            &counting_key,
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            "3e8a69b7783c25851933ab6290af6ca77a9981480850009c
             c5577c6e1f573b4e6801dd23c4a7d679ccf8a386c674cffb",
            "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db
             a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd",
        ),
        (
            &long_key,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f
             3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352
             6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        ),
        (
            &long_key,
            long_data,
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9a
             dccebb82461e99c5a678cc31e799176d3860e6110c46523e",
            "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944
             b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
        ),
    ];
    for (key, data, sha256, sha384, sha512) in cases {
        assert_eq!(hmac(HashAlg::Sha256, key, &[data]), hex(sha256));
        assert_eq!(hmac(HashAlg::Sha384, key, &[data]), hex(sha384));
        assert_eq!(hmac(HashAlg::Sha512, key, &[data]), hex(sha512));
    }
}

#[test]
fn a_short_output_is_refused_and_a_long_one_filled_at_the_front() {
    for alg in ALL {
        let mut short = vec![0; alg.len() - 1];
        let refused = provider().hash(alg, &[b"abc"], &mut short);
        assert_eq!(refused, Err(CryptoError::BadLength), "{alg:?}");
        let mut long = vec![7; alg.len() + 1];
        provider().hash(alg, &[b"abc"], &mut long).unwrap();
        assert_eq!(long.pop(), Some(7));
        assert_eq!(long, hash(alg, &[b"abc"]));
    }
    let refused = provider().hmac(HashAlg::Sha1, b"k", &[b"abc"], &mut [0; 19]);
    assert_eq!(refused, Err(CryptoError::BadLength));
}

#[test]
fn md4_has_no_hmac() {
    let refused = provider().hmac(HashAlg::Md4, b"k", &[b"abc"], &mut [0; 16]);
    assert_eq!(refused, Err(CryptoError::Unsupported));
}

/// Key, message, and the tags with SHA-256, SHA-384 and SHA-512.
type HmacCase<'a> = (&'a [u8], &'a [u8], &'a str, &'a str, &'a str);

fn hash(alg: HashAlg, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0; alg.len()];
    provider().hash(alg, parts, &mut out).unwrap();
    out
}

fn hmac(alg: HashAlg, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0; alg.len()];
    provider().hmac(alg, key, parts, &mut out).unwrap();
    out
}

/// The keys and messages of RFC 2202, whose short keys have the length of the digest.
fn rfc_2202_inputs(len: usize) -> [(Vec<u8>, Vec<u8>); 7] {
    let text = |text: &str| text.as_bytes().to_vec();
    [
        (vec![0x0b; len], text("Hi There")),
        (text("Jefe"), text("what do ya want for nothing?")),
        (vec![0xaa; len], vec![0xdd; 50]),
        ((1..=25).collect(), vec![0xcd; 50]),
        (vec![0x0c; len], text("Test With Truncation")),
        (vec![0xaa; 80], text("Test Using Larger Than Block-Size Key - Hash Key First")),
        (
            vec![0xaa; 80],
            text("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data"),
        ),
    ]
}

const ALPHANUMERIC: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const ALL: [HashAlg; 6] =
    [HashAlg::Md4, HashAlg::Md5, HashAlg::Sha1, HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512];
