//! A client's visit as the tests of ways to prove oneself have it.

use std::time::Duration;

use isthmus_interop::{CLOUD_HOST, LabError};

use crate::client::{Client, Dial};
use crate::look::ping;
use crate::site::{Closed, Site};

/// Connects as `dial` says and uses the tunnel; after that one with the pre-shared key of everybody
/// does the same, and nothing stays.
///
/// # Errors
/// One of them does not get on, or `dial`'s ESP is not in UDP and `in_udp` says so, or the other way
/// round.
pub fn use_beside_the_key(mut site: Site, dial: &Dial, in_udp: bool) -> Result<Closed, LabError> {
    let host = site.client_host()?;
    let (client, up) = Client::connect(&site, &host, dial)?;
    let secured = client.event("secured").unwrap_or_default();
    if secured.get("encapsulated") != Some(&in_udp.into()) {
        return Err(LabError::unexpected(format!("ESP was to be in UDP: {in_udp}; {secured}")));
    }
    ping(&host, CLOUD_HOST)?;
    ping(site.lab().cloud().host(), up.address)?;
    client.hang_up()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.wait_idle(Duration::from_secs(5))?;
    site.close()
}
