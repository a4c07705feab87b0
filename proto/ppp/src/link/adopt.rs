//! Links that do not begin with their first packet: restored from a record, or taken over from a LAC.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use isthmus_core::{Instant, Rng, Seed};
use isthmus_crypto::Provider;

use super::{Ipv6Network, Link, Login, Network, Phase};
use crate::authenticatee::Authenticatee;
use crate::authenticator::Authenticator;
use crate::config::{AuthProtocol, LinkConfig, Role};
use crate::eap;
use crate::ipcp::{ClientAddresses, IpcpOptions, ServerAddresses};
use crate::ipv6cp::Ipv6cpOptions;
use crate::lcp::LcpOptions;
use crate::negotiation::Negotiation;
use crate::option::read_all;
use crate::proxied::{NotAdopted, Proxied};
use crate::record::{Ipv6Record, LinkRecord};

impl Link {
    /// A server's link that goes on where a LAC stopped (RFC 2661 §4.4.5): LCP is open, and the login
    /// waits for a verdict. When the peer negotiates anew, it does so with us, from the beginning.
    ///
    /// # Errors
    /// LAC and peer agreed on something that we would not have. A [new](Link::new) link may negotiate.
    pub fn adopt(
        config: Arc<LinkConfig>,
        provider: Arc<dyn Provider>,
        seed: Seed,
        proxied: &Proxied<'_>,
        now: Instant,
    ) -> Result<Self, NotAdopted> {
        let Role::Server(server) = &config.role else { return Err(NotAdopted::AuthProtocol) };
        let read = |options| read_all(options).map_err(|_| NotAdopted::Malformed);
        let mut rng = Rng::new(seed);
        let mut options = LcpOptions::new(&config, Rng::new(rng.seed()));
        options.stand_by(&read(proxied.last_sent)?)?;
        let method = options.ours.auth.ok_or(NotAdopted::AuthProtocol)?;
        let [id] = rng.array();
        let request = read(proxied.last_received)?;
        let lcp =
            Negotiation::adopt(options, config.timing, id, &request).map_err(NotAdopted::Option)?;
        let login = Authenticator::adopt(method, server, config.timing, &proxied.login, now)?;
        let phase = Phase::Authenticate(Login::Server(Box::new(login)));
        let establish_at = now + config.timing.establish;
        let mut link = Self::with(config, provider, rng, lcp, phase);
        link.establish_at = Some(establish_at);
        link.settle(now);
        Ok(link)
    }

    /// A link that was up when it was recorded, and is up again.
    pub fn restore(
        record: &LinkRecord,
        config: Arc<LinkConfig>,
        provider: Arc<dyn Provider>,
        seed: Seed,
        now: Instant,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let timing = config.timing;
        let options = LcpOptions::restore(&config, Rng::new(rng.seed()), record.ours, record.peer);
        let lcp = Negotiation::restore(options, timing, record.lcp_id);
        let network = &record.network;
        let (addresses, login) = match &config.role {
            Role::Client(client) => {
                let login = record.peer.auth.map(|method| {
                    let provider = Arc::clone(&provider);
                    match method {
                        AuthProtocol::EapMsChapV2 => {
                            Login::EapPeer(Box::new(eap::peer::Peer::proved(client, provider)))
                        }
                        AuthProtocol::ChapMd5 | AuthProtocol::MsChapV2 | AuthProtocol::Pap => {
                            let restored = Authenticatee::restore(method, client, provider, timing);
                            Login::Client(Box::new(restored))
                        }
                    }
                });
                (IpcpOptions::Client(ClientAddresses::restore(network)), login)
            }
            Role::Server(_) => {
                let addresses = ServerAddresses::new(network.local, network.remote, &network.dns);
                (IpcpOptions::Server(addresses), None)
            }
        };
        let ipcp = Negotiation::restore(addresses, timing, record.ipcp_id);
        let ipv6 = record.ipv6.map(|Ipv6Record { up, id }| {
            let options = Ipv6cpOptions::restore(up, Rng::new(rng.seed()));
            let cp = Negotiation::restore(options, timing, id);
            Box::new(Ipv6Network { cp, is_up: true, ups: 1 })
        });
        let asked = Vec::new();
        let network = Network { login, ipcp, asked, ipv6, heard: true, is_up: true };
        let phase = Phase::Network(Box::new(network));
        let mut link = Self::with(config, provider, rng, lcp, phase);
        link.keepalive.start(now);
        link.up_since = Some(now);
        link
    }
}
