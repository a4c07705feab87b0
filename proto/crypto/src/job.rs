//! Slow arithmetic of any kind, as one type: machines ask for it, pools run it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::{Claim, CryptoError, DhJob, DhOutput, Provider, Signer, Trust, Untrusted, Verified};

/// Slow arithmetic that a machine wants done elsewhere.
#[derive(Clone, Debug)]
pub enum Job {
    /// Diffie-Hellman.
    Dh(DhJob),
    /// Sign as we are.
    Sign {
        /// Whoever holds our key.
        signer: Arc<dyn Signer>,
        /// The digest to sign.
        digest: Vec<u8>,
    },
    /// Judge a peer's certificates and signature.
    Verify {
        /// Whoever knows what to trust.
        trust: Arc<dyn Trust>,
        /// What the peer sent.
        claim: Claim,
    },
}

/// What came of a [`Job`].
#[derive(Clone, Debug)]
pub enum JobOutput {
    /// Of `Dh`.
    Dh(DhOutput),
    /// Of `Sign`.
    Signature(Vec<u8>),
    /// Of `Verify`: who it is, or why it is not believed.
    Judgement(Result<Verified, Untrusted>),
}

impl Job {
    /// Does the work; called on a pool, never by a machine.
    ///
    /// # Errors
    /// Those of [`Provider::dh`] and [`Signer::sign`].
    pub fn run(&self, provider: &dyn Provider) -> Result<JobOutput, CryptoError> {
        match self {
            Self::Dh(job) => provider.dh(job).map(JobOutput::Dh),
            Self::Sign { signer, digest } => signer.sign(digest).map(JobOutput::Signature),
            Self::Verify { trust, claim } => Ok(JobOutput::Judgement(trust.judge(claim))),
        }
    }
}

impl JobOutput {
    /// The output of a Diffie-Hellman job; an error for any other.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] when it is of another kind of job.
    pub fn dh(self) -> Result<DhOutput, CryptoError> {
        match self {
            Self::Dh(output) => Ok(output),
            Self::Signature(_) | Self::Judgement(_) => Err(CryptoError::Unsupported),
        }
    }
}
