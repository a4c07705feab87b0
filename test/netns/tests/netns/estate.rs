//! Two tenants with the same addresses, twenty clients and three clouds: everybody reaches exactly what his
//! tenant's policy allows, by the way out that it says, also after a way out has failed and come back. The way
//! that takes over translates addresses and the first does not: what is under way changes its address with it.
//!
//! ```text
//!                      acme (the gateway's own)   blue (a namespace)
//!   one   10.1.0.0/24  cloud1                     -
//!   two   10.2.0.0/24  cloud2                     cloud2
//!   three 10.1.0.0/24  cloud3, as 10.201.0.0/24   cloud3
//! ```
//!
//! Every cloud has 172.20.0.1 and, where no packet may ever come, 169.254.169.254.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use isthmus_interop::{Access, LAN_PEER, Lab, LabError, Namespace, wait_for};
use isthmus_netns::{CloudSite, Config, Datagrams, Dial, Member, Place, Site, start_ping};

#[test]
fn twenty_clients_of_two_tenants_reach_exactly_what_policy_allows() -> Result<(), LabError> {
    let lab = Site::lab_for("estate", Access::Nat)?;
    let blue = lab.namespace("blue")?;
    let clouds = clouds(&lab, &blue)?;
    let (tenants, users) = (tenants(&blue), people("acme", Person::in_a_file));
    let config = Config { tenant: &tenants, users: &users, ..Config::default() };
    let mut site = Site::serve(lab, config)?;
    wait_for("every way out", Duration::from_secs(20), || {
        let status = site.gateway().status()?;
        Ok((status.at("/tenants/0/egress/0/up")? == true).then_some(()))
    })?;
    let people: Vec<_> = Person::all().collect();
    let places = people.iter().map(|person| person.place(&site)).collect::<Result<Vec<_>, _>>()?;
    let members = Place::connect_all(&site, places)?;
    classes_are_known(&site, &blue, &members)?;

    traces(&mut site)?;
    let before = session_numbers(&mut site)?;
    everybody_meets_what_is_his(&people, &members, &clouds)?;
    let staff = members.first().ok_or_else(|| LabError::unexpected("nobody is there"))?;
    let ping = start_ping(&site, &staff.place.host, EVERYWHERE, Duration::from_millis(50))?;
    let [one, ..] = &clouds;
    ping.goes_on_within(MOVE_LIMIT, &site, "the first cloud fails", &|| {
        one.router.ip("link set lan down").map(drop)
    })?;
    ping.goes_on_within(MOVE_LIMIT, &site, "the first cloud returns", &|| {
        one.router.ip("link set lan up")?;
        one.add_address(EVERYWHERE)?;
        one.add_address(METADATA)
    })?;
    ping.finish()?;
    everybody_meets_what_is_his(&people, &members, &clouds)?;
    assert_eq!(session_numbers(&mut site)?, before, "no session was lost");

    Member::hang_up_all(members)?;
    site.close()?.passed();
    Ok(())
}

/// `isthmus trace` knows how a mapped network is reached.
fn traces(site: &mut Site) -> Result<(), LabError> {
    let to = THREE_FOR_ACME.to_string();
    let told = site.gateway().cli(&["trace", "--config", "gateway.toml", "acme-staff-1", &to])?;
    for says in [
        "it goes to 10.1.0.2: the map of 10.201.0.0/24 to 10.1.0.0/24, by three",
        "via 198.18.103.2 on cloud3, egress three",
        "it leaves with the address 198.51.100.1",
        ": it leaves by three",
    ] {
        assert!(told.contains(says), "{says}\nis not in\n{told}");
    }
    Ok(())
}

/// Somebody who logs in.
#[derive(Debug, Clone, Copy)]
struct Person {
    tenant: &'static str,
    group: &'static str,
    number: u8,
}

impl Person {
    fn all() -> impl Iterator<Item = Self> {
        let numbers = |tenant, group| (1..=5).map(move |number| Self { tenant, group, number });
        let groups = ["staff", "interns"];
        let of = move |tenant| groups.into_iter().flat_map(move |group| numbers(tenant, group));
        ["acme", "blue"].into_iter().flat_map(of)
    }

    fn name(&self) -> String {
        format!("{}-{}-{}", self.tenant, self.group, self.number)
    }

    /// As a table of a users file.
    fn in_a_file(&self) -> String {
        self.table("users")
    }

    /// As a table of the configuration.
    fn in_the_tenant(&self) -> String {
        self.table("tenant.users")
    }

    fn table(&self, of: &str) -> String {
        let (name, group) = (self.name(), self.group);
        format!("[{of}.{name}]\npassword = \"{name}'s\"\ngroup = \"{group}\"\n")
    }

    fn place(&self, site: &Site) -> Result<Place, LabError> {
        let (user, [a, b, c, _]) = (self.name(), LAN_PEER.octets());
        let order = Self::all().position(|other| other.name() == user).unwrap_or_default();
        let host = site.lab().namespace(&format!("pc{order:02}"))?;
        let own = u8::try_from(order).unwrap_or_default() + 10;
        site.lab().plug_in(&host, "eth0", Ipv4Addr::new(a, b, c, own))?;
        let dial = Dial::new().user(&user, &format!("{user}'s")).routes(ROUTES);
        let dial = if self.tenant == "blue" { dial.psk(BLUE_PSK) } else { dial };
        Ok(Place { user, host, dial })
    }

