//! Where the client puts its sockets and its tunnel.

use isthmus_interop::{Access, CLOUD_HOST, LabError};
use isthmus_netns::{Client, Config, Dial, Site, download, ping};

#[test]
fn a_tunnel_is_put_into_another_namespace_than_its_sockets() -> Result<(), LabError> {
    let site = Site::open("places", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let office = site.lab().namespace("office")?;
    let dial = Dial::new().with(&format!("--inner-netns {} --interface office0", office.name()));
    let (client, up) = Client::connect(&site, &host, &dial)?;
    assert_eq!(up.interface, "office0");
    assert!(office.ip("-o address show dev office0")?.contains(&up.address.to_string()));
    ping(&office, CLOUD_HOST)?;
    download(&site, &office)?;
    let outside = ping(&host, CLOUD_HOST);
    assert!(outside.is_err(), "the host itself has no way to the cloud");
    client.hang_up()?;
    assert_eq!(office.ip("-o link show type tun")?, "", "the device is gone with the client");
    site.close()?.passed();
    Ok(())
}
