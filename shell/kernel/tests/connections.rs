//! Connections that the kernel remembers are forgotten, and no others.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../net/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use isthmus_kernel::{Flows, Options, Reconciler};
use support::Space;

#[tokio::test]
async fn connections_to_a_network_are_forgotten_and_others_stay() {
    let space = Space::new("flows");
    space.ip("link set lo up");
    for address in ["192.0.2.1/32", "198.51.100.1/32", "2001:db8::1/128", "2001:db8:1::1/128"] {
        space.ip(&format!("address add {address} dev lo"));
    }
    // Nothing is tracked before somebody asks for it.
    space.run("nft", &["add table inet track"]);
    space.run("nft", &["add chain inet track in { type filter hook input priority 0 ; }"]);
    space.run("nft", &["add rule inet track in ct state new counter"]);
    let options = Options {
        namespace: Some(space.namespace()),
        state_folder: PathBuf::from("/nonexistent"),
        ..Options::named("gate")
    };
    let mut reconciler = Reconciler::new(Options { keep_on_drop: true, ..options }).unwrap();
    let flows = |from: &str, to: &str, except: &[&str]| Flows {
        from: vec![from.parse().unwrap()],
        to: to.parse().unwrap(),
        except: except.iter().map(|net| net.parse().unwrap()).collect(),
    };
    for to in ["192.0.2.1", "198.51.100.1", "2001:db8::1", "2001:db8:1::1"] {
        space.run("bash", &["-c", &format!("echo hello > /dev/udp/{to}/9")]);
    }
    let everywhere = || flows("0.0.0.0/0", "0.0.0.0/0", &["192.0.2.0/24"]);
    assert_eq!(reconciler.forget(vec![everywhere()]).await.unwrap(), 1);
    assert_eq!(reconciler.forget(vec![everywhere()]).await.unwrap(), 0, "they are forgotten");
    let both =
        || vec![flows("::/0", "2001:db8::/64", &[]), flows("192.0.2.1/32", "192.0.2.1/32", &[])];
    assert_eq!(reconciler.forget(both()).await.unwrap(), 2);
    assert_eq!(reconciler.forget(vec![flows("::/0", "::/0", &[])]).await.unwrap(), 1);
}
