//! The scenario `scenarios/l2tp-certificates`: its README says what must hold.

use std::path::Path;

use isthmus_interop::{Access, KeyKind, LabError, Scenario, Visit, make_pki};

#[test]
fn a_client_with_an_rsa_certificate_is_served() -> Result<(), LabError> {
    visit(KeyKind::Rsa)
}

#[test]
fn a_client_with_an_ecdsa_certificate_is_served() -> Result<(), LabError> {
    visit(KeyKind::Ecdsa)
}

fn visit(kind: KeyKind) -> Result<(), LabError> {
    let access = Access::NatRewritingPorts;
    let mut visit =
        Visit::begin_with("l2tp-certificates", access, |_, scenario| place_keys(scenario, kind))?;
    visit.connect()?;
    visit.rekey()?;
    visit.end().map(drop)
}

/// Makes the keys and puts them where the gateway and strongSwan look for them.
fn place_keys(scenario: &Scenario, kind: KeyKind) -> Result<(), LabError> {
    let made = scenario.folder().join("pki");
    make_pki(&made, kind)?;
    let peer = scenario.folder().join("hosts/peer/etc");
    let places = [
        ("ca.pem", scenario.gateway().join("ca.pem")),
        ("gateway.pem", scenario.gateway().join("gateway.pem")),
        ("gateway.key", scenario.gateway().join("gateway.key")),
        ("ca.pem", peer.join("ipsec.d/cacerts/ca.pem")),
        ("client.pem", peer.join("ipsec.d/certs/client.pem")),
        ("client.key", peer.join("ipsec.d/private/client.key")),
    ];
    for (name, place) in places {
        copy(&made.join(name), &place)?;
    }
    let word = match kind {
        KeyKind::Rsa => "RSA",
        KeyKind::Ecdsa => "ECDSA",
    };
    let secrets = peer.join("ipsec.secrets");
    std::fs::write(&secrets, format!(": {word} client.key\n"))
        .map_err(|source| LabError::io(&secrets, source))
}

fn copy(from: &Path, to: &Path) -> Result<(), LabError> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::copy(from, to))
        .map(drop)
        .map_err(|source| LabError::io(to, source))
}
