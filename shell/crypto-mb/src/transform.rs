//! CBC and HMAC over batches of ESP packets (RFC 4303 §3.3.2.1).

use std::sync::{Arc, OnceLock};

use isthmus_crypto::{EspCipher, EspJob, EspJobResult, EspKeys, EspSuite};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::library::Library;
use crate::manager::{BURST_MAX, CipherJob, Hash, HashJob, Managed, State, Tag};

/// One SA's keys.
pub(crate) struct Transform {
    library: Arc<Library>,
    suite: EspSuite,
    hash: Hash,
    keys: EspKeys,
    /// Expanded when the first batch comes, which to most SAs that are held it never does; none when the
    /// library refuses.
    expanded: OnceLock<Option<Box<Keys>>>,
    /// For what the library does not do: few packets, extended sequence numbers.
    inner: Box<dyn EspCipher>,
}

/// Expanded keys. Boxed, so that they are where the library was told.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Keys {
    schedule: Schedule,
    inner: State,
    outer: State,
}

/// An expanded AES key, aligned as the library's loads demand.
#[derive(Zeroize)]
#[repr(C, align(64))]
pub(crate) struct Schedule {
    pub(crate) encryption: [u8; 256],
    pub(crate) decryption: [u8; 256],
    /// In bytes.
    pub(crate) key_len: u32,
}

impl Transform {
    /// Gives `inner` back where the library has nothing to offer.
    pub(crate) fn new(
        library: &Arc<Library>,
        suite: EspSuite,
        keys: &EspKeys,
        inner: Box<dyn EspCipher>,
    ) -> Result<Self, Box<dyn EspCipher>> {
        let Some(hash) = hash_of(suite) else { return Err(inner) };
        let (library, keys) = (Arc::clone(library), keys.clone());
        Ok(Self { library, suite, hash, keys, expanded: OnceLock::new(), inner })
    }

    /// Whether the library does this batch.
    fn takes(&self, batch: &[EspJob<'_>]) -> bool {
        batch.len() >= BATCH_MIN
            && batch.iter().all(|job| job.seq_hi.is_none() && self.is_well_formed(job))
    }

    fn is_well_formed(&self, job: &EspJob<'_>) -> bool {
        let overhead = HEADER_LEN + self.suite.iv_len() + self.suite.icv_len();
        let body_len = job.packet.len().checked_sub(overhead);
        body_len.is_some_and(|len| len > 0 && len.is_multiple_of(self.suite.block_len()))
    }

    /// The IV and the encrypted part of a packet.
    fn cipher_job<'a>(&self, job: &'a mut EspJob<'_>) -> Option<CipherJob<'a>> {
        let (_, rest) = job.packet.split_at_mut_checked(HEADER_LEN)?;
        let (iv, rest) = rest.split_first_chunk_mut::<16>()?;
        let body_len = rest.len().checked_sub(self.suite.icv_len())?;
        Some(CipherJob { iv, body: rest.get_mut(..body_len)? })
    }

    /// The packet without its ICV, and the ICV.
    fn split<'a>(&self, job: &'a mut EspJob<'_>) -> Option<(&'a mut [u8], &'a mut [u8])> {
        let covered_len = job.packet.len().checked_sub(self.suite.icv_len())?;
        job.packet.split_at_mut_checked(covered_len)
    }

