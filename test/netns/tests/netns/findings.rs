//! What cannot work is found on the real kernel, and the cure that is written out cures it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use isthmus_interop::{
    Access, CLOUD_HOST, DIRECT_PEER, LAN_SECOND_PEER, LabError, Namespace, cable, run, wait_for,
};
use isthmus_netns::{Client, CloudSite, Config, Datagrams, Dial, Site, ping, pinged};
use serde_json::Value;

#[test]
fn a_pool_that_this_machine_has_a_network_of_is_moved() -> Result<(), LabError> {
    let lab = Site::lab_for("findings-pool", Access::Nat)?;
    let office = lab.namespace("office")?;
    cable(lab.gateway(), "eth7", &office, "eth0")?;
    lab.gateway().ip("address add 10.64.0.100/25 dev eth7")?;
    let mut site = Site::serve(lab, Config::default())?;
    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    assert!(lost(&host, CLOUD_HOST)?, "answers go to eth7");
    client.hang_up()?;

    let finding = found(&mut site, "pool-overlaps-interface")?;
    assert_eq!(finding["severity"], "error", "{finding:#}");
    let text = site.gateway().cli(&["status"])?;
    assert!(text.contains("error pool-overlaps-interface: the pool of tenant acme"), "{text}");
    assert!(site.gateway().log().contains("pool-overlaps-interface"));
    cure(&mut site, &finding)?;
    gone(&mut site, "pool-overlaps-interface")?;
    assert!(site.gateway().log().contains("no longer: the pool of tenant acme"));
    let (client, up) = Client::connect(&site, &host, &Dial::new())?;
    assert!(!Ipv4Addr::new(10, 64, 0, 0).octets().starts_with(&up.address.octets()[..3]));
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn an_ipv6_pool_that_this_machine_has_a_network_of_is_moved() -> Result<(), LabError> {
    let lab = Site::lab_for("findings-pool6", Access::Nat)?;
    let cloud = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    cloud.know_the_way_to("2001:db8:64::/48")?;
    let office = lab.namespace("office")?;
    cable(lab.gateway(), "eth7", &office, "eth0")?;
    lab.gateway().ip("address add 2001:db8:64:1::100/64 dev eth7 nodad")?;
    let tenant = format!(
        "pool6 = [\"2001:db8:64::/48\"]\n[[tenant.egress]]\nname = \"one\"\n\
         via = {{ interface = \"cloud1\", gateway = \"{}\" }}\n",
        cloud.next_hop6()
    );
    let mut site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let host = site.client_host()?;
    let dial = Dial::new().routes("--routes 2001:db8:b00::/40");
    let (client, prefix) = with_ipv6(&site, &host, &dial)?;
    assert_eq!(prefix, "2001:db8:64:1::/64");
    assert!(!pinged(&host, cloud.address6())?.contains(" 0% packet loss"), "answers go to eth7");
    client.hang_up()?;

    let finding = found_about(&mut site, "pool-overlaps-interface", "2001:db8:64:1::/64 of eth7")?;
    cure(&mut site, &finding)?;
    gone(&mut site, "pool-overlaps-interface")?;
    let (client, prefix) = with_ipv6(&site, &host, &dial)?;
    cloud.know_the_way_to(&prefix)?;
    assert!(pinged(&host, cloud.address6())?.contains(" 0% packet loss"), "{prefix}");
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_pool_that_a_network_behind_another_tenants_user_is_part_of_is_moved() -> Result<(), LabError> {
    let blue = "[[tenant]]\nname = \"blue\"\npool = [\"10.65.0.0/24\"]\npsk = \"a key that only blue has\"\n\
                routes = [\"10.0.0.0/24\"]\n[tenant.users.bob]\npassword = \"open sesame\"\n";
    let users = "[users.branch]\npassword = \"builder\"\nnetworks = [\"10.65.0.0/25\"]\n";
    let mut site = Site::open(
        "findings-pools",
        Access::Nat,
        Config { tenant: blue, users, ..Config::default() },
    )?;
    let host = site.client_host()?;
    let dial = Dial::new().psk("a key that only blue has").user("bob", "open sesame");
    let (client, up) = Client::connect(&site, &host, &dial)?;
    assert!(up.address < Ipv4Addr::new(10, 65, 0, 128), "in the part that both have: {up:?}");
    assert!(lost(&host, CLOUD_HOST)?, "answers go to the branch of the other tenant");
    client.hang_up()?;

    let finding = found_about(&mut site, "pool-overlaps-pool", "behind user branch, 10.65.0.0/25")?;
    assert_eq!(
        (finding["severity"].as_str(), finding["tenant"].as_str()),
        (Some("error"), Some("blue")),
        "{finding:#}"
    );
    cure(&mut site, &finding)?;
    gone(&mut site, "pool-overlaps-pool")?;
    let (client, _) = Client::connect(&site, &host, &dial)?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_pool_with_the_addresses_of_a_cloud_is_moved() -> Result<(), LabError> {
    let lab = Site::lab_for("findings-egress", Access::Nat)?;
    let cloud = CloudSite::build(&lab, lab.gateway(), 1, [10, 64, 0])?;
    let tenant = way("cloud", 1, "10.64.0.0/24");
    let mut site = Site::serve(lab, Config { tenant: &tenant, ..Config::default() })?;
    let host = site.client_host()?;
    // The first who comes gets the very address of the cloud's host.
    let first = site.lab().namespace("first")?;
    site.lab().plug_in(&first, "eth0", LAN_SECOND_PEER)?;
    let dial = Dial::new().routes("--routes 10.64.0.0/24");
    let (twin, twin_up) = Client::connect(&site, &first, &Dial::new())?;
    assert_eq!(twin_up.address, cloud.address());
    let (client, _) = Client::connect(&site, &host, &dial)?;
    twin.hang_up()?;
    assert!(lost(&host, cloud.address())?, "the gateway looks for it among the clients");
    client.hang_up()?;

    let finding = found(&mut site, "pool-overlaps-egress")?;
    assert_eq!(finding["severity"], "error", "{finding:#}");
    cure(&mut site, &finding)?;
    gone(&mut site, "pool-overlaps-egress")?;
    let (client, up) = Client::connect(&site, &host, &dial)?;
    cloud.know_the_way_to(&format!("{}/32", up.address))?;
    ping(&host, cloud.address())?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn clouds_with_one_network_and_networks_that_clients_have_at_home_are_mapped()
-> Result<(), LabError> {
    let lab = Site::lab_for("findings-clouds", Access::Nat)?;
    let one = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    let two = CloudSite::build(&lab, lab.gateway(), 2, [10, 1, 0])?;
    let home = CloudSite::build(&lab, lab.gateway(), 3, [192, 168, 1])?;
    for cloud in [&one, &two, &home] {
        cloud.know_the_way_to("10.64.0.0/24")?;
    }
    let ways = [
        way("one", 1, "10.1.0.0/24"),
        way("two", 2, "10.1.0.0/24"),
        way("home", 3, "192.168.1.0/24"),
    ];
    let mut site = Site::serve(lab, Config { tenant: &ways.concat(), ..Config::default() })?;
    let (host, lan) = (site.client_host()?, site.lab().namespace("living-room")?);
    cable(&host, "eth9", &lan, "eth0")?;
    host.ip("address add 192.168.1.50/24 dev eth9")?;
    let (client, up) = Client::connect(&site, &host, &Dial::new().routes("--default-route"))?;
    let says = Datagrams::open(&host, up.address)?;
    let [at_one, at_two, at_home] = [one.listen()?, two.listen()?, home.listen()?];
    says.send("whose", one.address())?;
    assert_eq!(at_one.receive()?.0, "whose");
    says.send("home", home.address())?;
    assert!(at_two.receive().is_err(), "nobody gets to the second cloud");
    assert!(at_home.receive().is_err(), "it stays in the living room");

    let overlap = found(&mut site, "egresses-overlap")?;
    assert_eq!(overlap["severity"], "note", "{overlap:#}");
    let second = mapped(&overlap)?;
    cure(&mut site, &overlap)?;
    gone(&mut site, "egresses-overlap")?;
    let near = found_about(&mut site, "network-at-home", "192.168.1.0/24 behind")?;
    let beyond = mapped(&near)?;
    cure(&mut site, &near)?;
    let check = site.gateway().cli(&["check", "--config", "gateway.toml", "--json"])?;
    assert!(
        !check.contains("192.168.1.0/24 behind") && !check.contains("egresses-overlap"),
        "{check}"
    );
    for (target, there) in [(one.address(), &at_one), (second, &at_two), (beyond, &at_home)] {
        let text = format!("to {target}");
        says.send(&text, target)?;
        assert_eq!(there.receive()?.0, text);
    }
    ping(&host, second)?;
    ping(&host, beyond)?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn answers_that_a_reverse_path_filter_drops_are_let_pass() -> Result<(), LabError> {
    let lab = Site::lab_for("findings-filter", Access::Nat)?;
    let cloud = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    cloud.know_the_way_to("10.64.0.0/24")?;
    lab.gateway().sysctl("net/ipv4/conf/all/rp_filter", "1")?;
    lab.gateway().sysctl("net/ipv4/conf/cloud1/rp_filter", "1")?;
    let tenant = "[[tenant.egress]]\nname = \"azure\"\nmatch = { to = [\"10.1.0.0/24\"], user = \"alice\" }\n\
                  via = { gateway = \"198.18.1.2\" }\n";
    let mut site = Site::serve(lab, Config { tenant, ..Config::default() })?;
    let host = site.client_host()?;
    let dial = Dial::new().routes("--routes 10.1.0.0/24");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    assert!(lost(&host, cloud.address())?, "answers are dropped");
    let finding = found(&mut site, "return-path-other-link")?;
    cure(&mut site, &finding)?;
    gone(&mut site, "return-path-other-link")?;
    ping(&host, cloud.address())?;

    // A loose filter still wants some way to the sender.
    let default = "default via 203.0.113.1 dev eth0";
    site.lab().gateway().ip(&format!("route delete {default}"))?;
    assert!(lost(&host, cloud.address())?, "answers are dropped again");
    let finding = found(&mut site, "return-path-unknown")?;
    cure(&mut site, &finding)?;
    gone(&mut site, "return-path-unknown")?;
    ping(&host, cloud.address())?;
    site.lab().gateway().ip("route delete 10.1.0.0/24")?;
    site.lab().gateway().ip(&format!("route add {default}"))?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn routes_and_rules_that_lead_answers_elsewhere_are_taken_back() -> Result<(), LabError> {
    let lab = Site::lab_for("findings-elsewhere", Access::Nat)?;
    let cloud = CloudSite::build(&lab, lab.gateway(), 1, [10, 1, 0])?;
    cloud.know_the_way_to("10.64.0.0/24")?;
    let mut site =
        Site::serve(lab, Config { tenant: &way("azure", 1, "10.1.0.0/24"), ..Config::default() })?;
    let host = site.client_host()?;
    let dial = Dial::new().routes("--routes 10.1.0.0/24");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    ping(&host, cloud.address())?;

    site.lab().gateway().ip("route add 10.64.0.0/25 via 203.0.113.1 dev eth0")?;
    assert!(lost(&host, cloud.address())?, "a route leads answers elsewhere");
    let finding = found(&mut site, "pool-routed-elsewhere")?;
    cure(&mut site, &finding)?;
    gone(&mut site, "pool-routed-elsewhere")?;
    ping(&host, cloud.address())?;

    let theirs = "rule add priority 900 from 10.1.0.0/16 lookup 99";
    site.lab().gateway().ip("route add default via 203.0.113.1 dev eth0 table 99")?;
    site.lab().gateway().ip(theirs)?;
    assert!(lost(&host, cloud.address())?, "a rule leads answers elsewhere");
    let finding = found(&mut site, "pool-ruled-elsewhere")?;
    cure(&mut site, &finding)?;
    gone(&mut site, "pool-ruled-elsewhere")?;
    ping(&host, cloud.address())?;
    for theirs in ["rule delete priority 899", "rule delete priority 900", "route flush table 99"] {
        site.lab().gateway().ip(theirs)?;
    }
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_way_that_the_machine_shares_or_leads_elsewhere_is_made_one() -> Result<(), LabError> {
    let lab = Site::lab_for("findings-shared", Access::Nat)?;
    let clouds = [[10, 1, 0], [10, 2, 0]];
    let clouds = (1..).zip(clouds).map(|(n, net)| CloudSite::build(&lab, lab.gateway(), n, net));
    let clouds = clouds.collect::<Result<Vec<_>, _>>()?;
    let everywhere: Vec<_> = (1..=16).map(|n| Ipv4Addr::new(172, 20, 0, n)).collect();
    for cloud in &clouds {
        everywhere.iter().try_for_each(|address| cloud.add_address(*address))?;
    }
    lab.gateway().ip("route replace default via 198.18.1.2 dev cloud1")?;
    let tenant = "[[tenant.egress]]\nname = \"internet\"\nvia = { interface = \"eth0\" }\n\
                  nat = \"masquerade\"\n";
    let mut site = Site::serve(lab, Config { tenant, ..Config::default() })?;
    let host = site.client_host()?;
    let dial = Dial::new().routes("--routes 172.20.0.0/16");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    assert!(lost(&host, everywhere[0])?, "it leaves by another link, untranslated");
    let finding = found(&mut site, "egress-by-other-link")?;
    cure(&mut site, &finding)?;
    gone(&mut site, "egress-by-other-link")?;
    ping(&host, everywhere[0])?;

    let shared =
        "172.20.0.0/16 nexthop via 198.18.1.2 dev cloud1 nexthop via 198.18.2.2 dev cloud2";
    site.lab().gateway().ip(&format!("route add {shared}"))?;
    let mut some_lost = false;
    for address in &everywhere {
        some_lost = some_lost || lost(&host, *address)?;
    }
    assert!(some_lost, "one link of two translates");
    let finding = found(&mut site, "egress-multipath")?;
    cure(&mut site, &finding)?;
    gone(&mut site, "egress-multipath")?;
    everywhere.iter().try_for_each(|address| ping(&host, *address))?;
    site.lab().gateway().ip("route delete 172.20.0.0/16")?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_network_behind_a_user_does_not_cover_a_lac() -> Result<(), LabError> {
    let lac = format!(
        "[[lac]]\nname = \"metro\"\naddress = [\"{DIRECT_PEER}\"]\nsecret = \"wholesale\"\n"
    );
    let users = "[users.branch]\npassword = \"builder\"\nnetworks = [\"203.0.113.48/30\"]\n";
    let config = Config { tenant: &lac, users, ..Config::default() };
    let mut site = Site::open("findings-underlay", Access::Direct, config)?;
    let host = site.client_host()?;
    assert!(ping(site.lab().gateway(), DIRECT_PEER).is_err(), "it goes into the tunnel");
    let finding = found(&mut site, "underlay-covered")?;
    assert!(
        finding["what"].as_str().is_some_and(|what| what.contains("the LAC metro")),
        "{finding:#}"
    );
    let toml = finding["fix"]["toml"].as_str().unwrap_or_default();
    assert!(toml.ends_with("networks = [\"203.0.113.48/31\", \"203.0.113.51/32\"]"), "{toml}");
    for command in finding["fix"]["commands"].as_array().into_iter().flatten() {
        run(site
            .lab()
            .gateway()
            .command("sh")
            .arg("-c")
            .arg(command.as_str().unwrap_or_default()))?;
    }
    gone(&mut site, "underlay-covered")?;
    ping(site.lab().gateway(), DIRECT_PEER)?;
    let file = site.lab().evidence().write("lac.secret", "wholesale")?;
    let options = format!("--no-ipsec --tunnel-secret-file {}", file.display());
    let (client, _) = Client::connect(&site, &host, &Dial::new().with(&options))?;
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;
    site.lab().gateway().ip(&format!("route delete {DIRECT_PEER}"))?;
    site.wait_idle(Duration::from_secs(70))?;
    site.stop()?.close_with_lacs(&[DIRECT_PEER.into()])?.passed();
    Ok(())
}

#[test]
fn a_route_that_covers_the_gateway_leaves_it_out() -> Result<(), LabError> {
    let mut site = Site::open("findings-dialled", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let file = site.gateway().folder().join("gateway.toml");
    let covering = read(&file)?
        .replace("routes = [\"10.0.0.0/24\"]", "routes = [\"203.0.113.8/30\", \"10.0.0.0/24\"]");
    write(&file, &covering)?;
    site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    let finding = found(&mut site, "pushed-route-covers-gateway")?;
    assert_eq!(finding["severity"], "warning", "{finding:#}");

    // Our own client keeps its tunnel out of itself, whatever it is told.
    let dial = Dial::new().routes("--routes 203.0.113.0/24,10.0.0.0/24");
    let (client, _) = Client::connect(&site, &host, &dial)?;
    ping(&host, CLOUD_HOST)?;
    let way = host.ip("route get 203.0.113.10")?;
    assert!(way.contains("dev eth0"), "{way}");
    client.hang_up()?;
    cure(&mut site, &finding)?;
    gone(&mut site, "pushed-route-covers-gateway")?;
    site.close()?.passed();
    Ok(())
}

/// A client that has got an IPv6 network, and which.
fn with_ipv6(site: &Site, host: &Namespace, dial: &Dial) -> Result<(Client, String), LabError> {
    let (client, _) = Client::connect(site, host, dial)?;
    let event = wait_for("an IPv6 network", LATE, || Ok(client.event("ipv6")))?;
    let prefix = event.get("prefix").and_then(Value::as_str).map(str::to_owned);
    let prefix = prefix.ok_or_else(|| LabError::unexpected(format!("no prefix in {event}")))?;
    wait_for("its address to be settled", LATE, || {
        Ok(host.ip("-6 -o address show tentative")?.is_empty().then_some(()))
    })?;
    Ok((client, prefix))
}

/// Whether pings of the client get no answer.
fn lost(host: &Namespace, target: Ipv4Addr) -> Result<bool, LabError> {
    Ok(!pinged(host, target)?.contains(" 0% packet loss"))
}

fn found(site: &mut Site, code: &str) -> Result<Value, LabError> {
    found_about(site, code, "")
}

/// What the running gateway finds of this kind, and a plan as well.
fn found_about(site: &mut Site, code: &str, about: &str) -> Result<Value, LabError> {
    let finding =
        wait_for(code, LATE, || Ok(now(site)?.into_iter().find(|one| is(one, code, about))))?;
    let plan = site.gateway().cli(&["plan", "--config", "gateway.toml", "--json"])?;
    let plan: Value = serde_json::from_str(&plan)
        .map_err(|error| LabError::unexpected(format!("{error}: {plan}")))?;
    let planned = plan
        .pointer("/findings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|one| is(one, code, about));
    assert!(planned, "{plan:#}");
    Ok(finding)
}

/// Waits until the running gateway finds nothing of this kind.
fn gone(site: &mut Site, code: &str) -> Result<(), LabError> {
    wait_for(&format!("no {code}"), LATE, || {
        Ok((!now(site)?.iter().any(|one| is(one, code, ""))).then_some(()))
    })
}

/// What the running gateway finds, having looked.
fn now(site: &mut Site) -> Result<Vec<Value>, LabError> {
    // A link that comes and goes is a reason to look.
    let gateway = site.lab().gateway();
    gateway.ip("link add stir0 type veth peer name stir1")?;
    gateway.ip("link delete stir0")?;
    std::thread::sleep(Duration::from_millis(500));
    let status = site.gateway().status()?;
    Ok(status.at("/findings")?.as_array().cloned().unwrap_or_default())
}

fn is(finding: &Value, code: &str, about: &str) -> bool {
    let text = |key: &str| finding.get(key).and_then(Value::as_str).unwrap_or_default();
    text("code") == code && text("what").contains(about)
}

/// Does what is written: commands on the machine, lines in the configuration, and a reload.
fn cure(site: &mut Site, finding: &Value) -> Result<(), LabError> {
    for command in finding.pointer("/fix/commands").and_then(Value::as_array).into_iter().flatten()
    {
        let command = command.as_str().unwrap_or_default();
        run(site.lab().gateway().command("sh").args(["-c", command]))?;
    }
    let Some(toml) = finding.pointer("/fix/toml").and_then(Value::as_str) else { return Ok(()) };
    let file = site.gateway().folder().join("gateway.toml");
    write(&file, &written(&read(&file)?, toml))?;
    site.gateway().cli(&["reload", "--config", "gateway.toml"]).map(drop)
}

/// A configuration with the lines of a cure where its comments say.
fn written(text: &str, toml: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut whose, mut new) = (None, false);
    for line in toml.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let named = comment.strip_prefix("egress ").or(comment.strip_prefix("tenant "));
            whose = named.and_then(|rest| rest.split(' ').next());
            new = comment.starts_with("before") || comment.starts_with("beside");
        } else if new || line.starts_with("[[") {
            lines.push(line.to_owned());
        } else {
            let named = whose.map(|name| format!("name = \"{name}\""));
            let from =
                named.and_then(|name| lines.iter().position(|one| *one == name)).unwrap_or(0);
            replace(lines.get_mut(from..).unwrap_or_default(), line);
        }
    }
    lines.join("\n") + "\n"
}

/// Puts a key's line in the place of the one that is there; `to` stands in `match`.
fn replace(lines: &mut [String], line: &str) {
    let key = line.split(" =").next().unwrap_or_default();
    let (begins, line) = match key {
        "to" => (String::from("match ="), format!("match = {{ {line} }}")),
        key => (format!("{key} ="), line.to_owned()),
    };
    let old = lines.iter_mut().find(|one| one.trim_start().starts_with(&begins));
    assert!(old.is_some(), "no {begins}");
    if let Some(old) = old {
        *old = line;
    }
}

/// The host 2 of the network that clients are to know another by.
fn mapped(finding: &Value) -> Result<Ipv4Addr, LabError> {
    let toml = finding.pointer("/fix/toml").and_then(Value::as_str).unwrap_or_default();
    let inside = toml.split("inside = \"").nth(1).and_then(|rest| rest.split('/').next());
    let net: Option<Ipv4Addr> = inside.and_then(|net| net.parse().ok());
    let net = net.ok_or_else(|| LabError::unexpected(format!("no map in {finding:#}")))?;
    Ok(Ipv4Addr::from_bits(net.to_bits() + 2))
}

fn way(name: &str, cloud: u8, to: &str) -> String {
    format!(
        "[[tenant.egress]]\nname = \"{name}\"\nmatch = {{ to = [\"{to}\"] }}\n\
         via = {{ interface = \"cloud{cloud}\", gateway = \"198.18.{cloud}.2\" }}\n"
    )
}

fn read(file: &PathBuf) -> Result<String, LabError> {
    fs::read_to_string(file)
        .map_err(|source| LabError::Io { what: file.display().to_string(), source })
}

fn write(file: &PathBuf, text: &str) -> Result<(), LabError> {
    fs::write(file, text)
        .map_err(|source| LabError::Io { what: file.display().to_string(), source })
}

/// By then it is found: each look is asked for.
const LATE: Duration = Duration::from_secs(30);