    /// The clouds that he meets, by what he sends to, and as whom he is seen there.
    fn meets(&self) -> &'static [(Ipv4Addr, usize, Seen)] {
        match (self.tenant, self.group) {
            ("acme", "staff") => &[
                (HOST_ONE, 0, Seen::Own),
                (HOST_TWO, 1, Seen::As(ACME_AT_TWO)),
                (THREE_FOR_ACME, 2, Seen::As(ACME_AT_THREE)),
                (EVERYWHERE, 0, Seen::Own),
            ],
            ("acme", _) => {
                &[(HOST_TWO, 1, Seen::As(ACME_AT_TWO)), (EVERYWHERE, 1, Seen::As(ACME_AT_TWO))]
            }
            (_, "staff") => &[
                (HOST_ONE, 2, Seen::Own),
                (HOST_TWO, 1, Seen::As(BLUE_AT_TWO)),
                (EVERYWHERE, 2, Seen::Own),
            ],
            _ => &[(HOST_TWO, 1, Seen::As(BLUE_AT_TWO)), (EVERYWHERE, 1, Seen::As(BLUE_AT_TWO))],
        }
    }
}

/// The source that a cloud sees.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// The client's inner address.
    Own,
    /// One that the gateway gave.
    As(Ipv4Addr),
}

/// Everybody sends to every address there is, and to a neighbour; what is heard where, and from whom, is what
/// is meant to be, and nothing else. The answers all come back.
fn everybody_meets_what_is_his(
    people: &[Person],
    members: &[Member],
    clouds: &[CloudSite; 3],
) -> Result<(), LabError> {
    let listening = listen(clouds)?;
    let open = |member: &Member| Datagrams::open(&member.place.host, member.up.address);
    let speaking = members.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut expected = BTreeSet::new();
    for ((person, member), says) in people.iter().zip(members).zip(&speaking) {
        let (name, own) = (person.name(), member.up.address);
        for to in EVERY_ADDRESS.into_iter().chain([neighbour(members, own)]) {
            says.send(&format!("{name} to {to}"), to)?;
        }
        expected.extend(person.meets().iter().map(|(to, cloud, seen)| {
            let source = if let Seen::As(given) = seen { *given } else { own };
            (*cloud, format!("{name} to {to}"), IpAddr::from(source))
        }));
    }
    std::thread::sleep(ARRIVED);
    let mut heard = BTreeSet::new();
    for (cloud, socket) in &listening {
        for (text, source) in socket.drain()? {
            socket.send_to(&format!("answer {text}"), source)?;
            heard.insert((*cloud, text, source.ip()));
        }
    }
    assert_eq!(heard, expected);
    std::thread::sleep(ARRIVED);
    for (person, socket) in people.iter().zip(&speaking) {
        let answers: BTreeSet<_> = socket.drain()?.into_iter().map(|(text, _)| text).collect();
        let asked = person.meets().iter();
        let wanted = asked.map(|(to, ..)| format!("answer {} to {to}", person.name())).collect();
        assert_eq!(answers, wanted);
    }
    Ok(())
}

/// A socket for each address of each cloud: answers come from where the question went.
fn listen(clouds: &[CloudSite; 3]) -> Result<Vec<(usize, Datagrams)>, LabError> {
    let each = clouds.iter().enumerate().flat_map(|(number, cloud)| {
        let addresses = [cloud.address(), EVERYWHERE, METADATA];
        addresses.map(|address| Ok((number, Datagrams::open(&cloud.host, address)?)))
    });
    each.collect()
}

/// The inner address of somebody else; that he is of the other tenant does not make it another one.
fn neighbour(members: &[Member], own: Ipv4Addr) -> Ipv4Addr {
    let mut others = members.iter().map(|member| member.up.address);
    others.find(|other| *other != own).unwrap_or(own)
}

/// Waits until the kernel knows the class of everybody.
fn classes_are_known(site: &Site, blue: &Namespace, members: &[Member]) -> Result<(), LabError> {
    wait_for("everybody to be of a class", Duration::from_secs(10), || {
        let in_class = |space: &Namespace| space.nft("list map inet isthmus_lab sessions_ip");
        let listed = in_class(site.lab().gateway())? + &in_class(blue)?;
        let count = listed.matches(" : ").count();
        Ok((count >= members.len()).then_some(()))
    })
}

fn session_numbers(site: &mut Site) -> Result<BTreeSet<String>, LabError> {
    let sessions = site.gateway().sessions()?;
    let all = sessions.at("")?.as_array().cloned().unwrap_or_default();
    Ok(all.iter().map(|session| session["id"].to_string()).collect())
}