    /// The tags of a batch of at most `BURST_MAX`; false when the library refused.
    fn tags(
        &self,
        managed: &mut Managed,
        keys: &Keys,
        batch: &mut [EspJob<'_>],
        tags: &mut [Tag],
    ) -> bool {
        let messages = batch.iter_mut().zip(tags).filter_map(|(job, tag)| {
            let (covered, _) = self.split(job)?;
            Some(HashJob { message: covered, tag })
        });
        managed.hmac(self.hash, &keys.inner, &keys.outer, messages)
    }

    /// Does a batch burst by burst; false when it is left to the other provider.
    fn bursts(
        &self,
        batch: &mut [EspJob<'_>],
        work: impl Fn(&Self, &mut Managed, &Keys, &mut [EspJob<'_>]),
    ) -> bool {
        if !self.takes(batch) {
            return false;
        }
        let all = |managed: &mut Managed| {
            let expand = || Keys::new(managed, self.hash, &self.keys);
            let keys = self.expanded.get_or_init(expand).as_deref()?;
            batch.chunks_mut(BURST_MAX).for_each(|burst| work(self, managed, keys, burst));
            Some(())
        };
        Managed::with(&self.library, all).flatten().is_some()
    }

    fn seal_burst(&self, managed: &mut Managed, keys: &Keys, batch: &mut [EspJob<'_>]) {
        let mut tags = [[0; 64]; BURST_MAX];
        let bodies = batch.iter_mut().filter_map(|job| self.cipher_job(job));
        let done =
            managed.encrypt(&keys.schedule, bodies) && self.tags(managed, keys, batch, &mut tags);
        for (job, tag) in batch.iter_mut().zip(&tags) {
            let written = self.split(job).filter(|_| done).and_then(|(_, icv)| {
                icv.copy_from_slice(tag.get(..icv.len())?);
                Some(())
            });
            job.result = written.map_or(EspJobResult::BadLength, |()| EspJobResult::Done);
        }
    }

    fn open_burst(&self, managed: &mut Managed, keys: &Keys, batch: &mut [EspJob<'_>]) {
        let mut tags = [[0; 64]; BURST_MAX];
        let done = self.tags(managed, keys, batch, &mut tags);
        for (job, tag) in batch.iter_mut().zip(&tags) {
            let is_right = self.split(job).filter(|_| done).is_some_and(|(_, icv)| {
                tag.get(..icv.len()).is_some_and(|tag| bool::from(tag.ct_eq(icv)))
            });
            job.result = if is_right { EspJobResult::Done } else { EspJobResult::NotAuthentic };
        }
        let authentic = batch.iter_mut().filter(|job| job.result == EspJobResult::Done);
        if !managed.decrypt(&keys.schedule, authentic.filter_map(|job| self.cipher_job(job))) {
            for job in batch.iter_mut().filter(|job| job.result == EspJobResult::Done) {
                job.result = EspJobResult::BadLength;
            }
        }
    }
}

impl EspCipher for Transform {
    fn seal(&self, batch: &mut [EspJob<'_>]) {
        if !self.bursts(batch, Self::seal_burst) {
            self.inner.seal(batch);
        }
    }

    fn open(&self, batch: &mut [EspJob<'_>]) {
        if !self.bursts(batch, Self::open_burst) {
            self.inner.open(batch);
        }
    }
}

impl Keys {
    fn new(managed: &mut Managed, hash: Hash, keys: &EspKeys) -> Option<Box<Self>> {
        let cipher = keys.cipher.expose();
        let schedule = Schedule {
            encryption: [0; 256],
            decryption: [0; 256],
            key_len: u32::try_from(cipher.len()).ok()?,
        };
        let mut expanded = Box::new(Self { schedule, inner: [0; 64], outer: [0; 64] });
        managed.expand(cipher, &mut expanded.schedule)?;
        let integrity = keys.integrity.expose();
        let Self { inner, outer, .. } = &mut *expanded;
        padded(managed, hash, integrity, 0x36, inner)?;
        padded(managed, hash, integrity, 0x5c, outer)?;
        Some(expanded)
    }
}

/// The state after a key padded with `pad` (RFC 2104 §2); keys of ESP are no longer than a block.
fn padded(managed: &mut Managed, hash: Hash, key: &[u8], pad: u8, state: &mut State) -> Option<()> {
    let mut block = [pad; 128];
    for (byte, key) in block.get_mut(..hash.block_len())?.get_mut(..key.len())?.iter_mut().zip(key)
    {
        *byte ^= key;
    }
    managed.hash_block(hash, &block, state);
    block.zeroize();
    Some(())
}

/// The hash of a suite that the library works on.
fn hash_of(suite: EspSuite) -> Option<Hash> {
    match suite {
        EspSuite::Aes128CbcSha1 | EspSuite::Aes192CbcSha1 | EspSuite::Aes256CbcSha1 => {
            Some(Hash::Sha1)
        }
        EspSuite::Aes128CbcSha256
        | EspSuite::Aes256CbcSha256
        | EspSuite::Aes128CbcSha256Cut96
        | EspSuite::Aes256CbcSha256Cut96 => Some(Hash::Sha256),
        EspSuite::Aes128CbcSha384 | EspSuite::Aes256CbcSha384 => Some(Hash::Sha384),
        EspSuite::Aes128CbcSha512 | EspSuite::Aes256CbcSha512 => Some(Hash::Sha512),
        // GCM needs no interleaving, and nobody should need 3DES to be fast.
        EspSuite::Aes128Gcm16 | EspSuite::Aes256Gcm16 | EspSuite::TripleDesSha1 => None,
    }
}

/// Smaller batches leave too many lanes empty.
const BATCH_MIN: usize = 4;
/// SPI and sequence number.
const HEADER_LEN: usize = 8;
