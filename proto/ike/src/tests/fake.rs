//! An initiator built by hand from the RFCs, sharing no exchange or key schedule code with the
//! endpoint: it can take the shape of any client, and misbehave.

mod aggressive;
mod certificate;

use alloc::vec::Vec;
use alloc::{format, vec};
use core::net::SocketAddr;

use isthmus_core::Path;
use isthmus_crypto::{CipherAlg, DhGroup, DhJob, DhOutput, DhPrivate, HashAlg, Provider};

use super::net::{NAT_PUBLIC, Net, Packet, SECRET, SERVER_PRIVATE};
use crate::Rejected;
use crate::codec::{Chain, Cookies, Flags, Header, IdBody, Message, NatOa, Out, SaBody};
use crate::iana::{ExchangeType, PayloadType};

/// The shape of a client.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    /// Encryption, key bits, hash, group.
    pub(super) ike: Vec<(u16, Option<u16>, u16, u16)>,
    pub(super) vids: Vec<Vec<u8>>,
    /// Life duration.
    pub(super) seconds: u32,
    /// Life duration in four bytes, as Windows sends it.
    pub(super) long_duration: bool,
    pub(super) nat_d: PayloadType,
    pub(super) initial_contact: bool,
}

pub(super) struct Fake {
    pub(super) profile: Profile,
    pub(super) psk: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) cookies: Cookies,
    /// As the server sees them: main mode until message 4, and after the float.
    pub(super) path: Path,
    pub(super) marked: bool,
    pub(super) nonce_i: Vec<u8>,
    pub(super) cipher: CipherAlg,
    pub(super) hash: HashAlg,
    group: DhGroup,
    sa_i: Vec<u8>,
    private: Option<DhPrivate>,
    ke_i: Vec<u8>,
    skeyid: Vec<u8>,
    skeyid_d: Vec<u8>,
    skeyid_a: Vec<u8>,
    key: Vec<u8>,
    hash_r_parts: (Vec<u8>, Vec<u8>),
    /// IV of the next main mode message, and in the end the base of phase 2 IVs.
    iv: Vec<u8>,
    provider: alloc::sync::Arc<dyn Provider>,
}

