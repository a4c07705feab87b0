//! An IKE peer made of bytes, and what must hold for the endpoint at all times.

mod trust;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use isthmus_core::{Duration, Instant, Path, SecretBytes};
use isthmus_crypto::{
    CipherAlg, CryptoError, DhJob, DhKeyPair, DhOutput, DhPrivate, EspCipher, EspKeys, EspSuite,
    HashAlg, Provider,
};
use isthmus_ike::codec::Message;
use isthmus_ike::{
    Action, Config, Connect, Endpoint, IkeProposal, JobId, PeerId, PeerUp, Psk, PskId, RemoteMatch,
    bounds,
};

use crate::Step;

/// Cryptography without secrets: ciphers change nothing and every HMAC is the same, so that the
/// fuzzer can write encrypted and authenticated messages. Hashes are real: they tell messages apart.
pub struct Transparent(Arc<dyn Provider>);

impl Default for Transparent {
    fn default() -> Self {
        Self(isthmus_crypto_aws::provider())
    }
}

impl Provider for Transparent {
    fn engine(&self) -> &str {
        "none"
    }

    fn hash(&self, alg: HashAlg, parts: &[&[u8]], out: &mut [u8]) -> Result<(), CryptoError> {
        self.0.hash(alg, parts, out)
    }

    fn hmac(
        &self,
        alg: HashAlg,
        _key: &[u8],
        _parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        out.get_mut(..alg.len()).ok_or(CryptoError::BadLength)?.fill(HMAC);
        Ok(())
    }

    fn cbc_encrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError> {
        let fits = key.len() == alg.key_len()
            && iv.len() == alg.block_len()
            && data.len().is_multiple_of(alg.block_len());
        fits.then_some(()).ok_or(CryptoError::BadLength)
    }

    fn cbc_decrypt(
        &self,
        alg: CipherAlg,
        key: &[u8],
        iv: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.cbc_encrypt(alg, key, iv, data)
    }

    fn des_block(&self, _key: &[u8; 8], block: &[u8; 8]) -> [u8; 8] {
        *block
    }

    fn dh(&self, job: &DhJob) -> Result<DhOutput, CryptoError> {
        let pair = |public_len| DhKeyPair {
            private: DhPrivate(SecretBytes::new(vec![1; 32])),
            public: vec![7; public_len],
        };
        let agree = |peer: &[u8], len| match peer {
            [0, ..] => Err(CryptoError::BadPublicValue),
            _ if peer.len() != len => Err(CryptoError::BadLength),
            _ => Ok(SecretBytes::new(vec![9; 32])),
        };
        match job {
            DhJob::Generate { group, .. } => Ok(DhOutput::KeyPair(pair(group.public_len()))),
            DhJob::GenerateAndAgree { group, peer, .. } => {
                let shared = agree(peer, group.public_len())?;
                Ok(DhOutput::Both(pair(group.public_len()), shared))
            }
            DhJob::Agree { group, peer, .. } => {
                agree(peer, group.public_len()).map(DhOutput::Shared)
            }
        }
    }

    fn esp(&self, _: EspSuite, _: &EspKeys) -> Result<Box<dyn EspCipher>, CryptoError> {
        Err(CryptoError::Unsupported)
    }
}

/// An endpoint and the peers at its other end.
pub struct Line {
    endpoint: Endpoint,
    provider: Arc<dyn Provider>,
    now: Instant,
    initiator: bool,
    jobs: VecDeque<(JobId, isthmus_crypto::Job)>,
    /// Cookies and message id of its last message.
    last: ([u8; 8], [u8; 8], u32),
    up: BTreeSet<PeerId>,
    ever_up: bool,
    inbound: BTreeMap<u32, PeerId>,
    outbound: BTreeSet<(PeerId, u32)>,
    /// Bytes in both directions until the first peer is up.
    received: usize,
    sent: usize,
}

/// What both roles have in common.
fn config() -> Config {
    Config {
        ike: IkeProposal::acceptable(true),
        esp: EspSuite::ALL.to_vec(),
        legacy: true,
        ..Config::default()
    }
}

fn path(peer: u8, port: u16) -> Path {
    let remote = std::net::SocketAddr::from(([203, 0, 113, peer % 4], port));
    Path::new(std::net::SocketAddr::from(([198, 51, 100, 1], port)), remote)
}

impl Line {
    /// A gateway with a key for anyone and one for a group, both in either mode, and with certificates
    /// of two kinds.
    pub fn responder(provider: Arc<dyn Provider>) -> Self {
        let group = Some(RemoteMatch::Group(b"sales".to_vec()));
        let psk = |(id, remote)| Psk { id, secret: SecretBytes::copy_of(b"secret"), remote };
        let psks = [(ANYONE, None), (GROUP, group)].map(psk).to_vec();
        let certificates = Some(trust::certificates());
        let config = Config { psks, certificates, aggressive: true, ..config() };
        Self::new(config, provider, false)
    }

