//! What cannot work: networks that overlap, answers that go astray, prefixes that cover what carries them.
//!
//! [`find`] compares what is configured with itself and, where that is known, with what the machine has. It
//! is a pure function of [`Facts`], so a check of a file, a plan and the running gateway say the same. Each
//! [`Finding`] names what is wrong, what that means, and the cure in words that can be written down as they
//! stand.
//!
//! ```text
//! overlap    pools, networks behind users, networks of this machine, ways out with the same network
//! home       networks that many have at home
//! answers    the way back from a way out: reverse path filter, routes and rules of others
//! main       ways out that the machine's own routes decide: another link, several at once
//! underlay   what is routed into tunnels and carries them
//! ```

mod answers;
mod facts;
mod finding;
mod free;
mod home;
mod main_table;
mod overlap;
mod reserved;
#[cfg(test)]
mod tests;
mod underlay;
mod write;

pub use facts::{
    Egress, Facts, Hop, Machine, Map, Place, Pool, Route, Rule, Senders, Tenant, Underlay, Way,
};
pub use finding::{Code, Finding, Fix, Severity};
pub use free::{Free, first_free, without};
pub use reserved::{RESERVED, Reserved};

/// Everything that is found, the worst first.
pub fn find(facts: &Facts) -> Vec<Finding> {
    let mut search = Search { free: Free::beside(facts), found: Vec::new() };
    for place in &facts.places {
        overlap::find(place, &mut search);
        home::find(place, &mut search);
        answers::find(place, facts, &mut search);
        main_table::find(place, &mut search);
        underlay::find(place, facts, &mut search);
    }
    let mut found = search.found;
    found.sort_by_key(|finding| finding.severity);
    found
}

/// What is found, and the networks that nobody has.
struct Search {
    free: Free,
    found: Vec<Finding>,
}

impl Search {
    fn tell(&mut self, finding: Finding) {
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }
}
