//! LACs that are trusted without IPsec hand users over, and nobody else is heard.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::net::IpAddr;
use std::sync::Arc;

use isthmus_client::Client;
use isthmus_core::{Duration, Path, SecretBytes};
use isthmus_gateway::{Cause, Config, Event, Lac, PLACES_MAX, Proxy};
use isthmus_plane::{DropReason, PeerRef};
use isthmus_sim::settings::{self, GATEWAY};
use isthmus_sim::{GatewayHost, Impairment, NodeId, Packet, World, seeds};

const LIMIT: Duration = Duration::from_mins(2);
const SECRET: &[u8] = b"wholesale";
const LAC: &str = "198.51.100.20";

fn lac(name: &str, source: &str) -> Lac {
    let mut l2tp = isthmus_l2tp::Config::lns(b"gateway");
    l2tp.secret = Some(SecretBytes::copy_of(SECRET));
    l2tp.tunnels_max = 8;
    l2tp.sessions_max = 1000;
    Lac {
        name: name.into(),
        sources: vec![source.parse().unwrap()],
        l2tp: Arc::new(l2tp),
        tenants: vec![0],
        proxy: Proxy::Renegotiate,
    }
}

fn config() -> Config {
    Config { lacs: vec![lac("metro", "198.51.100.16/28")], ..settings::gateway() }
}

/// A LAC that dials in for one user, with this tunnel secret.
fn dials(world: &mut World, (from, to): (&str, &str), user: &str, secret: Option<&[u8]>) -> NodeId {
    let at: IpAddr = from.parse().unwrap();
    world.allow_plain(at);
    let path = Path::new((at, 1701).into(), (to.parse::<IpAddr>().unwrap(), 1701).into());
    let base = settings::client("192.0.2.250", user);
    let mut l2tp = (*base.l2tp).clone();
    l2tp.secret = secret.map(SecretBytes::copy_of);
    let config = isthmus_client::Config { plain: Some(path), l2tp: Arc::new(l2tp), ..base };
    world.dial(config)
}

#[test]
fn a_trusted_lac_hands_a_user_over_and_takes_him_back() {
    let (mut world, gateway) = World::around(1, config());
    let client = dials(&mut world, (LAC, GATEWAY), "user1", Some(SECRET));
    world.wait_up(client, LIMIT);
    world.echo(client, b"in the clear");
    let machine = &world.gateway(gateway).machine;
    let session = machine.sessions().remove(0);
    assert!(matches!(session.peer, PeerRef::Lac(_)));
    assert_eq!((session.identity.as_str(), session.encap, session.suite), ("metro", None, None));
    let status = machine.status();
    assert_eq!((status.peers, status.lacs.len()), (0, 1));
    let lac = &status.lacs[0];
    assert_eq!((lac.name.as_str(), &lac.tenants[..]), ("metro", &["acme".to_owned()][..]));
    assert_eq!((lac.tunnels, lac.sessions), (1, 1));
    assert_eq!(lac.from, [format!("{LAC}:1701").parse().unwrap()]);

    world.with_client(client, |c, now| c.act(now, Client::stop));
    world.run_for(Duration::from_mins(1));
    let host = world.gateway(gateway);
    assert!(host.machine.is_idle() && host.machine.sessions().is_empty());
    let named = |event: &Event| {
        if let Event::LacUp { lac, host, .. } = event {
            Some(format!("{lac} up {host}"))
        } else if let Event::LacDown { lac, .. } = event {
            Some(format!("{lac} down"))
        } else {
            None
        }
    };
    let events: Vec<String> = host.events.iter().filter_map(named).collect();
    assert_eq!(events, ["metro up client", "metro down"]);
}

#[test]
fn it_works_over_ipv6_and_over_bad_networks() {
    for seed in seeds(5) {
        let mut config = config();
        config.lacs.push(lac("six", "2001:db8:20::/48"));
        let (mut world, gateway) = World::around(seed, config);
        world.also_at(gateway, "2001:db8::1".parse().unwrap());
        world.impairment = Impairment::lossy(5);
        let four = dials(&mut world, (LAC, GATEWAY), "user1", Some(SECRET));
        let six = dials(&mut world, ("2001:db8:20::7", "2001:db8::1"), "user2", Some(SECRET));
        for client in [four, six] {
            world.wait_up(client, LIMIT);
        }
        world.echo(four, b"four");
        world.echo(six, b"six");
        assert_eq!(world.gateway(gateway).machine.sessions().len(), 2, "SIM_SEED={seed}");
    }
}

