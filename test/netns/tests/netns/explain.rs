//! `isthmus explain` tells what a firewall on the way does, from what the gateway sees of it.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, DIRECT_PEER, LabError, wait_for};
use isthmus_netns::{Client, Config, Dial, Site, ping};
use serde_json::Value;

/// A firewall in front of the gateway, and what must come of it.
struct Case {
    /// Rules with the client's address in place of `CLIENT`.
    input: &'static str,
    output: &'static str,
    options: &'static str,
    cause: &'static str,
    stage: &'static str,
    /// The last milestone.
    reached: &'static str,
    /// What the text must hold.
    says: &'static [&'static str],
}

const CASES: [Case; 4] = [
    Case {
        input: "ip saddr CLIENT udp dport 4500 drop",
        output: "",
        // It behaves as behind a NAT, and must go on from port 4500.
        options: "--force-encap",
        cause: "nat_traversal_blocked",
        stage: "ike_main_mode",
        reached: "keys_exchanged",
        says: &["missing  pre-shared key proven", "let UDP 4500 in"],
    },
    Case {
        input: "",
        output: "ip daddr CLIENT udp sport 500 drop",
        options: "",
        cause: "no_answer_heard",
        stage: "ike_main_mode",
        reached: "proposal_agreed",
        says: &["its address may be forged", "check that UDP 500 also leaves"],
    },
    Case {
        input: "ip saddr CLIENT ip protocol esp drop",
        output: "",
        options: "",
        cause: "no_l2tp",
        stage: "l2tp",
        reached: "secured",
        says: &["ok       IPsec up", "missing  L2TP heard", "IP protocol 50"],
    },
    Case {
        input: "",
        output: "ip daddr CLIENT ip protocol esp drop",
        options: "",
        cause: "return_path_dead",
        stage: "l2tp",
        reached: "l2tp_heard",
        says: &["heard none of our answers", "check the way back"],
    },
];

#[test]
fn each_firewall_on_the_way_is_recognised_and_a_connection_is_explained() -> Result<(), LabError> {
    let mut site = Site::open("explain", Access::Direct, Config::default())?;
    let chain = |hook: &str, rule: fn(&Case) -> &'static str| {
        let rules =
            (1..).zip(&CASES).map(|(n, c)| rule(c).replace("CLIENT", &address(n).to_string()));
        let rules: Vec<String> = rules.collect();
        format!("chain {hook} {{\ntype filter hook {hook} priority 0;\n{}\n}}\n", rules.join("\n"))
    };
    let (input, output) = (chain("input", |c| c.input), chain("output", |c| c.output));
    let rules = format!("table inet explaintest {{\n{input}{output}}}");
    site.lab().gateway().nft(&rules)?;

    let mut started = Vec::new();
    for (number, case) in (1..).zip(&CASES) {
        let host = site.lab().namespace(&format!("case{number}"))?;
        site.lab().plug_in(&host, "eth0", address(number))?;
        let client = Client::start(&site, &host, &Dial::new().with(case.options))?;
        started.push((number, case, host, client));
    }
    let good = site.client_host()?;
    let (client, up) = Client::connect(&site, &good, &Dial::new())?;
    ping(&good, isthmus_interop::CLOUD_HOST)?;
    for who in ["alice", &DIRECT_PEER.to_string(), &up.address.to_string()] {
        let told = site.gateway().cli(&["explain", who])?;
        assert!(told.contains("alice: connected since"), "{who}: {told}");
        assert!(told.contains(&format!("as {}", up.address)) && told.contains("if it is slow"));
    }
    let nobody = site.gateway().cli(&["explain", "192.0.2.99"]).expect_err("exit code 4");
    let LabError::Command { status, output, .. } = &nobody else { return Err(nobody) };
    assert!(status.contains('4'), "{status}");
    assert!(output.contains("nothing was seen from 192.0.2.99") && output.contains("UDP 500"));

    for (number, case, _host, client) in started {
        let told = wait_explained(&mut site, address(number), case)?;
        for words in case.says {
            assert!(told.contains(words), "`{words}` is not in:\n{told}");
        }
        let down = client.wait_down(LIMIT)?;
        site.lab().evidence().note(&format!("{}: {}", case.cause, down.reason));
    }
    client.hang_up()?;
    site.lab().gateway().nft("delete table inet explaintest")?;
    let closed = site.close()?;
    for case in &CASES {
        assert!(closed.log().contains(case.cause), "{} is not in:\n{}", case.cause, closed.log());
    }
    closed.passed();
    Ok(())
}

/// The text for the client at `address`, once it is explained as the case demands.
fn wait_explained(site: &mut Site, address: Ipv4Addr, case: &Case) -> Result<String, LabError> {
    let gateway = site.gateway();
    let address = address.to_string();
    wait_for(&format!("{} of {address}", case.cause), LIMIT, || {
        // Exit code 4 until there is something to tell.
        let Ok(told) = gateway.cli(&["explain", &address, "--json"]) else { return Ok(None) };
        let told: Value = serde_json::from_str(&told)
            .map_err(|error| LabError::unexpected(format!("{error} in {told}")))?;
        let failures = told.get("failures").and_then(Value::as_array);
        let failures = failures.cloned().unwrap_or_default();
        let Some(failure) = failures.iter().find(|f| f["cause"] == case.cause) else {
            return Ok(None);
        };
        assert_eq!(failure["stage"], case.stage, "{failure}");
        let last = failure["steps"].as_array().and_then(|steps| steps.last());
        assert_eq!(
            last.map(|step| &step["milestone"]),
            Some(&Value::from(case.reached)),
            "{failure}"
        );
        gateway.cli(&["explain", &address]).map(Some)
    })
}

fn address(number: u8) -> Ipv4Addr {
    let [a, b, c, d] = DIRECT_PEER.octets();
    Ipv4Addr::new(a, b, c, d + number)
}

/// How long a silence lasts until it is an end.
const LIMIT: Duration = Duration::from_secs(90);
