//! `isthmus show` says what is in force, what it is for, and whose it is.

use std::fs;
use std::time::Duration;

use isthmus_interop::{Access, LabError, wait_for};
use isthmus_netns::{Client, Config, Dial, Site};
use serde_json::Value;

#[test]
fn routes_rules_nat_and_policy_are_shown_with_what_they_are_for() -> Result<(), LabError> {
    let lab = Site::lab_for("show", Access::Nat)?;
    lab.gateway().nft("add table ip theirs")?;
    lab.gateway().ip("route add blackhole 10.64.0.128/25 proto static")?;
    let config = Config { tenant: TENANT, users: USERS, ..Config::default() };
    let mut site = Site::serve(lab, config)?;
    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    site.gateway().wait_count("sessions", 1, LIMIT)?;

    let text = show(&mut site, &["routes"])?;
    demand(&text, &["acme  main", "10.64.0.0/24", "the pool of tenant acme"]);
    demand(&text, &["acme  17300", "via 10.0.0.2 on eth1", "egress cloud of tenant acme"]);
    demand(&text, &["-  main", "10.64.0.128/25", "foreign"]);
    demand(&text, &["somebody else's nftables table in", "ip theirs"]);
    assert!(!text.contains("missing"), "{text}");
    let text = show(&mut site, &["rules", "--tenant", "acme"])?;
    demand(&text, &["acme", "17300", "in by ist-acme", "lookup 17300", "ways out of tenant acme"]);
    demand(&text, &["32766", "lookup 254", "foreign", "the kernel's own"]);
    let text = show(&mut site, &["nat"])?;
    let nat = ["acme", "source", "leaving by eth1", "as wanted", "`nat` of egress cloud of tenant"];
    demand(&text, &nat);
    let text = show(&mut site, &["policy"])?;
    demand(&text, &["tenant acme (ist-acme in the gateway's own namespace), 1 session:"]);
    demand(&text, &["user alice", "1", "allow", "10.0.0.0/24", "alice-in", "as wanted"]);
    demand(&text, &["others", "0", "deny", "everything else", "default"]);
    demand(&text, &["everybody", "1", "deny", "169.254.169.254/32", "cloud_metadata"]);
    assert!(show(&mut site, &["nat", "--tenant", "blue"]).is_err_and(|error| {
        error.to_string().contains("there is no tenant `blue`; there are: acme")
    }));

    // What somebody takes away is missing until it is put back, which takes longer each time.
    wait_for("a missing route to be shown", Duration::from_secs(30), || {
        site.lab().gateway().ip("route flush proto 173 10.64.0.0/24")?;
        let text = show(&mut site, &["routes", "--json"])?;
        let shown: Value = serde_json::from_str(&text)
            .map_err(|error| LabError::unexpected(format!("{error}: {text}")))?;
        let rows = shown["routes"].as_array().cloned().unwrap_or_default();
        let missing = |row: &Value| {
            row["destination"] == "10.64.0.0/24" && row["table"] == 254 && row["state"] == "missing"
        };
        Ok(rows.iter().any(missing).then_some(()))
    })?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn tenants_with_one_pool_are_shown_apart_and_keep_their_numbers() -> Result<(), LabError> {
    let lab = Site::lab_for("show-two", Access::Nat)?;
    let inner = [lab.namespace("acme")?, lab.namespace("blue")?];
    let own = format!("netns = \"{}\"\n{DENIED}", inner[0].name());
    let blue = format!(
        "[[tenant]]\nname = \"blue\"\nnetns = \"{}\"\nrealm = \"blue\"\npool = [\"10.64.0.0/24\"]\n\
         [tenant.users.bob]\npassword = \"builder\"\n{DENIED}",
        inner[1].name()
    );
    let mut site = Site::serve(lab, Config { tenant: &own, ..Config::default() })?;
    let file = site.gateway().folder().join("gateway.toml");
    let io = |source| LabError::Io { what: file.display().to_string(), source };
    let before = fs::read_to_string(&file).map_err(io)?;
    let (head, acme) = before.split_once("[[tenant]]").unwrap_or_default();
    // The new one stands first, and has the second number.
    fs::write(&file, format!("{head}{blue}\n[[tenant]]{acme}")).map_err(io)?;
    site.gateway().cli(&["reload", "--config", "gateway.toml"])?;
    wait_for("a plan without a change", LIMIT, || {
        let text = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
        Ok(text.contains("gateway lab: the kernel is as it is to be").then_some(()))
    })?;
    let text = show(&mut site, &["routes", "--tenant", "blue"])?;
    demand(&text, &["blue", "17332", "prohibit", "egress none of tenant blue"]);
    assert!(!text.contains("acme") && !text.contains("missing"), "{text}");
    let text = show(&mut site, &["routes"])?;
    for [tenant, table] in [["acme", "17300"], ["blue", "17332"]] {
        demand(&text, &[tenant, table, "10.64.0.0/24", "reach each other"]);
    }

    // Somebody else's rule in our table is named by the plan, entry by entry.
    wait_for("a plan with somebody else's rule", Duration::from_secs(30), || {
        inner[1].nft("add rule inet isthmus_lab forward ip daddr 10.9.9.9 accept")?;
        let text = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
        let line = "  - rule in chain forward: ip daddr 10.9.9.9 accept  \
                    # somebody else put it there";
        Ok(text.lines().any(|said| said == line).then_some(()))
    })?;
    wait_for("it to be repaired", LIMIT, || {
        let text = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
        Ok(text.contains("gateway lab: the kernel is as it is to be").then_some(()))
    })?;
    let (client, _) = Client::connect(&site, &site.client_host()?, &Dial::new())?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

fn show(site: &mut Site, words: &[&str]) -> Result<String, LabError> {
    let mut all = vec!["show"];
    all.extend(words);
    all.extend(["--config", "gateway.toml"]);
    site.gateway().cli(&all)
}

/// Demands a line that has all of these.
fn demand(text: &str, words: &[&str]) {
    let has = |line: &str| {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        words.iter().all(|word| {
            let word = word.split_whitespace().collect::<Vec<_>>().join(" ");
            line.contains(&word)
        })
    };
    assert!(text.lines().any(has), "{words:?} is no line of\n{text}");
}

const LIMIT: Duration = Duration::from_secs(40);
const USERS: &str = "[users.bob]\npassword = \"builder\"\n";
const DENIED: &str = "[[tenant.egress]]\nname = \"none\"\nmatch = { to = [\"10.9.0.0/16\"] }\n\
     deny = true\n";
const TENANT: &str = r#"
[[tenant.egress]]
name = "cloud"
match = { to = ["10.0.0.0/24"] }
via = { interface = "eth1", gateway = "10.0.0.2" }
nat = "masquerade"
[tenant.policy]
default = "deny"
[[tenant.policy.rule]]
name = "alice-in"
action = "allow"
user = "alice"
to = "10.0.0.0/24"
"#;
