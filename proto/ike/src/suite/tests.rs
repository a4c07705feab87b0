//! Choices among offers of suites.

extern crate std;
use std::string::ToString;
use std::vec;

use super::*;

fn offered(
    suites: &[EspSuite],
    spi: u32,
    mode: Encapsulation,
    group: Option<DhGroup>,
    lifetime: Lifetime,
) -> SaBody {
    let group = group.map(|group| GroupNumber(group.number()));
    let fill = |suite: &EspSuite| OfferedEsp {
        encapsulation: Some(mode),
        group,
        ..OfferedEsp::of_suite(*suite)
    };
    offer_esp(suites.iter().map(fill), spi, lifetime, false)
}

const HOUR: Lifetime = Lifetime { time: Duration::from_hours(1), kilobytes: Some(250_000) };

fn criteria(suites: &[EspSuite]) -> Criteria<'_> {
    Criteria { suites, legacy: false, plain: false, udp: true, ke_len: None }
}

/// One proposal per suite, as Windows does: AES256, AES128, 3DES, DES and NULL, all with SHA-1.
fn windows() -> SaBody {
    let suites = [(12, Some(256)), (12, Some(128)), (3, None), (2, None), (11, None)];
    let proposals = (1u8..).zip(suites).map(|(number, (id, bits))| {
        let mut attributes = vec![
            Attribute::basic(EspAttribute::ENCAPSULATION.0, 4),
            Attribute::basic(EspAttribute::AUTHENTICATION.0, 2),
            Attribute::basic(EspAttribute::LIFE_TYPE.0, 1),
            Attribute::number(EspAttribute::LIFE_DURATION.0, 3600),
            Attribute::basic(EspAttribute::LIFE_TYPE.0, 2),
            Attribute::number(EspAttribute::LIFE_DURATION.0, 250_000),
        ];
        attributes.extend(bits.map(|b| Attribute::basic(EspAttribute::KEY_LENGTH.0, b)));
        Proposal {
            number,
            protocol: ProtocolId::ESP,
            spi: vec![0xab, 0, 0, number],
            transforms: vec![Transform { number: 1, id, attributes }],
        }
    });
    SaBody { proposals: proposals.collect() }
}

#[test]
fn windows_gets_aes256_with_its_own_lifetimes() {
    let chosen = choose_esp(&windows(), criteria(&EspSuite::ALL)).unwrap();
    assert_eq!(chosen.suite, EspSuite::Aes256CbcSha1);
    assert_eq!(chosen.lifetime, HOUR);
    assert_eq!((chosen.spi, chosen.encap), (0xab00_0001, Encap::Udp));
    let reply = chosen.reply(0x0010_0000);
    assert_eq!(reply.proposals.len(), 1);
    assert_eq!(reply.proposals[0].spi, [0, 0x10, 0, 0]);
}

#[test]
fn null_and_des_are_never_chosen_even_when_alone() {
    let mut offer = windows();
    offer.proposals.drain(..3);
    let everything = Criteria { legacy: true, plain: true, ..criteria(&EspSuite::ALL) };
    let offered = choose_esp(&offer, everything).unwrap_err();
    let names: Vec<_> = offered.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["des-sha1 (udp transport)", "null-sha1 (udp transport)"]);
}

#[test]
fn triple_des_needs_the_legacy_switch() {
    let mut offer = windows();
    offer.proposals.drain(..2);
    assert!(choose_esp(&offer, criteria(&EspSuite::ALL)).is_err());
    let legacy = Criteria { legacy: true, ..criteria(&EspSuite::ALL) };
    assert_eq!(choose_esp(&offer, legacy).unwrap().suite, EspSuite::TripleDesSha1);
}

#[test]
fn what_we_offer_we_understand() {
    for suite in EspSuite::ALL {
        let mode = Encapsulation::UDP_TRANSPORT_DRAFT;
        let offer = offered(&[suite], 0x1000, mode, None, HOUR);
        let ours = [suite];
        let legacy = Criteria { legacy: true, ..criteria(&ours) };
        let chosen = choose_esp(&offer, legacy).unwrap();
        assert_eq!((chosen.suite, chosen.lifetime), (suite, HOUR));
    }
}

