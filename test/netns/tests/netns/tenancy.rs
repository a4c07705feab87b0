//! Tenants with the same addresses, and what leads a client to one of them.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, GATEWAY, LAN_SECOND_PEER, LabError, Namespace, wait_for};
use isthmus_netns::{Client, CloudSite, Config, Dial, PASSWORD, Site, USER, ping, pinged};
use serde_json::Value;

/// A lab with the tenants `acme` and `blue`: the same key and the same pool, a namespace and a cloud each.
struct Pair {
    site: Site,
    clouds: [CloudSite; 2],
    hosts: [Namespace; 2],
}

impl Pair {
    /// `mark` is a line of `blue` that tells it from `acme`.
    fn open(test: &str, mark: &str) -> Result<Self, LabError> {
        let lab = Site::lab_for(test, Access::Nat)?;
        lab.gateway().ip(&format!("address add {SECOND}/24 dev eth0"))?;
        let inner = [lab.namespace("acme")?, lab.namespace("blue")?];
        let clouds = [
            CloudSite::build(&lab, &inner[0], 1, [10, 1, 0])?,
            CloudSite::build(&lab, &inner[1], 2, [10, 2, 0])?,
        ];
        for (number, (cloud, inner)) in (1..).zip(clouds.iter().zip(&inner)) {
            cloud.know_the_way_to("10.64.0.0/24")?;
            inner.ip(&format!("route add 10.{number}.0.0/24 via {}", cloud.next_hop()))?;
        }
        let tenant = format!(
            "netns = \"{}\"\n[[tenant]]\nname = \"blue\"\nnetns = \"{}\"\npool = [\"10.64.0.0/24\"]\n\
             {mark}\n[tenant.users.{USER}]\npassword = \"{PASSWORD}\"\n",
            inner[0].name(),
            inner[1].name(),
        );
        let site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
        let hosts = [site.client_host()?, site.lab().namespace("second")?];
        site.lab().plug_in(&hosts[1], "eth0", LAN_SECOND_PEER)?;
        Ok(Self { site, clouds, hosts })
    }

    /// The first host dials `acme` and the second one `blue`; each has the same address, and reaches the cloud
    /// of its tenant and no other.
    fn both_come_to_their_own(mut self, dials: [Dial; 2]) -> Result<(), LabError> {
        let routes = |dial: Dial| dial.routes("--routes 10.1.0.0/24,10.2.0.0/24");
        let [first, second] = dials.map(routes);
        let (one, one_up) = Client::connect(&self.site, &self.hosts[0], &first)?;
        let (two, two_up) = Client::connect(&self.site, &self.hosts[1], &second)?;
        assert_eq!(one_up.address, two_up.address, "the pools are the same");
        let sessions = self.site.gateway().sessions()?;
        let mut tenants: Vec<_> = (0..2)
            .map(|n| sessions.at(&format!("/{n}/tenant")).cloned())
            .collect::<Result<_, _>>()?;
        tenants.sort_by_key(Value::to_string);
        assert_eq!(tenants, ["acme", "blue"], "{sessions}");
        let ([first, second], [acme, blue]) = (&self.hosts, &self.clouds);
        for (host, own, other) in [(first, acme, blue), (second, blue, acme)] {
            ping(host, own.address())?;
            let said = pinged(host, other.address())?;
            assert!(said.contains("100% packet loss"), "{said}");
        }
        one.hang_up()?;
        two.hang_up()?;
        self.site.close()?.passed();
        Ok(())
    }
}

#[test]
fn a_realm_leads_to_a_tenant_and_one_that_is_nobodys_is_refused() -> Result<(), LabError> {
    let mut pair = Pair::open("tenant-realm", "realm = \"blue\"")?;
    let stranger = Dial::new().user(&format!("{USER}@green"), PASSWORD);
    let down = Client::start(&pair.site, &pair.hosts[0], &stranger)?.wait_down(LIMIT)?;
    assert_eq!(down.stage, "login", "{down:?}");
    pair.site.wait_failure("unknown_realm", None, LIMIT)?;
    pair.site.wait_idle(LIMIT)?;
    let of_blue = Dial::new().user(&format!("{USER}@blue"), PASSWORD);
    pair.both_come_to_their_own([Dial::new(), of_blue])
}

#[test]
fn the_identity_in_ike_leads_to_a_tenant() -> Result<(), LabError> {
    let pair = Pair::open("tenant-identity", &format!("identity = \"{LAN_SECOND_PEER}\""))?;
    pair.both_come_to_their_own([Dial::new(), Dial::new()])
}

#[test]
fn the_address_that_is_dialled_leads_to_a_tenant() -> Result<(), LabError> {
    let pair = Pair::open("tenant-listen", &format!("listen = \"{SECOND}\""))?;
    assert_ne!(SECOND, GATEWAY);
    pair.both_come_to_their_own([Dial::new(), Dial::new().server(SECOND.into())])
}

#[test]
fn silence_and_a_quota_end_sessions_and_the_next_login_works() -> Result<(), LabError> {
    let config = Config { users: LIMITED, ..Config::default() };
    let mut site = Site::open("tenant-limits", Access::Nat, config)?;
    let hosts = [site.client_host()?, site.lab().namespace("second")?];
    site.lab().plug_in(&hosts[1], "eth0", LAN_SECOND_PEER)?;
    let dials = ["idle", "greedy"].map(|user| Dial::new().user(user, "open sesame"));
    let (idle, _) = Client::connect(&site, &hosts[0], &dials[0])?;
    let (greedy, _) = Client::connect(&site, &hosts[1], &dials[1])?;
    isthmus_netns::download(&site, &hosts[1])?;
    for (client, why) in [(greedy, QUOTA_USED), (idle, SILENT)] {
        let down = client.wait_down(Duration::from_secs(150))?;
        assert!(!down.requested, "{down:?}");
        wait_for(why, LIMIT, || Ok(site.gateway().log().contains(why).then_some(())))?;
    }
    let status = site.gateway().status()?;
    let counts = ["ended_quota", "ended_idle_timeout", "ended_session_timeout"]
        .map(|key| status.at(&format!("/tenants/0/limits/{key}")).ok().and_then(Value::as_u64));
    assert_eq!(counts, [Some(1), Some(1), Some(0)], "{status}");
    for (host, dial) in hosts.iter().zip(&dials) {
        let (client, _) = Client::connect(&site, host, dial)?;
        client.hang_up()?;
    }
    site.close()?.passed();
    Ok(())
}

/// A second address of the gateway.
const SECOND: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
const LIMIT: Duration = Duration::from_secs(30);
const QUOTA_USED: &str = "the session has carried as many bytes as it may";
const SILENT: &str = "the user has sent nothing for as long as may be";
const LIMITED: &str = r#"
    [users.idle]
    password = "open sesame"
    idle_timeout = "1m"
    [users.greedy]
    password = "open sesame"
    quota = "5MB""#;
