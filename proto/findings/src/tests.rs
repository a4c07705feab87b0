//! Each kind of finding, and that its cure cures it.

use ipnet::IpNet;

use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| net(text)).collect()
}

fn tenant(name: &str, pool: &str) -> Tenant {
    Tenant {
        name: name.into(),
        device: format!("ist-{name}"),
        pools: vec![Pool { group: None, nets: nets(&[pool]) }],
        ..Tenant::default()
    }
}

fn egress(name: &str, to: &[&str], way: Way) -> Egress {
    Egress {
        name: name.into(),
        to: nets(to),
        condition: String::new(),
        senders: Senders::All,
        way,
        translates: false,
        translates6: false,
    }
}

fn via(link: &str, hop: &str) -> Way {
    let link = (!link.is_empty()).then(|| link.to_owned());
    Way::Gateway { link, hops: vec![hop.parse().unwrap()] }
}

fn route(to: &str, hops: &[(&str, &str)]) -> Route {
    let hop = |(link, gateway): &(&str, &str)| Hop {
        link: (!link.is_empty()).then(|| (*link).to_owned()),
        gateway: gateway.parse().ok(),
    };
    Route { destination: net(to), hops: hops.iter().map(hop).collect(), ..Route::default() }
}

fn on(tenants: Vec<Tenant>, machine: Option<Machine>) -> Facts {
    Facts { underlay: Vec::new(), places: vec![Place { namespace: None, tenants, machine }] }
}

fn codes(facts: &Facts) -> Vec<(Severity, &'static str)> {
    find(facts).iter().map(|finding| (finding.severity, finding.code.label())).collect()
}

fn only(facts: &Facts) -> Finding {
    let found = find(facts);
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

fn toml(finding: &Finding) -> &str {
    finding.fix.toml.as_deref().unwrap_or_default()
}

#[test]
fn tenants_and_links_that_have_the_same_addresses_are_found_and_a_free_pool_is_named() {
    let mut blue = tenant("blue", "10.64.0.0/24");
    let facts = on(vec![tenant("acme", "10.64.0.0/20"), blue.clone()], None);
    let found = only(&facts);
    assert_eq!((found.severity, found.code), (Severity::Error, Code::PoolOverlapsPool));
    assert_eq!(toml(&found), "# tenant blue\npool = [\"10.64.16.0/24\"]");
    blue.pools[0].nets = nets(&["10.64.16.0/24"]);
    assert_eq!(codes(&on(vec![tenant("acme", "10.64.0.0/20"), blue.clone()], None)), []);

    let machine = Machine {
        addresses: vec![
            ("eth7".into(), net("10.64.16.200/25")),
            ("ist-blue".into(), net("10.64.16.1/32")),
        ],
        ..Machine::default()
    };
    let found = only(&on(vec![blue], Some(machine)));
    assert_eq!(found.code, Code::PoolOverlapsInterface);
    assert!(found.what.contains("10.64.16.0/24, overlaps 10.64.16.128/25 of eth7"), "{found:?}");
    assert_eq!(toml(&found), "# tenant blue\npool = [\"10.64.0.0/24\"]");
}

#[test]
fn networks_behind_users_are_inside_as_well() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.behind = vec![("branch".into(), nets(&["10.65.0.0/24"]))];
    let found = only(&on(vec![acme, tenant("blue", "10.65.0.0/25")], None));
    assert!(found.what.ends_with("overlaps the network behind user branch, 10.65.0.0/24"));
}