#[test]
fn the_list_says_which_sha256_is_meant() {
    use EspSuite::{Aes256CbcSha256 as Proper, Aes256CbcSha256Cut96 as Cut};
    let offer = offered(&[Proper], 0x1000, Encapsulation::UDP_TRANSPORT, None, HOUR);
    let chosen = |ours: &[EspSuite], legacy| {
        choose_esp(&offer, Criteria { legacy, ..criteria(ours) }).ok().map(|c| c.suite)
    };
    assert_eq!(chosen(&[Proper], false), Some(Proper));
    assert_eq!(chosen(&[Cut], true), Some(Cut));
    assert_eq!(chosen(&[Cut], false), None, "it needs the legacy switch");
    assert_eq!(chosen(&[Cut, Proper], true), Some(Cut));
    assert_eq!(chosen(&EspSuite::ALL, true), Some(Proper));
    assert_eq!(chosen(&[EspSuite::Aes256CbcSha512], true), None);
}

#[test]
fn an_offer_is_bounded() {
    let suites = [EspSuite::Aes256CbcSha1; SUITES_MAX + 1];
    let offer = offered(&suites, 0x1000, Encapsulation::TRANSPORT, None, HOUR);
    assert_eq!(offer.proposals[0].transforms.len(), SUITES_MAX);
}

#[test]
fn the_encapsulation_must_be_one_that_reaches_the_peer() {
    let suites = [EspSuite::Aes256CbcSha1];
    let encap = |mode: u16, plain: bool, udp: bool| {
        let offer = offered(&suites, 0x1000, Encapsulation(mode), None, HOUR);
        let criteria = Criteria { plain, udp, ..criteria(&suites) };
        choose_esp(&offer, criteria).ok().map(|chosen| chosen.encap)
    };
    assert_eq!(encap(2, true, false), Some(Encap::Esp));
    assert_eq!(encap(2, false, true), None);
    assert_eq!(encap(4, true, false), None);
    assert_eq!(encap(4, true, true), Some(Encap::Udp));
    assert_eq!(encap(61444, false, true), Some(Encap::Udp));
    for tunnel in [1, 3, 61443] {
        assert_eq!(encap(tunnel, true, true), None);
    }
}

#[test]
fn perfect_forward_secrecy_follows_the_initiator() {
    let suites = [EspSuite::Aes256CbcSha1];
    let group = |group: Option<DhGroup>, ke_len: Option<usize>| {
        let offer = offered(&suites, 0x1000, Encapsulation::UDP_TRANSPORT, group, HOUR);
        choose_esp(&offer, Criteria { ke_len, ..criteria(&suites) }).ok().map(|c| c.group)
    };
    assert_eq!(group(None, None), Some(None));
    assert_eq!(group(Some(DhGroup::Modp2048), Some(256)), Some(Some(DhGroup::Modp2048)));
    assert_eq!(group(Some(DhGroup::Modp2048), Some(255)), None);
    assert_eq!(group(Some(DhGroup::Modp2048), None), None);
    assert_eq!(group(None, Some(256)), None);
    assert_eq!(group(Some(DhGroup::Modp1024), Some(128)), None);
}

#[test]
fn a_bundle_an_unknown_attribute_and_esn_are_passed_over() {
    let suites = [EspSuite::Aes256CbcSha1];
    let change = |change: &dyn Fn(&mut SaBody)| {
        let mut offer = offered(&suites, 0x1000, Encapsulation::UDP_TRANSPORT, None, HOUR);
        change(&mut offer);
        choose_esp(&offer, criteria(&suites)).is_ok()
    };
    assert!(change(&|_| {}));
    assert!(!change(&|o| {
        let ah = Proposal { protocol: ProtocolId::AH, ..o.proposals[0].clone() };
        o.proposals.push(ah);
    }));
    let attribute = |class, value| {
        change(&move |o: &mut SaBody| {
            o.proposals[0].transforms[0].attributes.push(Attribute::basic(class, value));
        })
    };
    assert!(attribute(11, 0) && attribute(10, 1));
    assert!(!attribute(11, 1) && !attribute(7, 1) && !attribute(99, 1));
    assert!(!change(&|o| o.proposals[0].spi = vec![0, 0, 0, 9]));
}
