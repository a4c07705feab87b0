//! The state a gateway leaves in the kernel, as text that two moments can be compared by.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::command::{run, wait_for};
use crate::error::LabError;
use crate::netns::Namespace;

/// Links, addresses, routes, rules, packet filter, kernel parameters and sockets of a namespace at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelState {
    sections: Vec<(&'static str, String)>,
}

impl KernelState {
    /// Reads the state of `namespace`.
    pub fn read(namespace: &Namespace) -> Result<Self, LabError> {
        // The kernel finishes new addresses in its own time. Those on a link without a carrier stay as they
        // are, and so they are the same the next time.
        let _settled = wait_for("addresses to settle", SETTLED_WITHIN, || {
            Ok((!namespace.ip("address")?.contains(" tentative")).then_some(()))
        });
        let mut sections = Vec::new();
        for command in COMMANDS {
            let mut words = command.split_whitespace();
            let mut line = namespace.command(words.next().unwrap_or_default());
            sections.push((command, run(line.args(words))?));
        }
        Ok(Self { sections })
    }

    /// # Errors
    /// `later` differs from `self`; the error shows each difference line by line.
    pub fn refuse_leftovers(&self, later: &Self) -> Result<(), LabError> {
        let differences: Vec<String> = self
            .sections
            .iter()
            .zip(&later.sections)
            .filter(|((_, before), (_, after))| before != after)
            .map(|((command, before), (_, after))| difference(command, before, after))
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        let text = differences.join("\n");
        Err(LabError::unexpected(format!("the gateway left traces in the kernel:\n{text}")))
    }
}

impl fmt::Display for KernelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sections.iter().try_for_each(|(command, text)| writeln!(f, "{command}:\n{text}"))
    }
}

/// How long new addresses may take; it takes milliseconds, but on a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// The lines of `command`'s output that are only in one of two answers.
fn difference(command: &str, before: &str, after: &str) -> String {
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    let mut text = format!("{command}:");
    for (sign, line) in gone.map(|line| ('-', line)).chain(new.map(|line| ('+', line))) {
        let _ = write!(text, "\n  {sign} {line}");
    }
    text
}

/// What is compared. All of it is constant in a namespace where nothing happens.
const COMMANDS: [&str; 13] = [
    "ip address",
    "ip route show table all",
    "ip -6 route show table all",
    "ip rule",
    "ip -6 rule",
    "ip xfrm state",
    "ip xfrm policy",
    "nft list ruleset",
    "sysctl -a -r ^net[.]ipv4[.](ip_forward|conf)",
    "sysctl -a -r ^net[.]ipv6[.]conf[.][^.]*[.](forwarding|accept_ra|accept_redirects|disable_ipv6)",
    "cat /proc/net/udp",
    "cat /proc/net/udp6",
    "cat /proc/net/raw",
];
