//! RFC 5903 §8, MODP against a second implementation, hostile public values.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U1024, U1536, U2048, U3072, U4096};
use isthmus_core::SecretBytes;
use isthmus_crypto::{CryptoError, DhGroup, DhJob, DhKeyPair, DhOutput, DhPrivate};

use super::hex;
use crate::dh::primes;
use crate::provider;

#[test]
fn ecp_256_matches_rfc_5903_section_8_1() {
    let i = "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433";
    let gi = "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180
              5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3";
    let r = "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53";
    let gr = "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63
              56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB";
    let gir = "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE";
    assert_eq!(agree(DhGroup::Ecp256, &hex(i), &hex(gr)).unwrap(), hex(gir));
    assert_eq!(agree(DhGroup::Ecp256, &hex(r), &hex(gi)).unwrap(), hex(gir));
}

#[test]
fn ecp_384_matches_rfc_5903_section_8_2() {
    let i = "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655
             E35B538041E649EE3FAEF896783AB194";
    let gi = "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6
              DE3AC808ACB4BDB4C88732AEE95F41AA
              9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38E
              EB9FCFF3C2C947DAE69B4C634573A81C";
    let r = "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942
             E0308312916B8ED2960E4BD55A7448FC";
    let gr = "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D
              0D1AC43A0336DEF96FDA41D0774A3571
              DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FF
              F83FA40142209DFF5EAAD96DB9E6386C";
    let gir = "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4
               D603135569B9E9D09CF5D4A270F59746";
    assert_eq!(agree(DhGroup::Ecp384, &hex(i), &hex(gr)).unwrap(), hex(gir));
    assert_eq!(agree(DhGroup::Ecp384, &hex(r), &hex(gi)).unwrap(), hex(gir));
}

#[test]
fn every_group_agrees_with_itself() {
    for group in ALL {
        let alice = generate(group, 1);
        let (bob, shared) = generate_and_agree(group, 2, &alice.public).unwrap();
        assert_eq!(alice.public.len(), group.public_len());
        assert_eq!(bob.public.len(), group.public_len());
        assert_ne!(alice.public, bob.public);
        assert_eq!(agree(group, alice.private.0.expose(), &bob.public).unwrap(), shared);
    }
}

#[test]
fn a_key_pair_follows_from_its_seed_alone() {
    for group in ALL {
        let (once, again, other) = (generate(group, 1), generate(group, 1), generate(group, 2));
        assert_eq!(once.public, again.public);
        assert_eq!(once.private.0, again.private.0);
        assert_ne!(once.public, other.public);
    }
}

#[test]
fn exponents_have_the_documented_length_and_no_leading_zero_bit() {
    for (group, bits) in [
        (DhGroup::Modp1024, 256),
        (DhGroup::Modp1536, 256),
        (DhGroup::Modp2048, 320),
        (DhGroup::Modp3072, 448),
        (DhGroup::Modp4096, 512),
    ] {
        for seed in 0..8 {
            let private = generate(group, seed).private;
            assert_eq!(private.0.len() * 8, bits);
            assert!(private.0.expose()[0] >= 0x80);
        }
    }
}

/// Recomputes public values and the shared secret with `crypto-bigint`, and tests the prime.
macro_rules! second_implementation {
    ($name:ident, $group:expr, $number:ty, $prime:expr) => {
        #[test]
        fn $name() {
            let power = |base: &[u8], exponent: &[u8], modulus: &[u8]| {
                let number = |bytes: &[u8]| <$number>::from_be_slice(&pad(bytes, $prime.len()));
                let modulus = Odd::new(number(modulus)).unwrap();
                let params = FixedMontyParams::new_vartime(modulus);
                let base = FixedMontyForm::new(&number(base), &params);
                base.pow(&number(exponent)).retrieve().to_be_bytes().to_vec()
            };
            let alice = generate($group, 3);
            let (bob, shared) = generate_and_agree($group, 4, &alice.public).unwrap();
            let (a, b) = (alice.private.0.expose(), bob.private.0.expose());
            assert_eq!(alice.public, power(&[2], a, &$prime));
            assert_eq!(bob.public, power(&[2], b, &$prime));
            assert_eq!(shared, power(&alice.public, b, &$prime));
            assert_eq!(shared, power(&bob.public, a, &$prime));
            // Fermat's test of p and of (p-1)/2 would show a typing error in the constant.
            let one = pad(&[1], $prime.len());
            let half = halve(&$prime);
            assert_eq!(power(&[3], &below(&$prime, 1), &$prime), one);
            assert_eq!(power(&[3], &below(&half, 1), &half), one);
        }
    };
}

