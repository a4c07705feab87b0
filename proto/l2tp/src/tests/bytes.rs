//! Messages built byte by byte, without the encoder under test.

use std::vec::Vec;

/// An AVP of the IETF with the M bit.
pub(crate) fn must(attribute: u16, value: &[u8]) -> Vec<u8> {
    avp(0x8000, 0, attribute, value)
}

/// An AVP of the IETF without the M bit.
pub(crate) fn may(attribute: u16, value: &[u8]) -> Vec<u8> {
    avp(0, 0, attribute, value)
}

/// Any AVP.
pub(crate) fn avp(flags: u16, vendor: u16, attribute: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 6).unwrap();
    let mut out = Vec::new();
    out.extend((flags | length).to_be_bytes());
    out.extend(vendor.to_be_bytes());
    out.extend(attribute.to_be_bytes());
    out.extend(value);
    out
}

/// A control message; `ids` are tunnel and session, `numbers` Ns and Nr.
pub(crate) fn control(ids: (u16, u16), numbers: (u16, u16), avps: &[Vec<u8>]) -> Vec<u8> {
    let body = avps.concat();
    let mut out = std::vec![0xc8, 0x02];
    out.extend(u16::try_from(body.len() + 12).unwrap().to_be_bytes());
    for word in [ids.0, ids.1, numbers.0, numbers.1] {
        out.extend(word.to_be_bytes());
    }
    out.extend(body);
    out
}

/// What a minimal client says first; the tunnel id is 0x0b0b.
pub(crate) fn sccrq() -> Vec<u8> {
    sccrq_with(&[])
}

/// As [`sccrq`], with more AVPs behind.
pub(crate) fn sccrq_with(more: &[Vec<u8>]) -> Vec<u8> {
    let mut avps = std::vec![
        must(0, &[0, 1]),
        must(2, &[1, 0]),
        must(3, &[0, 0, 0, 3]),
        must(7, b"client"),
        must(9, &[0x0b, 0x0b]),
    ];
    avps.extend_from_slice(more);
    control((0, 0), (0, 0), &avps)
}

/// Incoming-Call-Request for `tunnel`, from session 0x0c0c; `numbers` are Ns and Nr.
pub(crate) fn icrq(tunnel: u16, numbers: (u16, u16), more: &[Vec<u8>]) -> Vec<u8> {
    let mut avps = std::vec![must(0, &[0, 10]), must(14, &[0x0c, 0x0c]), must(15, &[0, 0, 0, 1])];
    avps.extend_from_slice(more);
    control((tunnel, 0), numbers, &avps)
}

/// Incoming-Call-Connected for `ids`, Ns `ns`, Nr 2.
pub(crate) fn iccn(ids: (u16, u16), ns: u16, more: &[Vec<u8>]) -> Vec<u8> {
    let mut avps = std::vec![
        must(0, &[0, 12]),
        must(24, &100_000_000_u32.to_be_bytes()),
        must(19, &[0, 0, 0, 1])
    ];
    avps.extend_from_slice(more);
    control(ids, (ns, 2), &avps)
}
