//! Tells the log what is found while the gateway runs, and when it is no longer so.

use isthmus_driver::Surroundings;
use isthmus_findings::{Finding, Severity};
use isthmus_telemetry::AUDIT;
use tokio::sync::watch;

use crate::config::Config;
use crate::findings;

/// What is found, as it was told last.
pub(crate) struct Watcher {
    around: watch::Receiver<Surroundings>,
    told: Vec<Finding>,
}

impl Watcher {
    /// Nothing is told yet.
    pub(crate) fn new(around: watch::Receiver<Surroundings>) -> Self {
        Self { around, told: Vec::new() }
    }

    /// Waits until something about the machine is new; for ever once nobody looks any more.
    pub(crate) async fn changed(&mut self) {
        if self.around.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What is found now.
    pub(crate) fn found(&self, config: &Config) -> Vec<Finding> {
        findings::find(config, &self.around.borrow())
    }

    /// Tells what is new since the last time, and what is gone. Networks behind users are known by their
    /// names, so it is for the audit trail.
    pub(crate) fn tell(&mut self, config: &Config) {
        let found = self.found(config);
        for finding in fresh(&found, &self.told) {
            let Finding { severity, code, tenant, what, means, fix, .. } = finding;
            let namespace = finding.namespace.as_deref().unwrap_or("host");
            let (code, severity_is, fix) = (code.label(), severity.label(), &fix.what);
            match severity {
                Severity::Error | Severity::Warning => tracing::warn!(
                    target: AUDIT, code, severity = severity_is, namespace, tenant, means, fix, "{what}"
                ),
                Severity::Note => tracing::info!(
                    target: AUDIT, code, severity = severity_is, namespace, tenant, means, fix, "{what}"
                ),
            }
        }
        for Finding { code, what, .. } in fresh(&self.told, &found) {
            tracing::info!(target: AUDIT, code = code.label(), "no longer: {what}");
        }
        self.told = found;
    }
}

/// Those of `these` that are not among `others`, whatever cure is proposed now.
fn fresh<'a>(these: &'a [Finding], others: &[Finding]) -> Vec<&'a Finding> {
    let same = |a: &Finding, b: &Finding| {
        (a.code, &a.namespace, &a.tenant, &a.what) == (b.code, &b.namespace, &b.tenant, &b.what)
    };
    these.iter().filter(|one| !others.iter().any(|other| same(one, other))).collect()
}

#[cfg(test)]
mod tests {
    use isthmus_findings::{Code, Fix};

    use super::*;

    #[test]
    fn another_proposal_for_the_same_thing_is_nothing_new() {
        let finding = |what: &str, fix: &str| Finding {
            severity: Severity::Note,
            code: Code::EgressesOverlap,
            namespace: None,
            tenant: "acme".into(),
            what: what.into(),
            means: String::new(),
            fix: Fix { what: fix.into(), ..Fix::default() },
        };
        let told = [finding("a", "10.64.0.0/24"), finding("b", "")];
        let found = [finding("a", "10.65.0.0/24"), finding("c", "")];
        assert_eq!(fresh(&found, &told), [&found[1]]);
        assert_eq!(fresh(&told, &found), [&told[1]]);
    }
}
