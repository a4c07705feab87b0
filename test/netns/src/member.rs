//! Several clients at once, each on a host of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use isthmus_interop::{CLOUD_HOST, LabError, Namespace, wait_for};

use crate::client::{Client, Dial, Up};
use crate::look::{Datagrams, RunningPing, start_ping};
use crate::site::Site;

/// A host and how it dials.
#[derive(Debug)]
pub struct Place {
    /// Its user, which no other place has.
    pub user: String,
    /// The host.
    pub host: Namespace,
    /// How it dials.
    pub dial: Dial,
}

/// A connected client.
#[derive(Debug)]
pub struct Member {
    // Dropped in this order.
    /// The client.
    pub client: Client,
    /// What it was given.
    pub up: Up,
    /// Where it is.
    pub place: Place,
}

impl Place {
    /// Starts to dial from every place, then waits until all are connected.
    pub fn connect_all(site: &Site, places: Vec<Self>) -> Result<Vec<Member>, LabError> {
        let clients = places.iter().map(|place| Client::start(site, &place.host, &place.dial));
        let clients = clients.collect::<Result<Vec<_>, _>>()?;
        let members = places.into_iter().zip(clients).map(|(place, mut client)| {
            let up = client.wait_up()?;
            Ok(Member { client, up, place })
        });
        members.collect()
    }
}

impl Member {
    /// The user.
    pub fn user(&self) -> &str {
        &self.place.user
    }

    /// Ends the client with SIGKILL.
    pub fn kill(self) -> Result<Place, LabError> {
        self.client.kill().map(|()| self.place)
    }

    /// Has all members hang up at once.
    pub fn hang_up_all(members: Vec<Self>) -> Result<Vec<Place>, LabError> {
        let asked: Vec<_> =
            members.into_iter().map(|m| (m.client.ask_to_hang_up(), m.place)).collect();
        asked.into_iter().map(|(client, place)| client.wait_hung_up().map(|()| place)).collect()
    }
}

/// Pings of all members to the cloud, five a second each.
#[derive(Debug)]
pub struct Pings {
    running: Vec<(String, RunningPing)>,
}

impl Pings {
    /// Starts them, and waits until each has been answered.
    pub fn start(site: &Site, members: &[Member]) -> Result<Self, LabError> {
        let running = members.iter().map(|member| {
            let ping = start_ping(site, &member.place.host, CLOUD_HOST, PING_INTERVAL)?;
            Ok((member.user().to_owned(), ping))
        });
        let pings = Self { running: running.collect::<Result<Vec<_>, LabError>>()? };
        pings.wait_answers(1)?;
        Ok(pings)
    }

    /// Waits until each has `more` answers than now.
    pub fn wait_answers(&self, more: usize) -> Result<(), LabError> {
        let before: Vec<_> = self.running.iter().map(|(_, ping)| ping.answers()).collect();
        for ((user, ping), before) in self.running.iter().zip(before) {
            wait_for(&format!("{more} more answers for {user}"), ANSWERS_LIMIT, || {
                Ok((ping.answers() >= before + more).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Ends them.
    ///
    /// # Errors
    /// One has lost more than `most`.
    pub fn finish(self, most: usize) -> Result<(), LabError> {
        for (user, ping) in self.running {
            let run = ping.finish()?;
            if run.lost.len() > most {
                let (lost, sent) = (run.lost, run.sent);
                return Err(LabError::unexpected(format!("{user}: lost {lost:?} of {sent}")));
            }
        }
        Ok(())
    }
}

/// Every member asks the cloud `rounds` times with its name; the cloud must see the name come from the
/// address of that member, and the member must see the answer to its own question and to no other.
///
/// # Errors
/// Somebody got what was another's, or nothing.
pub fn everybody_gets_its_own_answers(
    site: &Site,
    members: &[Member],
    rounds: usize,
) -> Result<(), LabError> {
    let cloud = Datagrams::open(site.lab().cloud().host(), CLOUD_HOST)?;
    let ends = members.iter().map(|m| Datagrams::open(&m.place.host, m.up.address));
    let ends = ends.collect::<Result<Vec<_>, _>>()?;
    for round in 0..rounds {
        let question = |member: &Member| format!("{} asks {round}", member.user());
        let mut expected: BTreeMap<_, _> =
            members.iter().map(|member| (question(member), member.up.address)).collect();
        for (member, end) in members.iter().zip(&ends) {
            end.send(&question(member), CLOUD_HOST)?;
        }
        for _ in members {
            let (asked, from) = cloud.receive()?;
            if expected.remove(&asked).map(Into::into) != Some(from.ip()) {
                return Err(LabError::unexpected(format!("`{asked}` came from {from}")));
            }
            cloud.send_to(&format!("answer to {asked}"), from)?;
        }
        for (member, end) in members.iter().zip(&ends) {
            let (heard, wanted) = (end.receive()?.0, format!("answer to {}", question(member)));
            if heard != wanted {
                let user = member.user();
                return Err(LabError::unexpected(format!("{user} heard `{heard}`")));
            }
        }
    }
    Ok(())
}

/// How often each member pings.
pub const PING_INTERVAL: Duration = Duration::from_millis(200);
/// How long answers may take on a busy machine.
const ANSWERS_LIMIT: Duration = Duration::from_secs(20);
