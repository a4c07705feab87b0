//! Certificates of both kinds, made with `openssl` as people make them, and those that are not believed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use isthmus_interop::{ALICE, Access, Authority, CLOUD_HOST, KeyKind, LabError, make_pki};
use isthmus_netns::{Client, Config, Dial, Site, ping, use_beside_the_key};

#[test]
fn clients_with_rsa_and_ecdsa_certificates_connect() -> Result<(), LabError> {
    for (test, kind, access, in_udp) in [
        ("certificates-rsa", KeyKind::Rsa, Access::NatRewritingPorts, true),
        ("certificates-ecdsa", KeyKind::Ecdsa, Access::Direct, false),
    ] {
        let lab = Site::lab_for(test, access)?;
        let folder = lab.evidence().subfolder("certificates")?;
        make_all(&folder, kind)?;
        let ipsec = keys(&folder);
        let site = Site::serve(lab, Config { ipsec: &ipsec, ..Config::default() })?;
        use_beside_the_key(site, &dial(&folder, "client"), in_udp)?.passed();
    }
    Ok(())
}

#[test]
fn one_gateway_serves_clients_with_rsa_and_with_ecdsa() -> Result<(), LabError> {
    let lab = Site::lab_for("certificates-both", Access::NatRewritingPorts)?;
    let folder = lab.evidence().subfolder("certificates")?;
    let [rsa, ecdsa] = ["rsa", "ecdsa"].map(|name| folder.join(name));
    make_pki(&rsa, KeyKind::Rsa)?;
    make_pki(&ecdsa, KeyKind::Ecdsa)?;
    let read = |file: PathBuf| {
        std::fs::read_to_string(&file).map_err(|source| LabError::io(&file, source))
    };
    let authorities = folder.join("both-ca.pem");
    let both = read(rsa.join("ca.pem"))? + &read(ecdsa.join("ca.pem"))?;
    std::fs::write(&authorities, both).map_err(|source| LabError::io(&authorities, source))?;
    let both = |name: &str| [&rsa, &ecdsa].map(|folder| folder.join(name));
    let ipsec = format!(
        "certificate_file = {:?}\nkey_file = {:?}\nca_file = {authorities:?}",
        both("gateway.pem"),
        both("gateway.key")
    );
    let mut site = Site::serve(lab, Config { ipsec: &ipsec, ..Config::default() })?;
    let host = site.client_host()?;
    for folder in [&rsa, &ecdsa] {
        let (client, _) = Client::connect(&site, &host, &dial(folder, "client"))?;
        ping(&host, CLOUD_HOST)?;
        client.hang_up()?;
    }
    site.wait_idle(LIMIT)?;
    site.close()?.passed();
    Ok(())
}

#[test]
fn certificates_that_are_not_believed_are_named_on_both_sides() -> Result<(), LabError> {
    let lab = Site::lab_for("certificates-refused", Access::NatRewritingPorts)?;
    let folder = lab.evidence().subfolder("certificates")?;
    make_all(&folder, KeyKind::Ecdsa)?;
    let ipsec = keys(&folder);
    let mut site = Site::serve(lab, Config { ipsec: &ipsec, ..Config::default() })?;
    let host = site.client_host()?;

    let down = Client::start(&site, &host, &dial(&folder, "stranger"))?.wait_down(LIMIT)?;
    assert!(down.reason.contains("does not believe our certificate"), "{down:?}");
    site.wait_failure("certificate_refused", None, LIMIT)?;

    let elsewhere = dial(&folder, "client").with("--server-name vpn.elsewhere.example");
    let down = Client::start(&site, &host, &elsewhere)?.wait_down(LIMIT)?;
    assert!(down.reason.contains("does not bear the name"), "{down:?}");

    let (client, _) = Client::connect(&site, &host, &dial(&folder, "client"))?;
    client.hang_up()?;
    site.wait_idle(LIMIT)?;
    site.close()?.passed();
    Ok(())
}

/// An authority with a gateway and a client, and a client of another authority.
fn make_all(folder: &Path, kind: KeyKind) -> Result<(), LabError> {
    make_pki(folder, kind)?;
    Authority::make(folder, "other-ca", kind)?.certify("stranger", ALICE)
}

/// The lines of `[ipsec]`.
fn keys(folder: &Path) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        "certificate_file = \"{}\"\nkey_file = \"{}\"\nca_file = \"{}\"",
        file("gateway.pem"),
        file("gateway.key"),
        file("ca.pem")
    )
}

fn dial(folder: &Path, name: &str) -> Dial {
    let file = |name: &str| folder.join(name).display().to_string();
    let (cert, key) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
    Dial::new().with(&format!("--cert {cert} --key {key} --ca {}", file("ca.pem")))
}

/// How long an attempt may take to fail, and to be forgotten.
const LIMIT: Duration = Duration::from_mins(1);
