//! The lab itself, without a machine: it sees what it must see, and leaves nothing behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use isthmus_interop::{Access, Gateway, KernelState, Lab, LabError, NAT, Scenario};

#[test]
fn a_clear_l2tp_packet_on_the_internet_is_seen() -> Result<(), LabError> {
    let mut lab = Lab::around_a_host("lab-leak", Access::Nat)?;
    let leak = format!("echo leak > /dev/udp/{NAT}/1701");
    let ping = lab.gateway().command("ping").args(["-c1", "-W5", &NAT.to_string()]).status();
    assert!(ping.is_ok_and(|status| status.success()), "the NAT answers");
    let sent = lab.gateway().command("bash").args(["-c", &leak]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    let wire = lab.stop_capture()?;
    let leaks: Vec<_> = wire.clear_l2tp.iter().map(|leak| leak.destination).collect();
    assert_eq!(leaks, [(NAT.into(), 1701)]);
    assert!(wire.refuse_clear_l2tp().is_err());
    lab.passed();
    Ok(())
}

#[test]
fn a_gateway_is_started_asked_and_stopped_in_folders_of_its_own() -> Result<(), LabError> {
    let lab = Lab::around_a_host("lab-gateway", Access::Direct)?;
    let binary = lab.evidence().write("stand-in", STAND_IN)?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&binary, executable).map_err(|error| LabError::io(&binary, error))?;
    let configuration = Scenario::assemble(&lab, "l2tp-psk-main-mode-through-nat")?.gateway();

    let before = KernelState::read(lab.gateway())?;
    let mut gateway = Gateway::start_binary(&lab, &binary, &configuration)?;
    let status = gateway.wait_count("starts", 1, Duration::from_secs(20))?;
    assert!(status.mentions("203.0.113.10"), "it reads gateway.toml: {status}");
    assert!(!Path::new("/run/stand-in").exists(), "the daemon's /run is not the machine's");
    let busy = KernelState::read(lab.gateway())?;
    let error = before.refuse_leftovers(&busy).map_err(|error| error.to_string());
    assert!(error.as_ref().is_err_and(|text| text.contains(":01F4 ")), "{error:?}");
    assert!(gateway.stop(&lab)?.success());
    before.refuse_leftovers(&KernelState::read(lab.gateway())?)?;

    let mut again = Gateway::start_binary(&lab, &binary, &configuration)?;
    again.wait_count("starts", 2, Duration::from_secs(20))?;
    drop(again);
    lab.passed();
    Ok(())
}

#[test]
fn every_kind_of_leftover_in_the_kernel_is_named() -> Result<(), LabError> {
    let lab = Lab::around_a_host("lab-leftovers", Access::Direct)?;
    let gateway = lab.gateway();
    let before = KernelState::read(gateway)?;
    before.refuse_leftovers(&KernelState::read(gateway)?)?;

    gateway.ip("link add left type bridge")?;
    gateway.ip("route add unreachable 10.9.0.0/16 table 77")?;
    gateway.ip("rule add from 10.9.0.0/16 table 77")?;
    gateway.nft("table inet left { }")?;
    let left = before.refuse_leftovers(&KernelState::read(gateway)?);
    let text = left.expect_err("four leftovers").to_string();
    for trace in ["left: <", "+ unreachable 10.9.0.0/16", "lookup 77", "+ table inet left"] {
        assert!(text.contains(trace), "{trace} is missing in: {text}");
    }
    lab.passed();
    Ok(())
}

#[test]
fn a_dropped_lab_leaves_no_namespace_and_no_process() -> Result<(), LabError> {
    let lab = Lab::around_a_guest("lab-drop", Access::NatRewritingPorts)?;
    let prefix = lab.gateway().name().trim_end_matches("gw").to_owned();
    assert_eq!(namespaces(&prefix), Some(5), "gw, internet, nat, lan and cloud");
    assert!(processes(&prefix) >= Some(2), "tcpdump and the HTTP server");
    lab.passed();
    assert_eq!((namespaces(&prefix), processes(&prefix)), (Some(0), Some(0)));
    Ok(())
}

fn namespaces(prefix: &str) -> Option<usize> {
    let output = Command::new("ip").args(["netns", "list"]).output().ok()?;
    let list = String::from_utf8_lossy(&output.stdout);
    Some(list.lines().filter(|line| line.starts_with(prefix)).count())
}

/// Processes whose command line names a namespace or the evidence folder of the lab.
fn processes(prefix: &str) -> Option<usize> {
    let lab = prefix.trim_end_matches('-');
    let named = |pid: &str| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(lab))
    };
    let entries = std::fs::read_dir("/proc").ok()?;
    let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = files.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    Some(pids.filter(|pid| named(pid)).count())
}

/// Behaves like the product as far as the harness can tell: listens for IKE, keeps a state in
/// /var/lib, answers `status` from /run, ends with 0 on SIGTERM.
const STAND_IN: &str = r#"#!/usr/bin/python3
import json, pathlib, signal, socket, sys
if sys.argv[1:] == ["status", "--json"]:
    print(pathlib.Path("/run/stand-in").read_text())
    sys.exit()
assert sys.argv[1:] == ["run", "--config", "gateway.toml"], sys.argv
address = [line.split('"')[1] for line in open("gateway.toml") if "public_address" in line]
state = pathlib.Path("/var/lib/stand-in")
starts = (int(state.read_text()) if state.exists() else 0) + 1
state.write_text(str(starts))
pathlib.Path("/run/stand-in").write_text(json.dumps({"starts": starts, "listen": address}))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(2)]
for ike, port in zip(sockets, (500, 4500)):
    ike.bind(("0.0.0.0", port))
signal.sigwait([signal.SIGTERM])
"#;
