//! Aggressive mode: a group with a key of its own, and what happens to those who are not of it.

use std::time::Duration;

use isthmus_interop::{Access, LabError};
use isthmus_netns::{Client, Config, Dial, Site, use_beside_the_key};

#[test]
fn a_group_connects_in_aggressive_mode_with_and_without_a_nat() -> Result<(), LabError> {
    for (test, access, in_udp) in [
        ("aggressive-nat", Access::NatRewritingPorts, true),
        ("aggressive-direct", Access::Direct, false),
    ] {
        let site = Site::open(test, access, config())?;
        use_beside_the_key(site, &member(), in_udp)?.passed();
    }
    Ok(())
}

#[test]
fn a_wrong_group_and_a_wrong_key_of_a_group_are_told_apart() -> Result<(), LabError> {
    let mut site = Site::open("aggressive-refused", Access::NatRewritingPorts, config())?;
    let host = site.client_host()?;
    let cases = [
        (member().psk("not the key of this group"), "wrong_psk", "pre-shared key is not"),
        (
            Dial::new().psk(GROUP_PSK).with("--group Sales"),
            "unknown_group",
            "does not know the group",
        ),
    ];
    for (dial, cause, says) in cases {
        let down = Client::start(&site, &host, &dial)?.wait_down(LIMIT)?;
        assert_eq!((down.exit, down.stage.as_str()), (Some(1), "ipsec"), "{down:?}");
        assert!(down.reason.contains(says), "{down:?}");
        site.wait_idle(LIMIT)?;
        // What a stranger says in clear is believed only when nothing else comes.
        site.wait_failure(cause, None, LIMIT)?;
    }
    site.close()?.passed();
    Ok(())
}

fn config() -> Config<'static> {
    Config { tenant: GROUP, ..Config::default() }
}

fn member() -> Dial {
    Dial::new().psk(GROUP_PSK).with("--group sales")
}

const GROUP: &str = r#"group = [{ name = "sales", psk = "only the sales people know this" }]"#;
const GROUP_PSK: &str = "only the sales people know this";
/// How long an attempt may take to fail, and to be forgotten.
const LIMIT: Duration = Duration::from_mins(1);
