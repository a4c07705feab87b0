//! CBC encryption of several packets at once.
//!
//! A CBC chain is serial: each block waits for the one before, and the processor's AES unit idles
//! most of the time. Packets are independent of each other, so we work on one block of each of up to
//! [`LANES`] packets in turn; a packet that is done gives its lane to the next one. Decryption has no
//! such chain and needs none of this.

use core::array;
use core::slice;

use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc, Block};
use isthmus_crypto::CipherAlg;

use super::Fields;

/// An expanded AES key for work on several packets.
pub(super) enum Interleaver {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl Interleaver {
    /// None for another cipher, or where the processor has no AES instructions: without them nothing
    /// idles and there is nothing to gain.
    pub(super) fn new(cipher: CipherAlg, key: &[u8]) -> Option<Self> {
        if !aes::hardware_accelerated() {
            return None;
        }
        match cipher {
            CipherAlg::Aes128Cbc => Aes128Enc::new_from_slice(key).ok().map(Self::Aes128),
            CipherAlg::Aes192Cbc => Aes192Enc::new_from_slice(key).ok().map(Self::Aes192),
            CipherAlg::Aes256Cbc => Aes256Enc::new_from_slice(key).ok().map(Self::Aes256),
            CipherAlg::TripleDesCbc => None,
        }
    }

    /// Encrypts the body of every packet in place.
    pub(super) fn encrypt<'a>(&self, packets: impl Iterator<Item = Fields<'a>>) {
        let work = Work { waiting: packets.filter_map(Lane::new) };
        match self {
            Self::Aes128(key) => key.encrypt_with_backend(work),
            Self::Aes192(key) => key.encrypt_with_backend(work),
            Self::Aes256(key) => key.encrypt_with_backend(work),
        }
    }
}

/// One packet under way.
struct Lane<'a> {
    /// Blocks not encrypted yet.
    blocks: slice::IterMut<'a, [u8; BLOCK_LEN]>,
    /// The IV or the last block of ciphertext.
    chain: Block,
}

impl<'a> Lane<'a> {
    fn new(Fields { iv, body, .. }: Fields<'a>) -> Option<Self> {
        let chain = Block::try_from(iv as &[u8]).ok()?;
        let (blocks, _) = body.as_chunks_mut();
        Some(Self { blocks: blocks.iter_mut(), chain })
    }

    /// A lane with nothing to do.
    fn idle() -> Self {
        Self { blocks: [].iter_mut(), chain: Block::default() }
    }
}

/// The whole job, run inside the function that has the processor's AES instructions enabled.
struct Work<I> {
    waiting: I,
}

impl<I> BlockSizeUser for Work<I> {
    type BlockSize = U16;
}

impl<'a, I: Iterator<Item = Lane<'a>>> BlockCipherEncClosure for Work<I> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "elsewhere the AES instructions are not enabled")]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        let mut lanes: [Lane<'a>; LANES] = array::from_fn(|_| Lane::idle());
        loop {
            for lane in lanes.iter_mut().filter(|lane| lane.blocks.len() == 0) {
                *lane = self.waiting.next().unwrap_or_else(Lane::idle);
            }
            let lens = lanes.iter().map(|lane| lane.blocks.len());
            let Some(steps) = lens.filter(|&len| len > 0).min() else { return };
            for _ in 0..steps {
                for lane in &mut lanes {
                    if let Some(block) = lane.blocks.next() {
                        lane.chain = xor(lane.chain, *block);
                        backend.encrypt_block_inplace(&mut lane.chain);
                        *block = lane.chain.into();
                    }
                }
            }
        }
    }
}

/// One word, not sixteen bytes: the difference is a factor of six.
fn xor(chain: Block, plain: [u8; BLOCK_LEN]) -> Block {
    let xored = u128::from_ne_bytes(chain.into()) ^ u128::from_ne_bytes(plain);
    xored.to_ne_bytes().into()
}

/// Packets worked on at a time. An AES round takes about as many cycles as this until its result is
/// there, and one or two can start each cycle.
const LANES: usize = 8;
const BLOCK_LEN: usize = 16;
