//! The identities of quick mode, which name the traffic of a child.

use core::net::IpAddr;

use crate::child::Selectors;
use crate::codec::IdBody;
use crate::error::Rejected;
use crate::habits::Selector;
use crate::iana::{IdType, PROTOCOL_UDP};

/// Reads a pair of quick mode identities as UDP ports of two hosts: the first payload is the
/// initiator's. Returns both ports, the initiator's first.
///
/// Addresses are not compared with anything: behind NATs they are private, or what the client dialled.
pub(crate) fn read_selectors(bodies: &[&[u8]]) -> Result<Option<(u16, u16)>, Rejected> {
    let [initiator, responder] = bodies else {
        return if bodies.is_empty() { Ok(None) } else { Err(Rejected::Selectors) };
    };
    Ok(Some((selector_port(initiator)?, selector_port(responder)?)))
}

fn selector_port(body: &[u8]) -> Result<u16, Rejected> {
    let id = IdBody::read(body).map_err(|_| Rejected::Selectors)?;
    let host = match id.kind {
        // Windows XP without its NAT-T update sends its name.
        IdType::IPV4_ADDR | IdType::IPV6_ADDR | IdType::FQDN | IdType::USER_FQDN => true,
        IdType::IPV4_ADDR_SUBNET | IdType::IPV6_ADDR_SUBNET => {
            let mask = id.data.get(id.data.len() / 2..).unwrap_or_default();
            mask.iter().all(|byte| *byte == 0xff)
        }
        IdType::IPV4_ADDR_RANGE | IdType::IPV6_ADDR_RANGE => {
            let (first, last) = id.data.split_at(id.data.len() / 2);
            first == last
        }
        _ => false,
    };
    match (host, id.protocol, id.port) {
        (true, PROTOCOL_UDP, port) => Ok(port),
        // Protocol 0 means any, UDP among them; NetworkManager's clients send it.
        (true, 0, 0) => Ok(0),
        _ => Err(Rejected::Selectors),
    }
}

/// Our selectors for a child that we ask for.
pub(crate) fn own_selectors(
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    form: Selector,
) -> Selectors {
    let (protocol, port) = match form {
        Selector::Any => (0, 0),
        Selector::AnyPort => (PROTOCOL_UDP, 0),
        Selector::Port => (PROTOCOL_UDP, local.1),
    };
    let own = IdBody::address(local.0, protocol, port).to_bytes();
    let peers = IdBody::address(remote.0, PROTOCOL_UDP, remote.1).to_bytes();
    Selectors { local_port: port, remote_port: remote.1, bodies: Some((own, peers)) }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn udp(port: u16) -> Vec<u8> {
        IdBody::address("192.168.1.10".parse().unwrap(), 17, port).to_bytes()
    }

    #[test]
    fn every_clients_selectors_are_understood() {
        let server = udp(1701);
        let pair = |body: &[u8]| read_selectors(&[body, &server]);
        assert_eq!(pair(&udp(1701)), Ok(Some((1701, 1701))), "Windows");
        assert_eq!(pair(&udp(56322)), Ok(Some((56322, 1701))), "Apple");
        assert_eq!(pair(&udp(0)), Ok(Some((0, 1701))), "Android");
        assert_eq!(pair(&[1, 0, 0, 0, 10, 0, 0, 1]), Ok(Some((0, 1701))), "NetworkManager");
        assert_eq!(pair(b"\x02\x11\x06\xa5pc"), Ok(Some((1701, 1701))), "Windows XP");
        assert_eq!(read_selectors(&[]), Ok(None));
    }

    #[test]
    fn other_protocols_networks_and_single_identities_are_refused() {
        let good = udp(1701);
        let refused = |body: &[u8]| read_selectors(&[body, &good]) == Err(Rejected::Selectors);
        assert!(refused(&[1, 6, 0, 80, 10, 0, 0, 1]), "TCP");
        assert!(refused(&[1, 0, 0, 80, 10, 0, 0, 1]), "a port of any protocol");
        assert!(refused(&[4, 17, 6, 0xa5, 10, 0, 0, 0, 255, 255, 255, 0]), "a network");
        assert!(refused(&[7, 17, 6, 0xa5, 10, 0, 0, 1, 10, 0, 0, 9]), "a range");
        assert!(refused(&[9, 17, 6, 0xa5, 0x30]), "a distinguished name");
        assert!(refused(&[1, 17, 6]), "a stump");
        assert_eq!(read_selectors(&[&good]), Err(Rejected::Selectors));
        assert_eq!(read_selectors(&[good.as_slice(); 3]), Err(Rejected::Selectors));
        let host = [4, 17, 6, 0xa5, 10, 0, 0, 1, 255, 255, 255, 255];
        assert_eq!(read_selectors(&[&host, &good]), Ok(Some((1701, 1701))));
    }
}