second_implementation!(
    modp_1024_agrees_with_a_second_implementation,
    DhGroup::Modp1024,
    U1024,
    primes::MODP_1024
);
second_implementation!(
    modp_1536_agrees_with_a_second_implementation,
    DhGroup::Modp1536,
    U1536,
    primes::MODP_1536
);
second_implementation!(
    modp_2048_agrees_with_a_second_implementation,
    DhGroup::Modp2048,
    U2048,
    primes::MODP_2048
);
second_implementation!(
    modp_3072_agrees_with_a_second_implementation,
    DhGroup::Modp3072,
    U3072,
    primes::MODP_3072
);
second_implementation!(
    modp_4096_agrees_with_a_second_implementation,
    DhGroup::Modp4096,
    U4096,
    primes::MODP_4096
);

#[test]
fn a_modp_share_outside_the_group_is_refused() {
    for (group, prime) in modp() {
        let len = prime.len();
        let private = generate(group, 1).private;
        let hostile = [
            pad(&[], len),
            pad(&[1], len),
            below(prime, 1),
            prime.to_vec(),
            successor(prime),
            vec![0xff; len],
        ];
        for peer in hostile {
            let refused = Err(CryptoError::BadPublicValue);
            assert_eq!(generate_and_agree(group, 1, &peer).map(|_| ()), refused, "{group:?}");
            assert_eq!(agree(group, private.0.expose(), &peer).map(|_| ()), refused, "{group:?}");
        }
        for peer in [pad(&[2], len), below(prime, 2)] {
            assert!(generate_and_agree(group, 1, &peer).is_ok(), "{group:?}");
        }
    }
}

#[test]
fn a_share_of_the_wrong_length_is_refused() {
    for group in ALL {
        let pair = generate(group, 1);
        let short = pair.public[1..].to_vec();
        let long = [&[0], &pair.public[..]].concat();
        for peer in [vec![], vec![4], short, long] {
            let refused = generate_and_agree(group, 2, &peer).map(|_| ());
            assert_eq!(refused, Err(CryptoError::BadLength), "{group:?}");
            assert_eq!(agree(group, pair.private.0.expose(), &peer), Err(CryptoError::BadLength));
        }
    }
}

#[test]
fn a_point_off_the_curve_is_refused() {
    for group in [DhGroup::Ecp256, DhGroup::Ecp384] {
        let good = generate(group, 1).public;
        let half = good.len() / 2;
        let mut off = good.clone();
        off[2 * half - 1] ^= 1;
        let swapped = [&good[half..], &good[..half]].concat();
        // The curve's own field prime and beyond: coordinates must be reduced.
        let large = [&vec![0xff; half][..], &good[half..]].concat();
        for peer in [off, swapped, large, vec![0; 2 * half], vec![0xff; 2 * half]] {
            let refused = generate_and_agree(group, 2, &peer).map(|_| ());
            assert_eq!(refused, Err(CryptoError::BadPublicValue), "{group:?}");
        }
    }
}