#[test]
fn a_pool_inside_the_network_of_an_egress_is_a_note_and_one_around_it_an_error() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.egresses = vec![egress("dc", &["10.0.0.0/8"], via("eth1", "192.0.2.1"))];
    let found = only(&on(vec![acme.clone()], None));
    assert_eq!((found.severity, found.code), (Severity::Note, Code::PoolOverlapsEgress));
    assert!(toml(&found).contains("172.16.0.0/24"), "clear of the egress: {found:?}");
    acme.egresses[0].to = nets(&["10.64.0.128/25"]);
    assert_eq!(codes(&on(vec![acme.clone()], None)), [(Severity::Error, "pool-overlaps-egress")]);
    acme.egresses[0].to = nets(&["0.0.0.0/0"]);
    assert_eq!(codes(&on(vec![acme.clone()], None)), []);
    acme.egresses[0] = egress("no", &["10.64.0.128/25"], Way::Deny);
    assert_eq!(codes(&on(vec![acme], None)), [], "who denies a part of the pool means it");
}

#[test]
fn two_clouds_with_one_network_are_told_apart_by_a_map() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.pushed = nets(&["10.1.0.0/16", "10.2.0.0/16"]);
    acme.egresses = vec![
        egress("azure", &["10.1.0.0/16"], via("eth1", "192.0.2.1")),
        egress("gcp", &["10.1.0.0/16", "10.2.0.0/16"], via("eth2", "198.51.100.1")),
    ];
    let found = only(&on(vec![acme.clone()], None));
    assert_eq!((found.severity, found.code), (Severity::Note, Code::EgressesOverlap));
    assert_eq!(
        toml(&found),
        "# egress gcp of tenant acme: `to` of its `match`\nto = [\"10.65.0.0/16\", \"10.2.0.0/16\"]\n\
         # beside it\n[[tenant.nat]]\negress = \"gcp\"\n\
         netmap = { inside = \"10.65.0.0/16\", outside = \"10.1.0.0/16\" }\n\
         # tenant acme\nroutes = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"10.65.0.0/16\"]"
    );
    acme.egresses[1].to[0] = net("10.65.0.0/16");
    let (inside, outside) = (net("10.65.0.0/16"), net("10.1.0.0/16"));
    acme.maps = vec![Map { inside, outside, by: vec!["gcp".into()] }];
    assert_eq!(codes(&on(vec![acme.clone()], None)), []);
    acme.egresses[1].to[0] = net("10.1.0.0/16");
    acme.egresses[1].condition = "users".into();
    assert_eq!(codes(&on(vec![acme], None)), [], "other packets");
}

#[test]
fn the_smaller_of_two_networks_is_the_one_to_map() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.egresses = vec![
        egress("azure", &["10.1.3.0/24"], via("eth1", "192.0.2.1")),
        egress("dc", &["10.1.0.0/16"], via("eth2", "198.51.100.1")),
    ];
    let found = only(&on(vec![acme], None));
    assert_eq!(found.means, "hosts of 10.1.3.0/24 behind dc are not reached by clients");
    assert!(toml(&found).starts_with("# egress azure"), "{found:?}");
}

#[test]
fn what_many_have_at_home_is_mapped() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.egresses = vec![egress("azure", &["192.168.1.0/24"], via("eth1", "192.0.2.1"))];
    acme.pushed = nets(&["192.168.1.0/24", "10.0.0.0/8"]);
    let found = only(&on(vec![acme.clone()], None));
    assert_eq!((found.severity, found.code), (Severity::Warning, Code::NetworkAtHome));
    assert!(
        toml(&found)
            .contains("netmap = { inside = \"172.16.0.0/24\", outside = \"192.168.1.0/24\" }")
    );
    assert!(toml(&found).ends_with("routes = [\"10.0.0.0/8\", \"172.16.0.0/24\"]"), "{found:?}");
    acme.egresses.clear();
    let found = only(&on(vec![acme.clone()], None));
    assert!(
        toml(&found).starts_with("# tenant acme\nroutes = [\"172.16.0.0/24\", \"10.0.0.0/8\"]")
    );
    acme.pushed = nets(&["172.16.0.0/24"]);
    assert_eq!(codes(&on(vec![acme], None)), []);
}