/// A quick mode of the fake under way.
pub(super) struct FakeQuick {
    pub(super) id: u32,
    pub(super) nonce_i: Vec<u8>,
    pub(super) iv: Vec<u8>,
    pub(super) chain: Vec<(PayloadType, Vec<u8>)>,
    nonce_r: Vec<u8>,
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| u8::try_from(char::from(b).to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn attribute(class: u16, value: u16) -> Vec<u8> {
    [(class | 0x8000).to_be_bytes(), value.to_be_bytes()].concat()
}

fn long_attribute(class: u16, value: u32) -> Vec<u8> {
    [class.to_be_bytes().to_vec(), vec![0, 4], value.to_be_bytes().to_vec()].concat()
}

fn link(next: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[next, 0][..], &len, body].concat()
}

impl Profile {
    /// The body of the SA payload, laid out by hand.
    pub(super) fn sa_body(&self) -> Vec<u8> {
        let count = self.ike.len();
        let mut transforms = Vec::new();
        for (index, (encryption, bits, hash, group)) in self.ike.iter().enumerate() {
            let mut body = vec![u8::try_from(index + 1).unwrap(), 1, 0, 0];
            body.extend(attribute(1, *encryption));
            body.extend(bits.iter().flat_map(|bits| attribute(14, *bits)));
            body.extend(attribute(2, *hash));
            body.extend(attribute(4, *group));
            body.extend(attribute(3, 1));
            body.extend(attribute(11, 1));
            if self.long_duration {
                body.extend(long_attribute(12, self.seconds));
            } else {
                body.extend(attribute(12, u16::try_from(self.seconds).unwrap()));
            }
            let next = if index + 1 < count { 3 } else { 0 };
            transforms.extend(link(next, &body));
        }
        let proposal = [vec![1, 1, 0, u8::try_from(count).unwrap()], transforms].concat();
        [vec![0, 0, 0, 1, 0, 0, 0, 1], link(0, &proposal)].concat()
    }
}

/// The body of an SA payload that offers ESP suites, one proposal each as Windows does or one for all:
/// transform id, key bits, authentication.
pub(super) fn esp_offer(
    suites: &[(u8, Option<u16>, Option<u16>)],
    spi: u32,
    mode: u16,
    group: Option<u16>,
    separate: bool,
) -> Vec<u8> {
    let transform = |number: usize, next: u8, suite: &(u8, Option<u16>, Option<u16>)| {
        let mut body = vec![u8::try_from(number).unwrap(), suite.0, 0, 0];
        body.extend(attribute(4, mode));
        body.extend(suite.1.iter().flat_map(|bits| attribute(6, *bits)));
        body.extend(suite.2.iter().flat_map(|auth| attribute(5, *auth)));
        body.extend(group.iter().flat_map(|group| attribute(3, *group)));
        body.extend([attribute(1, 1), long_attribute(2, 3600)].concat());
        body.extend([attribute(1, 2), long_attribute(2, 250_000)].concat());
        link(next, &body)
    };
    let head = |number: usize, count: usize| {
        let (number, count) = (u8::try_from(number).unwrap(), u8::try_from(count).unwrap());
        [vec![number, 3, 4, count], spi.to_be_bytes().to_vec()].concat()
    };
    let mut out = vec![0, 0, 0, 1, 0, 0, 0, 1];
    let last = suites.len();
    if separate {
        for (index, suite) in (1..).zip(suites) {
            let proposal = [head(index, 1), transform(1, 0, suite)].concat();
            out.extend(link(if index < last { 2 } else { 0 }, &proposal));
        }
    } else {
        let mut proposal = head(1, last);
        for (index, suite) in (1..).zip(suites) {
            proposal.extend(transform(index, if index < last { 3 } else { 0 }, suite));
        }
        out.extend(link(0, &proposal));
    }
    out
}

impl Fake {
    pub(super) fn new(profile: Profile, index: u16) -> Self {
        let local = SocketAddr::new(SERVER_PRIVATE.parse().unwrap(), 500);
        let remote = SocketAddr::new(NAT_PUBLIC.parse().unwrap(), 30_000 + index * 2);
        let tag = u8::try_from(index + 1).unwrap();
        let private = "192.168.1.10".parse().unwrap();
        Self {
            profile,
            psk: SECRET.to_vec(),
            id: IdBody::address(private, 0, 0).to_bytes(),
            cookies: Cookies { initiator: [tag; 8], responder: [0; 8] },
            path: Path::new(local, remote),
            marked: false,
            nonce_i: vec![tag; 24],
            cipher: CipherAlg::Aes128Cbc,
            hash: HashAlg::Sha1,
            group: DhGroup::Modp2048,
            sa_i: Vec::new(),
            private: None,
            ke_i: Vec::new(),
            skeyid: Vec::new(),
            skeyid_d: Vec::new(),
            skeyid_a: Vec::new(),
            key: Vec::new(),
            hash_r_parts: (Vec::new(), Vec::new()),
            iv: Vec::new(),
            provider: isthmus_crypto_aws::provider(),
        }
    }

    fn prf(&self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0; self.hash.len()];
        self.provider.hmac(self.hash, key, parts, &mut out).unwrap();
        out
    }

