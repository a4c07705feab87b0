//! The fake with a certificate.

use alloc::vec::Vec;

use isthmus_crypto::{DhJob, DhOutput};

use super::Fake;
use crate::codec::{Chain, Message, Out};
use crate::iana::{ExchangeType, PayloadType};

impl Fake {
    /// Message 1 was changed after it was made: what was sent counts.
    pub(in crate::tests) fn psk_is_signature(&mut self, mm1: &[u8]) {
        let message = Message::read(mm1).unwrap();
        let chain = Chain::read(message.header.first, message.body).unwrap();
        self.sa_i = chain.required(PayloadType::SA).unwrap().to_vec();
    }

    /// Reads message 4, makes the keys as RFC 2409 §5 writes them for signatures. Returns message 5,
    /// signed by a name.
    pub(in crate::tests) fn signed_mm5(
        &mut self,
        mm4: &[u8],
        certs: &[Vec<u8>],
        name: &[u8],
    ) -> Vec<u8> {
        let message = Message::read(mm4).unwrap();
        let chain = Chain::read(message.header.first, message.body).unwrap();
        let ke_r = chain.required(PayloadType::KE).unwrap().to_vec();
        let nonce_r = chain.required(PayloadType::NONCE).unwrap();
        let job = DhJob::Agree {
            group: self.group,
            private: self.private.clone().unwrap(),
            peer: ke_r.clone(),
        };
        let Ok(DhOutput::Shared(shared)) = self.provider.dh(&job) else { panic!("no secret") };
        // SKEYID = prf(Ni_b | Nr_b, g^xy); what follows from it does not change.
        let skeyid = self.prf(&[&self.nonce_i, nonce_r].concat(), &[shared.expose()]);
        let hash_i = self.derive_from(skeyid, &ke_r, shared.expose());
        let mut out = Out::new().with(PayloadType::ID, self.id.as_slice());
        for cert in certs {
            out.push(PayloadType::CERT, cert.as_slice());
        }
        out.push(PayloadType::SIGNATURE, [name, hash_i.as_slice()].concat());
        self.float();
        let iv = self.iv.clone();
        let (bytes, iv) = self.seal(ExchangeType::IDENTITY_PROTECTION, 0, &iv, &out);
        self.iv = iv;
        bytes
    }
}
