//! What a user is given besides an address of the pool.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, INTERNET_ROUTER, LabError, wait_for};
use isthmus_netns::{Client, Config, Datagrams, Dial, Site, ping};
use serde_json::json;

#[test]
fn routes_and_name_servers_that_the_gateway_names_are_told_to_the_client() -> Result<(), LabError> {
    let config = Config { tenant: r#"dns = ["10.0.0.53"]"#, users: DAVE, ..Config::default() };
    let site = Site::open("grants", Access::Nat, config)?;
    let host = site.client_host()?;
    let ask_nothing = Dial::new().routes("");
    let (client, up) = Client::connect(&site, &host, &ask_nothing)?;
    let told = client.event("up").unwrap_or_default();
    assert_eq!(told.get("routes"), Some(&json!(["10.0.0.0/24"])), "{told}");
    assert_eq!(told.get("dns"), Some(&json!(["10.0.0.53"])), "{told}");
    ping(&host, CLOUD_HOST)?;
    let outside = host.ip(&format!("route get {INTERNET_ROUTER}"))?;
    assert!(!outside.contains(&up.interface), "only what was named goes there: {outside}");
    client.hang_up()?;

    let (client, up) = Client::connect(&site, &host, &ask_nothing.user("dave", "open sesame"))?;
    assert_eq!(up.address, Ipv4Addr::new(10, 64, 0, 99), "dave's own address");
    let told = client.event("up").unwrap_or_default();
    assert_eq!(told.get("routes"), Some(&json!(["10.0.0.0/25"])), "dave's own routes: {told}");
    assert_eq!(told.get("dns"), Some(&json!(["10.0.0.54"])), "dave's own name server: {told}");
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_group_with_a_pool_besides_that_of_its_tenant_is_routed_and_told_its_own()
-> Result<(), LabError> {
    let config = Config { tenant: GROUP, users: ERIN, ..Config::default() };
    let mut site = Site::open("grants-group", Access::Nat, config)?;
    let host = site.client_host()?;
    let dial = Dial::new().routes("").user("erin", "open sesame");
    let (client, up) = Client::connect(&site, &host, &dial)?;
    assert_eq!(up.address, Ipv4Addr::new(10, 77, 0, 1), "of the group's pool");
    let told = client.event("up").unwrap_or_default();
    assert_eq!(told.get("dns"), Some(&json!(["10.0.0.55"])), "{told}");
    assert_eq!(told.get("routes"), Some(&json!(["10.0.0.0/24"])), "the tenant's: {told}");
    ping(&host, CLOUD_HOST)?;
    assert_eq!(site.gateway().sessions()?.at("/0/group")?, "staff");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn networks_behind_a_user_are_reached_through_its_session() -> Result<(), LabError> {
    let config = Config { users: BRANCH, ..Config::default() };
    let mut site = Site::open("grants-branch", Access::Nat, config)?;
    let host = site.client_host()?;
    host.ip(&format!("address add {BRANCH_HOST}/32 dev lo"))?;
    let dial = Dial::new().user("branch", "open sesame");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    let cloud = Datagrams::open(site.lab().cloud().host(), CLOUD_HOST)?;
    Datagrams::open(&host, BRANCH_HOST)?.send("from the branch", CLOUD_HOST)?;
    let (text, from) = cloud.receive()?;
    assert_eq!((text.as_str(), from.ip()), ("from the branch", BRANCH_HOST.into()));
    ping(site.lab().cloud().host(), BRANCH_HOST)?;
    client.hang_up()?;

    let moved =
        Config { users: &BRANCH.replace("192.168.40.", "192.168.41."), ..Config::default() };
    let users = site.gateway().folder().join("acme.users");
    fs::write(&users, moved.users_file()).map_err(|source| LabError::io(&users, source))?;
    wait_for("the branch's other network", Duration::from_secs(10), || {
        let routes = site.lab().gateway().ip("route")?;
        let moved = routes.contains("192.168.41.0/24") && !routes.contains("192.168.40.0/24");
        Ok(moved.then_some(()))
    })?;
    site.close()?.passed();
    Ok(())
}

/// A user with everything of its own.
const DAVE: &str = r#"
    [users.dave]
    password = "open sesame"
    address = "10.64.0.99"
    routes = ["10.0.0.0/25"]
    dns = ["10.0.0.54"]"#;
/// A group with addresses besides those of the tenant.
const GROUP: &str = r#"
    [[tenant.group]]
    name = "staff"
    pool = ["10.77.0.0/24"]
    dns = ["10.0.0.55"]"#;
/// A user of that group.
const ERIN: &str = r#"
    [users.erin]
    password = "open sesame"
    group = "staff""#;
/// A router of a branch office.
const BRANCH: &str = r#"
    [users.branch]
    password = "open sesame"
    networks = ["192.168.40.0/24"]"#;
/// A host of the branch office.
const BRANCH_HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 40, 1);
