//! Seeds from the operating system.

use isthmus_core::Seed;

/// A fresh seed for a machine.
///
/// # Errors
/// When the kernel's generator cannot be read.
pub fn seed() -> std::io::Result<Seed> {
    let mut seed = [0; 32];
    let mut filled = 0;
    while let Some(rest) = seed.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ() {
        assert_ne!(seed().unwrap(), seed().unwrap());
    }
}
