//! CBC, then HMAC over everything from the SPI to the last block (RFC 4303 §3.3.2.1).

use aws_lc_rs::constant_time;
use isthmus_crypto::{
    CipherAlg, CryptoError, EspCipher, EspJob, EspJobResult, EspKeys, EspSuite, EspWay, HashAlg,
};

use super::interleave::Interleaver;
use super::mac::{Mac, Tag};
use super::{Fields, well_formed};
use crate::cbc::{Decryptor, Encryptor};

/// One SA's expanded cipher keys and precomputed HMAC pads.
pub(super) struct CbcHmac {
    suite: EspSuite,
    /// None when no packet is sealed.
    sealing: Option<Box<Sealing>>,
    /// None when no packet is opened.
    opening: Option<Box<Decryptor>>,
    mac: Mac,
}

/// Keys for encryption.
struct Sealing {
    encryptor: Encryptor,
    /// For batches, where it helps.
    interleaver: Option<Interleaver>,
}

impl CbcHmac {
    /// Expands the keys, those for `only` one way or all.
    pub(super) fn new(
        (suite, cipher, hash): (EspSuite, CipherAlg, HashAlg),
        keys: &EspKeys,
        only: Option<EspWay>,
    ) -> Result<Self, CryptoError> {
        let key = keys.cipher.expose();
        let seals = only != Some(EspWay::Open);
        let opens = only != Some(EspWay::Seal);
        let sealing = seals.then(|| Sealing::new(cipher, key)).transpose()?;
        let opening = opens.then(|| Decryptor::new(cipher, key)).transpose()?;
        let mac = Mac::new(hash, keys.integrity.expose())?;
        Ok(Self { suite, sealing: sealing.map(Box::new), opening: opening.map(Box::new), mac })
    }

