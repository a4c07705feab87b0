//! Clients behind one address, with the same ports, tunnel and session ids: what tells them apart is the
//! SA, on the way in and on the way back.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::fixture::{End, Link, SERVER, udp};
use crate::{Command, Rx, Tx};

/// A gateway, its clients, and the NAT between: `ports[n]` is the outer port of client `n` now.
struct Street {
    gateway: End,
    clients: Vec<End>,
    links: Vec<Link>,
    ports: Vec<u16>,
    rekeys: Vec<u32>,
}

impl Street {
    fn new(count: u32) -> Self {
        let links: Vec<Link> = (1..=count).map(Link::new).collect();
        let mut gateway = End::new(1);
        let mut clients = Vec::new();
        for link in &links {
            let mut client = End::new(u8::try_from(link.slot + 1).unwrap());
            link.install(0, &mut gateway, &mut client);
            let own = ipnet::IpNet::from(core::net::IpAddr::V4(link.inner_v4));
            let mut session = link.gateway_session();
            (session.sources, session.destinations) = (alloc::vec![own], alloc::vec![own]);
            gateway.apply(Command::OpenSession(session));
            client.apply(Command::OpenSession(link.client_session()));
            clients.push(client);
        }
        let ports = links.iter().map(|link| link.at_gateway.remote.port()).collect();
        let rekeys = alloc::vec![0; links.len()];
        Self { gateway, clients, links, ports, rekeys }
    }

    /// A packet of client `n` to the server; it arrives whole.
    fn up(&mut self, n: usize) {
        let packet = udp(&std::format!("{}", self.links[n].inner_v4), SERVER, 60);
        self.clients[n].tun(core::slice::from_ref(&packet));
        let mut path = self.links[n].at_gateway;
        path.remote.set_port(self.ports[n]);
        let sent = self.clients[n].sent();
        let arrived = sent.into_iter().map(|tx| Rx { path, port: tx.port, buf: copy(&tx) });
        self.gateway.net(arrived.collect());
        assert_eq!(self.gateway.delivered(), [packet]);
    }

    /// Packets from the server to every client at once; what each client gets. The NAT hands a datagram
    /// to whoever has the port now.
    fn down(&mut self) -> Vec<usize> {
        let packets: Vec<Vec<u8>> = self
            .links
            .iter()
            .map(|link| udp(SERVER, &std::format!("{}", link.inner_v4), 60))
            .collect();
        self.gateway.tun(&packets);
        let mut got = Vec::new();
        for tx in self.gateway.sent() {
            let owner = self.ports.iter().position(|port| *port == tx.path.remote.port());
            let n = owner.unwrap();
            let rx = Rx { path: self.links[n].at_client, port: tx.port, buf: copy(&tx) };
            self.clients[n].net(alloc::vec![rx]);
            for packet in self.clients[n].delivered() {
                assert_eq!(packet, packets[n], "client {n} got a packet of another one");
                got.push(n);
            }
        }
        got.sort_unstable();
        got
    }

    /// Client `n` replaces its SAs.
    fn rekey(&mut self, n: usize) {
        self.rekeys[n] += 1;
        let (age, old) = (self.rekeys[n], self.rekeys[n] - 1);
        let link = self.links[n].clone();
        link.install(age, &mut self.gateway, &mut self.clients[n]);
        let (peer, spi) = (link.peer(), link.spi(old));
        self.gateway.apply(Command::RemoveOutbound { peer, spi });
        self.gateway.apply(Command::RemoveInbound { spi });
        self.clients[n].apply(Command::RemoveOutbound { peer, spi });
    }
}

fn copy(tx: &Tx) -> isthmus_core::Buf {
    isthmus_core::Buf::copy_of(&tx.buf)
}

#[test]
fn sixty_neighbours_with_the_same_ids_each_get_their_own() {
    let mut street = Street::new(60);
    let all: Vec<usize> = (0..60).collect();
    assert_eq!(street.down(), all);
    for n in 0..60 {
        street.up(n);
        street.rekey(n);
    }
    assert_eq!(street.down(), all);
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Down,
    Rekey(usize),
    /// The NAT gives each of two clients the port of the other.
    Swap(usize, usize),
    Up(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = 0..6_usize;
    prop_oneof![
        Just(Deed::Down),
        who.clone().prop_map(Deed::Rekey),
        (who.clone(), who.clone()).prop_map(|(a, b)| Deed::Swap(a, b)),
        who.prop_map(Deed::Up),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever neighbours do, and whatever their NAT does to their ports: nobody gets what is another's,
    /// and everybody who has spoken since gets what is his.
    #[test]
    fn the_way_back_is_always_the_sa(deeds in prop::collection::vec(deed(), 0..30)) {
        let mut street = Street::new(6);
        for deed in deeds {
            match deed {
                Deed::Down => { street.down(); }
                Deed::Rekey(n) => street.rekey(n),
                Deed::Swap(a, b) => street.ports.swap(a, b),
                Deed::Up(n) => street.up(n),
            }
        }
        for n in 0..6 {
            street.up(n);
        }
        prop_assert_eq!(street.down(), (0..6).collect::<Vec<_>>());
    }
}
