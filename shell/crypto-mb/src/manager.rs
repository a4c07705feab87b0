//! Work on jobs: the only place that hands memory to the library.
#![expect(unsafe_code, reason = "the interface of a C library")]

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::api::{
    CIPHER_CBC, COMPLETED, DECRYPT, ENCRYPT, HMAC_SHA1, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Job,
    Manager,
};
use crate::library::Library;
use crate::transform::Schedule;

/// A hash as the base of HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// Bytes of a block.
    pub(crate) const fn block_len(self) -> usize {
        match self {
            Self::Sha1 | Self::Sha256 => 64,
            Self::Sha384 | Self::Sha512 => 128,
        }
    }

    /// Bytes of the tag before it is cut.
    const fn tag_len(self) -> u64 {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    const fn number(self) -> u32 {
        match self {
            Self::Sha1 => HMAC_SHA1,
            Self::Sha256 => HMAC_SHA256,
            Self::Sha384 => HMAC_SHA384,
            Self::Sha512 => HMAC_SHA512,
        }
    }
}

/// A packet to be encrypted or decrypted in place.
pub(crate) struct CipherJob<'a> {
    pub(crate) iv: &'a [u8; 16],
    /// Whole blocks.
    pub(crate) body: &'a mut [u8],
}

/// A message to be authenticated.
pub(crate) struct HashJob<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) tag: &'a mut Tag,
}

/// Room for the longest tag.
pub(crate) type Tag = [u8; 64];
/// HMAC's inner or outer state after its padded key.
pub(crate) type State = [u8; 64];

/// The library's working memory for one thread.
pub(crate) struct Managed {
    manager: NonNull<Manager>,
    library: Arc<Library>,
}

impl Managed {
    pub(crate) fn new(library: &Arc<Library>) -> Option<Self> {
        Some(Self { manager: library.manager()?, library: Arc::clone(library) })
    }

    /// Calls `work` with this thread's manager; none when there is no memory for it.
    pub(crate) fn with<R>(library: &Arc<Library>, work: impl FnOnce(&mut Self) -> R) -> Option<R> {
        thread_local! {
            static MANAGED: RefCell<Option<Managed>> = const { RefCell::new(None) };
        }
        MANAGED.with_borrow_mut(|managed| {
            if managed.is_none() {
                *managed = Self::new(library);
            }
            managed.as_mut().map(work)
        })
    }

    /// The number of the instruction set in use.
    pub(crate) fn architecture(&self) -> u32 {
        // SAFETY: a manager of the library is initialised memory that begins as `Manager` does.
        unsafe { (*self.manager.as_ptr()).architecture }
    }

    /// Expands an AES key of 16, 24 or 32 bytes.
    pub(crate) fn expand(&mut self, key: &[u8], schedule: &mut Schedule) -> Option<()> {
        let index = [16, 24, 32].iter().position(|&len| len == key.len())?;
        let (encryption, decryption) = (&raw mut schedule.encryption, &raw mut schedule.decryption);
        // SAFETY: the function reads `key.len()` bytes, as its index says, and writes two schedules of
        // at most 240 bytes, aligned to 16 (`Schedule`).
        unsafe {
            let expand = (*self.manager.as_ptr()).expand_key.get(index)?;
            expand(key.as_ptr().cast(), encryption.cast(), decryption.cast());
        }
        Some(())
    }

    /// Hashes one block from the hash's initial state.
    pub(crate) fn hash_block(&mut self, hash: Hash, block: &[u8; 128], state: &mut State) {
        // SAFETY: the functions read one block of at most 128 bytes and write a state of at most 64.
        unsafe {
            let manager = self.manager.as_ptr();
            let hash_block = match hash {
                Hash::Sha1 => (*manager).sha1_block,
                Hash::Sha256 => (*manager).sha256_block,
                Hash::Sha384 => (*manager).sha384_block,
                Hash::Sha512 => (*manager).sha512_block,
            };
            hash_block(block.as_ptr().cast(), state.as_mut_ptr().cast());
        }
    }

    /// Encrypts packets by CBC; false when the library refused.
    pub(crate) fn encrypt<'a>(
        &mut self,
        schedule: &Schedule,
        packets: impl Iterator<Item = CipherJob<'a>>,
    ) -> bool {
        self.cipher(schedule, packets, ENCRYPT)
    }

    /// Decrypts packets by CBC; false when the library refused.
    pub(crate) fn decrypt<'a>(
        &mut self,
        schedule: &Schedule,
        packets: impl Iterator<Item = CipherJob<'a>>,
    ) -> bool {
        self.cipher(schedule, packets, DECRYPT)
    }

    fn cipher<'a>(
        &mut self,
        schedule: &Schedule,
        packets: impl Iterator<Item = CipherJob<'a>>,
        direction: u32,
    ) -> bool {
        let mut jobs = [Job::EMPTY; BURST_MAX];
        let mut count = 0;
        for (job, packet) in jobs.iter_mut().zip(packets) {
            job.encryption_keys = (&raw const schedule.encryption).cast();
            job.decryption_keys = (&raw const schedule.decryption).cast();
            job.key_len = u64::from(schedule.key_len);
            job.source = packet.body.as_ptr();
            job.destination = packet.body.as_mut_ptr();
            job.cipher_len = packet.body.len() as u64;
            job.iv = packet.iv.as_ptr();
            job.iv_len = packet.iv.len() as u64;
            count += 1;
        }
        // SAFETY: each job reads and writes the body of one packet, which is borrowed mutably until
        // after the call, and reads its IV and `schedule`; the library keeps no pointer to a job when
        // the call returns, because a burst is worked off within it.
        let done = unsafe {
            let manager = self.manager.as_ptr();
            ((*manager).cipher)(
                manager,
                jobs.as_mut_ptr(),
                count,
                CIPHER_CBC,
                direction,
                schedule.key_len,
            )
        };
        all_done(&jobs, count, done)
    }

    /// Computes tags; false when the library refused.
    pub(crate) fn hmac<'a>(
        &mut self,
        hash: Hash,
        inner: &State,
        outer: &State,
        messages: impl Iterator<Item = HashJob<'a>>,
    ) -> bool {
        let mut jobs = [Job::EMPTY; BURST_MAX];
        let mut count = 0;
        for (job, message) in jobs.iter_mut().zip(messages) {
            job.source = message.message.as_ptr();
            job.hash_len = message.message.len() as u64;
            job.tag = message.tag.as_mut_ptr();
            job.tag_len = hash.tag_len();
            (job.hmac_inner, job.hmac_outer) = (inner.as_ptr(), outer.as_ptr());
            count += 1;
        }
        // SAFETY: each job reads one message and the two states, and writes at most 64 bytes of one
        // tag; all are borrowed until after the call, when the library keeps no pointer to them.
        let done = unsafe {
            let manager = self.manager.as_ptr();
            ((*manager).hash)(manager, jobs.as_mut_ptr(), count, hash.number())
        };
        all_done(&jobs, count, done)
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        // SAFETY: the manager is of this library, and nobody uses it after this. The library wipes it.
        unsafe { self.library.free(self.manager) }
    }
}

/// Whether the first `count` jobs are complete, as the library answered.
fn all_done(jobs: &[Job], count: u32, done: u32) -> bool {
    let worked = jobs.iter().take(count as usize);
    done == count && worked.into_iter().all(|job| job.status & COMPLETED != 0)
}

/// Most packets worked on in one call.
pub(crate) const BURST_MAX: usize = 32;
