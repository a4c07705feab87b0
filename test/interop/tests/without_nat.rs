//! A client with a public address: plain ESP with each way to authenticate, and L2TP without IPsec from
//! a LAC that is trusted. What must hold, the README of each scenario says.

use isthmus_interop::{Access, Carrier, DIRECT_PEER, KeyKind, LabError, Visit, place_keys};

#[test]
fn clients_without_nat_use_plain_esp_and_a_trusted_lac_plain_l2tp() -> Result<(), LabError> {
    let mut visit = Visit::begin("without-nat", "l2tp-psk-direct-rekey-by-time", Access::Direct)?;
    visit.connect()?;
    visit.rekey_by_time()?;
    let mut visit = visit.next("l2tp-psk-aggressive-mode")?;
    visit.connect()?;
    let place = |scenario: &_| place_keys(scenario, KeyKind::Rsa);
    let mut visit = visit.next_with("l2tp-certificates", Carrier::Ipsec, place)?;
    visit.connect()?;

    let mut visit = visit.next_with("l2tp-trusted-lac", Carrier::Plain, |_| Ok(()))?;
    let address = visit.connect()?;
    let sessions = visit.gateway.sessions()?;
    assert_eq!(sessions.at("/0/identity")?, "metro", "{sessions}");
    assert_eq!(sessions.at("/0/address")?, &address.to_string(), "{sessions}");
    assert!(sessions.at("/0/suite")?.is_null(), "{sessions}");
    let status = visit.gateway.status()?;
    assert_eq!(status.at("/lacs/0/sessions")?, 1, "{status}");
    assert_eq!(status.at("/lacs/0/from/0")?, &format!("{DIRECT_PEER}:1701"), "{status}");
    visit.end().map(drop)
}
