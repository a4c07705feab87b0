//! A client behind a NAT that rewrites ports, with each way to authenticate: what must hold, the README
//! of each scenario says.

use isthmus_interop::{Access, Carrier, KeyKind, LabError, Visit, place_keys};

#[test]
fn clients_behind_a_nat_are_served_with_keys_and_with_certificates() -> Result<(), LabError> {
    let access = Access::NatRewritingPorts;
    let mut visit = Visit::begin("through-nat", "l2tp-psk-main-mode-through-nat", access)?;
    use_and_rekey(&mut visit)?;
    let mut visit = visit.next("l2tp-psk-aggressive-mode")?;
    use_and_rekey(&mut visit)?;
    for kind in [KeyKind::Rsa, KeyKind::Ecdsa] {
        let place = |scenario: &_| place_keys(scenario, kind);
        visit = visit.next_with("l2tp-certificates", Carrier::Ipsec, place)?;
        use_and_rekey(&mut visit)?;
    }
    visit.end().map(drop)
}

fn use_and_rekey(visit: &mut Visit) -> Result<(), LabError> {
    visit.connect()?;
    visit.rekey()
}
