//! Raw signatures: what we sign we verify, and what has broken others is refused.

use isthmus_crypto::{KeyKind, Signer, Untrusted};

use super::hex;
use crate::{PrivateKey, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN};

/// DER: a tag, a length, a value.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    let head = match value.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [head, value.to_vec()].concat()
}

/// A `SubjectPublicKeyInfo` of RSA with these numbers as they are.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = [tlv(2, modulus), tlv(2, exponent)].concat();
    let key = [&[0][..], &tlv(0x30, &numbers)].concat();
    let algorithm = hex("300d06092a864886f70d0101010500");
    tlv(0x30, &[algorithm, tlv(3, &key)].concat())
}

fn generated(kind: KeyKind) -> (PrivateKey, Vec<u8>) {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    };
    let curve = match kind {
        KeyKind::EcdsaP256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        KeyKind::EcdsaP384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        KeyKind::Rsa => {
            let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
            return (PrivateKey::from_der(der.as_ref()).unwrap(), public.as_ref().to_vec());
        }
    };
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    (PrivateKey::from_der(der.as_ref()).unwrap(), public.as_ref().to_vec())
}

const KINDS: [(KeyKind, usize, usize); 3] =
    [(KeyKind::Rsa, 20, 256), (KeyKind::EcdsaP256, 32, 64), (KeyKind::EcdsaP384, 48, 96)];

#[test]
fn what_is_signed_is_verified_and_nothing_else() {
    for (kind, digest_len, signature_len) in KINDS {
        let (private, spki) = generated(kind);
        let public = PublicKey::from_spki(&spki).unwrap();
        assert_eq!((private.kind(), public.kind()), (kind, kind));
        assert!(private.belongs_to(&spki));
        assert!(!private.belongs_to(&generated(kind).1));
        let digest = vec![7; digest_len];
        let signature = private.sign(&digest).unwrap();
        assert_eq!(signature.len(), signature_len);
        assert_eq!(public.verify(&digest, &signature), Ok(()));
        let refused = |digest: &[u8], signature: &[u8]| {
            public.verify(digest, signature) == Err(Untrusted::BadSignature)
        };
        let mut other = digest.clone();
        other[0] ^= 1;
        assert!(refused(&other, &signature));
        assert!(refused(&digest[1..], &signature) && refused(&[], &signature));
        for at in [0, signature_len / 2, signature_len - 1] {
            let mut bad = signature.clone();
            bad[at] ^= 1;
            assert!(refused(&digest, &bad));
        }
        assert!(refused(&digest, &signature[1..]) && refused(&digest, &[]));
        assert!(refused(&digest, &[&[0][..], &signature].concat()));
        assert!(refused(&digest, &vec![0; signature_len]));
        assert!(refused(&digest, &vec![0xff; signature_len]));
    }
}

#[test]
fn a_digest_of_every_hash_is_signed_bare_by_rsa() {
    let (private, spki) = generated(KeyKind::Rsa);
    let public = PublicKey::from_spki(&spki).unwrap();
    for len in [16, 20, 32, 48, 64] {
        let digest = vec![0x5a; len];
        assert_eq!(public.verify(&digest, &private.sign(&digest).unwrap()), Ok(()));
    }
    assert!(private.sign(&[0; 256]).is_err(), "too long for the padding");
}

#[test]
fn cve_2026_50721_padding_that_is_short_is_refused_with_exponent_3_too() {
    // 00 01, eight times ff, 00, the digest, and garbage: the cube root of that needs no private key.
    let public = PublicKey::from_spki(&hex(EXPONENT_3)).unwrap();
    let digest: Vec<u8> = (0..32).collect();
    let forged = hex(FORGED);
    assert_eq!(forged.len(), 256);
    assert_eq!(public.verify(&digest, &forged), Err(Untrusted::BadSignature));
}

#[test]
fn cve_2018_17540_a_tiny_modulus_is_refused() {
    assert_eq!(PublicKey::from_spki(&hex(BITS_1024)).unwrap_err(), Untrusted::Weak);
    for bits in [8, 64, 512, 1024, 2040] {
        let modulus = [&[0][..], &vec![0xff; bits / 8]].concat();
        assert!(PublicKey::from_spki(&rsa(&modulus, &[1, 0, 1])).is_err(), "{bits}");
    }
}

