//! `isthmus bench` loads the gateway as a person would have it, and measures what is there.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use isthmus_interop::{Access, CLOUD_HOST, Daemon, GATEWAY, LabError, Namespace, run, wait_for};
use isthmus_netns::{Config, PASSWORD, PSK, Site, USER};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn a_load_is_borne_and_measured_and_strangers_are_left_alone() -> Result<(), LabError> {
    let mut site =
        Site::open("bench", Access::Direct, Config { pool: "10.64.0.0/16", ..Config::default() })?;
    let host = site.client_host()?;
    a_public_server_is_refused_before_a_packet_is_sent(&site, &host)?;
    a_wrong_password_is_counted_by_its_cause(&site, &host)?;
    many_log_in_at_once(&mut site, &host)?;
    sessions_are_held_and_their_memory_is_measured(&mut site, &host)?;
    packets_come_back_from_the_reflector_and_from_the_next_session(&site, &host)?;
    programs_choose_their_session_by_the_address_they_send_from(&mut site, &host)?;
    many_that_were_cut_off_are_back(&mut site, &host)?;
    let closed = site.close()?;
    assert_eq!(closed.wire().esp_plain, 0, "all ESP is in UDP");
    closed.passed();
    Ok(())
}

fn a_public_server_is_refused_before_a_packet_is_sent(
    site: &Site,
    host: &Namespace,
) -> Result<(), LabError> {
    let words = ["connect", "--server", "203.0.113.10", "--user", USER, "-n", "1"];
    let refused = bench(site, host, PASSWORD, &words)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("--public-target"), "{said}");
    assert_eq!(site.lab().peek_capture().map_or(0, |wire| wire.ike), 0);
    Ok(())
}

fn a_wrong_password_is_counted_by_its_cause(site: &Site, host: &Namespace) -> Result<(), LabError> {
    let (code, report) = measure(site, host, "looking glass", "connect -n 5 --rate 100")?;
    let logins = at(&report, "/logins");
    assert_eq!((code, counts(logins)), (Some(1), (5, 0, 5)), "{report:#}");
    let failure = at(logins, "/failures/0");
    assert_eq!((at(failure, "/stage"), at(failure, "/count")), (&"login".into(), &5.into()));
    assert_eq!(at(logins, "/failures/1"), &Value::Null, "{report:#}");
    let reason = at(failure, "/reason").as_str().unwrap_or_default();
    assert!(reason.contains("refused the user name or the password"), "{reason}");
    Ok(())
}

fn many_log_in_at_once(site: &mut Site, host: &Namespace) -> Result<(), LabError> {
    let all = format!("connect -n {MANY} --rate 100000 --parallel {MANY}");
    let (code, report) = measure(site, host, PASSWORD, &all)?;
    let logins = at(&report, "/logins");
    assert_eq!((code, counts(logins)), (Some(0), (MANY, MANY, 0)), "{report:#}");
    for step in ["latency_ms", "ike_ms", "l2tp_ms", "ppp_ms"] {
        let value = |of: &str| at(logins, &format!("/{step}/{of}")).as_f64();
        assert_eq!(at(logins, &format!("/{step}/count")), &Value::from(MANY), "{report:#}");
        let (p50, max) = (value("p50"), value("max"));
        assert!(p50 > Some(0.0) && p50 <= max, "{step}: {report:#}");
    }
    site.wait_idle(SOON)
}

fn sessions_are_held_and_their_memory_is_measured(
    site: &mut Site,
    host: &Namespace,
) -> Result<(), LabError> {
    let pid = site.gateway().pid();
    let words = format!("hold -n 60 --rate 200 --duration 2s --gateway-pid {pid}");
    let (code, report) = measure(site, host, PASSWORD, &words)?;
    assert_eq!(code, Some(0), "{report:#}");
    let hold = at(&report, "/hold");
    assert_eq!((at(hold, "/sessions"), at(hold, "/left")), (&60.into(), &60.into()), "{report:#}");
    assert!(at(hold, "/seconds").as_f64() >= Some(2.0), "{report:#}");
    let gateway = at(&report, "/gateway");
    assert!(at(gateway, "/before_bytes").as_u64() > Some(1 << 20), "{report:#}");
    assert!(at(gateway, "/logins/cpu_percent").as_f64() > Some(0.0), "{report:#}");
    site.wait_idle(SOON)
}

