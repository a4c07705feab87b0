//! Each authentication protocol.

use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, LabError};
use isthmus_netns::{Client, Config, Dial, Site, ping};

#[test]
fn each_authentication_protocol_logs_in() -> Result<(), LabError> {
    let config = Config {
        ppp: r#"auth = ["mschapv2", "eap-mschapv2", "chap", "pap"]"#,
        ..Config::default()
    };
    let mut site = Site::open("login", Access::Nat, config)?;
    let host = site.client_host()?;
    for protocol in ["pap", "chap", "mschapv2", "eap-mschapv2"] {
        let dial = Dial::new().with(&format!("--auth {protocol}"));
        let (client, up) = Client::connect(&site, &host, &dial)?;
        let sessions = site.gateway().sessions()?;
        assert_eq!(sessions.at("/0/user")?, "alice", "{sessions}");
        assert_eq!(sessions.at("/0/address")?, &up.address.to_string(), "{sessions}");
        ping(&host, CLOUD_HOST)?;
        client.hang_up()?;
        site.wait_idle(Duration::from_secs(5))?;
    }
    site.close()?.passed();
    Ok(())
}
