//! A snapshot of the gateway turned into what the API shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use isthmus_core::Encap;
use isthmus_driver::{Snapshot, TunReport};
use isthmus_findings::Finding;
use isthmus_gateway::{Failure as MachineFailure, SessionInfo};
use isthmus_plane::{Rate, SessionCounters, TunId};

use crate::api::{
    DataPath, DeviceStatus, DropCount, EgressStatus, Failure, LacStatus, LimitCounts, Session,
    SessionId, Status, Step, TenantStatus,
};
use crate::config::{Config, Egress, Tenant};

/// Everything at a glance.
pub(crate) fn status(config: &Config, snapshot: &Snapshot, findings: Vec<Finding>) -> Status {
    let machine = &snapshot.status;
    let up = machine.sessions_up;
    let gateway = &config.gateway;
    Status {
        name: gateway.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_seconds: snapshot.uptime.as_secs(),
        public_address: gateway.public_address,
        listen: gateway.listen.iter().map(|a| SocketAddr::new(*a, gateway.ike_port)).collect(),
        peers: machine.peers as u64,
        sessions: up as u64,
        sessions_starting: machine.sessions.saturating_sub(up) as u64,
        sessions_total: machine.stats.sessions_up_total,
        tenants: tenants(config, snapshot),
        lacs: machine.lacs.iter().map(lac).collect(),
        data_path: data_path(config, snapshot),
        findings,
        drops: drops(snapshot),
        failures_total: machine.failures_total,
        failures: failures(snapshot).into_iter().take(STATUS_FAILURES_MAX).collect(),
    }
}

/// All sessions with their counters.
pub(crate) fn sessions(snapshot: &Snapshot) -> Vec<Session> {
    let counters = snapshot.counters.iter().flat_map(|counters| counters.sessions.iter().copied());
    let counters: BTreeMap<_, _> = counters.collect();
    let of = |info: &SessionInfo| counters.get(&info.session).copied().unwrap_or_default();
    snapshot.sessions.iter().map(|info| session(snapshot, info, of(info))).collect()
}

/// The failures that are kept, newest first.
pub(crate) fn failures(snapshot: &Snapshot) -> Vec<Failure> {
    let now = snapshot.uptime.as_secs();
    snapshot.status.failures.iter().rev().map(|f| failure(f, now)).collect()
}

fn failure(failure: &MachineFailure, now: u64) -> Failure {
    let step = |step: &isthmus_gateway::Step| Step {
        milestone: step.milestone.label().to_owned(),
        ms_before_end: step.at.map(|at| milliseconds(failure.at.since(at))),
    };
    Failure {
        age_seconds: now.saturating_sub(failure.at.as_secs()),
        first_age_seconds: now.saturating_sub(failure.first.as_secs()),
        count: failure.count,
        from: failure.from,
        proven: failure.proven,
        user: failure.user.clone(),
        tenant: failure.tenant.clone(),
        client: failure.client.kind.clone(),
        client_behind_nat: failure.client.behind_nat,
        server_behind_nat: failure.client.server_behind_nat,
        stage: failure.stage.label().to_owned(),
        cause: failure.cause.label().to_owned(),
        detail: failure.detail.clone(),
        remedy: failure.remedy.clone(),
        steps: failure.steps.iter().map(step).collect(),
    }
}

fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn session(snapshot: &Snapshot, info: &SessionInfo, counters: SessionCounters) -> Session {
    let rates = info.limits.rates();
    Session {
        id: SessionId(info.session.raw()),
        user: info.user.clone(),
        tenant: info.tenant.clone(),
        group: info.group.clone(),
        address: info.address,
        prefix6: info.prefix6,
        device: snapshot.devices.get(&info.session).cloned(),
        up: info.up,
        age_seconds: snapshot.uptime.as_secs().saturating_sub(info.since.as_secs()),
        ends_in_seconds: info
            .expires
            .map(|at| at.as_secs().saturating_sub(snapshot.uptime.as_secs())),
        idle_timeout_seconds: info.limits.idle_timeout.map(|most| most.as_secs()),
        quota_bytes: info.limits.quota,
        quota_used_bytes: info
            .limits
            .quota
            .map(|_| info.carried_before.saturating_add(counters.bytes())),
        rate_up_bits: rates.up.map(Rate::bits_per_second),
        rate_down_bits: rates.down.map(Rate::bits_per_second),
        burst_up_bytes: rates.up.map(Rate::burst),
        burst_down_bytes: rates.down.map(Rate::burst),
        from: info.from,
        encapsulated: info.encap == Some(Encap::Udp),
        suite: info.suite.map(str::to_owned),
        identity: info.identity.clone(),
        host: info.host.clone(),
        rx_bytes: counters.received.bytes,
        rx_packets: counters.received.packets,
        tx_bytes: counters.sent.bytes,
        tx_packets: counters.sent.packets,
        dropped_packets: counters.dropped,
        dropped_rate_up: counters.dropped_rate_up,
        dropped_rate_down: counters.dropped_rate_down,
    }
}