fn packets_come_back_from_the_reflector_and_from_the_next_session(
    site: &Site,
    host: &Namespace,
) -> Result<(), LabError> {
    let cloud = site.lab().cloud().host();
    let (evidence, log) = (site.lab().evidence(), "reflector.log");
    let mut command = cloud.command(site.binary());
    command.args(["bench", "reflect", "--json", "--listen", &format!("{CLOUD_HOST}:7007")]);
    let mut reflector = Daemon::start("reflector", &command, &evidence.path(log))?;
    wait_for("the reflector", SOON, || Ok(reflector.log().contains("7007").then_some(())))?;

    let plot = evidence.path("traffic.svg");
    let words = format!(
        "traffic -n 10 --rate 200 --reflector {CLOUD_HOST}:7007 --pps 300 --duration 2s --plot {}",
        plot.display()
    );
    let (code, report) = measure(site, host, PASSWORD, &words)?;
    let there_and_back = no_packet_is_lost(code, &report);
    assert!(fs::read_to_string(&plot).unwrap_or_default().contains("<svg"), "a picture");

    let words = "traffic -n 10 --rate 200 --between --window 2 --size 64 --duration 1s";
    let (code, report) = measure(site, host, PASSWORD, words)?;
    no_packet_is_lost(code, &report);

    let exit = reflector.stop(Signal::INT, SOON)?;
    assert!(exit.success(), "{exit}");
    let said = reflector.log();
    let json = said.find('{').and_then(|from| said.get(from..)).unwrap_or_default();
    let done: Value = serde_json::from_str(json)
        .map_err(|error| LabError::unexpected(format!("no report ({error}):\n{said}")))?;
    let counts = (at(&done, "/probes"), at(&done, "/others"));
    assert_eq!(counts, (&there_and_back.into(), &0.into()), "{done}");
    Ok(())
}

fn programs_choose_their_session_by_the_address_they_send_from(
    site: &mut Site,
    host: &Namespace,
) -> Result<(), LabError> {
    let mut command = load(site, host, PASSWORD);
    command.args("carry -n 3 --interface crowd --route 10.0.0.0/24 --duration 1m".split(' '));
    let server = GATEWAY.to_string();
    command.args(["--public-target", "--server", &server, "--user", USER, "--json"]);
    let log = site.lab().evidence().path("carry.log");
    let mut carry = Daemon::start("carry", &command, &log)?;
    let addresses = wait_for("three addresses", SOON, || {
        let listed = host.ip("-4 -json address show dev crowd");
        let Ok(listed) = listed else { return Ok(None) };
        let listed: Value = serde_json::from_str(&listed).unwrap_or_default();
        let infos = at(&listed, "/0/addr_info").as_array().cloned().unwrap_or_default();
        let locals = infos.iter().filter_map(|info| at(info, "/local").as_str());
        let locals: Vec<String> = locals.map(str::to_owned).collect();
        Ok((locals.len() == 3).then_some(locals))
    })?;
    let cloud = CLOUD_HOST.to_string();
    let ping = |from: &str, count: &str| {
        run(host.command("ping").args(["-i", "0.05", "-W", "3", "-c", count, "-I", from, &cloud]))
    };
    for address in &addresses {
        ping(address, "3")?;
    }
    // Nobody's address: it stays here, and is counted.
    host.ip("address add 10.99.0.1/32 dev crowd")?;
    assert!(ping("10.99.0.1", "1").is_err());

    let exit = carry.stop(Signal::INT, SOON)?;
    let said = carry.log();
    assert!(exit.success(), "{exit}: {said}");
    let json = said.find('{').and_then(|from| said.get(from..)).unwrap_or_default();
    let report: Value = serde_json::from_str(json)
        .map_err(|error| LabError::unexpected(format!("no report ({error}):\n{said}")))?;
    let carried = at(&report, "/carry");
    let count = |key: &str| at(carried, &format!("/{key}")).as_u64();
    assert_eq!((count("sessions"), count("left")), (Some(3), Some(3)), "{report:#}");
    assert_eq!((count("sent"), count("received")), (Some(9), Some(9)), "{report:#}");
    assert!(count("strangers") >= Some(1), "{report:#}");
    assert_eq!(count("refused"), Some(0), "{report:#}");
    assert!(host.ip("link show crowd").is_err(), "the device has gone");
    site.wait_idle(SOON)
}