    fn digest(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0; self.hash.len()];
        self.provider.hash(self.hash, parts, &mut out).unwrap();
        out
    }

    /// A message with any header and body.
    pub(super) fn message(&self, exchange: ExchangeType, id: u32, flags: u8, out: &Out) -> Vec<u8> {
        let body = out.to_bytes();
        self.raw_message(exchange, id, flags, out.first(), &body)
    }

    pub(super) fn raw_message(
        &self,
        exchange: ExchangeType,
        message_id: u32,
        flags: u8,
        first: PayloadType,
        body: &[u8],
    ) -> Vec<u8> {
        let (cookies, flags) = (self.cookies, Flags(flags));
        let header = Header { cookies, first, exchange, flags, message_id };
        let mut w = isthmus_wire::Writer::new();
        header.write(&mut w, body.len());
        w.bytes(body);
        w.into_vec()
    }

    pub(super) fn mm1(&mut self) -> Vec<u8> {
        self.sa_i = self.profile.sa_body();
        let mut out = Out::new().with(PayloadType::SA, self.sa_i.as_slice());
        for vid in &self.profile.vids {
            out.push(PayloadType::VENDOR_ID, vid.as_slice());
        }
        self.message(ExchangeType::IDENTITY_PROTECTION, 0, 0, &out)
    }

    /// Reads message 2: the cookie and the chosen algorithms. Returns message 3.
    pub(super) fn mm3(&mut self, mm2: &[u8]) -> Vec<u8> {
        let message = Message::read(mm2).unwrap();
        self.cookies = message.header.cookies;
        let chain = Chain::read(message.header.first, message.body).unwrap();
        self.learn(&chain);
        let seed = [self.nonce_i[0]; 32];
        let pair = self.provider.dh(&DhJob::Generate { group: self.group, seed });
        let Ok(DhOutput::KeyPair(pair)) = pair else { panic!("no key pair") };
        (self.private, self.ke_i) = (Some(pair.private), pair.public);
        let out = self.mm3_payloads();
        self.message(ExchangeType::IDENTITY_PROTECTION, 0, 0, &out)
    }

    /// The algorithms that the server chose.
    fn learn(&mut self, chain: &Chain<'_>) {
        let sa = SaBody::read(chain.required(PayloadType::SA).unwrap()).unwrap();
        let value = |class| sa.proposals[0].transforms[0].attribute(class)?.as_u16();
        self.cipher = match (value(1), value(14)) {
            (Some(7), Some(256)) => CipherAlg::Aes256Cbc,
            (Some(7), Some(128)) => CipherAlg::Aes128Cbc,
            (Some(5), None) => CipherAlg::TripleDesCbc,
            other => panic!("chose {other:?}"),
        };
        self.hash = match value(2) {
            Some(1) => HashAlg::Md5,
            Some(2) => HashAlg::Sha1,
            Some(4) => HashAlg::Sha256,
            Some(5) => HashAlg::Sha384,
            other => panic!("chose {other:?}"),
        };
        self.group = DhGroup::from_number(value(4).unwrap()).unwrap();
    }

    pub(super) fn mm3_payloads(&self) -> Out {
        // The server's address as dialled and our private one: both are behind NATs.
        let cookies = self.cookies.concat();
        let hash = |ip: [u8; 4]| self.digest(&[&cookies, &ip, &500u16.to_be_bytes()]);
        Out::new()
            .with(PayloadType::KE, self.ke_i.as_slice())
            .with(PayloadType::NONCE, self.nonce_i.as_slice())
            .with(self.profile.nat_d, hash([198, 51, 100, 1]))
            .with(self.profile.nat_d, hash([192, 168, 1, 10]))
    }

    /// Reads message 4, makes the keys as RFC 2409 §5 writes them. Returns message 5.
    pub(super) fn mm5(&mut self, mm4: &[u8]) -> Vec<u8> {
        let message = Message::read(mm4).unwrap();
        let chain = Chain::read(message.header.first, message.body).unwrap();
        let ke_r = chain.required(PayloadType::KE).unwrap().to_vec();
        let nonce_r = chain.required(PayloadType::NONCE).unwrap();
        let hash_i = self.derive(&ke_r, nonce_r);
        let cookies = self.cookies.concat();
        let mut out =
            Out::new().with(PayloadType::ID, self.id.as_slice()).with(PayloadType::HASH, hash_i);
        if self.profile.initial_contact {
            let body = [&[0, 0, 0, 1, 1, 16, 0x60, 2][..], &cookies].concat();
            out.push(PayloadType::NOTIFICATION, body);
        }
        self.float();
        let iv = self.iv.clone();
        let (bytes, iv) = self.seal(ExchangeType::IDENTITY_PROTECTION, 0, &iv, &out);
        self.iv = iv;
        bytes
    }

    /// Makes the keys; returns our hash.
    fn derive(&mut self, ke_r: &[u8], nonce_r: &[u8]) -> Vec<u8> {
        let agree = DhJob::Agree {
            group: self.group,
            private: self.private.clone().unwrap(),
            peer: ke_r.to_vec(),
        };
        let Ok(DhOutput::Shared(shared)) = self.provider.dh(&agree) else { panic!("no secret") };
        let skeyid = self.prf(&self.psk, &[&self.nonce_i, nonce_r]);
        self.derive_from(skeyid, ke_r, shared.expose())
    }

    /// Everything that follows from SKEYID; returns our hash.
    fn derive_from(&mut self, skeyid: Vec<u8>, ke_r: &[u8], gxy: &[u8]) -> Vec<u8> {
        let cookies = self.cookies.concat();
        self.skeyid = skeyid;
        self.skeyid_d = self.prf(&self.skeyid, &[gxy, &cookies, &[0]]);
        self.skeyid_a = self.prf(&self.skeyid, &[&self.skeyid_d, gxy, &cookies, &[1]]);
        let skeyid_e = self.prf(&self.skeyid, &[&self.skeyid_a, gxy, &cookies, &[2]]);
        self.key = skeyid_e.clone();
        if self.key.len() < self.cipher.key_len() {
            let one = self.prf(&skeyid_e, &[&[0]]);
            let two = self.prf(&skeyid_e, &[&one]);
            self.key = [one, two].concat();
        }
        self.key.truncate(self.cipher.key_len());
        self.iv = self.digest(&[&self.ke_i, ke_r]);
        self.iv.truncate(self.cipher.block_len());
        let (i, r) = (self.cookies.initiator, self.cookies.responder);
        let hash_i = self.prf(&self.skeyid, &[&self.ke_i, ke_r, &i, &r, &self.sa_i, &self.id]);
        let before = [ke_r, &self.ke_i, &r, &i, &self.sa_i].concat();
        self.hash_r_parts = (before, Vec::new());
        hash_i
    }

    /// From here on over port 4500.
    fn float(&mut self) {
        if !self.marked {
            self.marked = true;
            self.path.local.set_port(4500);
            self.path.remote.set_port(self.path.remote.port() + 1);
        }
    }

    /// Verifies message 6.
    pub(super) fn mm6(&mut self, mm6: &[u8]) {
        let iv = self.iv.clone();
        let (payloads, iv) = self.open(&iv, mm6);
        self.iv = iv;
        let of = |kind| payloads.iter().find(|p| p.0 == kind).unwrap().1.clone();
        let expected = self.prf(&self.skeyid, &[&self.hash_r_parts.0, &of(PayloadType::ID)]);
        assert_eq!(of(PayloadType::HASH), expected, "HASH_R");
    }

    pub(super) fn seal(
        &self,
        exchange: ExchangeType,
        id: u32,
        iv: &[u8],
        out: &Out,
    ) -> (Vec<u8>, Vec<u8>) {
        let mut body = out.to_bytes();
        body.resize(body.len().next_multiple_of(iv.len()), 0);
        self.provider.cbc_encrypt(self.cipher, &self.key, iv, &mut body).unwrap();
        let next = body[body.len() - iv.len()..].to_vec();
        (self.raw_message(exchange, id, 1, out.first(), &body), next)
    }

    pub(super) fn open(&self, iv: &[u8], bytes: &[u8]) -> (Vec<(PayloadType, Vec<u8>)>, Vec<u8>) {
        let message = Message::read(bytes).unwrap();
        assert!(message.header.flags.is_encrypted());
        let mut plain = message.body.to_vec();
        let next = plain[plain.len() - iv.len()..].to_vec();
        self.provider.cbc_decrypt(self.cipher, &self.key, iv, &mut plain).unwrap();
        let chain = Chain::read_decrypted(message.header.first, &plain).unwrap();
        (chain.iter().map(|p| (p.kind, p.body.to_vec())).collect(), next)
    }

    pub(super) fn phase2_iv(&self, id: u32) -> Vec<u8> {
        let mut iv = self.digest(&[&self.iv, &id.to_be_bytes()]);
        iv.truncate(self.cipher.block_len());
        iv
    }

    /// Whole main mode against node 0.
    pub(super) fn connect(profile: Profile, index: u16, net: &mut Net) -> Self {
        let mut fake = Self::new(profile, index);
        fake.main_mode(net);
        fake
    }

    pub(super) fn main_mode(&mut self, net: &mut Net) {
        let mm1 = self.mm1();
        let mm2 = self.ask(net, &mm1).expect("message 2");
        let mm3 = self.mm3(&mm2);
        let mm4 = self.ask(net, &mm3).expect("message 4");
        let mm5 = self.mm5(&mm4);
        let mm6 = self.ask(net, &mm5).expect("message 6");
        self.mm6(&mm6);
    }

    /// Sends to node 0 and takes its answer.
    pub(super) fn ask(&self, net: &mut Net, bytes: &[u8]) -> Result<Vec<u8>, Rejected> {
        self.tell(net, bytes)?;
        let exchange = Message::read(bytes).unwrap().header.exchange;
        let same = |packet: &Packet| super::net::exchange_of(packet) == exchange;
        let index = net.taken.iter().position(same).expect("an answer");
        let answer = net.taken.remove(index).unwrap();
        assert_eq!(answer.path, self.path, "answered elsewhere");
        Ok(answer.bytes)
    }

    /// Sends to node 0.
    pub(super) fn tell(&self, net: &mut Net, bytes: &[u8]) -> Result<(), Rejected> {
        let (path, marked) = (self.path, self.marked);
        net.deliver(&Packet { from: 1, to: 0, path, marked, bytes: bytes.to_vec() })
    }

    /// Message 1 of quick mode, the payloads behind HASH given.
    pub(super) fn qm1(&self, id: u32, nonce: &[u8], rest: Out) -> (Vec<u8>, FakeQuick) {
        let hash = self.prf(&self.skeyid_a, &[&id.to_be_bytes(), &rest.to_bytes()]);
        let out = rest.preceded_by(PayloadType::HASH, hash);
        let (bytes, iv) = self.seal(ExchangeType::QUICK_MODE, id, &self.phase2_iv(id), &out);
        let (nonce_i, nonce_r, chain) = (nonce.to_vec(), Vec::new(), Vec::new());
        (bytes, FakeQuick { id, nonce_i, iv, chain, nonce_r })
    }

    /// Verifies message 2 of quick mode; returns message 3.
    pub(super) fn qm3(&self, quick: &mut FakeQuick, qm2: &[u8]) -> Vec<u8> {
        let (payloads, iv) = self.open(&quick.iv, qm2);
        assert_eq!(payloads[0].0, PayloadType::HASH);
        let mut rest = Out::new();
        for (kind, body) in &payloads[1..] {
            rest.push(*kind, body.as_slice());
        }
        let id = quick.id.to_be_bytes();
        let expected = self.prf(&self.skeyid_a, &[&id, &quick.nonce_i, &rest.to_bytes()]);
        assert_eq!(payloads[0].1, expected, "HASH(2)");
        quick.nonce_r = payloads.iter().find(|p| p.0 == PayloadType::NONCE).unwrap().1.clone();
        quick.chain = payloads;
        let hash = self.prf(&self.skeyid_a, &[&[0], &id, &quick.nonce_i, &quick.nonce_r]);
        let out = Out::new().with(PayloadType::HASH, hash);
        self.seal(ExchangeType::QUICK_MODE, quick.id, &iv, &out).0
    }

    /// KEYMAT of one direction, as RFC 2409 §5.5 writes it.
    pub(super) fn keymat(&self, quick: &FakeQuick, spi: u32, shared: &[u8], len: usize) -> Vec<u8> {
        let mut keymat = Vec::new();
        let mut block = Vec::new();
        while keymat.len() < len {
            let spi = spi.to_be_bytes();
            let parts: [&[u8]; 6] = [&block, shared, &[3], &spi, &quick.nonce_i, &quick.nonce_r];
            block = self.prf(&self.skeyid_d, &parts);
            keymat.extend_from_slice(&block);
        }
        keymat.truncate(len);
        keymat
    }

    /// Whole quick mode with the given payloads; returns it and the server's SPI.
    pub(super) fn quick_mode(
        &self,
        net: &mut Net,
        id: u32,
        rest: Out,
    ) -> Result<(FakeQuick, u32), Rejected> {
        let nonce = self.nonce_i.clone();
        let (qm1, mut quick) = self.qm1(id, &nonce, rest);
        let qm2 = self.ask(net, &qm1)?;
        let qm3 = self.qm3(&mut quick, &qm2);
        self.tell(net, &qm3)?;
        let spi = quick.sa().proposals[0].esp_spi().unwrap();
        Ok((quick, spi))
    }

    /// The payloads of an ordinary message 1 of quick mode.
    pub(super) fn payloads(&self, sa: Vec<u8>, ids: Option<(Vec<u8>, Vec<u8>)>) -> Out {
        let mut out =
            Out::new().with(PayloadType::SA, sa).with(PayloadType::NONCE, self.nonce_i.as_slice());
        if let Some((ours, theirs)) = ids {
            out = out.with(PayloadType::ID, ours).with(PayloadType::ID, theirs);
        }
        out
    }

    /// An informational message with a true HASH.
    pub(super) fn informational(&self, id: u32, rest: Out) -> Vec<u8> {
        let hash = self.prf(&self.skeyid_a, &[&id.to_be_bytes(), &rest.to_bytes()]);
        let out = rest.preceded_by(PayloadType::HASH, hash);
        self.seal(ExchangeType::INFORMATIONAL, id, &self.phase2_iv(id), &out).0
    }

    /// Opens an informational message of the server: the payloads behind HASH, which is verified.
    pub(super) fn read_informational(&self, bytes: &[u8]) -> Vec<(PayloadType, Vec<u8>)> {
        let id = Message::read(bytes).unwrap().header.message_id;
        let (payloads, _) = self.open(&self.phase2_iv(id), bytes);
        let mut rest = Out::new();
        for (kind, body) in &payloads[1..] {
            rest.push(*kind, body.as_slice());
        }
        let expected = self.prf(&self.skeyid_a, &[&id.to_be_bytes(), &rest.to_bytes()]);
        assert_eq!(payloads[0], (PayloadType::HASH, expected));
        payloads[1..].to_vec()
    }

    /// A DELETE of ESP SAs that the fake receives on.
    pub(super) fn delete_esp(&self, id: u32, spis: &[u32]) -> Vec<u8> {
        let count = u16::try_from(spis.len()).unwrap().to_be_bytes();
        let mut body = [&[0, 0, 0, 1, 3, 4][..], &count].concat();
        for spi in spis {
            body.extend(spi.to_be_bytes());
        }
        self.informational(id, Out::new().with(PayloadType::DELETE, body))
    }

    /// A DELETE of the IKE SA.
    pub(super) fn delete_ike(&self, id: u32) -> Vec<u8> {
        let body = [&[0, 0, 0, 1, 1, 16, 0, 1][..], &self.cookies.concat()].concat();
        self.informational(id, Out::new().with(PayloadType::DELETE, body))
    }
}