    /// A client that has begun to connect to peer 0.
    pub fn initiator(provider: Arc<dyn Provider>) -> Self {
        let ike = IkeProposal::offered(true);
        let mut line = Self::new(Config { ike, ..config() }, provider, true);
        let psk = SecretBytes::copy_of(b"secret");
        let connect = Connect::l2tp(path(0, 500), path(0, 4500), psk);
        line.endpoint.connect(connect, line.now).unwrap();
        line.settle();
        line
    }

    fn new(config: Config, provider: Arc<dyn Provider>, initiator: bool) -> Self {
        let now = Instant::from_secs(1000);
        Self {
            endpoint: Endpoint::new(Arc::new(config), Arc::clone(&provider), [5; 32], now),
            provider,
            now,
            initiator,
            jobs: VecDeque::new(),
            last: ([0; 8], [0; 8], 0),
            up: BTreeSet::new(),
            ever_up: false,
            inbound: BTreeMap::new(),
            outbound: BTreeSet::new(),
            received: 0,
            sent: 0,
        }
    }

    /// Whether a peer was ever authenticated.
    pub fn ever_up(&self) -> bool {
        self.ever_up
    }

    /// Does one step. The high bits of the operation choose the peer's address.
    pub fn step(&mut self, step: Step<'_>) {
        match step.op % 16 {
            op @ 0..10 => {
                self.datagram(step.op >> 4, op % 2 == 1, step.bytes);
                if op < 8 {
                    self.work();
                }
            }
            10 => self.work(),
            11 | 12 => {
                let wait = step.bytes.first_chunk().map_or(100, |wait| u16::from_be_bytes(*wait));
                self.pass(Duration::from_millis(u64::from(wait)));
            }
            op => self.command(op),
        }
        self.settle();
    }

    /// One step whose datagrams are pieces: op is number and last flag, the bytes are header and data.
    /// Every eighth step is an ordinary one.
    pub fn pieces(&mut self, step: Step<'_>) {
        if step.op % 8 == 0 {
            return self.step(step);
        }
        let (op, mut data) = (step.op, step.bytes.to_vec());
        // The message in the pieces has the cookies of the endpoint's last one, too.
        self.fill_cookies(&mut data);
        let len = u16::try_from(data.len() + 8).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = vec![0xee; 16];
        bytes.extend([132, 0x10, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, len[0], len[1], 0, op >> 7, (op >> 2) % 32, op & 1]);
        bytes.extend(data);
        self.datagram(0, false, &bytes);
        self.work();
        self.settle();
    }

    /// Holds the bounds of reassembly.
    pub fn assert_pieces_are_bounded(&self) {
        let (partials, octets) = self.endpoint.incomplete();
        assert!(partials <= bounds::PARTIALS_PER_SOURCE_MAX * 4);
        assert!(octets <= bounds::FRAGMENT_OCTETS_MAX);
    }

    /// Closes what is up and falls silent: nothing may be left.
    pub fn end(mut self) {
        self.work();
        for peer in self.up.clone() {
            self.endpoint.close_peer(peer, self.now);
            self.settle();
        }
        self.pass(Duration::from_mins(10));
        let endpoint = &self.endpoint;
        assert!(self.up.is_empty() && self.inbound.is_empty() && self.outbound.is_empty());
        assert_eq!((endpoint.peers(), endpoint.ike_sas()), (0, 0), "peers and IKE SAs are left");
        assert_eq!((endpoint.inbound_spis(), endpoint.half_open()), (0, 0), "SPIs are left");
        assert_eq!(endpoint.poll_timeout(), None);
    }

    /// A datagram with a right length. Cookies of 0xee and message id 0xeeeeeeee stand for those of
    /// the endpoint's last message.
    fn datagram(&mut self, peer: u8, marked: bool, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let len = u32::try_from(bytes.len()).unwrap();
        self.fill_cookies(&mut bytes);
        if let Some(header) = bytes.first_chunk_mut::<28>() {
            let (.., id) = self.last;
            if header[20..24] == [0xee; 4] {
                header[20..24].copy_from_slice(&id.to_be_bytes());
            }
            header[24..].copy_from_slice(&len.to_be_bytes());
        }
        self.received += bytes.len();
        let path = path(peer, if marked { 4500 } else { 500 });
        let before = self.counts();
        let result = self.endpoint.handle_datagram(path, marked, &bytes, self.now);
        let known = Message::read(&bytes).is_ok();
        if !known {
            assert!(result.is_err() && self.endpoint.poll_action().is_none());
            assert_eq!(self.counts(), before, "what is no message changed something");
        }
        self.settle();
    }