fn clouds(lab: &Lab, blue: &Namespace) -> Result<[CloudSite; 3], LabError> {
    let one = CloudSite::build(lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(lab, lab.gateway(), 2, [10, 2, 0])?;
    let three = CloudSite::build(lab, blue, 3, [10, 1, 0])?;
    two.join(blue)?;
    three.join(lab.gateway())?;
    one.know_the_way_to(POOL)?;
    three.know_the_way_to(POOL)?;
    three.router.ip(&format!("route add {ACME_AT_THREE}/32 via {}", three.second_address()))?;
    for cloud in [&one, &two, &three] {
        cloud.add_address(EVERYWHERE)?;
        cloud.add_address(METADATA)?;
    }
    assert_eq!([one.address(), two.address(), three.address()], [HOST_ONE, HOST_TWO, HOST_ONE]);
    assert_eq!([two.our_address(), two.second_address()], [ACME_AT_TWO, BLUE_AT_TWO]);
    Ok([one, two, three])
}

fn people(tenant: &str, show: impl Fn(&Person) -> String) -> String {
    Person::all().filter(|person| person.tenant == tenant).map(|person| show(&person)).collect()
}

fn tenants(blue: &Namespace) -> String {
    let people = people("blue", Person::in_the_tenant);
    format!(
        "{ACME}{POLICY}{TESTS}\n[[tenant]]\nname = \"blue\"\nnetns = \"{}\"\npsk = \"{BLUE_PSK}\"\n{BLUE}{POLICY}{people}",
        blue.name()
    )
}

const ACME: &str = r#"
[[tenant.egress]]
name = "one-first"
via = { interface = "cloud1", gateway = "198.18.1.2" }
health = { icmp = "10.1.0.2", rise = 2 }
[[tenant.egress]]
name = "two-second"
via = { interface = "cloud2", gateway = "198.18.2.2" }
nat = "masquerade"
[[tenant.egress]]
name = "interns"
match = { group = "interns" }
via = { interface = "cloud2", gateway = "198.18.2.2" }
nat = "masquerade"
[[tenant.egress]]
name = "one"
match = { to = ["10.1.0.0/24"] }
via = { interface = "cloud1", gateway = "198.18.1.2" }
[[tenant.egress]]
name = "two"
match = { to = ["10.2.0.0/24"] }
via = { interface = "cloud2", gateway = "198.18.2.2" }
nat = "masquerade"
[[tenant.egress]]
name = "three"
match = { to = ["10.201.0.0/24"] }
via = { interface = "cloud3", gateway = "198.18.103.2" }
nat = "198.51.100.1"
[[tenant.nat]]
egress = "three"
netmap = { inside = "10.201.0.0/24", outside = "10.1.0.0/24" }
"#;
const BLUE: &str = r#"
pool = ["10.64.0.0/24"]
[[tenant.egress]]
name = "interns"
match = { group = "interns" }
via = { interface = "cloud2", gateway = "198.18.102.2" }
nat = "masquerade"
[[tenant.egress]]
name = "two"
match = { to = ["10.2.0.0/24"] }
via = { interface = "cloud2", gateway = "198.18.102.2" }
nat = "masquerade"
[[tenant.egress]]
name = "three"
match = { group = "staff" }
via = { interface = "cloud3", gateway = "198.18.3.2" }
"#;
/// The policy of both tenants.
const POLICY: &str = r#"
[tenant.policy]
default = "deny"
[[tenant.policy.rule]]
name = "staff"
action = "allow"
group = "staff"
to = ["10.1.0.0/24", "10.2.0.0/24", "172.20.0.0/16"]
[[tenant.policy.rule]]
name = "interns"
action = "allow"
group = "interns"
to = ["10.2.0.0/24", "172.20.0.0/16"]
"#;
const TESTS: &str = r#"
[[test]]
tenant = "acme"
user = "acme-staff-1"
to = "10.201.0.2"
expect = "allow via three"
[[test]]
tenant = "acme"
user = "acme-interns-1"
to = "172.20.0.1"
expect = "allow via interns"
"#;
const POOL: &str = "10.64.0.0/24";
const BLUE_PSK: &str = "incorrect zebra battery staple";
const ROUTES: &str =
    "--routes 10.1.0.0/24,10.2.0.0/24,10.201.0.0/24,172.20.0.0/16,10.64.0.0/24,169.254.169.254/32";
const HOST_ONE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const HOST_TWO: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);
/// The third cloud's host, as those of acme know it.
const THREE_FOR_ACME: Ipv4Addr = Ipv4Addr::new(10, 201, 0, 2);
const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
/// Where a cloud tells a machine its credentials.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const EVERY_ADDRESS: [Ipv4Addr; 5] = [HOST_ONE, HOST_TWO, THREE_FOR_ACME, EVERYWHERE, METADATA];
const ACME_AT_TWO: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 1);
const BLUE_AT_TWO: Ipv4Addr = Ipv4Addr::new(198, 18, 102, 1);
const ACME_AT_THREE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// How long users may be without a way out.
const MOVE_LIMIT: Duration = Duration::from_secs(3);
/// After this long no packet is on its way any more, on a busy machine either.
const ARRIVED: Duration = Duration::from_secs(3);