impl FakeQuick {
    /// What the server chose.
    pub(super) fn sa(&self) -> SaBody {
        let sa = self.chain.iter().find(|p| p.0 == PayloadType::SA).unwrap();
        SaBody::read(&sa.1).unwrap()
    }

    /// The bodies of a payload type in message 2.
    pub(super) fn all(&self, kind: PayloadType) -> Vec<Vec<u8>> {
        self.chain.iter().filter(|p| p.0 == kind).map(|p| p.1.clone()).collect()
    }
}

/// A UDP selector for an address.
pub(super) fn udp(address: &str, port: u16) -> Vec<u8> {
    IdBody::address(address.parse().unwrap(), 17, port).to_bytes()
}

/// A NAT-OA body.
pub(super) fn original(address: &str) -> Vec<u8> {
    NatOa(address.parse().unwrap()).to_bytes()
}

fn vids(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|vid| hex(vid)).collect()
}

const RFC3947: &str = "4a131c81070358455c5728f20e95452f";
const DRAFT02N: &str = "90cb80913ebb696e086381b5ec427b1f";
const DPD: &str = "afcad71368a1f1c96b8696fc77570100";

/// Windows 8 to 11: P-384 first, N = 9.
pub(super) fn windows10() -> Profile {
    Profile {
        ike: vec![
            (7, Some(256), 2, 20),
            (7, Some(128), 2, 19),
            (7, Some(256), 2, 14),
            (5, None, 2, 14),
            (5, None, 2, 2),
        ],
        vids: vids(&[
            "01528bbbc00696121849ab9a1c5b2a51 00000001",
            "1e2b516905991c7d7c96fcbfb587e461 00000009",
            RFC3947,
            DRAFT02N,
            "4048b7d56ebce88525e7de7f00d6c2d3",
            "fb1de3cdf341b7ea16b7e5be0855f120",
            "26244d38eddb61b3172a36e3d0cfb819",
            "e3a5966a76379fe707228231e5ce8652",
        ]),
        seconds: 28_800,
        long_duration: true,
        nat_d: PayloadType::NAT_D,
        initial_contact: false,
    }
}

