//! Informational exchanges (RFC 2409 §5.7): deletes and notifications, each proved by a HASH.

use alloc::vec::Vec;

use isthmus_core::{Duration, Instant, Key, Path};

use crate::action::{DownReason, FailureCause, PeerId};
use crate::codec::{Chain, Delete, Message, Notification, Out};
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::Rejected;
use crate::iana::{ExchangeType, NotifyType, PayloadType, ProtocolId};
use crate::sa::{IkeSa, Sent};

/// Proof that an informational message is the peer's.
struct AcceptedInformational {
    items: Vec<Item>,
}

enum Item {
    Delete(Delete),
    Notification(Notification),
}

fn admit(
    ctx: &Context,
    sa: &IkeSa,
    message: &Message<'_>,
) -> Result<AcceptedInformational, Rejected> {
    let id = message.header.message_id;
    let Some(established) = sa.established() else { return Err(Rejected::IncorrectState) };
    if !message.header.flags.is_encrypted() {
        return Err(Rejected::Plain);
    }
    if id == 0 {
        return Err(Rejected::MessageId);
    }
    if established.seen.contains(id) {
        return Err(Rejected::Duplicate);
    }
    let (provider, keys) = (&*ctx.provider, &established.keys);
    let iv = keys.phase2_iv(provider, &established.last_block, id)?;
    let (plain, _) = keys.open(provider, &iv, message)?;
    let chain =
        Chain::read_decrypted(message.header.first, &plain).map_err(|_| Rejected::Undecryptable)?;
    keys.verify_phase2(provider, id, &[], &chain)?;
    let mut items = Vec::new();
    // An item that does not parse is passed over: its neighbours may be worth having.
    for payload in chain.iter() {
        match payload.kind {
            PayloadType::DELETE => items.extend(Delete::read(payload.body).ok().map(Item::Delete)),
            PayloadType::NOTIFICATION => {
                items.extend(Notification::read(payload.body).ok().map(Item::Notification));
            }
            _ => {}
        }
    }
    Ok(AcceptedInformational { items })
}

impl Endpoint {
    pub(crate) fn informational(
        &mut self,
        key: Key,
        (path, marked): (Path, bool),
        message: &Message<'_>,
        now: Instant,
    ) -> Result<(), Rejected> {
        let Some(sa) = self.sas.get_mut(key) else { return Err(Rejected::UnknownCookies) };
        if sa.established().is_none() || !message.header.flags.is_encrypted() {
            return self.unproven_notification(key, message, now);
        }
        let accepted = admit(&self.ctx, sa, message)?;
        if let Some(established) = sa.established_mut() {
            established.seen.insert(message.header.message_id);
        }
        let Some(peer) = sa.peer else { return Err(Rejected::IncorrectState) };
        self.heard(key, path, marked, now);
        let deleted = self.is_deleted(key);
        for item in accepted.items {
            match item {
                Item::Delete(delete) => self.handle_delete(peer, &delete, now),
                Item::Notification(_) if deleted => {}
                Item::Notification(n) => self.handle_notification(key, &n, now),
            }
        }
        self.remove_if_empty(peer, DownReason::Deleted);
        Ok(())
    }

    /// A peer deletes its own SAs only; SPIs and cookies of others find nothing.
    fn handle_delete(&mut self, peer_id: PeerId, delete: &Delete, now: Instant) {
        match delete.protocol {
            ProtocolId::ESP => {
                for spi in &delete.spis {
                    if let Ok(spi) = <[u8; 4]>::try_from(spi.as_slice()) {
                        self.child_deleted(peer_id, u32::from_be_bytes(spi), now);
                    }
                }
            }
            ProtocolId::ISAKMP => {
                let Some(peer) = self.peers.get(peer_id.0) else { return };
                let named = |key: &&Key| {
                    let cookies = self.sas.get(**key).map(|sa| sa.cookies.concat());
                    cookies.is_some_and(|own| delete.spis.iter().any(|spi| *spi == own))
                };
                let gone: Vec<Key> = peer.sas.iter().filter(named).copied().collect();
                for key in gone {
                    self.sa_deleted(key, now);
                }
            }
            _ => {}
        }
    }

    fn handle_notification(&mut self, key: Key, notification: &Notification, now: Instant) {
        match notification.kind {
            NotifyType::R_U_THERE | NotifyType::R_U_THERE_ACK => {
                self.handle_dpd(key, notification);
            }
            NotifyType::INITIAL_CONTACT => self.handle_initial_contact(key, now),
            // About ESP packets and other SAs; nothing here can act on them.
            NotifyType::INVALID_COOKIE | NotifyType::INVALID_SPI => {}
            kind if kind.is_error() => self.quick_mode_refused(key, notification),
            _ => {}
        }
    }

