//! The fake in aggressive mode.

use alloc::vec::Vec;

use isthmus_crypto::{DhGroup, DhJob, DhOutput};

use super::{Fake, Net};
use crate::codec::{Chain, Message, Out};
use crate::iana::{ExchangeType, PayloadType};

impl Fake {
    /// Message 1, with a share of the group that all transforms have.
    pub(in crate::tests) fn am1(&mut self) -> Vec<u8> {
        self.sa_i = self.profile.sa_body();
        self.group = DhGroup::from_number(self.profile.ike[0].3).unwrap();
        let seed = [self.nonce_i[0]; 32];
        let pair = self.provider.dh(&DhJob::Generate { group: self.group, seed });
        let Ok(DhOutput::KeyPair(pair)) = pair else { panic!("no key pair") };
        (self.private, self.ke_i) = (Some(pair.private), pair.public);
        let out = self.am1_payloads();
        self.message(ExchangeType::AGGRESSIVE, 0, 0, &out)
    }

    pub(in crate::tests) fn am1_payloads(&self) -> Out {
        let mut out = Out::new()
            .with(PayloadType::SA, self.sa_i.as_slice())
            .with(PayloadType::KE, self.ke_i.as_slice())
            .with(PayloadType::NONCE, self.nonce_i.as_slice())
            .with(PayloadType::ID, self.id.as_slice());
        for vid in &self.profile.vids {
            out.push(PayloadType::VENDOR_ID, vid.as_slice());
        }
        out
    }

    /// Reads and verifies message 2. Returns message 3: hashes of NAT detection over port 4500 as
    /// racoon and strongSwan have them, or over 500.
    pub(in crate::tests) fn am3(&mut self, am2: &[u8], encrypted: bool, port: u16) -> Vec<u8> {
        let message = Message::read(am2).unwrap();
        self.cookies = message.header.cookies;
        let chain = Chain::read(message.header.first, message.body).unwrap();
        self.learn(&chain);
        let of = |kind| chain.required(kind).unwrap();
        let (ke_r, nonce_r) = (of(PayloadType::KE), of(PayloadType::NONCE));
        let hash_i = self.derive(ke_r, nonce_r);
        let expected = self.prf(&self.skeyid, &[&self.hash_r_parts.0, of(PayloadType::ID)]);
        assert_eq!(of(PayloadType::HASH), expected, "HASH_R");
        let nat_d = chain.all(self.profile.nat_d).count();
        let announced = self.profile.vids.iter().any(|vid| vid.starts_with(&[0x4a, 0x13]));
        assert_eq!(nat_d, if announced { 2 } else { 0 }, "NAT-D in message 2");
        let cookies = self.cookies.concat();
        let hash = |ip: [u8; 4]| self.digest(&[&cookies, &ip, &port.to_be_bytes()]);
        let mut out = Out::new().with(PayloadType::HASH, hash_i);
        if announced {
            out.push(self.profile.nat_d, hash([198, 51, 100, 1]));
            out.push(self.profile.nat_d, hash([192, 168, 1, 10]));
            self.float();
        }
        if !encrypted {
            return self.message(ExchangeType::AGGRESSIVE, 0, 0, &out);
        }
        let iv = self.iv.clone();
        let (bytes, iv) = self.seal(ExchangeType::AGGRESSIVE, 0, &iv, &out);
        self.iv = iv;
        bytes
    }

    /// Whole aggressive mode against node 0.
    pub(in crate::tests) fn aggressive_mode(&mut self, net: &mut Net, encrypted: bool) {
        let am1 = self.am1();
        let am2 = self.ask(net, &am1).expect("message 2");
        let am3 = self.am3(&am2, encrypted, 4500);
        self.tell(net, &am3).expect("message 3");
    }
}