/// Windows XP: 3DES, small groups, draft-02 only.
pub(super) fn windows_xp() -> Profile {
    Profile {
        ike: vec![(5, None, 2, 14), (5, None, 2, 2), (5, None, 1, 2), (1, None, 2, 1)],
        vids: vids(&["1e2b516905991c7d7c96fcbfb587e461 00000003", DRAFT02N]),
        seconds: 28_800,
        long_duration: true,
        nat_d: PayloadType::NAT_D_DRAFT,
        initial_contact: false,
    }
}

/// macOS and iOS of the last years.
pub(super) fn apple() -> Profile {
    let group = |group: u16, hashes: &[u16]| -> Vec<_> {
        hashes.iter().map(|hash| (7, Some(256), *hash, group)).collect()
    };
    let mut ike = [group(14, &[4, 2, 1, 6]), group(5, &[4, 2, 1]), group(2, &[4, 2, 1])].concat();
    ike.extend([(7, Some(128), 2, 2), (7, Some(128), 1, 2), (5, None, 2, 2), (5, None, 1, 2)]);
    let drafts = [
        "8f8d83826d246b6fc7a8a6a428c11de8",
        "439b59f8ba676c4c7737ae22eab8f582",
        "4d1e0e136deafa34c4f3ea9f02ec7285",
        "80d0bb3def54565ee84645d4c85ce3ee",
        "9909b64eed937c6573de52ace952fa6b",
        "7d9419a65310ca6f2c179d9215529d56",
        "cd60464335df21f87cfdb2fc68b6a448",
        DRAFT02N,
        "4048b7d56ebce88525e7de7f00d6c2d3 80000000",
        DPD,
    ];
    let all = [&[RFC3947, "4df37928e9fc4fd1b3262170d515c662"][..], &drafts].concat();
    Profile {
        ike,
        vids: vids(&all),
        seconds: 28_800,
        long_duration: false,
        nat_d: PayloadType::NAT_D,
        initial_contact: true,
    }
}

