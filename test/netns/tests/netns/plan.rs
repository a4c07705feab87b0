//! `isthmus plan` says what would change, and changes nothing.

use std::fs;
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, KernelState, LabError, run, wait_for};
use isthmus_netns::{Client, Config, Dial, Site, ping};
use serde_json::Value;

#[test]
fn a_plan_names_each_change_and_who_asks_for_it_and_changes_nothing() -> Result<(), LabError> {
    let mut site = Site::open("plan", Access::Nat, Config { tenant: WAY, ..Config::default() })?;
    let folder = site.gateway().folder().to_owned();
    wait_for("a plan without a change", Duration::from_secs(20), || {
        let text = site.gateway().cli(&["plan", "--config", "gateway.toml"])?;
        Ok(text.contains("gateway lab: the kernel is as it is to be").then_some(()))
    })?;

    // Another pool, and no way out.
    let file = folder.join("gateway.toml");
    let io = |source| LabError::Io { what: file.display().to_string(), source };
    let before = fs::read_to_string(&file).map_err(io)?;
    let (tenant, _) = before.split_once("[[tenant.egress]]").unwrap_or_default();
    let changed = tenant.replace("10.64.0.0/24", "10.65.0.0/24");
    fs::write(folder.join("next.toml"), changed).map_err(io)?;

    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    let kernel = KernelState::read(site.lab().gateway())?;
    let text = site.gateway().cli(&["plan", "--config", "next.toml"])?;
    for line in [
        "  + address 10.65.0.1/32 on ist-acme  # the gateway's own address in tenant acme",
        "  + route 10.65.0.0/24 on ist-acme source 10.65.0.1  # the pool of tenant acme",
        "  - route 10.64.0.0/24 on ist-acme source 10.64.0.1  # nothing asks for it any more",
        "  ~ deny other tenants from ist-acme, and their addresses of this machine (own: 10.65.0.1): \
         -10.64.0.1, +10.65.0.1  # `reaches` of tenant acme: tenants do not reach each other",
        "  - translate 10.64.0.0/24 to 10.0.0.0/24 leaving by eth1 to the link's own address  \
         # nothing asks for it any more",
        "gateway lab: 3 to add, 1 to change, 9 to remove; nothing has been changed",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}\nis not in\n{text}");
    }
    assert_eq!(KernelState::read(site.lab().gateway())?, kernel);

    let json = site.gateway().cli(&["plan", "--config", "next.toml", "--json"])?;
    let json: Value = serde_json::from_str(&json)
        .map_err(|error| LabError::unexpected(format!("{error}: {json}")))?;
    let counts = ["add", "change", "remove"].map(|key| json.get(key).and_then(Value::as_u64));
    assert_eq!(counts, [Some(3), Some(1), Some(9)], "{json:#}");
    ping(&host, CLOUD_HOST)?;
    client.hang_up()?;

    // Where nothing runs, devices are to be made as well.
    let fresh = site.lab().namespace("fresh")?;
    fresh.ip("link add eth1 type veth peer name eth1p")?;
    fresh.ip("link set eth1 up")?;
    fresh.ip("link set eth1p up")?;
    fresh.ip("address add 10.0.0.1/24 dev eth1")?;
    let mut command = fresh.command(site.binary());
    let text = run(command.current_dir(&folder).args(["plan", "--config", "gateway.toml"]))?;
    assert!(text.contains("  + device ist-acme  # packets of tenant acme\n"), "{text}");
    assert!(text.contains("# egress cloud of tenant acme\n"), "{text}");
    assert!(fresh.ip("link show ist-acme").is_err());
    site.close()?.passed();
    Ok(())
}

#[test]
fn a_plan_finds_pools_that_the_machine_itself_is_part_of() -> Result<(), LabError> {
    let site = Site::open("plan-overlap", Access::Nat, Config::default())?;
    let fresh = site.lab().namespace("fresh")?;
    fresh.ip("link add eth7 type veth peer name eth7p")?;
    fresh.ip("address add 10.64.0.200/25 dev eth7")?;
    fresh.ip("address add 10.65.0.1/24 dev eth7")?;
    let folder = site.lab().evidence().path("configuration");
    let plan = |words: &[&str]| {
        let mut command = fresh.command(site.binary());
        command.current_dir(&folder).args(["plan", "--config", "gateway.toml"]);
        run(command.args(words))
    };
    let text = plan(&[])?;
    let expected = "  ! error pool-overlaps-interface: the pool of tenant acme, 10.64.0.0/24, overlaps \
                    10.64.0.128/25 of eth7";
    assert!(text.lines().any(|line| line == expected), "{text}");
    assert!(text.contains("\n          pool = [\"10.64.1.0/24\"]\n"), "{text}");
    assert!(plan(&["--json"])?.contains("\"code\": \"pool-overlaps-interface\""));

    // The remedy.
    fresh.ip("address delete 10.64.0.200/25 dev eth7")?;
    fresh.ip("address add 10.66.0.200/25 dev eth7")?;
    assert!(!plan(&[])?.contains("  ! error "));
    let (client, _) = Client::connect(&site, &site.client_host()?, &Dial::new())?;
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// A way out with a routing table of its own.
const WAY: &str = "[[tenant.egress]]\nname = \"cloud\"\n\
     match = { to = [\"10.0.0.0/24\"] }\nvia = { interface = \"eth1\", gateway = \"10.0.0.2\" }\n\
     nat = \"masquerade\"\n";