fn way_back(filter: u8, way: Way, routes: Vec<Route>) -> Facts {
    let mut acme = tenant("acme", "10.64.0.0/24");
    let azure = egress("azure", &["172.20.0.0/16"], way);
    acme.egresses = vec![Egress { senders: Senders::Marked, ..azure }];
    let machine = Machine {
        addresses: vec![
            ("eth1".into(), net("192.0.2.9/24")),
            ("eth0".into(), net("203.0.113.9/24")),
        ],
        routes,
        filters: [("eth1".to_owned(), filter), ("eth0".to_owned(), filter)].into(),
        ..Machine::default()
    };
    on(vec![acme], Some(machine))
}

#[test]
fn answers_that_a_reverse_path_filter_drops_are_found_and_so_is_what_lets_them_pass() {
    let default = || vec![route("0.0.0.0/0", &[("eth0", "203.0.113.1")])];
    let strict = way_back(1, via("", "192.0.2.1"), default());
    let found = only(&strict);
    assert_eq!((found.severity, found.code), (Severity::Error, Code::ReturnPathOtherLink));
    assert!(toml(&found).ends_with("via = { interface = \"eth1\", gateway = \"192.0.2.1\" }"));
    assert_eq!(codes(&way_back(1, via("eth1", "192.0.2.1"), default())), []);
    assert_eq!(codes(&way_back(2, via("", "192.0.2.1"), default())), []);
    assert_eq!(codes(&way_back(0, via("", "192.0.2.1"), Vec::new())), []);

    let lost = only(&way_back(1, via("eth1", "192.0.2.1"), Vec::new()));
    assert_eq!(lost.code, Code::ReturnPathUnknown);
    assert_eq!(lost.fix.commands, ["ip route add 172.20.0.0/16 via 192.0.2.1 dev eth1"]);
    let known = vec![route("172.20.0.0/16", &[("eth1", "192.0.2.1")])];
    assert_eq!(codes(&way_back(1, via("eth1", "192.0.2.1"), known)), []);
    let refused = vec![route("172.20.0.0/14", &[])];
    let link = way_back(2, Way::Link("eth1".into()), refused);
    assert_eq!(only(&link).fix.commands, ["ip route add 172.20.0.0/16 dev eth1"]);
}

#[test]
fn ways_without_a_mark_are_found_by_the_reverse_path_filter() {
    let default = vec![route("0.0.0.0/0", &[("eth0", "203.0.113.1")])];
    let mut facts = way_back(1, via("", "192.0.2.1"), default);
    facts.places[0].tenants[0].egresses[0].senders = Senders::All;
    assert_eq!(codes(&facts), [], "the filter asks the tenant's own table");
    facts.places[0].tenants[0].egresses[0].senders = Senders::Marked;
    let all = egress("all", &["0.0.0.0/0"], via("eth1", "192.0.2.1"));
    facts.places[0].tenants[0].egresses.push(all);
    assert_eq!(codes(&facts), [], "the same link for everybody");
    facts.places[0].tenants[0].egresses[1].senders = Senders::Sources;
    assert_eq!(codes(&facts), [(Severity::Error, "return-path-other-link")]);
}

#[test]
fn the_way_back_is_that_of_the_network_as_it_is() {
    let known = vec![route("172.20.0.0/16", &[("eth1", "192.0.2.1")])];
    let mut facts = way_back(1, via("eth1", "192.0.2.1"), known);
    facts.places[0].tenants[0].egresses[0].senders = Senders::All;
    let (inside, outside) = (net("172.20.0.0/16"), net("10.1.0.0/16"));
    let by = vec!["azure".into()];
    facts.places[0].tenants[0].maps = vec![Map { inside, outside, by }];
    let found = only(&facts);
    assert_eq!(found.fix.commands, ["ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1"]);
}

