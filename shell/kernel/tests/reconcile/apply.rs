//! What is desired comes about, and nothing else changes.

use isthmus_kernel::{Changes, Desired};

use crate::machine::{Machine, address, assert_unchanged, everything, nothing, via};

#[tokio::test]
async fn applying_twice_changes_nothing_the_second_time() {
    let machine = Machine::new("twice");
    let mut reconciler = machine.reconciler();
    let made = reconciler.apply(&everything()).await.unwrap();
    assert!(made.len() > 30, "{made}");
    assert_eq!(reconciler.apply(&everything()).await.unwrap(), nothing());
    assert_eq!(reconciler.plan(&everything()).await.unwrap(), nothing());

    let table = machine.space.ip("route show table 70000");
    assert!(table.contains("default via 192.0.2.1 dev eth0 proto 173"), "{table}");
    let rules = machine.space.ip("rule show");
    assert!(rules.contains("17300:\tfrom 10.64.0.0/20 lookup 70000 proto 173"), "{rules}");
    assert!(machine.space.ip("link show eth1").contains("mtu 1400"));
    assert_eq!(machine.sysctl("net/ipv4/ip_forward"), "1");
    let nft = machine.space.run("nft", &["list", "table", "inet", "isthmus_gate"]);
    assert!(nft.contains("ip saddr 10.64.0.0/20 oifname \"eth0\" masquerade"), "{nft}");
    assert!(nft.contains("ip daddr != 192.0.2.7 snat ip to 192.0.2.2"), "{nft}");
}

#[tokio::test]
async fn a_link_that_listens_to_routers_goes_on_while_the_machine_forwards() {
    let machine = Machine::new("listens");
    machine.space.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra"]);
    machine.space.run("sh", &["-c", "echo 0 > /proc/sys/net/ipv6/conf/eth1/accept_ra"]);
    let mut reconciler = machine.reconciler();
    reconciler.apply(&everything()).await.unwrap();
    let accepts = |link: &str| machine.sysctl(&format!("net/ipv6/conf/{link}/accept_ra"));
    assert_eq!((accepts("eth0").as_str(), accepts("eth1").as_str()), ("2", "0"));
    reconciler.remove_all().await.unwrap();
    assert_eq!((accepts("eth0").as_str(), accepts("eth1").as_str()), ("1", "0"));
}

#[tokio::test]
async fn removing_leaves_no_trace() {
    let machine = Machine::new("trace");
    let before = machine.snapshot();
    let mut reconciler = machine.reconciler();
    reconciler.apply(&everything()).await.unwrap();
    assert_ne!(machine.snapshot(), before);
    assert!(machine.state.exists());
    let removed = reconciler.remove_all().await.unwrap();
    assert!(removed.len() > 30, "{removed}");
    assert_unchanged(&machine, &before);
    assert!(!machine.state.exists(), "nor on disk");
    assert_eq!(reconciler.remove_all().await.unwrap(), nothing());
}

#[tokio::test]
async fn a_plan_is_what_is_applied_and_changes_nothing() {
    let machine = Machine::new("plan");
    let before = machine.snapshot();
    let mut reconciler = machine.reconciler();
    let planned = reconciler.plan(&everything()).await.unwrap();
    assert_unchanged(&machine, &before);
    assert!(!machine.state.exists());
    assert_eq!(reconciler.apply(&everything()).await.unwrap(), planned);
}

#[tokio::test]
async fn only_what_differs_is_changed() {
    let machine = Machine::new("differs");
    let mut reconciler = machine.reconciler();
    let mut desired = everything();
    reconciler.apply(&desired).await.unwrap();
    let from = desired.routes[1].clone();
    desired.routes[1].next = via("192.0.2.3");
    desired.rules.remove(0);
    desired.firewall.nat.pop();
    desired.sysctls.remove("net/ipv4/conf/eth1/rp_filter");
    desired.links.clear();
    desired.addresses.pop();
    let changes = reconciler.apply(&desired).await.unwrap();
    let kinds: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        kinds,
        [
            format!(
                "set the nftables table: {}; {};",
                desired.firewall.nat[0], desired.firewall.nat[1]
            ),
            "remove rule 17300 for IPv4 from 10.64.0.0/20 lookup 70000".to_owned(),
            format!("replace {from} on eth0 by {}", desired.routes[1]),
            "restore net/ipv4/conf/eth1/rp_filter to 0".to_owned(),
            "remove address 10.64.15.1/32 on eth1 peer 10.64.15.2".to_owned(),
            "restore link eth1 up mtu 1500".to_owned(),
        ]
    );
    assert!(machine.space.ip("route show 10.65.0.0/16").contains("via 192.0.2.3"));
    assert_eq!(reconciler.plan(&desired).await.unwrap(), nothing());
}

#[tokio::test]
async fn an_address_changes_its_prefix() {
    let machine = Machine::new("prefix");
    let mut reconciler = machine.reconciler();
    for address in
        [address("eth1", "fd64::1/64"), address("eth1", "fd64::1/80"), address("lo", "fd64::1/128")]
    {
        let desired = Desired { addresses: vec![address], ..Desired::default() };
        assert!(!reconciler.apply(&desired).await.unwrap().is_empty());
        assert_eq!(reconciler.plan(&desired).await.unwrap(), nothing());
    }
}

#[tokio::test]
async fn changes_survive_being_written_as_json() {
    let machine = Machine::new("json");
    let planned = machine.reconciler().plan(&everything()).await.unwrap();
    let text = serde_json::to_string(&planned).unwrap();
    assert_eq!(serde_json::from_str::<Changes>(&text).unwrap(), planned);
    assert!(text.contains("\"add_route\""), "{text}");
}
