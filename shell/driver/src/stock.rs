//! Diffie-Hellman key pairs made while nothing else is to be done.
//!
//! Half of a responder's arithmetic does not depend on the peer. A burst of logins finds that half done
//! as far as the stock goes. Each pair serves one exchange and comes from fresh randomness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use isthmus_crypto::{CryptoError, DhGroup, DhJob, DhKeyPair, DhOutput, Job, JobOutput, Provider};

use crate::entropy::seed;

/// Key pairs of the groups that were asked for.
pub(crate) struct Stock {
    provider: Arc<dyn Provider>,
    /// Pairs of one group that are kept.
    most: usize,
    pairs: Mutex<BTreeMap<DhGroup, Vec<DhKeyPair>>>,
}

impl Stock {
    /// An empty stock of at most `most` pairs of each group.
    pub(crate) fn new(provider: Arc<dyn Provider>, most: usize) -> Self {
        Self { provider, most, pairs: Mutex::default() }
    }

    /// Does a job, with a pair of the stock where one serves.
    pub(crate) fn run(&self, job: &Job) -> Result<JobOutput, CryptoError> {
        let done = match job {
            Job::Dh(DhJob::GenerateAndAgree { group, peer, .. }) => {
                self.take(*group).map(|pair| self.agree(*group, pair, peer))
            }
            Job::Dh(DhJob::Generate { group, .. }) => {
                self.take(*group).map(|pair| Ok(DhOutput::KeyPair(pair)))
            }
            Job::Dh(DhJob::Agree { .. }) | Job::Sign { .. } | Job::Verify { .. } => None,
        };
        done.map_or_else(|| job.run(&*self.provider), |done| done.map(JobOutput::Dh))
    }

    fn agree(&self, group: DhGroup, pair: DhKeyPair, peer: &[u8]) -> Result<DhOutput, CryptoError> {
        let private = pair.private.clone();
        let shared = self.provider.dh(&DhJob::Agree { group, private, peer: peer.to_vec() });
        match shared.and_then(DhOutput::shared) {
            Ok(shared) => Ok(DhOutput::Both(pair, shared)),
            Err(error) => {
                // Nobody has seen it: shares that are no good cost us nothing.
                self.put(group, pair);
                Err(error)
            }
        }
    }

    /// Makes one pair of the group with the fewest; false when there are enough of every group that was
    /// ever asked for.
    pub(crate) fn fill(&self) -> bool {
        let scarcest = {
            let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
            let scarcest = pairs.iter().min_by_key(|(_, pairs)| pairs.len());
            scarcest.filter(|(_, pairs)| pairs.len() < self.most).map(|(group, _)| *group)
        };
        let Some(group) = scarcest else { return false };
        let Ok(seed) = seed() else { return false };
        let made = self.provider.dh(&DhJob::Generate { group, seed }).and_then(DhOutput::key_pair);
        let Ok(pair) = made else { return false };
        self.put(group, pair);
        true
    }

    /// A pair of the group; from now on the group is one that is asked for.
    fn take(&self, group: DhGroup) -> Option<DhKeyPair> {
        if self.most == 0 {
            return None;
        }
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).entry(group).or_default().pop()
    }

    /// Pairs of the group that are there.
    #[cfg(test)]
    pub(crate) fn count(&self, group: DhGroup) -> usize {
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.get(&group).map_or(0, Vec::len)
    }

    fn put(&self, group: DhGroup, pair: DhKeyPair) {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let of_group = pairs.entry(group).or_default();
        if of_group.len() < self.most {
            of_group.push(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: DhGroup = DhGroup::Ecp256;

    fn stock() -> Stock {
        Stock::new(isthmus_crypto_aws::provider(), 3)
    }

    fn dh(stock: &Stock, job: DhJob) -> Result<DhOutput, CryptoError> {
        stock.run(&Job::Dh(job)).map(|done| match done {
            JobOutput::Dh(output) => output,
            JobOutput::Signature(_) | JobOutput::Judgement(_) => panic!("not of this job"),
        })
    }

    fn responder(stock: &Stock, peer: &[u8]) -> Result<(DhKeyPair, Vec<u8>), CryptoError> {
        let job = DhJob::GenerateAndAgree { group: GROUP, seed: [1; 32], peer: peer.to_vec() };
        let (pair, shared) = dh(stock, job)?.both()?;
        Ok((pair, shared.expose().to_vec()))
    }

    #[test]
    fn only_what_was_asked_for_is_made_ahead_and_not_more_than_enough() {
        let stock = stock();
        assert!(!stock.fill(), "nobody has asked");
        dh(&stock, DhJob::Generate { group: GROUP, seed: [1; 32] }).unwrap();
        assert_eq!((0..10).filter(|_| stock.fill()).count(), 3);
    }

    #[test]
    fn a_pair_of_the_stock_agrees_with_the_peer_and_serves_once() {
        let stock = stock();
        let provider = isthmus_crypto_aws::provider();
        let peer = DhJob::Generate { group: GROUP, seed: [2; 32] };
        let peer = provider.dh(&peer).and_then(DhOutput::key_pair).unwrap();
        let (unstocked, _) = responder(&stock, &peer.public).unwrap();
        while stock.fill() {}
        let mut seen = vec![unstocked.public];
        for _ in 0..4 {
            let (pair, shared) = responder(&stock, &peer.public).unwrap();
            let private = peer.private.clone();
            let theirs = DhJob::Agree { group: GROUP, private, peer: pair.public.clone() };
            let theirs = provider.dh(&theirs).and_then(DhOutput::shared).unwrap();
            assert_eq!(theirs.expose(), shared);
            seen.push(pair.public);
        }
        let first = seen[0].clone();
        // The fifth was made from the job's seed again, for the stock was empty.
        assert_eq!(seen.pop(), Some(first));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn a_share_that_is_no_good_does_not_use_a_pair_up() {
        let stock = stock();
        dh(&stock, DhJob::Generate { group: GROUP, seed: [1; 32] }).unwrap();
        while stock.fill() {}
        assert!(responder(&stock, &[7; 64]).is_err());
        assert!(!stock.fill(), "still full");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let stock = Stock::new(isthmus_crypto_aws::provider(), 0);
        dh(&stock, DhJob::Generate { group: GROUP, seed: [1; 32] }).unwrap();
        assert!(!stock.fill());
    }
}
