//! Which milestones a peer or session has behind it, in few bytes: all of them keep it as long as they live.

use alloc::vec::Vec;

use isthmus_core::Instant;

use crate::failure::{Milestone, Step};

/// Milestones in the order in which they were reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    /// How many of [`Milestone::ALL`] were behind when it began; when is not known.
    before: u8,
    reached: Vec<(Milestone, When)>,
}

/// An [`Instant`] in eight bytes without the alignment of one.
type When = [u8; 8];

impl Steps {
    /// An attempt that has the milestones before this one behind it.
    pub(crate) fn before(next: Milestone) -> Self {
        let before = Milestone::ALL.iter().take_while(|milestone| **milestone < next).count();
        Self { before: u8::try_from(before).unwrap_or(u8::MAX), reached: Vec::new() }
    }

    /// Notes that a milestone is behind; only the first time counts.
    pub(crate) fn reach(&mut self, milestone: Milestone, now: Instant) {
        if !self.has(milestone) {
            self.reached.reserve_exact(1);
            self.reached.push((milestone, now.as_nanos().to_ne_bytes()));
        }
    }

    /// Whether a milestone is behind.
    pub(crate) fn has(&self, milestone: Milestone) -> bool {
        self.unseen().contains(&milestone)
            || self.reached.iter().any(|(reached, _)| *reached == milestone)
    }

    /// All of them, for a failure record.
    pub(crate) fn list(&self) -> impl Iterator<Item = Step> {
        let unseen = self.unseen().iter().map(|milestone| Step { milestone: *milestone, at: None });
        let reached = self.reached.iter().map(|(milestone, when)| Step {
            milestone: *milestone,
            at: Some(Instant::from_nanos(u64::from_ne_bytes(*when))),
        });
        unseen.chain(reached)
    }

    fn unseen(&self) -> &[Milestone] {
        Milestone::ALL.get(..usize::from(self.before)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_milestone_is_listed_once_and_with_its_first_time_where_that_is_known() {
        let mut steps = Steps::before(Milestone::Authenticated);
        let (first, later) = (Instant::from_secs(7), Instant::from_secs(8));
        steps.reach(Milestone::KeysExchanged, first);
        steps.reach(Milestone::Authenticated, first);
        steps.reach(Milestone::Authenticated, later);
        steps.reach(Milestone::TunnelUp, later);
        let step = |milestone, at| Step { milestone, at };
        let listed: Vec<Step> = steps.list().collect();
        assert_eq!(
            listed,
            [
                step(Milestone::Began, None),
                step(Milestone::ProposalAgreed, None),
                step(Milestone::KeysExchanged, None),
                step(Milestone::Authenticated, Some(first)),
                step(Milestone::TunnelUp, Some(later)),
            ]
        );
        assert!(steps.has(Milestone::Began) && !steps.has(Milestone::Secured));
    }
}