#[test]
fn routes_and_rules_that_lead_packets_to_clients_elsewhere_are_found() {
    let machine = |routes, rules| Machine { routes, rules, ..Machine::default() };
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.egresses = vec![egress("azure", &["172.20.0.0/16"], via("eth1", "192.0.2.1"))];
    let with = |routes, rules| on(vec![acme.clone()], Some(machine(routes, rules)));
    let half = Route { metric: 50, ..route("10.64.0.0/25", &[("eth0", "203.0.113.1")]) };
    let found = only(&with(vec![half.clone()], Vec::new()));
    assert_eq!(found.code, Code::PoolRoutedElsewhere);
    let command = "ip route delete 10.64.0.0/25 via 203.0.113.1 dev eth0 metric 50";
    assert_eq!(found.fix.commands, [command]);
    let connected = Route { connected: true, ..half.clone() };
    let behind = Route { destination: net("10.64.0.0/24"), ..half.clone() };
    let wider = route("10.0.0.0/8", &[("eth0", "203.0.113.1")]);
    assert_eq!(codes(&with(vec![connected, behind, wider], Vec::new())), []);

    let default = vec![route("0.0.0.0/0", &[("eth0", "203.0.113.1")])];
    let rule = |from: Option<&str>, input: Option<&str>| Rule {
        priority: 100,
        from: from.map(net),
        input: input.map(str::to_owned),
        table: 100,
        routes: default.clone(),
        ..Rule::default()
    };
    let concerned = [(None, None), (Some("172.20.1.0/24"), None), (None, Some("eth1"))];
    for (from, input) in concerned {
        let found = only(&with(Vec::new(), vec![rule(from, input)]));
        assert_eq!(found.code, Code::PoolRuledElsewhere);
        assert_eq!(found.fix.commands, ["ip rule add priority 99 to 10.64.0.0/24 lookup main"]);
        let cure =
            Rule { priority: 99, to: Some(net("10.64.0.0/24")), table: 254, ..Rule::default() };
        assert_eq!(codes(&with(Vec::new(), vec![cure, rule(from, input)])), []);
    }
    let others = vec![rule(Some("198.51.100.0/24"), None), rule(None, Some("eth9"))];
    assert_eq!(codes(&with(Vec::new(), others)), []);
}

fn main_way(routes: Vec<Route>, translates: bool) -> Facts {
    let mut acme = tenant("acme", "10.64.0.0/24");
    let way = egress("internet", &["0.0.0.0/0"], Way::Main("eth1".into()));
    acme.egresses = vec![Egress { translates, ..way }];
    on(vec![acme], Some(Machine { routes, ..Machine::default() }))
}

#[test]
fn ways_that_the_machine_decides_are_compared_with_its_routes() {
    let by = |link| vec![route("0.0.0.0/0", &[(link, "203.0.113.1")])];
    assert_eq!(codes(&main_way(by("eth1"), true)), []);
    assert_eq!(codes(&main_way(by("eth0"), false)), [(Severity::Warning, "egress-by-other-link")]);
    let found = only(&main_way(by("eth0"), true));
    assert_eq!(found.severity, Severity::Error);
    assert!(toml(&found).ends_with("via = { interface = \"eth0\" }"));

    let both = [("eth0", "203.0.113.1"), ("eth1", "192.0.2.1")];
    let found = only(&main_way(vec![route("0.0.0.0/0", &both)], true));
    assert_eq!((found.severity, found.code), (Severity::Error, Code::EgressMultipath));
    assert!(toml(&found).ends_with("via = { interface = \"eth1\", gateway = \"192.0.2.1\" }"));
    let mut routes = by("eth1");
    routes.push(route("172.20.0.0/16", &both));
    let mut facts = main_way(routes, true);
    assert_eq!(
        toml(&only(&facts)),
        "# before egress internet of tenant acme\n[[tenant.egress]]\nname = \"internet-172-20-0-0\"\n\
         match = { to = [\"172.20.0.0/16\"] }\nvia = { interface = \"eth1\", gateway = \"192.0.2.1\" }\n\
         nat = \"masquerade\""
    );
    let own = egress("own", &["172.20.0.0/16"], via("eth1", "192.0.2.1"));
    facts.places[0].tenants[0].egresses.push(own);
    assert_eq!(codes(&facts), []);
}

