//! PPP frames: what is read is written and read again, and the fast path agrees with the decoder.
#![no_main]

use isthmus_ppp::iana::Protocol;
use isthmus_ppp::{DataHeader, Frame, IpVersion, split_ip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(frame) = Frame::read(input) else {
        assert_eq!(split_ip(input), None);
        return;
    };
    assert_eq!(Frame::read(&frame.write()), Ok(frame));
    let version = match frame.protocol {
        Protocol::IPV4 => Some(IpVersion::V4),
        Protocol::IPV6 => Some(IpVersion::V6),
        _ => None,
    };
    let ip = version.map(|version| (version, frame.body));
    assert_eq!(split_ip(input), ip);
    if let Some((version, packet)) = ip {
        for (acfc, pfc) in [(false, false), (false, true), (true, false), (true, true)] {
            let header = DataHeader::new(version, acfc, pfc);
            assert_eq!(split_ip(&[header.as_slice(), packet].concat()), Some((version, packet)));
        }
    }
});
