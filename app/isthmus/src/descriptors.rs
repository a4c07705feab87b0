//! How many files the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the process may, and answers what it is then. By default it is 1024, for the sake of
/// programs that use `select`, and a gateway with many tenants needs a descriptor for each queue of each
/// device.
pub(crate) fn raise() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // Refused only where the hard limit is not ours to use; what counts is what there is then.
    let _refused = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_what_the_process_may_have() {
        let before = getrlimit(Resource::Nofile);
        let most = before.maximum.unwrap_or(u64::MAX);
        let lowered = Rlimit { current: Some(most.min(512)), maximum: before.maximum };
        setrlimit(Resource::Nofile, lowered).unwrap();
        assert_eq!(raise(), most);
    }
}
