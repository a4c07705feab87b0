//! Attempts that must fail: the client says why, the gateway says why, and nothing stays.

use std::net::Ipv4Addr;
use std::time::Duration;

use isthmus_interop::{Access, DIRECT_PEER, LabError, Namespace};
use isthmus_netns::{Client, Config, Dial, Down, Site};

#[test]
fn a_refused_client_is_told_why_and_the_gateway_names_the_cause() -> Result<(), LabError> {
    let mut site =
        Site::open("refusals", Access::Direct, Config { ipsec: STRICT, ..Config::default() })?;
    let mut started = Vec::new();
    for (number, case) in (1..).zip(&CASES) {
        let [a, b, c, d] = DIRECT_PEER.octets();
        let address = Ipv4Addr::new(a, b, c, d + number);
        let host = site.lab().namespace(&format!("case{number}"))?;
        site.lab().plug_in(&host, "eth0", address)?;
        let client = Client::start(&site, &host, &(case.dial)())?;
        started.push((case, address, host, client));
    }
    for (case, address, _host, client) in started {
        let down = client.wait_down(REFUSAL_LIMIT)?;
        refuse_silence(case, &down);
        let failure = site.wait_failure(case.cause, Some(address), REFUSAL_LIMIT)?;
        assert_eq!(failure["stage"], case.stage, "{failure}");
        assert!(failure["remedy"].as_str().is_some_and(|text| text.len() > 10), "{failure}");
        site.lab().evidence().note(&format!("{}: {}; {}", case.cause, down.reason, down.remedy));
    }
    site.wait_idle(FORGET_LIMIT)?;
    let closed = site.close()?;
    for case in &CASES {
        assert!(closed.log().contains(case.cause), "{} is not in:\n{}", case.cause, closed.log());
    }
    closed.passed();
    Ok(())
}

#[test]
fn a_client_that_finds_the_pool_exhausted_is_told_so_and_the_first_one_goes_on()
-> Result<(), LabError> {
    let config = Config { pool: "10.64.0.0/30", ..Config::default() };
    let mut site = Site::open("refusals-pool", Access::Direct, config)?;
    let first = site.client_host()?;
    let (client, up) = Client::connect(&site, &first, &Dial::new())?;
    assert_eq!(up.address, Ipv4Addr::new(10, 64, 0, 2), "the only one there is");

    let second = other_host(&site)?;
    let down = Client::start(&site, &second, &Dial::new())?.wait_down(REFUSAL_LIMIT)?;
    assert_eq!((down.exit, down.requested), (Some(1), false), "{down:?}");
    assert!(down.reason.contains("no address left"), "{down:?}");
    assert!(down.remedy.contains("pool"), "{down:?}");
    site.wait_failure("pool_exhausted", Some(second_address()), REFUSAL_LIMIT)?;
    let status = site.gateway().wait_count("sessions", 1, FORGET_LIMIT)?;
    assert_eq!(status.at("/tenants/0/pool_used")?, 1, "{status}");
    site.gateway().wait_count("peers", 1, FORGET_LIMIT)?;
    isthmus_netns::ping(&first, isthmus_interop::CLOUD_HOST)?;

    client.hang_up()?;
    site.wait_idle(Duration::from_secs(5))?;
    let (client, up) = Client::connect(&site, &second, &Dial::new())?;
    assert_eq!(up.address, Ipv4Addr::new(10, 64, 0, 2), "the address is free again");
    client.hang_up()?;
    let closed = site.close()?;
    assert!(closed.log().contains("pool_exhausted"), "{}", closed.log());
    closed.passed();
    Ok(())
}

/// Something wrong with an attempt.
struct Case {
    dial: fn() -> Dial,
    /// How far the client must say that it came.
    client_stage: &'static str,
    /// What the client's reason or remedy must name.
    says: &'static [&'static str],
    /// How far the gateway must say that the client came.
    stage: &'static str,
    /// The cause that the gateway must name.
    cause: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        dial: || Dial::new().psk("another key"),
        client_stage: "ipsec",
        says: &["pre-shared key is not the server's", "correct the pre-shared key"],
        stage: "ike_main_mode",
        cause: "wrong_psk",
    },
    Case {
        dial: || Dial::new().user("mallory", "whatever"),
        client_stage: "login",
        says: &["refused the user name or the password", "correct the user name"],
        stage: "ppp_auth",
        cause: "unknown_user",
    },
    Case {
        dial: || Dial::new().user("alice", "looking glass"),
        client_stage: "login",
        says: &["refused the user name or the password", "correct the user name"],
        stage: "ppp_auth",
        cause: "wrong_password",
    },
    Case {
        dial: || Dial::new().with("--ike aes128-sha1-modp2048"),
        client_stage: "ipsec",
        says: &["none of the ike proposals", "offer others"],
        stage: "ike_main_mode",
        cause: "no_proposal_ike",
    },
    Case {
        dial: || Dial::new().with("--esp aes128-sha1"),
        client_stage: "ipsec",
        says: &["none of the esp suites", "offer others"],
        stage: "ike_quick_mode",
        cause: "no_proposal_esp",
    },
];

/// The client fails, in words that a person can act on.
fn refuse_silence(case: &Case, down: &Down) {
    let about = format!("{}: {down:#?}", case.cause);
    assert_eq!((down.exit, down.requested), (Some(1), false), "{about}");
    assert_eq!(down.stage, case.client_stage, "{about}");
    assert!(!down.reason.is_empty() && !down.remedy.is_empty(), "{about}");
    let said = format!("{} {}", down.reason, down.remedy).to_lowercase();
    for word in case.says {
        assert!(said.contains(word), "`{word}` is not in the message; {about}");
    }
    let shown = down.log.lines().any(|line| !line.starts_with('{') && line.contains(&down.reason));
    assert!(shown, "standard error says why, too; {about}");
}

fn other_host(site: &Site) -> Result<Namespace, LabError> {
    let host = site.lab().namespace("other")?;
    site.lab().plug_in(&host, "eth0", second_address())?;
    Ok(host)
}

fn second_address() -> Ipv4Addr {
    let [a, b, c, d] = DIRECT_PEER.octets();
    Ipv4Addr::new(a, b, c, d + 1)
}

/// One proposal and one suite, and not those of [`CASES`].
const STRICT: &str = r#"
    ike = ["aes256-sha256-modp2048"]
    esp = ["aes256-sha256"]"#;
/// How long a client may try: a server that cannot read a message does not answer it.
const REFUSAL_LIMIT: Duration = Duration::from_mins(1);
/// How long the gateway may keep something of a failed attempt.
const FORGET_LIMIT: Duration = Duration::from_secs(30);
