//! Many clients behind one address, none of which can be told from the others by its addresses.
//!
//! ```text
//! pc01 192.168.1.2 -- home01 .101 -.
//! pc02 192.168.1.2 -- home02 .102 -+- carrier's NAT -- internet -- gateway
//! ..                               |   192.168.77.1 | 203.0.113.77
//! ```

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use isthmus_interop::{Access, LAN_ROUTER, LabError, NAT, Namespace, cable};
use isthmus_netns::{
    Config, Dial, Member, Pings, Place, Site, everybody_gets_its_own_answers, start_fetch,
};

#[test]
fn sixty_windows_clients_with_one_address_behind_one_nat_rekey_and_reconnect_without_crosstalk()
-> Result<(), LabError> {
    let users = users();
    let config = Config { users: &users, ..Config::default() };
    let mut site = Site::open("crowd", Access::Nat, config)?;
    let homes =
        (1..=CLIENTS).map(|number| Home::build(&site, number)).collect::<Result<Vec<_>, _>>()?;
    let (places, _routers): (Vec<_>, Vec<_>) =
        homes.into_iter().map(|home| (home.place, home.router)).unzip();

    let mut members = Place::connect_all(&site, places)?;
    all_are_there_from_the_nat_with_an_address_of_their_own(&mut site, &members)?;
    everybody_gets_its_own_answers(&site, &members, ROUNDS)?;
    everybody_gets_its_own_file(&site, &members)?;

    everybody_rekeys_under_a_ping(&site, &mut members)?;
    everybody_gets_its_own_answers(&site, &members, ROUNDS)?;

    one_in_three_comes_back(&site, &mut members)?;
    all_are_there_from_the_nat_with_an_address_of_their_own(&mut site, &members)?;
    everybody_gets_its_own_answers(&site, &members, ROUNDS)?;

    Member::hang_up_all(members)?;
    let closed = site.close()?;
    assert_eq!(closed.wire().esp_plain, 0);
    closed.passed();
    Ok(())
}

/// A PC behind its home's router. All PCs have the same address.
struct Home {
    place: Place,
    router: Namespace,
}

impl Home {
    fn build(site: &Site, number: u8) -> Result<Self, LabError> {
        let router = site.lab().namespace(&format!("home{number:02}"))?;
        let [a, b, c, _] = LAN_ROUTER.octets();
        site.lab().plug_in(&router, "wan", Ipv4Addr::new(a, b, c, 100 + number))?;
        let pc = site.lab().namespace(&format!("pc{number:02}"))?;
        cable(&router, "lan", &pc, "eth0")?;
        router.ip("address add 192.168.1.1/24 dev lan")?;
        router.nft(
            "table ip nat {
                chain out {
                    type nat hook postrouting priority srcnat;
                    oifname wan masquerade
                }
            }",
        )?;
        router.sysctl("net/ipv4/ip_forward", "1")?;
        pc.ip("address add 192.168.1.2/24 dev eth0")?;
        pc.ip("route add default via 192.168.1.1")?;
        let user = user(number);
        // As Windows: every port is the well-known one, tunnels and sessions are numbered from 1.
        let dial = Dial::new()
            .user(&user, &password(&user))
            .with("--as windows10 --source-ports 500,4500");
        Ok(Self { place: Place { user, host: pc, dial }, router })
    }
}

fn all_are_there_from_the_nat_with_an_address_of_their_own(
    site: &mut Site,
    members: &[Member],
) -> Result<(), LabError> {
    site.gateway().wait_count("sessions", u64::from(CLIENTS), SOON)?;
    let sessions = site.gateway().sessions()?;
    let mut seen = BTreeMap::new();
    for index in 0..members.len() {
        let text = |key: &str| {
            let value = sessions.at(&format!("/{index}/{key}"))?;
            Ok::<_, LabError>(value.as_str().unwrap_or_default().to_owned())
        };
        let from = text("from")?.parse().ok().map(|from: SocketAddr| from.ip());
        assert_eq!(from, Some(NAT.into()), "{sessions}");
        seen.insert(text("user")?, text("address")?);
    }
    let told: BTreeMap<String, String> = members
        .iter()
        .map(|member| (member.user().to_owned(), member.up.address.to_string()))
        .collect();
    assert_eq!(seen, told, "each user has the address that its client was told");
    let mut addresses: Vec<_> = told.values().collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), members.len(), "no address is given twice");
    Ok(())
}

/// All ping all the time; each has new ESP SAs in Windows' way and loses nothing.
fn everybody_rekeys_under_a_ping(site: &Site, members: &mut [Member]) -> Result<(), LabError> {
    let pings = Pings::start(site, members)?;
    for member in members {
        member.client.rekey_child()?;
    }
    // The old SAs are gone for good after two seconds.
    pings.wait_answers(15)?;
    pings.finish(0)
}

/// One in three is killed and comes back at once, while its old session lives.
fn one_in_three_comes_back(site: &Site, members: &mut Vec<Member>) -> Result<(), LabError> {
    let (mut going, mut staying) = (Vec::new(), Vec::new());
    for (index, member) in members.drain(..).enumerate() {
        if index % 3 == 0 { going.push(member) } else { staying.push(member) }
    }
    let places = going.into_iter().map(Member::kill).collect::<Result<Vec<_>, _>>()?;
    members.extend(Place::connect_all(site, places)?);
    members.extend(staying);
    Ok(())
}

/// All at once: TCP, with content that no other client has.
fn everybody_gets_its_own_file(site: &Site, members: &[Member]) -> Result<(), LabError> {
    let cloud = site.lab().cloud();
    let content = |member: &Member| format!("for {}. ", member.user()).repeat(20_000);
    for member in members {
        cloud.serve(member.user(), &content(member))?;
    }
    let fetches = members
        .iter()
        .map(|member| start_fetch(site, &member.place.host, member.user()))
        .collect::<Result<Vec<_>, _>>()?;
    for (mut fetch, member) in fetches.into_iter().zip(members) {
        let exit = fetch.ended(Duration::from_mins(1))?;
        assert!(exit.success(), "{}: {exit}", member.user());
        assert!(fetch.log() == content(member), "{} got another file", member.user());
        let request = format!("GET /{} ", member.user());
        let requests = cloud.requests();
        let line = requests.lines().find(|line| line.contains(&request)).unwrap_or_default();
        assert!(line.starts_with(&format!("{} ", member.up.address)), "{line}: {requests}");
    }
    Ok(())
}

fn users() -> String {
    let one = |number| {
        let user = user(number);
        format!("[users.{user}]\npassword = \"{}\"\n", password(&user))
    };
    (1..=CLIENTS).map(one).collect()
}

fn user(number: u8) -> String {
    format!("user{number:02}")
}

fn password(user: &str) -> String {
    format!("secret of {user}")
}

/// What the simulated network has as well.
const CLIENTS: u8 = 60;
/// How often each name is asked.
const ROUNDS: usize = 10;
/// How long the gateway's own view may lag behind the clients' on a busy machine.
const SOON: Duration = Duration::from_secs(20);
