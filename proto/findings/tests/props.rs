//! Proposals are of the size that is asked for and meet nothing, and are found wherever there are any.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use isthmus_findings::{RESERVED, first_free, without};
use proptest::collection::vec;
use proptest::prelude::*;

fn v4() -> impl Strategy<Value = IpNet> {
    // Mostly private ones, for they are in the way.
    let address = prop_oneof![
        any::<u32>(),
        (0_u32..1 << 24).prop_map(|host| 0x0a00_0000 | host),
        (0_u32..1 << 20).prop_map(|host| 0xac10_0000 | host),
        (0_u32..1 << 16).prop_map(|host| 0xc0a8_0000 | host),
    ];
    (address, 0_u8..=32).prop_map(|(address, length)| {
        IpNet::V4(Ipv4Net::new_assert(address.into(), length).trunc())
    })
}

fn v6() -> impl Strategy<Value = IpNet> {
    let address =
        prop_oneof![any::<u128>(), any::<u128>().prop_map(|host| (0xfd << 120) | (host >> 8))];
    (address, 0_u8..=128).prop_map(|(address, length)| {
        IpNet::V6(Ipv6Net::new_assert(address.into(), length).trunc())
    })
}

fn meet(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

fn private() -> Vec<IpNet> {
    let all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"];
    all.iter().map(|text| text.parse().unwrap()).collect()
}

proptest! {
    #[test]
    fn proposals_are_private_of_the_same_size_and_meet_nothing(
        like in prop_oneof![v4(), v6()],
        taken in vec(prop_oneof![v4(), v6()], 0..24),
    ) {
        let Some(free) = first_free(like, &taken) else { return Ok(()) };
        prop_assert_eq!(free.prefix_len(), like.prefix_len());
        prop_assert_eq!(free.addr().is_ipv4(), like.addr().is_ipv4());
        prop_assert_eq!(free, free.trunc());
        prop_assert!(private().iter().any(|net| net.contains(&free)), "{}", free);
        prop_assert!(taken.iter().all(|net| !meet(*net, free)), "{}", free);
        prop_assert!(RESERVED.iter().all(|other| !meet(IpNet::V4(other.net()), free)), "{}", free);
    }

    /// Where none is proposed, trying all of them finds none either.
    #[test]
    fn what_is_free_is_found(length in 8_u8..=18, taken in vec(v4(), 0..12)) {
        let like = IpNet::V4(Ipv4Net::new_assert([10, 0, 0, 0].into(), length));
        let all = private().into_iter().filter(|net| net.addr().is_ipv4() && net.prefix_len() <= length);
        let reserved = || RESERVED.iter().map(|other| IpNet::V4(other.net()));
        let exists = all.flat_map(|net| net.subnets(length).unwrap()).any(|net| {
            taken.iter().copied().chain(reserved()).all(|other| !meet(other, net))
        });
        prop_assert_eq!(first_free(like, &taken).is_some(), exists);
    }

    #[test]
    fn what_is_left_has_every_address_but_those_of_the_hole(
        (net, hole) in prop_oneof![(v4(), v4()), (v6(), v6())],
        probe in any::<u128>(),
    ) {
        let rest = without(net, hole);
        prop_assert!(rest.len() <= 128);
        for (index, one) in rest.iter().enumerate() {
            prop_assert!(net.contains(one) && !meet(*one, hole));
            prop_assert!(rest.iter().skip(index + 1).all(|other| !meet(*one, *other)));
        }
        let address = match net {
            IpNet::V4(net) => {
                let host = u32::try_from(probe & u128::from(u32::MAX)).unwrap();
                IpNet::from(std::net::IpAddr::V4((net.network().to_bits() | (host & net.hostmask().to_bits())).into()))
            }
            IpNet::V6(net) => {
                IpNet::from(std::net::IpAddr::V6((net.network().to_bits() | (probe & net.hostmask().to_bits())).into()))
            }
        };
        let left = rest.iter().any(|one| one.contains(&address));
        prop_assert_eq!(left, !hole.contains(&address));
    }
}
