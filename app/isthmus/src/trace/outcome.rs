//! What became of a probe, by the packets that were seen: no socket and no clock.

use std::net::IpAddr;

use isthmus_wire::probe::{Answer, Ends, Probe, Sighting, Trouble};
use serde::Serialize;

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Somebody answered, and the answer went on to the user.
    Answered,
    /// The host answered that nobody listens at that port.
    Closed,
    /// An answer came back and did not go on to the user.
    Lost,
    /// It did not leave the gateway, which said so.
    Refused,
    /// It left, and no answer came.
    Silent,
    /// It did not leave the gateway, and nobody said why.
    Stopped,
    /// Somebody on the way said that it cannot go on.
    Unreachable,
    /// The kernel has not had it at all.
    Unseen,
}

/// A probe under way, as far as it was seen.
#[derive(Debug)]
pub(super) struct Watched {
    probe: Probe,
    /// The link that it came out of: the session's device.
    came_by: Option<String>,
    /// The link that it left by, and how it looked then.
    left: Option<(String, Ends)>,
    /// The link that an answer came back by.
    returned_by: Option<String>,
    /// What the user was told, and by whom.
    told: Option<(Answer, IpAddr)>,
}

impl Watched {
    /// A probe that nothing is known of yet.
    pub(super) const fn new(probe: Probe) -> Self {
        Self { probe, came_by: None, left: None, returned_by: None, told: None }
    }

    /// Takes in a packet that passed a link, of this probe or not.
    pub(super) fn see(&mut self, link: &str, outgoing: bool, packet: &[u8]) {
        let ends = self.left.as_ref().map(|(_, ends)| ends);
        let Some(sighting) = self.probe.sight(packet, ends) else { return };
        match (sighting, outgoing) {
            // A packet passes several links one upon the other, such as a bridge and its ports.
            (Sighting::Probe(_), false) => {
                self.came_by.get_or_insert_with(|| link.to_owned());
            }
            (Sighting::Probe(ends), true) => {
                self.left.get_or_insert_with(|| (link.to_owned(), ends));
            }
            (Sighting::Answer(..), false) => {
                self.returned_by.get_or_insert_with(|| link.to_owned());
            }
            (Sighting::Answer(answer, from), true) => {
                if self.came_by.as_deref() == Some(link) {
                    self.told.get_or_insert((answer, from));
                }
            }
        }
    }

    /// Whether there is nothing more to wait for.
    pub(super) const fn is_done(&self) -> bool {
        self.told.is_some()
    }

    /// The probe.
    pub(super) const fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The link that it left by, and how it looked then.
    pub(super) const fn left(&self) -> Option<&(String, Ends)> {
        self.left.as_ref()
    }

    /// The link that an answer came back by.
    pub(super) fn returned_by(&self) -> Option<&str> {
        self.returned_by.as_deref()
    }

    /// What the user was told, and by whom.
    pub(super) const fn told(&self) -> Option<(Answer, IpAddr)> {
        self.told
    }

    /// What became of it by now; `local` when it is for this machine.
    pub(super) fn outcome(&self, local: bool) -> Outcome {
        let away = self.left.is_some();
        match self.told {
            Some((Answer::Datagram | Answer::Echo | Answer::SynAck, _)) => Outcome::Answered,
            Some((Answer::Reset | Answer::Trouble(Trouble::PortUnreachable), _))
                if away || local =>
            {
                Outcome::Closed
            }
            // The kernel asked for the next hop in vain, which is no verdict of its own.
            Some((Answer::Trouble(Trouble::HostUnreachable), _)) => Outcome::Unreachable,
            Some((Answer::Reset | Answer::Trouble(_), _)) if away => Outcome::Unreachable,
            Some((Answer::Reset | Answer::Trouble(_), _)) => Outcome::Refused,
            None if self.returned_by.is_some() && away => Outcome::Lost,
            None if away => Outcome::Silent,
            None if self.came_by.is_some() => Outcome::Stopped,
            None => Outcome::Unseen,
        }
    }
}

#[cfg(test)]
mod tests;
