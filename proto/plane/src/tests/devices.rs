//! Sessions with a TUN device of their own.

use alloc::vec;
use alloc::vec::Vec;

use isthmus_core::Buf;

use super::fixture::{Link, SERVER, TUN, connected, key, udp, up};
use crate::{Command, Device, DropReason, SessionParams};

#[test]
fn a_session_with_a_device_of_its_own_speaks_through_it_alone() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let session = link.session();
    let own = Device::of_session(TUN, session);
    gateway.apply(Command::SetDevice { session, own: true });
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    let devices: Vec<_> = gateway.out.tun.drain(..).map(|(device, _)| device).collect();
    assert_eq!(devices, [own]);

    let mut answer = vec![Buf::copy_of(&udp(SERVER, "10.0.0.2", 60))];
    gateway.plane.handle_tun(own, &mut answer, &mut gateway.out, gateway.now);
    assert_eq!(gateway.sent().len(), 1);
    let stranger = Device::of_session(TUN, key(99));
    let mut astray = vec![Buf::copy_of(&udp(SERVER, "10.0.0.2", 60))];
    gateway.plane.handle_tun(stranger, &mut astray, &mut gateway.out, gateway.now);
    assert_eq!((gateway.sent().len(), gateway.drops(DropReason::NoRoute)), (0, 1));
    // What comes by the tenant's device still finds it.
    gateway.tun(&[udp(SERVER, "10.0.0.2", 60)]);
    assert_eq!(gateway.sent().len(), 1);
}

#[test]
fn a_packet_too_big_is_answered_by_the_device_it_came_from_and_a_reopened_session_keeps_its_own() {
    let link = Link::new(1);
    let (mut gateway, mut client) = connected(&link);
    let session = link.session();
    let own = Device::of_session(TUN, session);
    gateway.apply(Command::SetDevice { session, own: true });
    let params = SessionParams { mtu: 1300, ..link.gateway_session() };
    gateway.apply(Command::OpenSession(params));
    let mut long = vec![Buf::copy_of(&udp("2001:db8::9", link.inner_v6, 1400))];
    gateway.plane.handle_tun(own, &mut long, &mut gateway.out, gateway.now);
    let answers: Vec<_> = gateway.out.tun.drain(..).map(|(device, _)| device).collect();
    assert_eq!(answers, [own]);

    gateway.apply(Command::SetDevice { session, own: false });
    up(&link, &[udp("10.0.0.2", SERVER, 60)], &mut client, &mut gateway);
    assert_eq!(gateway.delivered().len(), 1);
}