/// Android 7 to 11: group 2 only.
pub(super) fn android() -> Profile {
    let with = |cipher, bits, hashes: &[u16]| -> Vec<_> {
        hashes.iter().map(|hash| (cipher, bits, *hash, 2)).collect()
    };
    Profile {
        ike: [
            with(7, Some(256), &[5, 4, 6, 2, 1]),
            with(7, Some(128), &[6, 5, 4, 2, 1]),
            with(5, None, &[4, 2, 1]),
            with(1, None, &[4, 2, 1]),
        ]
        .concat(),
        vids: vids(&[
            RFC3947,
            "cd60464335df21f87cfdb2fc68b6a448",
            DRAFT02N,
            "4485152d18b6bbcd0be8a8469579ddcc",
            "4048b7d56ebce88525e7de7f00d6c2d3 80000000",
            DPD,
        ]),
        seconds: 28_800,
        long_duration: false,
        nat_d: PayloadType::NAT_D,
        initial_contact: true,
    }
}

/// NetworkManager-l2tp on libreswan or strongSwan.
pub(super) fn network_manager() -> Profile {
    Profile {
        ike: vec![(7, Some(256), 4, 14), (7, Some(256), 2, 14), (7, Some(256), 2, 20)],
        vids: vids(&[DPD, RFC3947, "882fe56d6fd20dbc2251613b2ebe5beb"]),
        seconds: 28_800,
        long_duration: false,
        nat_d: PayloadType::NAT_D,
        initial_contact: true,
    }
}

/// A short description for assertions.
pub(super) fn names(net: &Net) -> Vec<alloc::string::String> {
    net.nodes[0].failed.iter().map(|f| format!("{}", f.cause)).collect()
}
