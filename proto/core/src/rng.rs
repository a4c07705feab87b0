//! Random numbers from a seed: each machine owns a generator, the driver or simulator owns the seed.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// What a generator is made from; the driver takes it from the operating system.
pub type Seed = [u8; 32];

/// A `ChaCha20` generator, fit for keys, nonces, cookies and IVs.
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// A generator that yields the same numbers for the same seed.
    pub fn new(seed: Seed) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Fills the slice.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// `N` random bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A seed for a machine that this one makes.
    pub fn seed(&mut self) -> Seed {
        self.array()
    }

    /// A random 16-bit number.
    pub fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    /// A random 32-bit number.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A random 64-bit number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; zero when `bound` is zero. The bias below 2^-32 is fit for jitter and choices, not for keys.
    pub fn below(&mut self, bound: u32) -> u32 {
        let wide = u64::from(self.u32()) * u64::from(bound);
        u32::try_from(wide >> 32).unwrap_or(0)
    }
}

impl core::fmt::Debug for Rng {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut a, mut b) = (Rng::new([7; 32]), Rng::new([7; 32]));
        assert_eq!(a.array::<40>(), b.array::<40>());
        assert_ne!(Rng::new([8; 32]).u64(), a.u64());
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new([1; 32]);
        for bound in [1, 2, 3, 1000] {
            assert!((0..200).all(|_| rng.below(bound) < bound));
        }
        assert_eq!(rng.below(0), 0);
    }
}
