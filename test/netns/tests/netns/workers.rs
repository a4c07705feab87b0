//! Several workers share the clients of one gateway.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, DIRECT_PEER, LAN_PEER, LabError};
use isthmus_netns::{
    Client, Config, Dial, Member, Pings, Place, Site, download, everybody_gets_its_own_answers,
    ping,
};

#[test]
fn clients_of_all_workers_are_served_in_udp_and_follow_a_new_mapping() -> Result<(), LabError> {
    let users = users();
    let config = Config { users: &users, tenant: WORKERS, ..Config::default() };
    let mut site = Site::open("workers-nat", Access::NatRewritingPorts, config)?;
    let mut members = connect_all(&site, LAN_PEER)?;
    everybody_is_reached_both_ways(&site, &members)?;

    // Another port of the NAT would be another socket, if the kernel chose by that.
    site.rebind_nat(isthmus_interop::NAT)?;
    let pings = Pings::start(&site, &members)?;
    pings.wait_answers(3)?;
    pings.finish(MOST_LOST)?;
    for member in &mut members {
        member.client.rekey_child()?;
        member.client.rekey_ike()?;
    }
    everybody_is_reached_both_ways(&site, &members)?;
    all_workers_have_worked(&mut site)?;
    finish(site, members)
}

#[test]
fn clients_of_all_workers_are_served_in_plain_esp() -> Result<(), LabError> {
    let users = users();
    let config = Config { users: &users, tenant: WORKERS, ..Config::default() };
    let mut site = Site::open("workers-esp", Access::Direct, config)?;
    let members = connect_all(&site, DIRECT_PEER)?;
    let sessions = site.gateway().sessions()?;
    assert_eq!(sessions.at("/0/encapsulated")?, false, "{sessions}");
    everybody_is_reached_both_ways(&site, &members)?;
    all_workers_have_worked(&mut site)?;
    finish(site, members)
}

/// Ports that several workers share would open for another gateway as well.
#[test]
fn a_second_gateway_on_the_same_addresses_is_refused_and_the_first_goes_on() -> Result<(), LabError>
{
    let config = Config { tenant: WORKERS, ..Config::default() };
    let mut site = Site::open("workers-second", Access::Direct, config)?;
    let other = config.to_string().replace(
        "name = \"lab\"",
        &format!("control_socket = \"{}\"", site.lab().evidence().path("second.sock").display()),
    );
    let evidence = site.lab().evidence();
    evidence.write("acme.users", &config.users_file())?;
    let file = evidence.write("second.toml", &other)?;
    let run =
        site.lab().gateway().command(site.binary()).arg("run").arg("--config").arg(file).output();
    let run = run.map_err(|error| LabError::unexpected(error.to_string()))?;
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains(":500"), "{said}");

    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.wait_idle(Duration::from_secs(20))?;
    site.close()?.passed();
    Ok(())
}

fn users() -> String {
    let one = |n| format!("[users.{}]\npassword = \"{PASSWORD}\"\n", user(n));
    (0..CLIENTS).map(one).collect()
}

fn user(number: u8) -> String {
    format!("user{number}")
}

/// A client on each of several hosts, the first of which has this address.
fn connect_all(site: &Site, first: Ipv4Addr) -> Result<Vec<Member>, LabError> {
    let places = (0..CLIENTS).map(|number| {
        let host = site.lab().namespace(&format!("host{number}"))?;
        let [a, b, c, d] = first.octets();
        site.lab().plug_in(&host, "eth0", Ipv4Addr::new(a, b, c, d + number))?;
        Ok(Place { user: user(number), host, dial: Dial::new().user(&user(number), PASSWORD) })
    });
    Place::connect_all(site, places.collect::<Result<_, LabError>>()?)
}

fn everybody_is_reached_both_ways(site: &Site, members: &[Member]) -> Result<(), LabError> {
    everybody_gets_its_own_answers(site, members, 2)?;
    for member in members {
        ping(&member.place.host, CLOUD_HOST)?;
        // The kernel has seen nothing of this flow and chooses any queue.
        ping(site.lab().cloud().host(), member.up.address)?;
        download(site, &member.place.host)?;
    }
    Ok(())
}

/// Nothing got lost between workers, and something did pass from one to another.
fn all_workers_have_worked(site: &mut Site) -> Result<(), LabError> {
    let status = site.gateway().status()?;
    assert_eq!(status.at("/data_path/workers")?, 3, "{status}");
    let led = status.at("/data_path/led")?.as_u64().unwrap_or_default();
    let read = status.at("/data_path/devices/0/read")?.as_u64().unwrap_or_default();
    assert!((1..read / 4).contains(&led), "{led} of {read} led: {status}");
    let drops = status.at("/drops")?.to_string();
    assert!(!drops.contains("inbox_full") && !drops.contains("astray"), "{drops}");
    Ok(())
}

fn finish(mut site: Site, members: Vec<Member>) -> Result<(), LabError> {
    Member::hang_up_all(members)?;
    site.wait_idle(Duration::from_secs(20))?;
    site.close()?.passed();
    Ok(())
}

/// More workers than the machine may have processors.
const WORKERS: &str = "[data_path]\nworkers = 3\npin = true\nbusy_poll = 20\n";
const CLIENTS: u8 = 7;
const PASSWORD: &str = "one of many";
/// Pings in flight when a NAT forgets.
const MOST_LOST: usize = 5;
