//! How a tunnel comes up: SCCRQ, SCCRP, SCCCN and the proofs they carry (RFC 2661 §5.1 and §7.2).

use crate::action::{Action, TunnelId, TunnelUp};
use crate::auth;
use crate::avp::{Avp, Bounded};
use crate::body::{Greeting, WINDOW_DEFAULT};
use crate::bounds::CHALLENGE_MAX;
use crate::channel::{Channel, RETRANSMIT_CYCLE};
use crate::context::Context;
use crate::dialect::{Filling, fill};
use crate::error::PeerError;
use crate::header::Header;
use crate::iana::MessageType;
use crate::tunnel::{State, Timer, Tunnel, fields};

impl Tunnel {
    /// Asks the peer for a tunnel.
    pub(crate) fn request(local: TunnelId, to_port: u16, ctx: &mut Context<'_>) -> Self {
        let challenge = ctx.config.secret.is_some().then(|| ctx.rng.array());
        let tie_breaker = ctx.config.tie_breaker.then(|| ctx.rng.u64());
        let state = State::WaitReply { challenge, tie_breaker };
        let channel = Channel::new(0, WINDOW_DEFAULT);
        let mut tunnel = Self::new(local, to_port, state, channel, ctx);
        tunnel.initiator = true;
        let filling = Filling {
            assigned: Avp::AssignedTunnelId(local.0),
            serial: 0,
            challenge: challenge.as_ref().map(|c| &c[..]),
            tie_breaker,
        };
        let habits = ctx.config.dialect.habits;
        tunnel.channel.set_waits(habits.first_waits);
        for _ in 0..habits.wakes {
            let bytes = ctx.encode((0, 0), MessageType::HELLO, &[]);
            ctx.stats.transmitted += 1;
            ctx.out.push(Action::Transmit { to_port, bytes });
        }
        tunnel.say(0, MessageType::SCCRQ, &fill(&ctx.config.dialect.sccrq, &filling), ctx);
        tunnel
    }

    /// Accepts the peer's SCCRQ, whose body is `request`.
    ///
    /// # Errors
    /// [`PeerError::NoSecret`] when the peer wants a proof that we cannot give.
    pub(crate) fn accept(
        local: TunnelId,
        from_port: u16,
        greeting: Greeting,
        request: &[u8],
        ctx: &mut Context<'_>,
    ) -> Result<Self, PeerError> {
        let response = answer(MessageType::SCCRP, greeting.challenge.as_ref(), ctx)?;
        let challenge: Option<[u8; 16]> = ctx.config.secret.is_some().then(|| ctx.rng.array());
        let mut channel = Channel::new(greeting.tunnel, greeting.window);
        channel.take_first();
        if ctx.doubts {
            channel.doubt(Header::LEN + request.len());
        }
        let state = State::WaitConnect { challenge, request: request.to_vec() };
        let mut tunnel = Self::new(local, from_port, state, channel, ctx);
        tunnel.host = greeting.host_name;
        tunnel.vendor = greeting.vendor_name;
        if ctx.doubts {
            // Nothing is repeated, so nobody is given up after a cycle.
            let at = ctx.now + ctx.config.establish_timeout.min(RETRANSMIT_CYCLE);
            tunnel.timers.set(Timer::Establish, at);
        }
        let mut avps = ctx.config.greeting(local.0, ctx.doubts);
        avps.extend(challenge.map(|c| Avp::Challenge(Bounded::clipped(&c))));
        avps.extend(response.map(Avp::ChallengeResponse));
        tunnel.say(0, MessageType::SCCRP, &fields(avps), ctx);
        Ok(tunnel)
    }

    /// Takes the answer to our SCCRQ.
    pub(crate) fn on_sccrp(
        &mut self,
        greeting: Greeting,
        challenge: Option<[u8; 16]>,
        ctx: &mut Context<'_>,
    ) {
        let habits = ctx.config.dialect.habits;
        let window = greeting.window.min(habits.window_max.unwrap_or(u16::MAX));
        self.channel.set_peer(greeting.tunnel, window);
        self.channel.set_waits(habits.waits);
        if !proves(MessageType::SCCRP, challenge, greeting.response, ctx) {
            return self.fail(PeerError::BadResponse, ctx);
        }
        let response = match answer(MessageType::SCCCN, greeting.challenge.as_ref(), ctx) {
            Ok(response) => response,
            Err(error) => return self.fail(error, ctx),
        };
        self.host = greeting.host_name;
        self.vendor = greeting.vendor_name;
        let avps = response.map(Avp::ChallengeResponse).into_iter().collect();
        self.say(0, MessageType::SCCCN, &fields(avps), ctx);
        self.come_up(ctx);
    }

    /// Takes the confirmation of our SCCRP.
    pub(crate) fn on_scccn(
        &mut self,
        response: Option<[u8; 16]>,
        challenge: Option<[u8; 16]>,
        ctx: &mut Context<'_>,
    ) {
        // Whoever knows our id has received it.
        self.channel.trust(ctx.now);
        if proves(MessageType::SCCCN, challenge, response, ctx) {
            self.come_up(ctx);
        } else {
            self.fail(PeerError::BadResponse, ctx);
        }
    }

    fn come_up(&mut self, ctx: &mut Context<'_>) {
        self.state = State::Up { since: ctx.now };
        self.timers.clear(Timer::Establish);
        self.watch_life(ctx);
        ctx.out.push(Action::TunnelUp(TunnelUp {
            tunnel: self.local,
            remote_tunnel: self.channel.remote(),
            to_port: self.to_port,
            peer_host: self.host.clone(),
            peer_vendor: self.vendor.clone(),
            initiator: self.initiator,
        }));
        if !ctx.config.dialect.habits.waits_for_acks {
            self.start_calls(ctx);
        }
        self.watch_idle(ctx);
    }
}

/// The answer to the peer's challenge, if there is one.
fn answer(
    carrier: MessageType,
    challenge: Option<&Bounded<CHALLENGE_MAX>>,
    ctx: &Context<'_>,
) -> Result<Option<[u8; 16]>, PeerError> {
    let Some(challenge) = challenge else { return Ok(None) };
    let secret = ctx.config.secret.as_ref().ok_or(PeerError::NoSecret)?;
    auth::response(ctx.provider, carrier, secret.expose(), challenge.as_bytes())
        .map(Some)
        .map_err(|_| PeerError::NoSecret)
}

/// Whether the peer's `response` answers our `challenge`; true when we asked for nothing.
fn proves(
    carrier: MessageType,
    challenge: Option<[u8; 16]>,
    response: Option<[u8; 16]>,
    ctx: &Context<'_>,
) -> bool {
    let Some(challenge) = challenge else { return true };
    let Some(secret) = &ctx.config.secret else { return false };
    auth::verify(ctx.provider, carrier, (secret.expose(), &challenge), response)
}