    /// INITIAL-CONTACT outside main mode: the peer's other SAs are of a former life. Only a young SA
    /// may say so, lest an old message be replayed.
    fn handle_initial_contact(&mut self, key: Key, now: Instant) {
        let Some(sa) = self.sas.get(key) else { return };
        let Some(peer_id) = sa.peer else { return };
        if now.since(sa.created) > INITIAL_CONTACT_AGE_MAX {
            return;
        }
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        let older: Vec<Key> = peer.sas.iter().copied().filter(|other| *other != key).collect();
        if older.is_empty() {
            return;
        }
        for other in older {
            self.drop_sa(other);
        }
        let Some(peer) = self.peers.get(peer_id.0) else { return };
        let children: Vec<u32> = peer.children.iter().map(|child| child.inbound).collect();
        for spi in children {
            self.remove_child(peer_id, spi);
        }
        self.note_childless(peer_id, now);
    }

    /// Sends payloads under an established SA, in an exchange of their own.
    pub(crate) fn send_informational(&mut self, key: Key, chain: Out) {
        let id = self.ctx.message_id();
        let Some(sa) = self.sas.get(key) else { return };
        let Some(established) = sa.established() else { return };
        let (provider, keys) = (&*self.ctx.provider, &established.keys);
        let sealed = keys.phase2_iv(provider, &established.last_block, id).and_then(|iv| {
            let chain = keys.hashed(provider, id, &[], chain)?;
            keys.seal(provider, &iv, (sa.cookies, ExchangeType::INFORMATIONAL, id), &chain)
        });
        let (peer, path, marked) = (sa.peer, sa.path, sa.marked);
        if let Ok((bytes, _)) = sealed {
            self.ctx.transmit(Sent { peer, path, marked, bytes });
        }
    }

    /// Deletes children towards the peer and on our side.
    pub(crate) fn delete_children(&mut self, peer_id: PeerId, inbound: &[u32]) {
        self.send_child_deletes(peer_id, inbound);
        for spi in inbound {
            self.remove_child(peer_id, *spi);
        }
    }

    /// Tells the peer that children are deleted, whatever becomes of them here.
    pub(crate) fn send_child_deletes(&mut self, peer_id: PeerId, inbound: &[u32]) {
        if inbound.is_empty() {
            return;
        }
        if let Some(key) = self.newest_sa(peer_id) {
            let spis = inbound.iter().map(|spi| spi.to_be_bytes().to_vec()).collect();
            let delete = Delete { protocol: ProtocolId::ESP, spis };
            let chain = Out::new().with(PayloadType::DELETE, delete.to_bytes());
            self.send_informational(key, chain);
        }
    }

    /// Deletes an IKE SA towards the peer and on our side.
    pub(crate) fn delete_sa(&mut self, key: Key) {
        if let Some(sa) = self.sas.get(key) {
            let spis = Vec::from([sa.cookies.concat().to_vec()]);
            let delete = Delete { protocol: ProtocolId::ISAKMP, spis };
            let chain = Out::new().with(PayloadType::DELETE, delete.to_bytes());
            self.send_informational(key, chain);
        }
        self.drop_sa(key);
    }

    /// Reports an error about a quick mode to the peer.
    pub(crate) fn notify_quick_mode(&mut self, key: Key, kind: NotifyType, spi: Vec<u8>) {
        let protocol = ProtocolId::ESP;
        let body = Notification { protocol, kind, spi, data: Vec::new() };
        let chain = Out::new().with(PayloadType::NOTIFICATION, body.to_bytes());
        self.send_informational(key, chain);
    }

    /// The peer refused a quick mode: the one whose SPI of ours it names, or the only one under way.
    fn quick_mode_refused(&mut self, key: Key, notification: &Notification) {
        let Some(established) = self.sas.get(key).and_then(|sa| sa.established()) else { return };
        let spi = <[u8; 4]>::try_from(notification.spi.as_slice()).map(u32::from_be_bytes).ok();
        let waiting =
            || established.quick.iter().filter_map(|(id, q)| Some((*id, q.pending_spi()?)));
        let named = waiting().find(|(_, offered)| Some(*offered) == spi);
        let only = || waiting().next().filter(|_| waiting().count() == 1);
        let Some((id, _)) = named.or_else(only) else { return };
        self.fail_quick_mode(key, id, FailureCause::PeerNotify(notification.kind));
    }
}

/// Oldest IKE SA over which INITIAL-CONTACT is believed.
const INITIAL_CONTACT_AGE_MAX: Duration = Duration::from_mins(1);