#[test]
fn a_modulus_at_the_bounds_is_taken_and_beyond_refused() {
    let of = |bits: i32| {
        let modulus = [&[0][..], &vec![0xff; usize::try_from(bits / 8).unwrap()]].concat();
        PublicKey::from_spki(&rsa(&modulus, &[1, 0, 1])).is_ok()
    };
    assert!(of(RSA_BITS_MIN) && of(RSA_BITS_MAX));
    assert!(!of(RSA_BITS_MIN - 8) && !of(RSA_BITS_MAX + 8));
}

#[test]
fn cve_2026_14957_malformed_public_keys_are_refused() {
    let good = hex(EXPONENT_3);
    assert!((0..good.len()).all(|n| PublicKey::from_spki(&good[..n]).is_err()));
    assert!(PublicKey::from_spki(&[&good[..], &[0]].concat()).is_err());
    let modulus = [&[0][..], &[0xff; 256]].concat();
    let even = [&[0][..], &[0xfe; 256]].concat();
    let negative = vec![0xff; 256];
    let cases = [
        rsa(&[], &[3]),
        rsa(&[0], &[3]),
        rsa(&even, &[3]),
        rsa(&negative, &[3]),
        rsa(&modulus, &[]),
        rsa(&modulus, &[0]),
        rsa(&modulus, &[1]),
        rsa(&modulus, &[2]),
        rsa(&modulus, &[0xff]),
        rsa(&modulus, &modulus),
        rsa(&modulus, &[1, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    for (index, case) in cases.iter().enumerate() {
        let read = PublicKey::from_spki(case);
        let harmless = read.is_ok_and(|key| key.verify(&[7; 20], &[7; 256]).is_err());
        assert!(PublicKey::from_spki(case).is_err() || harmless, "case {index}");
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    // Ed25519, X25519 and secp256k1.
    let ed25519 = [hex("302a300506032b6570032100"), vec![9; 32]].concat();
    let x25519 = [hex("302a300506032b656e032100"), vec![9; 32]].concat();
    assert!(PublicKey::from_spki(&ed25519).is_err() && PublicKey::from_spki(&x25519).is_err());
    assert!(PrivateKey::from_der(&[]).is_err() && PrivateKey::from_der(&[0x30, 0]).is_err());
}

/// An RSA key of 2048 bits with exponent 3.
const EXPONENT_3: &str = "
    30820120300d06092a864886f70d01010105000382010d00308201080282010100c9d517a63b5a4078561726
    33d05ed2dafa5eb94be925788b1d327fef23d58cd333b0a458a99c3d9cfad7347b279ffdd506a6dca1da642d
    8ab6f4881e259dc9ba15a81ed03daa3dcfce3f374a37944de05991370882052991add91b3b1e0f89db29d41d
    e1a6dbdea2e6148453c586f2772d6734418da9a98b4f6fafe236c24f165a18e296af8217a709c0eea7dc550a
    b4fa1617e51fbaefe0ed171888a90f20dfb7d03a5a475c1866ad7363c4e7ed8975167d480e7f1b548eeb8eb8
    2ab7b67bc40ec79368a7017559497977d170b538d7b126bc33f15f27710e268e39f596c2ed949d5ea9691299
    0a7ebd655957fa7ec1c3e85a14d99a2c566538870f0ea80697020103";
/// A signature over the bytes 0 to 31 made without the private key, for verifiers that stop reading.
const FORGED: &str = "
    0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
    0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
    0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
    00000000000000000000000000000000000000000000000000000000000000000000000000000032cbfd4a7a
    dc7905583bde7d50f0f0911a4bd6fd1bea697af45030831b65c19763870e420b6552c619e00faadc924a31b2
    de845917a266a648bc8fbfbdcd61ca3caab169fe10970af69408971081ed286c836c9656";
/// An RSA key of 1024 bits.
const BITS_1024: &str = "
    30819f300d06092a864886f70d010101050003818d0030818902818100c4f5a2dd46baba5f63d7e2002d04ca
    2f764b8f1cf82cc217f408883d8d601922987a1e9bd388c0796dd76c0e8e2a5a61763ace3de966e48adba4ae
    571877c6b9ac48508e0170598ddf4744794435955774052a491c58645ea34adc4eac45cdefe1da806dd8ec21
    14025b22d31207f97c4ab3c23085294d7f9b7ebe3a2df8e68d0203010001";
