//! RESPONDER-LIFETIME, by which a responder shortens what was offered (RFC 2407 §4.6.3.1).

use isthmus_core::Duration;
use isthmus_wire::Writer;

use crate::codec::{Attribute, Chain, Notification};
use crate::config::Config;
use crate::iana::{EspAttribute, LifeType, NotifyType, PayloadType, ProtocolId};
use crate::proposal::lifetimes;
use crate::suite::Lifetime;

/// What RESPONDER-LIFETIME notifications say (RFC 2407 §4.6.3.1); no limit without one.
pub(super) fn told_lifetime(chain: &Chain<'_>) -> Lifetime {
    let mut lifetime = Lifetime { time: Duration::MAX, kilobytes: None };
    let told = chain
        .all(PayloadType::NOTIFICATION)
        .filter_map(|body| Notification::read(body).ok())
        .filter(|n| n.kind == NotifyType::RESPONDER_LIFETIME);
    for notification in told {
        let mut r = isthmus_wire::Reader::new(&notification.data);
        let Ok(attributes) = Attribute::read_all(&mut r) else { continue };
        let (life_type, duration) = (EspAttribute::LIFE_TYPE.0, EspAttribute::LIFE_DURATION.0);
        let (seconds, kilobytes) = lifetimes(&attributes, life_type, duration);
        let time = seconds.map_or(Duration::MAX, Duration::from_secs);
        lifetime = lifetime.shorter(Lifetime { time, kilobytes });
    }
    lifetime
}

/// RESPONDER-LIFETIME (RFC 2407 §4.6.3.1) for an initiator that offered more than we like. Those that mind
/// it rekey sooner; for racoon, which does not, the child lives as long as it offered.
pub(super) fn responder_lifetime(
    config: &Config,
    offered: Lifetime,
    spi: u32,
) -> Option<Notification> {
    let (life_type, duration) = (EspAttribute::LIFE_TYPE.0, EspAttribute::LIFE_DURATION.0);
    let mut w = Writer::new();
    let mut tell = |kind: LifeType, value: u32| {
        Attribute::basic(life_type, kind.0).write(&mut w);
        Attribute::duration(duration, value, true).write(&mut w);
    };
    if config.child_lifetime < offered.time {
        let seconds = u32::try_from(config.child_lifetime.as_secs()).unwrap_or(u32::MAX);
        tell(LifeType::SECONDS, seconds);
    }
    if let Some(ours) = config.child_kilobytes
        && offered.kilobytes.is_none_or(|theirs| u64::from(ours) < theirs)
    {
        tell(LifeType::KILOBYTES, ours);
    }
    (!w.is_empty()).then(|| Notification {
        protocol: ProtocolId::ESP,
        kind: NotifyType::RESPONDER_LIFETIME,
        spi: spi.to_be_bytes().to_vec(),
        data: w.into_vec(),
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::codec::Out;

    fn told(data: Vec<u8>) -> Lifetime {
        let body = Notification {
            protocol: ProtocolId::ESP,
            kind: NotifyType::RESPONDER_LIFETIME,
            spi: vec![1, 2, 3, 4],
            data,
        };
        let chain = Out::new()
            .with(PayloadType::HASH, vec![0; 20])
            .with(PayloadType::NOTIFICATION, body.to_bytes())
            .to_bytes();
        told_lifetime(&Chain::read(PayloadType::HASH, &chain).unwrap())
    }

    #[test]
    fn a_responder_may_shorten_a_lifetime_by_notification() {
        let hour = Lifetime { time: Duration::from_hours(1), kilobytes: Some(1000) };
        let seconds = told(vec![0x80, 1, 0, 1, 0x80, 2, 0x07, 0x08]);
        let shorter = Lifetime { time: Duration::from_mins(30), ..hour };
        assert_eq!(hour.shorter(seconds), shorter);
        let kilobytes = told(vec![0x80, 1, 0, 2, 0, 2, 0, 4, 0, 0, 0, 100]);
        assert_eq!(hour.shorter(kilobytes), Lifetime { kilobytes: Some(100), ..hour });
        let longer = told(vec![0x80, 1, 0, 1, 0, 2, 0, 4, 0, 1, 0, 0]);
        assert_eq!(hour.shorter(longer), hour);
        assert_eq!(hour.shorter(told(vec![0x80, 1, 0])), hour, "a stump says nothing");
    }
}
