//! Kernel state: what is desired goes in, the difference to what is there is applied.
//!
//! A [`Reconciler`] looks after one network namespace. [`Reconciler::apply`] reads the actual links,
//! addresses, routes, rules, kernel parameters and NAT, compares them with a [`Desired`] and makes only
//! the changes that are missing; applying the same twice changes nothing the second time, and what
//! others undid is done again; a [`Watch`] tells when they did. [`Reconciler::plan`] answers the same
//! changes and makes none.
//!
//! # What is ours
//!
//! Everything made here carries the tag of its [`Owner`]: routes, rules and addresses a protocol
//! number, NAT a table of its own. Kernel parameters and link settings cannot be tagged, so their
//! previous values are kept in a file under `/run` that is written before they change. Nothing else is
//! ever touched, so [`Reconciler::remove_all`] leaves no trace, also of a run that crashed: the next run
//! finds what is tagged, adopts what it wants and removes the rest.
//!
//! # How it works
//!
//! One thread per reconciler lives in the namespace and does everything synchronously: netlink
//! requests, files under `/proc/sys`, the `nft` program. The asynchronous methods send it work and wait
//! for the answer. Therefore dropping a reconciler, also in a panic, can clean up without a runtime.
//! `isthmus` writes its own nftables table in one transaction and never interprets the rules of others.
//!
//! There is no rule that accepts forwarded packets: nftables drops a packet when any table does, so an
//! accept of ours could not overrule the firewall of the machine.

mod around;
mod change;
mod desired;
mod diff;
mod engine;
mod entry;
mod error;
mod flows;
mod generation;
mod inspect;
mod lookup;
mod netlink;
mod nft;
mod owner;
mod reconciler;
mod state;
mod sysctl;
mod table;
mod watch;

pub use around::{Around, Interest, OtherHop, OtherRoute};
pub use change::{Change, Changes};
pub use desired::{
    Address, CLASS_MASK, Desired, Entries, Filter, Firewall, Guard, IpVersion, Link, List,
    MAIN_TABLE, Member, Nat, NextHop, Ports, Redirect, Redirection, Route, Rule, RuleAction,
    Translation, Transport, Verdict, Veth, class_mark,
};
pub use entry::{Entry, FEW_MAX};
pub use error::KernelError;
pub use flows::Flows;
pub use inspect::{ELEMENTS_MAX, Found, Inspection, STRANGE_MAX, Standing};
pub use lookup::{Lookup, Road};
pub use owner::Owner;
pub use reconciler::{Options, Reconciler};
pub use watch::{LinkWatch, Watch};