#[test]
fn a_lac_and_ipsec_clients_are_served_side_by_side() {
    let (mut world, gateway) = World::around(2, config());
    let plain = dials(&mut world, (LAC, GATEWAY), "user1", Some(SECRET));
    let sealed = world.dial(settings::client("198.51.100.7", "user2"));
    for client in [plain, sealed] {
        world.wait_up(client, LIMIT);
    }
    world.echo(plain, b"plain");
    world.echo(sealed, b"sealed");
    assert_eq!(world.gateway(gateway).machine.sessions().len(), 2);
    // The world fails if anything of the second client is seen in the clear.
}

#[test]
fn whoever_is_not_in_the_list_gets_no_answer_at_all() {
    for config in [config(), settings::gateway()] {
        let (mut world, gateway) = World::around(3, config);
        let client = dials(&mut world, ("203.0.113.77", GATEWAY), "user1", Some(SECRET));
        world.run_for(Duration::from_secs(40));
        assert!(world.client(client).up().is_none());
        let now = world.now;
        let host = world.gateway(gateway);
        let drops = host.counters(now).total.drops;
        assert!(drops.of(DropReason::NotTrusted) >= 5);
        assert_eq!(host.counters(now).total.plain_sent.packets, 0);
        assert!(host.machine.is_idle() && host.events.is_empty());
    }
}

#[test]
fn without_the_tunnel_secret_no_user_comes_in() {
    for wrong in [Some(&b"another"[..]), None] {
        let (mut world, gateway) = World::around(4, config());
        let client = dials(&mut world, (LAC, GATEWAY), "user1", wrong);
        world.run_for(Duration::from_mins(2));
        assert!(world.client(client).up().is_none());
        let host = world.gateway(gateway);
        assert!(host.machine.is_idle(), "nothing is kept of it");
        assert!(!host.events.iter().any(|event| matches!(event, Event::LacUp { .. })));
    }
}

/// A LAC that does not check us but cannot prove itself either is told, and the record says why.
#[test]
fn a_wrong_secret_leaves_a_record_with_its_cure() {
    let (mut world, gateway) = World::around(5, config());
    world.allow_plain(LAC.parse().unwrap());
    let avps: [&[u8]; 5] = [
        &[0x80, 8, 0, 0, 0, 0, 0, 1],
        &[0x80, 8, 0, 0, 0, 2, 1, 0],
        &[0x80, 10, 0, 0, 0, 3, 0, 0, 0, 3],
        &[0x80, 9, 0, 0, 0, 7, b'l', b'a', b'c'],
        &[0x80, 8, 0, 0, 0, 9, 0, 5],
    ];
    let mut replies = Vec::new();
    world.with_gateway(gateway, |g, now| {
        // The first one alone is too short for an answer.
        for _ in 0..2 {
            g.hears(&control(0, 0, &avps.concat()), now);
        }
        replies = g.pipeline.take_packets();
    });
    let sccrp = &replies[0].bytes;
    let at = sccrp.windows(6).position(|avp| avp == [0x80, 8, 0, 0, 0, 9]).unwrap() + 6;
    let tunnel = u16::from_be_bytes([sccrp[at], sccrp[at + 1]]);
    let mut scccn = vec![0x80, 8, 0, 0, 0, 0, 0, 3, 0x80, 22, 0, 0, 0, 13];
    scccn.extend([0x55; 16]);
    world.with_gateway(gateway, |g, now| g.hears(&control(tunnel, 1, &scccn), now));
    let failures = world.gateway(gateway).machine.status().failures;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].cause, Cause::WrongTunnelSecret);
    assert_eq!(failures[0].from, format!("{LAC}:1701").parse().unwrap());
    assert!(failures[0].cause.remedy().contains("[[lac]]"));
}

/// The AVPs of a minimal request for tunnel 5.
const SCCRQ: [u8; 41] = [
    0x80, 8, 0, 0, 0, 0, 0, 1, 0x80, 8, 0, 0, 0, 2, 1, 0, 0x80, 10, 0, 0, 0, 3, 0, 0, 0, 3, 0x80,
    7, 0, 0, 0, 7, b'x', 0x80, 8, 0, 0, 0, 9, 0, 5,
];

fn control(tunnel: u16, numbers: u16, avps: &[u8]) -> Packet {
    let mut bytes = vec![0xc8, 0x02];
    bytes.extend(u16::try_from(avps.len() + 12).unwrap().to_be_bytes());
    for word in [tunnel, 0, numbers, numbers] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(avps);
    from_place(1701, bytes)
}

