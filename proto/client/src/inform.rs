//! DHCPINFORM: the last step before a connection is up is to ask for routes.
//!
//! Many servers do not answer, so the question is repeated only a few times and no answer is no error.

use isthmus_core::Instant;
use isthmus_plane::Command;
use isthmus_ppp::dhcp::{Answer, Inform};
use isthmus_ppp::iana::Protocol;
use isthmus_ppp::{Frame, IpVersion, split_ip};

use crate::event::{Event, Up};
use crate::machine::{Client, State, Timer};
use crate::manner::Informing;

/// A question on its way, and what it holds up.
pub(crate) struct Asking {
    inform: Inform,
    /// How often it was sent.
    tries: u8,
    /// What is known without the answer.
    up: Up,
}

impl Asking {
    pub(crate) fn new(habit: Option<&Informing>, up: Up, xid: u32) -> Self {
        let wanted = habit.and_then(|habit| habit.wanted.as_deref());
        let inform = match wanted {
            Some(wanted) => Inform::asking(up.address, xid, wanted),
            None => Inform::new(up.address, xid),
        };
        Self { inform, tries: 0, up }
    }

    /// The answer in a PPP frame.
    pub(crate) fn read(&self, frame: &[u8]) -> Option<Answer> {
        match split_ip(frame) {
            Some((IpVersion::V4, packet)) => Answer::read(packet, &self.inform).ok(),
            Some((IpVersion::V6, _)) | None => None,
        }
    }
}

impl Client {
    /// Sends the question once more, or goes on without an answer.
    pub(crate) fn ask(&mut self, now: Instant) {
        let State::Linked(_, linked) = &mut self.state else { return };
        let Some(asking) = &mut linked.asking else { return };
        let habit = self.config.manner.inform.as_ref().filter(|habit| asking.tries < habit.tries);
        let Some(habit) = habit else { return self.answered(None) };
        asking.tries += 1;
        let packet = asking.inform.write();
        self.timers.set(Timer::Inform, now + habit.wait);
        self.send_frame(&Frame { protocol: Protocol::IPV4, body: &packet }.write());
    }

    /// The connection is up, with what the answer says. From here on DHCP is the host's own affair.
    pub(crate) fn answered(&mut self, answer: Option<Answer>) {
        let State::Linked(_, linked) = &mut self.state else { return };
        let Some(asking) = linked.asking.take() else { return };
        linked.up = true;
        self.timers.clear(Timer::Inform);
        let Asking { mut up, .. } = *asking;
        if let Some(params) = &mut linked.params {
            params.dhcp = false;
            let params = params.clone();
            self.plane(Command::OpenSession(params));
        }
        if let Some(answer) = answer {
            up.routes = answer.routes;
            // IPCP can name two servers only, and not every server names any there.
            if up.dns.is_empty() {
                up.dns = answer.dns;
            }
        }
        self.event(Event::Up(up));
    }
}
