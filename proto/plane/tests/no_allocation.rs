//! Data packets cost no allocation once the vectors have grown.
#![expect(clippy::expect_used, reason = "tests fail by panicking")]

mod support;

use isthmus_crypto::EspSuite;
use isthmus_plane::{Rate, Rates};
use support::{End, NOW, TUN, carry, connected, fill, packet};

/// Sends a batch from one end to the other and back into the pools it came from.
fn round(
    from: &mut End,
    to: &mut End,
    content: &[u8],
    inner: &mut Vec<isthmus_core::Buf>,
    outer: &mut Vec<isthmus_plane::Rx>,
) {
    for _ in 0..64 {
        inner.push(fill(&mut from.out.free, content));
    }
    from.plane.handle_tun(TUN, inner, &mut from.out, NOW);
    carry(&mut from.out.net, outer);
    to.plane.handle_net(outer, &mut to.out, NOW);
    assert_eq!(to.out.tun.len(), 64);
    from.out.free.extend(to.out.tun.drain(..).map(|(_, buf)| buf));
    to.out.reports.clear();
}

#[test]
fn a_data_packet_is_carried_without_an_allocation() {
    let fast = Some(Rate::new(1_000_000_000, Some(1 << 30)));
    let rates = [Rates::default(), Rates { up: fast, down: fast }];
    for (suite, rates) in EspSuite::ALL.into_iter().flat_map(|s| rates.map(|r| (s, r))) {
        let (mut gateway, mut client) = connected(suite, rates);
        let (there, back) = (packet(1400, true), packet(1400, false));
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        let mut rounds = |count: usize| {
            for _ in 0..count {
                round(&mut client, &mut gateway, &there, &mut inner, &mut outer);
                round(&mut gateway, &mut client, &back, &mut inner, &mut outer);
            }
        };
        rounds(2);
        let counted = allocation_counter::measure(|| rounds(10));
        assert_eq!(counted.count_total, 0, "{suite}");
    }
}
