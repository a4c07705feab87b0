//! Random numbers from a seed: each machine owns a generator, the driver or simulator owns the seed.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a generator is made from; the driver takes it from the operating system.
pub type Seed = [u8; 32];

/// A `ChaCha20` generator, fit for keys, nonces and cookies.
///
/// It is a seed and a place in the key stream, and keeps no numbers in stock, because every session has
/// several generators and draws rarely. A draw costs a run of the cipher: whoever draws for every packet
/// has an [`RngStream`], which yields the same numbers.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Rng {
    seed: Seed,
    /// How many words of 32 bits of the key stream are used up.
    used: u64,
}

impl Rng {
    /// A generator that yields the same numbers for the same seed.
    pub const fn new(seed: Seed) -> Self {
        Self { seed, used: 0 }
    }

    /// Fills the slice.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.draw(|cipher| cipher.fill_bytes(out));
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
        self.draw(ChaCha20Rng::next_u32)
    }

    /// A random 64-bit number.
    pub fn u64(&mut self) -> u64 {
        self.draw(ChaCha20Rng::next_u64)
    }

    /// A number in `0..bound`; zero when `bound` is zero. The bias below 2^-32 is fit for jitter and choices, not for keys.
    pub fn below(&mut self, bound: u32) -> u32 {
        let wide = u64::from(self.u32()) * u64::from(bound);
        u32::try_from(wide >> 32).unwrap_or(0)
    }

    fn draw<T>(&mut self, draw: impl FnOnce(&mut ChaCha20Rng) -> T) -> T {
        let mut cipher = ChaCha20Rng::from_seed(self.seed);
        cipher.set_word_pos(u128::from(self.used));
        let drawn = draw(&mut cipher);
        // It would take longer than anything lasts to come to the end of 64 bits.
        self.used = u64::try_from(cipher.get_word_pos()).unwrap_or_default();
        drawn
    }
}

impl core::fmt::Debug for Rng {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Rng")
    }
}

/// A `ChaCha20` generator with numbers in stock, fit for IVs: 300 bytes, and a draw is a copy mostly.
pub struct RngStream(ChaCha20Rng);

impl RngStream {
    /// A generator that yields the same numbers for the same seed.
    pub fn new(seed: Seed) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// Fills the slice.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

impl core::fmt::Debug for RngStream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("RngStream")
    }
}

/// Sessions are held by the ten thousand, and each has several.
const _: () = assert!(size_of::<Rng>() == 40);

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
    fn a_stream_yields_the_same_numbers_for_the_same_seed() {
        let draw = |seed| {
            let (mut stream, mut out) = (RngStream::new(seed), [[0; 16]; 40]);
            for iv in &mut out {
                stream.fill(iv);
            }
            out
        };
        assert_eq!(draw([7; 32]), draw([7; 32]));
        assert_ne!(draw([7; 32]), draw([8; 32]));
    }

    proptest::proptest! {
        #[test]
        fn a_place_in_the_key_stream_is_as_good_as_numbers_in_stock(
            seed: Seed,
            draws in proptest::collection::vec(0..700_usize, 0..60),
        ) {
            let (mut rng, mut stock) = (Rng::new(seed), ChaCha20Rng::from_seed(seed));
            for len in draws {
                match len % 4 {
                    0 => assert_eq!(rng.u32(), stock.next_u32()),
                    1 => assert_eq!(rng.u64(), stock.next_u64()),
                    _ => {
                        let (mut a, mut b) = (alloc::vec![0; len], alloc::vec![0; len]);
                        rng.fill(&mut a);
                        stock.fill_bytes(&mut b);
                        assert_eq!(a, b);
                    }
                }
            }
        }
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