    /// Encrypts and authenticates one packet after the other.
    fn seal_serially(&self, encryptor: &Encryptor, batch: &mut [EspJob<'_>]) {
        for job in batch {
            let sealed = Fields::split(self.suite, job.packet)
                .is_some_and(|fields| encryptor.encrypt(fields.iv, fields.body).is_ok());
            job.result = if sealed { self.sign(job) } else { EspJobResult::BadLength };
        }
    }

    /// Encrypts all packets at once, then authenticates one after the other.
    fn seal_interleaved(&self, interleaver: &Interleaver, batch: &mut [EspJob<'_>]) {
        interleaver
            .encrypt(batch.iter_mut().filter_map(|job| Fields::split(self.suite, job.packet)));
        for job in batch {
            let sealed = well_formed(self.suite, job);
            job.result = if sealed { self.sign(job) } else { EspJobResult::BadLength };
        }
    }

    /// Fills in the ICV of an encrypted packet.
    fn sign(&self, job: &mut EspJob<'_>) -> EspJobResult {
        match self.tag(job) {
            Some((tag, icv)) => {
                icv.copy_from_slice(tag.get(..icv.len()).unwrap_or_default());
                EspJobResult::Done
            }
            None => EspJobResult::BadLength,
        }
    }

    fn open_one(&self, decryptor: &Decryptor, job: &mut EspJob<'_>) -> EspJobResult {
        if !well_formed(self.suite, job) {
            return EspJobResult::BadLength;
        }
        let Some((tag, icv)) = self.tag(job) else { return EspJobResult::BadLength };
        let expected = tag.get(..icv.len()).unwrap_or_default();
        if constant_time::verify_slices_are_equal(expected, icv).is_err() {
            return EspJobResult::NotAuthentic;
        }
        let Some(fields) = Fields::split(self.suite, job.packet) else {
            return EspJobResult::BadLength;
        };
        match decryptor.decrypt(fields.iv, fields.body) {
            Ok(()) => EspJobResult::Done,
            Err(_) => EspJobResult::BadLength,
        }
    }

    /// The HMAC of the packet and the place of its ICV. The upper half of an extended sequence
    /// number is covered though never sent (RFC 4303 §2.2.1).
    fn tag<'a>(&self, job: &'a mut EspJob<'_>) -> Option<(Tag, &'a mut [u8])> {
        let covered_len = job.packet.len().checked_sub(self.suite.icv_len())?;
        let (covered, icv) = job.packet.split_at_mut_checked(covered_len)?;
        let tag = match job.seq_hi {
            Some(seq_hi) => self.mac.tag(&[covered, &seq_hi.to_be_bytes()]),
            None => self.mac.tag(&[covered]),
        };
        Some((tag, icv))
    }
}

impl EspCipher for CbcHmac {
    fn seal(&self, batch: &mut [EspJob<'_>]) {
        let Some(sealing) = &self.sealing else { return refuse(batch) };
        match &sealing.interleaver {
            Some(interleaver) if batch.len() >= INTERLEAVE_MIN => {
                self.seal_interleaved(interleaver, batch);
            }
            Some(_) | None => self.seal_serially(&sealing.encryptor, batch),
        }
    }

    fn open(&self, batch: &mut [EspJob<'_>]) {
        let Some(decryptor) = &self.opening else { return refuse(batch) };
        for job in batch {
            job.result = self.open_one(decryptor, job);
        }
    }
}

impl Sealing {
    fn new(cipher: CipherAlg, key: &[u8]) -> Result<Self, CryptoError> {
        let encryptor = Encryptor::new(cipher, key)?;
        Ok(Self { encryptor, interleaver: Interleaver::new(cipher, key) })
    }
}

/// The keys are for the other way.
fn refuse(batch: &mut [EspJob<'_>]) {
    for job in batch {
        job.result = EspJobResult::BadLength;
    }
}

/// Batches below this are encrypted packet by packet.
const INTERLEAVE_MIN: usize = 2;

#[cfg(test)]
mod tests {
    use isthmus_core::Rng;
    use proptest::prelude::*;

    use super::*;

    fn transform(suite: EspSuite, cipher: CipherAlg, hash: HashAlg) -> CbcHmac {
        let mut keymat = vec![0; suite.keymat_len()];
        Rng::new([1; 32]).fill(&mut keymat);
        let keys = EspKeys::from_keymat(suite, &keymat).unwrap();
        CbcHmac::new((suite, cipher, hash), &keys, None).unwrap()
    }

    fn jobs(packets: &mut [(Vec<u8>, Option<u32>)]) -> Vec<EspJob<'_>> {
        packets
            .iter_mut()
            .map(|(packet, seq_hi)| EspJob {
                packet,
                seq_hi: *seq_hi,
                result: EspJobResult::Pending,
            })
            .collect()
    }

    /// Packets of whole blocks mostly, of any length sometimes, as many as fill the lanes and more.
    fn packets() -> impl Strategy<Value = Vec<(Vec<u8>, Option<u32>)>> {
        let whole = |overhead| move |blocks: usize| overhead + 16 * blocks;
        let len = prop_oneof![
            4 => (0..6usize).prop_map(whole(36)),
            4 => (0..90usize).prop_map(whole(36)),
            4 => (0..90usize).prop_map(whole(40)),
            1 => 0..200usize,
        ];
        let packet = len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
        prop::collection::vec((packet, any::<Option<u32>>()), 0..40)
    }

    proptest! {
        #[test]
        fn interleaved_packets_equal_packets_one_by_one(packets in packets()) {
            for (suite, cipher, hash) in [
                (EspSuite::Aes128CbcSha1, CipherAlg::Aes128Cbc, HashAlg::Sha1),
                (EspSuite::Aes192CbcSha1, CipherAlg::Aes192Cbc, HashAlg::Sha1),
                (EspSuite::Aes256CbcSha1, CipherAlg::Aes256Cbc, HashAlg::Sha1),
                (EspSuite::Aes256CbcSha256, CipherAlg::Aes256Cbc, HashAlg::Sha256),
            ] {
                let transform = transform(suite, cipher, hash);
                let (mut serial, mut interleaved) = (packets.clone(), packets.clone());
                let mut serial_jobs = jobs(&mut serial);
                let sealing = transform.sealing.as_ref().unwrap();
                transform.seal_serially(&sealing.encryptor, &mut serial_jobs);
                let results: Vec<_> = serial_jobs.iter().map(|job| job.result).collect();
                // Without AES instructions there is nothing to compare.
                let Some(interleaver) = &sealing.interleaver else { continue };
                let mut interleaved_jobs = jobs(&mut interleaved);
                transform.seal_interleaved(interleaver, &mut interleaved_jobs);
                for (job, result) in interleaved_jobs.iter().zip(results) {
                    prop_assert_eq!(job.result, result);
                }
                prop_assert_eq!(&serial, &interleaved);
            }
        }

        #[test]
        fn a_sealed_batch_opens_again(packets in packets()) {
            let transform =
                transform(EspSuite::Aes256CbcSha1, CipherAlg::Aes256Cbc, HashAlg::Sha1);
            let mut worked = packets.clone();
            let mut jobs = jobs(&mut worked);
            transform.seal(&mut jobs);
            let sealed: Vec<_> = jobs.iter().map(|job| job.result).collect();
            transform.open(&mut jobs);
            for ((job, sealed), (packet, _)) in jobs.iter().zip(sealed).zip(&packets) {
                prop_assert_eq!(job.result, sealed);
                if sealed == EspJobResult::Done {
                    let end = packet.len() - 12;
                    prop_assert_eq!(&job.packet[..end], &packet[..end]);
                }
            }
        }
    }

    #[test]
    fn keys_for_one_way_do_that_as_keys_for_both_and_refuse_the_other() {
        let suite = EspSuite::Aes256CbcSha1;
        let parts = (suite, CipherAlg::Aes256Cbc, HashAlg::Sha1);
        let keys = EspKeys::from_keymat(suite, &vec![7; suite.keymat_len()]).unwrap();
        let make = |only| CbcHmac::new(parts, &keys, only).unwrap();
        let (both, seals, opens) = (make(None), make(Some(EspWay::Seal)), make(Some(EspWay::Open)));
        let packet = vec![(vec![3; 36 + 64], None); 3];
        let work = |with: &dyn Fn(&mut [EspJob<'_>])| {
            let mut packets = packet.clone();
            let mut jobs = jobs(&mut packets);
            with(&mut jobs);
            let results: Vec<_> = jobs.iter().map(|job| job.result).collect();
            (results, packets)
        };
        let there = |jobs: &mut [EspJob<'_>]| seals.seal(jobs);
        assert_eq!(work(&there), work(&|jobs| both.seal(jobs)));
        let back = |jobs: &mut [EspJob<'_>]| (seals.seal(jobs), opens.open(jobs)).0;
        assert_eq!(work(&back).0, [EspJobResult::Done; 3]);
        let refused = [EspJobResult::BadLength; 3];
        assert_eq!(work(&|jobs| opens.seal(jobs)), (refused.to_vec(), packet.clone()));
        assert_eq!(work(&|jobs| seals.open(jobs)), (refused.to_vec(), packet.clone()));
    }

    #[test]
    fn only_aes_is_interleaved() {
        assert!(Interleaver::new(CipherAlg::TripleDesCbc, &[0; 24]).is_none());
        let made = Interleaver::new(CipherAlg::Aes128Cbc, &[0; 16]).is_some();
        assert_eq!(made, aes::hardware_accelerated());
    }
}
