//! Calls that come with LCP and the login done by the LAC (RFC 2661 §4.4.5).
//!
//! A LAC may answer for us at first, to see whom a user belongs to, and hand over what it negotiated
//! and what it was told. Whoever trusts a LAC with that ([`Proxy::Accept`]) spares its users a second
//! negotiation. What we could not have agreed to ourselves, and what is not complete, is counted, and
//! the link begins anew, which every client can do.

use alloc::sync::Arc;

use isthmus_core::Instant;
use isthmus_l2tp::iana::ProxyAuthenType;
use isthmus_l2tp::{ProxyAuth, SessionUp};
use isthmus_plane::PeerRef;
use isthmus_ppp::{self as ppp, Link, LinkConfig, Proxied, ProxiedLogin};

use crate::config::Proxy;
use crate::machine::Gateway;
use crate::peer::Peer;

impl Gateway {
    /// The link that a LAC began and hands over with a call; none when it has to begin anew.
    pub(crate) fn adopt_link(
        &mut self,
        peer: PeerRef,
        call: &SessionUp,
        config: &Arc<LinkConfig>,
        now: Instant,
    ) -> Option<Link> {
        if self.peers.get(&peer).map(|peer| self.proxy_of(peer)) != Some(Proxy::Accept) {
            return None;
        }
        let adopted = brought(call).and_then(|brought| {
            let Some(proxied) = brought else { return Ok(None) };
            let (config, provider) = (Arc::clone(config), Arc::clone(&self.provider));
            Link::adopt(config, provider, self.rng.seed(), &proxied, now)
                .map(Some)
                .map_err(ppp::NotAdopted::label)
        });
        adopted.unwrap_or_else(|label| {
            self.stats.l2tp.count(label);
            None
        })
    }

    fn proxy_of(&self, peer: &Peer) -> Proxy {
        match peer.id {
            PeerRef::Ipsec(_) => self.config.proxy,
            PeerRef::Lac(_) => {
                let lac = self.config.lacs.iter().find(|lac| lac.name == peer.identity);
                lac.map_or(Proxy::Renegotiate, |lac| lac.proxy)
            }
        }
    }
}

/// What a call brings along: nothing, everything that is needed, or the label of what is wrong.
fn brought(call: &SessionUp) -> Result<Option<Proxied<'_>>, &'static str> {
    let (lcp, auth) = match (&call.proxy_lcp, &call.proxy_auth) {
        (None, None) => return Ok(None),
        // Windows says in each ICCN that nothing was authenticated.
        (None, Some(auth)) if auth.kind == ProxyAuthenType::NONE => return Ok(None),
        (Some(lcp), Some(auth)) => (lcp, auth),
        (None, Some(_)) | (Some(_), None) => return Err(INCOMPLETE),
    };
    // The peer's first request tells nothing that we need.
    let (Some(sent), Some(received)) = (&lcp.last_sent, &lcp.last_received) else {
        return Err(INCOMPLETE);
    };
    Ok(Some(Proxied {
        last_sent: sent.as_bytes(),
        last_received: received.as_bytes(),
        login: login(auth)?,
    }))
}

fn login(auth: &ProxyAuth) -> Result<ProxiedLogin<'_>, &'static str> {
    // MS-CHAPv2 has no type of its own; it is CHAP with the algorithm that LCP says.
    if auth.kind != ProxyAuthenType::CHAP && auth.kind != ProxyAuthenType::PAP {
        return Err(OTHER_TYPE);
    }
    let (Some(id), Some(name), Some(response)) = (auth.id, &auth.name, &auth.response) else {
        return Err(INCOMPLETE);
    };
    let (name, response) = (name.as_bytes(), response.expose());
    match &auth.challenge {
        _ if auth.kind == ProxyAuthenType::PAP => {
            Ok(ProxiedLogin::Pap { id, name, password: response })
        }
        Some(challenge) => {
            Ok(ProxiedLogin::Chap { id, name, challenge: challenge.as_bytes(), response })
        }
        None => Err(INCOMPLETE),
    }
}

/// An AVP is missing.
const INCOMPLETE: &str = "proxy_incomplete";
/// A proxy authentication other than CHAP and PAP.
const OTHER_TYPE: &str = "proxy_authen_type";
