//! What is found.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that cannot work, or that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is; a name that stays.
    pub code: Code,
    /// The network namespace; none for the gateway's own.
    pub namespace: Option<String>,
    /// The tenant.
    pub tenant: String,
    /// What is as it is, one line.
    pub what: String,
    /// What that means, one line.
    pub means: String,
    /// What cures it.
    pub fix: Fix,
}

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Packets are lost.
    Error,
    /// Packets of some are lost, or will be.
    Warning,
    /// It works as long as it is meant so.
    Note,
}

/// What cures it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// In words, one line.
    pub what: String,
    /// What to write into the configuration, where it is to be changed; comments say where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// Commands to run as root, where the machine is to be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $label:literal),* $(,)?) => {
        /// The kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $label)] $code,)*
        }

        impl Code {
            /// Each of them.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// Its name, which stays.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$code => $label),* }
            }
        }
    };
}

codes! {
    /// A way out leaves the way to the machine's routes, which lead by another link than it names.
    EgressByOtherLink = "egress-by-other-link",
    /// A way out leaves the way to the machine's routes, which share packets among several links.
    EgressMultipath = "egress-multipath",
    /// A way out leads into a network namespace that is not there.
    EgressNamespaceMissing = "egress-namespace-missing",
    /// Two ways out are for the same network.
    EgressesOverlap = "egresses-overlap",
    /// What clients reach has addresses that many have at home.
    NetworkAtHome = "network-at-home",
    /// What is inside has addresses of what is behind a way out.
    PoolOverlapsEgress = "pool-overlaps-egress",
    /// What is inside has addresses of a network of this machine.
    PoolOverlapsInterface = "pool-overlaps-interface",
    /// What is inside of one tenant has addresses of what is inside of another.
    PoolOverlapsPool = "pool-overlaps-pool",
    /// A route of the machine leads packets to clients elsewhere.
    PoolRoutedElsewhere = "pool-routed-elsewhere",
    /// A rule of the machine leads packets to clients elsewhere.
    PoolRuledElsewhere = "pool-ruled-elsewhere",
    /// A route that clients are told covers the address that they dial.
    PushedRouteCoversGateway = "pushed-route-covers-gateway",
    /// Answers come in by a link whose strict reverse path filter drops them.
    ReturnPathOtherLink = "return-path-other-link",
    /// Answers come from where the machine knows no way to, and the reverse path filter drops them.
    ReturnPathUnknown = "return-path-unknown",
    /// What is inside covers an address that the gateway speaks to outside.
    UnderlayCovered = "underlay-covered",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Severity {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// As people read it: three lines or more, without a line break at the end.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, what, means, fix, .. } = self;
        write!(f, "{severity} {code}: {what}\n  {means}\n  fix: {}", fix.what)?;
        for line in fix.toml.iter().flat_map(|toml| toml.lines()) {
            write!(f, "\n      {line}")?;
        }
        fix.commands.iter().try_for_each(|command| write!(f, "\n      # {command}"))
    }
}