fn from_place(port: u16, bytes: Vec<u8>) -> Packet {
    let from = (LAC.parse::<IpAddr>().unwrap(), port).into();
    let to = (GATEWAY.parse::<IpAddr>().unwrap(), 1701).into();
    Packet { from, to, esp: false, bytes }
}

/// Anybody can write the address of a LAC into a packet: the LAC must not be flooded thereby.
#[test]
fn a_faked_lac_is_never_sent_more_bytes_than_came_in_its_name() {
    let (mut world, gateway) = World::around(9, config());
    world.allow_plain(LAC.parse().unwrap());
    let vendor = |len: u8| [&[0, 6 + len, 0, 0, 0, 8], &vec![b'v'; usize::from(len)][..]].concat();
    let mut answered = 0;
    for (n, len) in [1, 20, 40, 60, 100, 200].into_iter().enumerate() {
        for copies in 1..4 {
            let port = 6000 + 10 * u16::try_from(n).unwrap() + copies;
            let sccrq = control(0, 0, &[&SCCRQ[..], &vendor(len)].concat()).bytes;
            let (mut heard, mut said) = (0, 0);
            for _ in 0..copies {
                heard += sccrq.len();
                world.with_gateway(gateway, |g, now| {
                    g.hears(&from_place(port, sccrq.clone()), now);
                    said += g.pipeline.take_packets().iter().map(|p| p.bytes.len()).sum::<usize>();
                });
                assert!(said <= heard, "{said} of {heard} bytes");
            }
            answered += usize::from(said > 0);
        }
    }
    assert!(answered > 12, "{answered} of 18 places had an answer");
    let sent = |world: &mut World| {
        let now = world.now;
        world.gateway(gateway).counters(now).total.plain_sent.packets
    };
    let before = sent(&mut world);
    world.run_for(Duration::from_mins(2));
    assert_eq!(sent(&mut world), before, "nothing follows by itself");
    assert!(world.gateway(gateway).machine.is_idle());
}

#[test]
fn a_lac_has_no_more_places_than_the_limit_and_garbage_makes_none() {
    let (mut world, gateway) = World::around(6, config());
    world.allow_plain(LAC.parse().unwrap());
    let garbage = [
        vec![0xc8, 0x02, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0xc8, 0x02, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, 6],
        vec![0xc8, 0x02, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        vec![0, 2, 0, 1, 0, 1, 0xff, 3, 0xc0, 0x21],
    ];
    for (n, bytes) in garbage.into_iter().enumerate() {
        let port = 3000 + u16::try_from(n).unwrap();
        world.with_gateway(gateway, |g, now| g.hears(&from_place(port, bytes), now));
        assert!(world.gateway(gateway).machine.is_idle(), "case {n}");
    }
    let message = control(0, 0, &SCCRQ).bytes;
    for n in 0..u16::try_from(PLACES_MAX).unwrap() + 10 {
        let packet = from_place(5000 + n, message.clone());
        world.with_gateway(gateway, |g, now| g.hears(&packet, now));
    }
    let lac = world.gateway(gateway).machine.status().lacs.remove(0);
    assert_eq!(lac.from.len(), PLACES_MAX);
    // Half-open tunnels are given up, and the places with them.
    world.run_for(Duration::from_mins(3));
    assert!(world.gateway(gateway).machine.is_idle());
    let good = dials(&mut world, ("198.51.100.21", GATEWAY), "user1", Some(SECRET));
    world.wait_up(good, LIMIT);
}

#[test]
fn a_lac_that_is_taken_out_of_the_configuration_is_told_and_forgotten() {
    let (mut world, gateway) = World::around(7, config());
    let client = dials(&mut world, (LAC, GATEWAY), "user1", Some(SECRET));
    world.wait_up(client, LIMIT);
    let stays = Arc::new(config());
    world.with_gateway(gateway, |g, now| g.reconfigure(stays, now));
    world.echo(client, b"still here");
    let gone = Arc::new(settings::gateway());
    world.with_gateway(gateway, |g, now| g.reconfigure(gone, now));
    assert!(world.gateway(gateway).machine.is_idle());
    world.run_for(Duration::from_secs(5));
    assert!(world.client(client).down().is_some(), "it was told");
}

#[test]
fn a_gateway_that_shuts_down_tells_its_lacs() {
    let (mut world, gateway) = World::around(8, config());
    let client = dials(&mut world, (LAC, GATEWAY), "user1", Some(SECRET));
    world.wait_up(client, LIMIT);
    world.with_gateway(gateway, GatewayHost::shut_down);
    assert!(world.gateway(gateway).machine.is_idle());
    world.run_for(Duration::from_secs(1));
    assert!(world.client(client).down().is_some());
}