    /// Puts the cookies of the endpoint's last message where cookies of 0xee stand.
    fn fill_cookies(&self, bytes: &mut [u8]) {
        let (initiator, responder, _) = self.last;
        for (at, value) in [(0, initiator), (8, responder)] {
            if let Some(cookie) = bytes.get_mut(at..at + 8).filter(|cookie| **cookie == [0xee; 8]) {
                cookie.copy_from_slice(&value);
            }
        }
    }

    fn counts(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let endpoint = &self.endpoint;
        let counts = (endpoint.peers(), endpoint.ike_sas());
        (counts, endpoint.inbound_spis(), endpoint.half_open(), endpoint.poll_timeout())
    }

    fn work(&mut self) {
        while let Some((id, job)) = self.jobs.pop_front() {
            let result = job.run(&*self.provider);
            self.endpoint.handle_job(id, result, self.now);
            self.settle();
        }
    }

    fn command(&mut self, op: u8) {
        let Some(peer) = self.up.first().copied() else { return };
        match op {
            13 => self.endpoint.rekey_child(peer, self.now),
            14 => self.endpoint.rekey_ike(peer, self.now),
            _ => {
                if let Some(spi) = self.inbound.keys().next_back().copied() {
                    self.endpoint.inbound_used(spi, self.now);
                }
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        let mut rounds = 0;
        while let Some(due) = self.endpoint.poll_timeout().filter(|due| due.at <= end) {
            self.now = self.now.max(due.at);
            self.endpoint.handle_timeout(self.now);
            self.settle();
            self.work();
            rounds += 1;
            assert!(rounds < 10_000, "timers without end");
        }
        self.now = end;
    }

    /// Takes what the endpoint wants done and checks that it may want it.
    fn settle(&mut self) {
        while let Some(action) = self.endpoint.poll_action() {
            match action {
                Action::Transmit { bytes, .. } => self.note(&bytes),
                Action::Offload { id, job } => self.jobs.push_back((id, job)),
                Action::PeerUp(up) => {
                    self.ever_up = true;
                    assert!(self.up.insert(up.peer), "up twice");
                    self.check_key(&up);
                }
                Action::PeerDown { peer, .. } => {
                    assert!(self.up.remove(&peer), "down without up");
                    assert!(self.inbound.values().all(|owner| *owner != peer), "left behind");
                    assert!(self.outbound.iter().all(|(owner, _)| *owner != peer), "left behind");
                }
                Action::InstallInbound(sa) => {
                    assert!(self.up.contains(&sa.peer), "a child of nobody");
                    assert!(self.inbound.insert(sa.spi, sa.peer).is_none(), "installed twice");
                }
                Action::InstallOutbound(sa) => {
                    assert!(self.up.contains(&sa.peer), "a child of nobody");
                    assert!(self.outbound.insert((sa.peer, sa.spi)), "installed twice");
                }
                Action::RemoveInbound { peer, spi } => {
                    assert_eq!(self.inbound.remove(&spi), Some(peer), "was not there");
                }
                Action::RemoveOutbound { peer, spi } => {
                    assert!(self.outbound.remove(&(peer, spi)), "was not there");
                }
                Action::ChildUp(child) => {
                    assert_eq!(self.inbound.get(&child.inbound), Some(&child.peer));
                    assert!(self.outbound.contains(&(child.peer, child.outbound)));
                }
                Action::PeerRekeyed { peer } | Action::PathMoved { peer, .. } => {
                    assert!(self.up.contains(&peer), "news of nobody");
                }
                Action::Failed(_) | Action::Keepalive { .. } => {}
            }
        }
        assert!(self.endpoint.inbound_spis() >= self.inbound.len());
        assert!(self.endpoint.peers() >= self.up.len());
        let paid = self.initiator || self.ever_up || self.sent <= self.received;
        assert!(paid, "more was sent than received before anyone was known");
    }

    /// A peer of the gateway came in by one of its keys, and goes by a name that may have it.
    fn check_key(&self, up: &PeerUp) {
        match up.psk {
            // A client has the keys of its servers only, and they have no number.
            _ if self.initiator => {}
            ANYONE => {}
            GROUP => assert!(up.identity.to_string().contains("sales"), "not of the group"),
            authority => assert_eq!(authority, trust::AUTHORITY, "a key that nobody has"),
        }
    }

    /// What it sends is a sound message.
    fn note(&mut self, bytes: &[u8]) {
        let header = Message::read(bytes).unwrap().header;
        self.last = (header.cookies.initiator, header.cookies.responder, header.message_id);
        self.sent += bytes.len();
    }
}

/// The key for anyone.
const ANYONE: PskId = PskId(7);
/// The key of the group "sales".
const GROUP: PskId = PskId(8);
/// Every byte of every HMAC.
const HMAC: u8 = 0x5a;
