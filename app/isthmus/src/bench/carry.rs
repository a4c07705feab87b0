//! This machine's own packets through the sessions of a crowd: any program is the load.
//!
//! All sessions share one tunnel device, which has the addresses of all of them. A program chooses its
//! session by the address it sends from.

use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use isthmus_kernel::{Address, Desired, MAIN_TABLE, NextHop, Options, Owner, Reconciler, Route};
use isthmus_tun::{TunConfig, TunDevice};
use tokio::runtime::Handle;

use super::BenchError;
use super::crowd::Crowd;
use super::report::CarryReport;
use super::scenario::address;

/// A device, and what is sent to it.
#[derive(Clone, Debug)]
pub struct Carry {
    /// Its name.
    pub interface: String,
    /// Networks that are reached through it.
    pub routes: Vec<Ipv4Net>,
    /// For how long, once all sessions are up.
    pub duration: Duration,
}

impl Carry {
    /// Makes the device; it goes with the crowd that gets it.
    pub(crate) fn device(&self, mtu: u16) -> Result<TunDevice, BenchError> {
        let name = self.interface.clone();
        Ok(TunDevice::create(&TunConfig { name, mtu, ..TunConfig::default() })?)
    }

    /// Gives the device the addresses of the sessions and the routes, waits, and takes them away.
    pub(crate) fn run(&self, crowd: &mut Crowd<'_>) -> Result<CarryReport, BenchError> {
        let owner = Owner::named(&format!("bench-{}", self.interface));
        let mut kernel = Reconciler::new(Options { owner, ..Options::named("bench") })?;
        let desired = self.desired(crowd);
        let runtime = Handle::current();
        if let Err(error) = runtime.block_on(kernel.apply(&desired)) {
            // The first error tells more than what the clean-up may add.
            let _second = runtime.block_on(kernel.remove_all());
            return Err(error.into());
        }
        let (began, sessions) = (crowd.elapsed(), crowd.counts.up);
        let seconds = self.duration.as_secs();
        crowd.say(&format!("{sessions} addresses on {} for {seconds} s", self.interface));
        crowd.wait(self.duration);
        let carried = crowd.fleet.carried();
        let seconds = crowd.elapsed().saturating_sub(began).as_secs_f64();
        let left = crowd.counts.up;
        runtime.block_on(kernel.remove_all())?;
        Ok(CarryReport::new(&self.interface, (sessions, left), seconds, &carried))
    }

    fn desired(&self, crowd: &Crowd<'_>) -> Desired {
        let own: Vec<_> = crowd.seats().iter().filter_map(address).collect();
        let next = NextHop::Link(self.interface.clone());
        let route = |to: &Ipv4Net| Route {
            destination: IpNet::V4(*to),
            table: MAIN_TABLE,
            metric: None,
            next: next.clone(),
            source: own.first().map(|first| (*first).into()),
        };
        let on_device = |address| Address {
            link: self.interface.clone(),
            address: IpNet::V4(Ipv4Net::from(address)),
            peer: None,
        };
        Desired {
            addresses: own.iter().copied().map(on_device).collect(),
            routes: self.routes.iter().map(route).collect(),
            ..Desired::default()
        }
    }
}