#[test]
fn the_negative_of_a_point_shares_its_x_coordinate() {
    let group = DhGroup::Ecp256;
    let pair = generate(group, 1);
    let peer = generate(group, 2).public;
    let field = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    let negative = [&peer[..32], &subtract(&hex(field), &peer[32..])].concat();
    assert_ne!(negative, peer);
    let private = pair.private.0.expose();
    assert_eq!(agree(group, private, &negative), agree(group, private, &peer));
}

#[test]
fn a_private_value_of_the_wrong_length_is_refused() {
    for group in ALL {
        let private = generate(group, 1).private.0;
        let peer = generate(group, 2).public;
        for wrong in [&private.expose()[1..], &[private.expose(), &[0]].concat(), &[]] {
            assert_eq!(agree(group, wrong, &peer), Err(CryptoError::BadLength), "{group:?}");
        }
    }
}

#[test]
fn a_scalar_of_zero_is_refused() {
    let peer = generate(DhGroup::Ecp256, 2).public;
    assert_eq!(agree(DhGroup::Ecp256, &[0; 32], &peer), Err(CryptoError::BadLength));
}

fn generate(group: DhGroup, seed: u8) -> DhKeyPair {
    match provider().dh(&DhJob::Generate { group, seed: [seed; 32] }).unwrap() {
        DhOutput::KeyPair(pair) => pair,
        DhOutput::Both(..) | DhOutput::Shared(_) => panic!("not what was asked"),
    }
}

fn generate_and_agree(
    group: DhGroup,
    seed: u8,
    peer: &[u8],
) -> Result<(DhKeyPair, Vec<u8>), CryptoError> {
    let job = DhJob::GenerateAndAgree { group, seed: [seed; 32], peer: peer.to_vec() };
    match provider().dh(&job)? {
        DhOutput::Both(pair, shared) => Ok((pair, shared.expose().to_vec())),
        DhOutput::KeyPair(_) | DhOutput::Shared(_) => panic!("not what was asked"),
    }
}

fn agree(group: DhGroup, private: &[u8], peer: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let private = DhPrivate(SecretBytes::copy_of(private));
    match provider().dh(&DhJob::Agree { group, private, peer: peer.to_vec() })? {
        DhOutput::Shared(shared) => Ok(shared.expose().to_vec()),
        DhOutput::KeyPair(_) | DhOutput::Both(..) => panic!("not what was asked"),
    }
}

fn modp() -> [(DhGroup, &'static [u8]); 5] {
    [
        (DhGroup::Modp1024, &primes::MODP_1024),
        (DhGroup::Modp1536, &primes::MODP_1536),
        (DhGroup::Modp2048, &primes::MODP_2048),
        (DhGroup::Modp3072, &primes::MODP_3072),
        (DhGroup::Modp4096, &primes::MODP_4096),
    ]
}

fn pad(value: &[u8], len: usize) -> Vec<u8> {
    [&vec![0; len - value.len()][..], value].concat()
}

/// A number less a small one; its last byte must not borrow.
fn below(value: &[u8], less: u8) -> Vec<u8> {
    let mut value = value.to_vec();
    let last = value.last_mut().unwrap();
    *last = last.checked_sub(less).unwrap();
    value
}

/// A number plus one.
fn successor(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    for byte in value.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break;
        }
    }
    value
}

fn halve(value: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    value
        .iter()
        .map(|&byte| {
            let halved = carry << 7 | byte >> 1;
            carry = byte & 1;
            halved
        })
        .collect()
}

fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut out: Vec<u8> = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .map(|(&a, &b)| {
            let difference = i16::from(a) - i16::from(b) - borrow;
            borrow = i16::from(difference < 0);
            u8::try_from(difference & 0xff).unwrap()
        })
        .collect();
    out.reverse();
    out
}

const ALL: [DhGroup; 7] = [
    DhGroup::Ecp256,
    DhGroup::Ecp384,
    DhGroup::Modp1024,
    DhGroup::Modp1536,
    DhGroup::Modp2048,
    DhGroup::Modp3072,
    DhGroup::Modp4096,
];
