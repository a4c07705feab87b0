//! Drives a client.

use std::sync::Arc;

use isthmus_client::{Action, Client, Config, Event};
use isthmus_crypto::Provider;
use isthmus_dataplane::{Clock, Crew, CrewConfig, PortsConfig};
use isthmus_plane::{Port, Report};
use tokio::sync::mpsc;
use tokio::time::{Instant as TokioInstant, sleep_until};

use crate::entropy::seed;
use crate::gateway::IDLE_WAKE_UP;
use crate::jobs::{JobDone, JobPool};
use crate::mailbox::{Mailbox, mailbox};
use crate::network::NetworkError;

/// What a client needs of the world. The tunnel device is made when the server has given an address:
/// see [`ClientDriver::add_tun`].
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The machine's configuration; local ports of 0 are filled in from the sockets.
    pub machine: Config,
    /// Where to send from.
    pub ports: PortsConfig,
}

/// What can be asked of a running client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// Replace the IPsec SA pair now.
    RekeyChild,
    /// Replace the IKE SA now.
    RekeyIke,
    /// Hang up.
    Stop,
}

/// A running client.
pub struct ClientDriver {
    machine: Client,
    crew: Crew,
    clock: Clock,
    jobs: JobPool,
    results: mpsc::UnboundedReceiver<JobDone>,
    mailbox: Mailbox,
}

impl ClientDriver {
    /// Opens sockets, starts the worker and sends the first message.
    ///
    /// # Errors
    /// What cannot be had, with what to do about it.
    pub fn start(
        settings: ClientSettings,
        provider: Arc<dyn Provider>,
    ) -> Result<Self, NetworkError> {
        let clock = Clock::start();
        let (mailbox, deliver) = mailbox();
        let crew = CrewConfig::one(settings.ports);
        let crew = Crew::start(&crew, &provider, seed, clock, &deliver)?;
        let mut machine = settings.machine;
        for (port, path) in
            [(Port::Ike, &mut machine.ike_path), (Port::NatT, &mut machine.nat_t_path)]
        {
            if let Some(bound) = crew.local(port) {
                path.local.set_port(bound.port());
            }
        }
        if let (Some(path), Some(bound)) = (&mut machine.plain, crew.local(Port::L2tp)) {
            path.local.set_port(bound.port());
        }
        let (jobs, results) = JobPool::new(Arc::clone(&provider), 0);
        let machine = Client::new(machine, provider, seed()?, clock.now());
        Ok(Self { machine, crew, clock, jobs, results, mailbox })
    }

    /// Runs until something happened that the caller should know; after [`Event::Down`] nothing follows.
    ///
    /// # Errors
    /// When the worker dies.
    pub async fn next_event(
        &mut self,
        requests: &mut mpsc::Receiver<ClientRequest>,
    ) -> Result<Event, NetworkError> {
        loop {
            if let Some(event) = self.carry_out() {
                return Ok(event);
            }
            let timer = self.timer();
            tokio::select! {
                report = self.mailbox.next() => match report {
                    Some(report) => self.handle_report(report),
                    None => return Err(NetworkError::WorkerGone),
                },
                Some((id, result)) = self.results.recv() => {
                    self.machine.handle_job(id, result, self.clock.now());
                }
                request = requests.recv() => {
                    self.handle_request(request.unwrap_or(ClientRequest::Stop));
                }
                () = sleep_until(timer) => self.machine.handle_timeout(self.clock.now()),
            }
        }
    }

    /// Gives the worker the tunnel device named in the machine's configuration.
    pub fn add_tun(&self, id: isthmus_plane::TunId, device: isthmus_tun::TunDevice) {
        self.crew.add_tun(id, vec![device]);
    }

    /// Lets the worker send what is queued, and ends it.
    pub fn finish(self) {
        drop(self.crew);
    }

    fn handle_report(&mut self, report: Report) {
        self.machine.handle_report(report, self.clock.now());
    }

    fn handle_request(&mut self, request: ClientRequest) {
        let now = self.clock.now();
        match request {
            ClientRequest::RekeyChild => self.machine.rekey_child(now),
            ClientRequest::RekeyIke => self.machine.rekey_ike(now),
            ClientRequest::Stop => self.machine.stop(now),
        }
    }

    /// Carries out actions in order, up to the first event.
    fn carry_out(&mut self) -> Option<Event> {
        let mut event = None;
        while let Some(action) = self.machine.poll_action() {
            match action {
                Action::Event(happened) => {
                    event = Some(happened);
                    break;
                }
                Action::Offload { id, job } => self.jobs.run(id, job),
                Action::Plane(command) => self.crew.command(command),
            }
        }
        self.crew.ring();
        event
    }

    fn timer(&self) -> TokioInstant {
        let far = TokioInstant::now() + IDLE_WAKE_UP;
        self.machine
            .poll_timeout()
            .map_or(far, |deadline| TokioInstant::from_std(self.clock.to_std(deadline.at)).min(far))
    }
}