fn covering(machine: Option<Machine>) -> Facts {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.behind = vec![("branch".into(), nets(&["203.0.113.48/30"]))];
    let lac =
        Underlay { net: net("203.0.113.50/32"), whose: "the LAC metro".into(), is_dialled: false };
    Facts { underlay: vec![lac], ..on(vec![acme], machine) }
}

#[test]
fn what_is_inside_may_not_cover_what_carries_it() {
    assert_eq!(codes(&covering(None)), [(Severity::Warning, "underlay-covered")]);
    let connected = Route { connected: true, ..route("203.0.113.0/24", &[("eth0", "")]) };
    let machine = Machine { routes: vec![connected.clone()], ..Machine::default() };
    let found = only(&covering(Some(machine)));
    assert_eq!(found.severity, Severity::Error);
    assert_eq!(
        toml(&found),
        "# user branch\nnetworks = [\"203.0.113.48/31\", \"203.0.113.51/32\"]"
    );
    assert_eq!(found.fix.commands, ["ip route add 203.0.113.50/32 dev eth0"]);
    let near = vec![connected, route("203.0.113.50/32", &[("eth0", "")])];
    assert_eq!(codes(&covering(Some(Machine { routes: near, ..Machine::default() }))), []);
    let mut elsewhere = covering(None);
    elsewhere.places[0].namespace = Some("blue".into());
    assert_eq!(codes(&elsewhere), [], "nothing is carried there");
}

#[test]
fn a_next_hop_that_is_found_by_its_address_may_not_be_inside() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.egresses = vec![egress("azure", &["172.20.0.0/16"], via("", "10.64.0.254"))];
    assert_eq!(codes(&on(vec![acme.clone()], None)), [(Severity::Warning, "underlay-covered")]);
    acme.egresses[0].way = via("eth1", "10.64.0.254");
    assert_eq!(codes(&on(vec![acme], None)), []);
}

#[test]
fn routes_for_clients_leave_out_what_clients_dial() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.pushed = nets(&["203.0.113.8/30", "10.0.0.0/8", "0.0.0.0/0"]);
    let dialled =
        Underlay { net: net("203.0.113.10/32"), whose: "the gateway".into(), is_dialled: true };
    let facts = Facts { underlay: vec![dialled], ..on(vec![acme], None) };
    let found = only(&facts);
    assert_eq!((found.severity, found.code), (Severity::Warning, Code::PushedRouteCoversGateway));
    let rest = "routes = [\"203.0.113.8/31\", \"203.0.113.11/32\", \"10.0.0.0/8\", \"0.0.0.0/0\"]";
    assert!(toml(&found).ends_with(rest), "{found:?}");
}

#[test]
fn the_worst_comes_first_and_people_read_it_line_by_line() {
    let mut acme = tenant("acme", "10.64.0.0/24");
    acme.egresses = vec![egress("dc", &["10.0.0.0/8"], via("eth1", "192.0.2.1"))];
    let machine =
        Machine { addresses: vec![("eth7".into(), net("10.64.0.9/25"))], ..Machine::default() };
    let found = find(&on(vec![acme], Some(machine)));
    let order: Vec<_> = found.iter().map(|finding| finding.severity).collect();
    assert_eq!(order, [Severity::Error, Severity::Note]);
    let text = found[0].to_string();
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].starts_with("error pool-overlaps-interface: the pool of tenant acme"),
        "{text}"
    );
    assert_eq!(lines[1], "  clients and the hosts there hide each other");
    assert!(lines[2].starts_with("  fix: give clients other addresses"), "{text}");
    assert_eq!(lines[4], "      pool = [\"172.16.0.0/24\"]");
}