fn no_packet_is_lost(code: Option<i32>, report: &Value) -> u64 {
    let traffic = at(report, "/traffic");
    let count = |key: &str| at(traffic, &format!("/{key}")).as_u64().unwrap_or(u64::MAX);
    assert_eq!(code, Some(0), "{report:#}");
    assert!(count("sent") > 100, "{report:#}");
    assert_eq!((count("received"), count("lost")), (count("sent"), 0), "{report:#}");
    assert_eq!((count("duplicated"), count("unsent")), (0, 0), "{report:#}");
    assert_eq!(at(traffic, "/latency_ms/count"), at(traffic, "/received"), "{report:#}");
    count("sent")
}

fn many_that_were_cut_off_are_back(site: &mut Site, host: &Namespace) -> Result<(), LabError> {
    let words = format!("storm -n {MANY} --outage --rate 400 --parallel 100");
    let (code, report) = measure(site, host, PASSWORD, &words)?;
    let storm = at(&report, "/storm");
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(
        (at(storm, "/up"), at(storm, "/failed_for_good")),
        (&MANY.into(), &0.into()),
        "{report:#}"
    );
    assert!(at(storm, "/all_up_seconds").is_f64(), "{report:#}");
    // Of those that were cut off the gateway has not heard; they go when their places are taken or when
    // they have been silent too long. A test does not wait for that.
    site.kill_gateway()
}

/// Runs a load against the gateway and answers its exit code and its report.
fn measure(
    site: &Site,
    host: &Namespace,
    password: &str,
    words: &str,
) -> Result<(Option<i32>, Value), LabError> {
    let server = GATEWAY.to_string();
    let fixed = ["--public-target", "--server", &server, "--user", USER, "--json"];
    let words: Vec<&str> = words.split_whitespace().chain(fixed).collect();
    let output = bench(site, host, password, &words)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout)
        .map_err(|error| LabError::unexpected(format!("no report ({error}):\n{said}")))?;
    Ok((output.status.code(), report))
}

fn bench(
    site: &Site,
    host: &Namespace,
    password: &str,
    words: &[&str],
) -> Result<Output, LabError> {
    site.lab().evidence().note(&format!("bench {}", words.join(" ")));
    load(site, host, password)
        .args(words)
        .output()
        .map_err(|source| LabError::Io { what: String::from("isthmus bench"), source })
}

/// The command, without what it is to do.
fn load(site: &Site, host: &Namespace, password: &str) -> Command {
    let mut command = host.command(site.binary());
    command.arg("bench").env("ISTHMUS_PSK", PSK).env("ISTHMUS_PASSWORD", password);
    command
}

fn at<'a>(report: &'a Value, pointer: &str) -> &'a Value {
    report.pointer(pointer).unwrap_or(&Value::Null)
}

/// Logins begun, up and failed.
fn counts(logins: &Value) -> (u64, u64, u64) {
    let count = |key: &str| at(logins, &format!("/{key}")).as_u64().unwrap_or(u64::MAX);
    (count("started"), count("up"), count("failed"))
}

/// How many clients dial at once, all from one address.
const MANY: u64 = 200;
/// How long the gateway may take to see that everybody has gone, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
