//! The scenario `scenarios/l2tp-psk-direct-rekey-by-time`: its README says what must hold.

use isthmus_interop::{Access, LabError, Visit};

#[test]
fn a_client_without_nat_outlives_its_lifetimes_on_plain_esp() -> Result<(), LabError> {
    let mut visit = Visit::begin("l2tp-psk-direct-rekey-by-time", Access::Direct)?;
    visit.connect()?;
    visit.rekey_by_time()?;
    visit.end().map(drop)
}
