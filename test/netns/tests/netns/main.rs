//! End to end, in namespaces, with our binary as gateway and as client.
//!
//! One program, so that several labs are up at once. The library's manual says what each test is
//! made of; `ISTHMUS_LAB_KEEP=1` keeps the evidence of tests that pass, too.

mod aggressive;
mod bench;
mod certificates;
mod crowd;
mod devices;
mod egress;
mod estate;
mod explain;
mod failover;
mod findings;
mod flood;
mod grants;
mod ipv6;
mod lac;
mod login;
mod mtu;
mod outer_v6;
mod passages;
mod places;
mod plan;
mod policy;
mod profiles;
mod rates;
mod refusals;
mod rekey;
mod reload;
mod repair;
mod roaming;
mod routing;
mod send;
mod show;
mod shutdown;
mod spoofing;
mod suites;
mod tenancy;
mod three_clouds;
mod translations;
mod users;
mod workers;
