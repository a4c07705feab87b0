//! L2TP messages, AVPs and data headers: what is read is written and read again.
#![no_main]

use isthmus_l2tp::avp::{AVPS_MAX, Avp, RawAvp};
use isthmus_l2tp::{Body, Header, Message, data, is_control};
use isthmus_wire::{Reader, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(message) = Message::read(input) {
        assert!(is_control(input) && data::Header::read(input).is_err());
        control(&message);
    }
    if let Ok((header, payload)) = data::Header::read(input) {
        assert!(!is_control(input));
        again(header, &input[payload]);
    }
});

fn control(message: &Message<'_>) {
    let Some(payload) = &message.payload else {
        let bytes = message.header.write(&[]);
        assert_eq!(bytes.len(), Header::LEN);
        assert_eq!(Message::read(&bytes).as_ref(), Ok(message));
        return;
    };
    assert!(payload.avps.len() <= AVPS_MAX);
    let mut w = Writer::new();
    Avp::MessageType(payload.kind).write(payload.mandatory, &mut w);
    let mut sound = true;
    for raw in &payload.avps {
        match Avp::read(raw, None, None) {
            Ok(avp) => value(&avp, raw, &mut w),
            Err(_) => sound = false,
        }
    }
    let body = Body::read(payload, None);
    if let Ok((body, ignored)) = &body {
        assert_eq!(body.kind(), payload.kind);
        assert!(*ignored <= payload.avps.len() as u64);
    }
    if sound {
        // The same message in our own spelling says the same.
        let bytes = message.header.write(w.as_slice());
        let again = Message::read(&bytes).unwrap();
        assert_eq!(again.header, message.header);
        assert_eq!(Body::read(again.payload.as_ref().unwrap(), None), body);
    }
}

/// An AVP that is written is read as the same value.
fn value(avp: &Avp, raw: &RawAvp<'_>, w: &mut Writer) {
    // A vendor's AVP stays as it came, hidden or not: none is understood.
    assert!(!raw.reserved && (!raw.hidden || raw.vendor != 0));
    assert_eq!(avp.attribute(), raw.attribute);
    let start = w.len();
    avp.write(raw.mandatory, w);
    let mut reader = Reader::new(&w.as_slice()[start..]);
    let again = RawAvp::read(&mut reader).unwrap();
    assert!(!reader.any_left());
    assert_eq!((again.mandatory, again.vendor), (raw.mandatory, raw.vendor));
    assert_eq!(Avp::read(&again, None, None).as_ref(), Ok(avp));
}

fn again(header: data::Header, payload: &[u8]) {
    let mut bytes = vec![0; data::Header::LEN_MAX];
    let len = header.write_into(&mut bytes).unwrap();
    assert_eq!(len, header.len());
    bytes.truncate(len);
    bytes.extend_from_slice(payload);
    let (again, range) = data::Header::read(&bytes).unwrap();
    assert_eq!((again, &bytes[range]), (header, payload));
}
