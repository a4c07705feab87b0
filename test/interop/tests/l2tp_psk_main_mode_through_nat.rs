//! The scenario `scenarios/l2tp-psk-main-mode-through-nat`: its README says what must hold.

use isthmus_interop::{Access, LabError, Visit};

#[test]
fn a_strongswan_and_xl2tpd_client_behind_a_nat_is_served() -> Result<(), LabError> {
    let name = "l2tp-psk-main-mode-through-nat";
    let mut visit = Visit::begin(name, Access::NatRewritingPorts)?;
    visit.connect()?;
    visit.rekey()?;
    visit.end().map(drop)
}