fn lac(lac: &isthmus_gateway::LacStatus) -> LacStatus {
    LacStatus {
        name: lac.name.clone(),
        tenants: lac.tenants.clone(),
        from: lac.from.clone(),
        tunnels: lac.tunnels as u64,
        sessions: lac.sessions as u64,
    }
}

fn tenants(config: &Config, snapshot: &Snapshot) -> Vec<TenantStatus> {
    // In the order of the file: the machine's is that of their coming.
    let with_state =
        |tenant: &'_ Tenant| snapshot.status.tenants.iter().find(|state| state.name == tenant.name);
    config
        .tenants
        .iter()
        .filter_map(|tenant| Some((tenant, with_state(tenant)?)))
        .map(|(tenant, state)| TenantStatus {
            egress: egress(state.tun, tenant, snapshot),
            name: tenant.name.clone(),
            number: Some(state.tun.0),
            interface: tenant.interface.clone(),
            netns: tenant.netns.clone(),
            pool: tenant.all_pools(),
            pool_size: state.capacity,
            pool_used: state.leased as u64,
            pool6: tenant.all_pools6(),
            pool6_used: state.leased6 as u64,
            users: state.users as u64,
            sessions: state.sessions as u64,
            limits: limit_counts(state.limits),
        })
        .collect()
}

fn limit_counts(counts: isthmus_gateway::LimitCounts) -> LimitCounts {
    LimitCounts {
        refused_sessions: counts.refused_sessions,
        refused_group_sessions: counts.refused_group_sessions,
        refused_user_sessions: counts.refused_user_sessions,
        ended_replaced: counts.ended_replaced,
        ended_session_timeout: counts.ended_session_timeout,
        ended_idle_timeout: counts.ended_idle_timeout,
        ended_quota: counts.ended_quota,
    }
}

fn egress(tun: TunId, tenant: &Tenant, snapshot: &Snapshot) -> Vec<EgressStatus> {
    let of = |egress: &Egress| {
        let id = (tun, egress.name.clone());
        let known = snapshot.ways.get(&id);
        EgressStatus {
            name: egress.name.clone(),
            up: known.is_none_or(|way| way.up),
            reason: known.map(|way| way.reason.clone()),
        }
    };
    tenant.egress.iter().map(of).collect()
}

fn data_path(config: &Config, snapshot: &Snapshot) -> DataPath {
    let device = |tun: &TunReport| {
        let known = snapshot.status.tenants.iter().find(|state| state.tun == tun.id);
        let tenant =
            known.and_then(|known| config.tenants.iter().find(|tenant| tenant.name == known.name));
        DeviceStatus {
            interface: tenant.map(|tenant| tenant.interface.clone()).unwrap_or_default(),
            reads_runs: tun.offload.reads,
            writes_runs: tun.offload.writes,
            udp_runs: tun.offload.udp,
            read: tun.stats.received,
            written: tun.stats.sent,
            written_in_runs: tun.stats.joined,
        }
    };
    DataPath {
        engine: snapshot.engine.clone(),
        workers: snapshot.io.workers as u64,
        led: snapshot.counters.as_ref().map_or(0, |counters| counters.total.led),
        udp_segments_max: snapshot.io.udp_segments_max as u64,
        devices: snapshot.io.tuns.iter().map(device).collect(),
    }
}

/// Counters that are not zero, layer by layer.
fn drops(snapshot: &Snapshot) -> Vec<DropCount> {
    let stats = &snapshot.status.stats;
    let layers = [("ike", &stats.ike), ("l2tp", &stats.l2tp), ("ppp", &stats.ppp)];
    let machine = layers.into_iter().flat_map(|(layer, rejections)| {
        rejections.iter().map(move |(reason, count)| (layer, reason, count))
    });
    let plane = snapshot.counters.iter().flat_map(|c| c.total.drops.iter());
    let plane = plane.map(|(reason, count)| ("plane", reason.label(), count));
    let io = snapshot.io.stats.counts().into_iter().map(|(reason, count)| ("io", reason, count));
    let all = machine.chain(plane).chain(io).filter(|(_, _, count)| *count > 0);
    all.map(|(layer, reason, count)| DropCount {
        layer: layer.to_owned(),
        reason: reason.to_owned(),
        count,
    })
    .collect()
}

/// Failures shown at a glance; `failures` has more.
const STATUS_FAILURES_MAX: usize = 20;
