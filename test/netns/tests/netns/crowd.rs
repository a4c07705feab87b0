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

use isthmus_interop::{Access, CLOUD_HOST, LAN_ROUTER, LabError, NAT, Namespace, cable};
use isthmus_netns::{Client, Config, Datagrams, Dial, Site, Up, start_fetch, start_ping};

#[test]
fn twenty_four_windows_clients_with_one_address_behind_one_nat_are_served_at_once()
-> Result<(), LabError> {
    let users = users();
    let config = Config { users: &users, ..Config::default() };
    let mut site = Site::open("crowd", Access::Nat, config)?;
    let homes =
        (1..=CLIENTS).map(|number| Home::build(&site, number)).collect::<Result<Vec<_>, _>>()?;

    let clients = homes
        .iter()
        .map(|home| Client::start(&site, &home.pc, &home.dial()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut members = Vec::new();
    for (home, mut client) in homes.iter().zip(clients) {
        let up = client.wait_up()?;
        members.push(Member { home, client, up });
    }
    site.gateway().wait_count("sessions", u64::from(CLIENTS), Duration::from_secs(5))?;
    all_come_from_the_nat_with_an_address_of_their_own(&mut site, &members)?;

    everybody_pings(&site, &members)?;
    everybody_gets_its_own_answers(&site, &members)?;
    everybody_gets_its_own_file(&site, &members)?;

    everybody_leaves(members)?;
    let closed = site.close()?;
    assert_eq!(closed.wire().esp_plain, 0);
    closed.passed();
    Ok(())
}

/// A connected client.
struct Member<'a> {
    home: &'a Home,
    client: Client,
    up: Up,
}

/// A PC behind its home's router. All PCs have the same address.
struct Home {
    user: String,
    pc: Namespace,
    _router: Namespace,
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
        Ok(Self { user: user(number), pc, _router: router })
    }

    /// As Windows: every port is the well-known one, tunnels and sessions are numbered from 1.
    fn dial(&self) -> Dial {
        Dial::new()
            .user(&self.user, &password(&self.user))
            .with("--as windows10 --source-ports 500,4500")
    }
}

fn all_come_from_the_nat_with_an_address_of_their_own(
    site: &mut Site,
    members: &[Member<'_>],
) -> Result<(), LabError> {
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
        .map(|member| (member.home.user.clone(), member.up.address.to_string()))
        .collect();
    assert_eq!(seen, told, "each user has the address that its client was told");
    let mut addresses: Vec<_> = told.values().collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), members.len(), "no address is given twice");
    Ok(())
}

/// All at once; each loses nothing.
fn everybody_pings(site: &Site, members: &[Member<'_>]) -> Result<(), LabError> {
    let pings = members
        .iter()
        .map(|member| start_ping(site, &member.home.pc, CLOUD_HOST, Duration::from_millis(200)))
        .collect::<Result<Vec<_>, _>>()?;
    for (ping, member) in pings.into_iter().zip(members) {
        let name = format!("5 answers for {}", member.home.user);
        isthmus_interop::wait_for(&name, Duration::from_secs(20), || {
            Ok((ping.answers() >= 5).then_some(()))
        })?;
        let run = ping.finish()?;
        assert_eq!(run.lost, [0_u32; 0], "{} lost pings", member.home.user);
    }
    Ok(())
}

/// Every client asks with its name; the cloud must see the name come from the address of that
/// client, and the client must see the answer to its own question and to no other.
fn everybody_gets_its_own_answers(site: &Site, members: &[Member<'_>]) -> Result<(), LabError> {
    let cloud = Datagrams::open(site.lab().cloud().host(), CLOUD_HOST)?;
    let ends = members
        .iter()
        .map(|member| Datagrams::open(&member.home.pc, member.up.address))
        .collect::<Result<Vec<_>, _>>()?;
    for round in 0..ROUNDS {
        let question = |member: &Member<'_>| format!("{} asks {round}", member.home.user);
        for (member, end) in members.iter().zip(&ends) {
            end.send(&question(member), CLOUD_HOST)?;
        }
        for _ in members {
            let (asked, from) = cloud.receive()?;
            let member = members.iter().find(|member| question(member) == asked);
            let address = member.map(|member| member.up.address.into());
            assert_eq!(address, Some(from.ip()), "`{asked}` came from {from}");
            cloud.send_to(&format!("answer to {asked}"), from)?;
        }
        for (member, end) in members.iter().zip(&ends) {
            assert_eq!(end.receive()?.0, format!("answer to {}", question(member)));
        }
    }
    Ok(())
}

/// All at once: TCP, with content that no other client has.
fn everybody_gets_its_own_file(site: &Site, members: &[Member<'_>]) -> Result<(), LabError> {
    let cloud = site.lab().cloud();
    let content = |member: &Member<'_>| format!("for {}. ", member.home.user).repeat(20_000);
    for member in members {
        cloud.serve(&member.home.user, &content(member))?;
    }
    let fetches = members
        .iter()
        .map(|member| start_fetch(site, &member.home.pc, &member.home.user))
        .collect::<Result<Vec<_>, _>>()?;
    for (mut fetch, member) in fetches.into_iter().zip(members) {
        let exit = fetch.ended(Duration::from_mins(1))?;
        assert!(exit.success(), "{}: {exit}", member.home.user);
        assert!(fetch.log() == content(member), "{} got another file", member.home.user);
        let request = format!("GET /{} ", member.home.user);
        let requests = cloud.requests();
        let line = requests.lines().find(|line| line.contains(&request)).unwrap_or_default();
        assert!(line.starts_with(&format!("{} ", member.up.address)), "{line}: {requests}");
    }
    Ok(())
}

/// All at once: Windows waits four seconds between L2TP's end and that of IPsec.
fn everybody_leaves(members: Vec<Member<'_>>) -> Result<(), LabError> {
    std::thread::scope(|scope| {
        let leaving: Vec<_> =
            members.into_iter().map(|m| scope.spawn(|| m.client.hang_up())).collect();
        leaving
            .into_iter()
            .try_for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
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

/// Sixty do not come up reliably on two busy cores; the simulated network has sixty.
const CLIENTS: u8 = 24;
/// How often each name is asked.
const ROUNDS: usize = 10;
