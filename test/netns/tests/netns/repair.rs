//! What others do to the gateway's kernel state is put back, and what is theirs stays.

use std::time::{Duration, Instant};

use isthmus_interop::{Access, CLOUD_HOST, LabError, Namespace, run, wait_for};
use isthmus_netns::{Client, Config, Dial, Site, ping};

#[test]
fn what_others_undo_is_put_back_within_two_seconds_and_theirs_stays() -> Result<(), LabError> {
    let lab = Site::lab_for("repair", Access::Nat)?;
    lab.gateway()
        .nft("add table inet theirs; add chain inet theirs keep; add table ip isthmus_lab2")?;
    lab.gateway().ip("route add blackhole 198.18.0.0/15 proto static")?;
    lab.gateway().ip("rule add priority 900 from 198.18.0.1 lookup main")?;
    let site = Site::serve(lab, Config { tenant: WAY, ..Config::default() })?;
    let host = site.client_host()?;
    let (client, _) = Client::connect(&site, &host, &Dial::new())?;
    let gateway = site.lab().gateway();
    let before = state(gateway)?;

    let undo = [
        "ip route flush proto 173",
        "ip route flush table 17300",
        "ip rule delete priority 17300",
        "ip address delete 10.64.0.1/32 dev ist-acme",
        "nft delete table inet isthmus_lab",
        "echo 0 > /proc/sys/net/ipv4/ip_forward",
        "ip link set ist-acme down && ip link set ist-acme up",
        "ip rule flush && ip rule add priority 32766 lookup main && \
         ip rule add priority 32767 lookup default && ip rule add priority 900 from 198.18.0.1 lookup main",
    ];
    for undone in undo {
        run(gateway.command("sh").args(["-c", undone]))?;
        let began = Instant::now();
        wait_for(undone, LATE, || Ok((state(gateway)? == before).then_some(())))?;
        let took = began.elapsed();
        assert!(took < SOON, "{undone}: {took:?}");
        ping(&host, CLOUD_HOST)?;
        // The next is taken for another mishap, not for a quarrel.
        std::thread::sleep(CALM);
    }
    client.hang_up()?;
    site.close()?.passed();
    Ok(())
}

/// Everything of the namespace that anybody has set, in an order that does not matter.
fn state(gateway: &Namespace) -> Result<Vec<String>, LabError> {
    let mut text = String::new();
    for words in ["-4 route show table all", "-4 rule show", "-o address show"] {
        text += &gateway.ip(words)?;
    }
    text += &gateway.nft("list ruleset")?;
    text += &run(gateway.command("cat").arg("/proc/sys/net/ipv4/ip_forward"))?;
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort();
    Ok(lines)
}

/// A way out with a routing table of its own.
const WAY: &str = "[[tenant.egress]]\nname = \"cloud\"\n\
     match = { to = [\"10.0.0.0/24\"] }\nvia = { interface = \"eth1\", gateway = \"10.0.0.2\" }\n\
     nat = \"masquerade\"\n";
/// How long a repair may take.
const SOON: Duration = Duration::from_secs(2);
/// How long it is waited for, to tell how long it took.
const LATE: Duration = Duration::from_secs(15);
/// After so long a quarrel is over.
const CALM: Duration = Duration::from_millis(2500);
