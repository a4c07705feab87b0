//! The text of every event, written once.
//!
//! What concerns a person (names, addresses) goes to the audit target; what concerns the machine goes
//! to the ordinary one.

use isthmus_gateway::{Event, Failure, Milestone, PeerRef};
use tracing::{info, warn};

use crate::AUDIT;

/// Writes one event to the log.
pub fn event(event: &Event) {
    match event {
        Event::AttemptFailed(failure) => failed(failure),
        Event::AttemptsUntold { count } => {
            warn!(count, "more attempts failed than are told one by one");
        }
        Event::ChildUp { peer, suite } => info!(peer = peer.raw(), suite, "IPsec SA up"),
        Event::LacDown { lac, from, reason } => {
            info!(lac, reason, "LAC tunnel down");
            info!(target: AUDIT, lac, %from, reason, "LAC tunnel down");
        }
        Event::LacUp { lac, from, host, tenant } => {
            info!(lac, tenant, "LAC tunnel up");
            info!(target: AUDIT, lac, %from, host, tenant, "LAC tunnel up");
        }
        Event::PeerDown { peer, reason } => info!(peer = peer.raw(), reason, "peer gone"),
        Event::PeerUp { peer, from, encap, identity, tenant } => {
            let udp = matches!(encap, isthmus_core::Encap::Udp);
            info!(peer = peer.raw(), tenant, udp, "peer authenticated");
            info!(target: AUDIT, peer = peer.raw(), %from, identity, tenant, "peer authenticated");
        }
        Event::PathMoved { peer, path } => {
            info!(target: AUDIT, peer = peer.raw(), from = %path.remote, "peer moved");
        }
        Event::ProbeSent { session, user, tenant, source, destination, protocol, port } => {
            info!(
                target: AUDIT,
                session = session.raw(), user, tenant, %source, %destination, protocol, port,
                "probe sent"
            );
        }
        Event::SessionDown { session, user, address, reason } => {
            info!(session = session.raw(), reason, "session down");
            info!(target: AUDIT, session = session.raw(), user, %address, reason, "session down");
        }
        Event::SessionUp { session, peer, user, tenant, address } => {
            let (peer, plain) = match peer {
                PeerRef::Ipsec(peer) => (peer.raw(), false),
                PeerRef::Lac(lac) => (lac.0.raw(), true),
            };
            info!(session = session.raw(), peer, plain, tenant, "session up");
            info!(target: AUDIT, session = session.raw(), user, tenant, %address, "session up");
        }
        Event::UsersReloaded { tenant, count } => info!(tenant, count, "users read again"),
    }
}

/// The whole record; who it was is in the audit trail only.
fn failed(failure: &Failure) {
    let (stage, cause) = (failure.stage.label(), failure.cause.label());
    let Failure { count, detail, remedy, client, tenant, proven, .. } = failure;
    let (client, tenant) = (client.to_string(), tenant.as_deref().unwrap_or("-"));
    let reached = reached(failure);
    warn!(stage, cause, count, detail, remedy, client, reached, "a client could not connect");
    let user = failure.user.as_deref().unwrap_or("-");
    let from = failure.from;
    info!(
        target: AUDIT,
        %from, user, tenant, client, stage, cause, count, detail, remedy, reached, proven,
        "login refused"
    );
}

/// The last milestone.
fn reached(failure: &Failure) -> &'static str {
    failure.steps.iter().map(|step| step.milestone).max().map_or("nothing", Milestone::label)
}
