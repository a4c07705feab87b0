//! DHCPINFORM: a client asks for routes after IPCP gave it an address.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use isthmus_l2tp::SessionRef;
use isthmus_plane::PeerRef;
use isthmus_ppp::dhcp::{self, Answer, Inform};
use isthmus_ppp::iana::Protocol;
use isthmus_ppp::{Frame, IpVersion, split_ip};

use crate::machine::Gateway;
use crate::session::Session;

/// The packet of a frame that belongs to DHCP and not to the link.
pub(crate) fn dhcp_packet(frame: &[u8]) -> Option<&[u8]> {
    match split_ip(frame) {
        Some((IpVersion::V4, packet)) if dhcp::is_for_server(packet) => Some(packet),
        Some((IpVersion::V4 | IpVersion::V6, _)) | None => None,
    }
}

impl Gateway {
    /// Answers a packet for a DHCP server when it asks for options of the session's own address;
    /// anything else is counted and gets no answer.
    pub(crate) fn handle_dhcp(&mut self, peer: PeerRef, at: SessionRef, packet: &[u8]) {
        let Some(state) = self.peers.get(&peer) else { return };
        let Some(session) = state.sessions.get(&at) else { return };
        let Some(tenant) = self.config.tenants.get(session.tenant()) else { return };
        match answer(session, tenant.gateway_address, packet) {
            Ok(packet) => {
                let frame = Frame { protocol: Protocol::IPV4, body: &packet };
                self.send_frame(peer, at, &frame.write());
            }
            Err(label) => self.stats.ppp.count(label),
        }
    }
}

/// The answer to a packet, or the label it is refused under.
fn answer(session: &Session, server: Ipv4Addr, packet: &[u8]) -> Result<Vec<u8>, &'static str> {
    let inform = Inform::read(packet).map_err(|_| "dhcp_not_inform")?;
    let (Some(lease), Some(network)) = (&session.lease, &session.network) else {
        return Err("dhcp_out_of_phase");
    };
    if inform.address != lease.address {
        return Err("dhcp_foreign_address");
    }
    let advice = &lease.advice;
    let answer = Answer {
        server,
        routes: advice.routes.clone(),
        dns: advice.dns.clone(),
        ntp: advice.ntp.clone(),
        domain: advice.domain.clone(),
        search: advice.search.clone(),
    };
    let packet = answer.write(&inform);
    if packet.len() > usize::from(network.peer_mru) {
        return Err("dhcp_answer_too_long");
    }
    Ok(packet)
}
