//! The scenario `scenarios/l2tp-psk-aggressive-mode-through-nat`: its README says what must hold.

use isthmus_interop::{Access, LabError, Visit};

#[test]
fn a_group_with_a_key_of_its_own_is_served_in_aggressive_mode() -> Result<(), LabError> {
    let name = "l2tp-psk-aggressive-mode-through-nat";
    let mut visit = Visit::begin(name, Access::NatRewritingPorts)?;
    visit.connect()?;
    visit.rekey()?;
    visit.end().map(drop)
}
