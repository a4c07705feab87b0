//! Modular exponentiation by aws-lc's big numbers.
#![expect(unsafe_code, reason = "aws-lc-rs has no MODP Diffie-Hellman; this is its C interface")]

use std::ptr::{NonNull, null, null_mut};

use aws_lc_sys as aws;
use isthmus_crypto::CryptoError;

/// Writes `base ^ exponent mod modulus` into all of `out`, big-endian, left-padded with zeros.
///
/// The time does not depend on the values of `base` and `exponent`, only on their lengths. `modulus`
/// must be odd; `base` must be below it.
///
/// # Errors
/// [`CryptoError::BadLength`] when `out` is too short; [`CryptoError::Unsupported`] when the library
/// refuses the operands or finds no memory.
pub(crate) fn mod_exp(
    base: &[u8],
    exponent: &[u8],
    modulus: &[u8],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    let (base, exponent, modulus) =
        (Number::read(base)?, Number::read(exponent)?, Number::read(modulus)?);
    let (result, context) = (Number::zero()?, Context::new()?);
    // SAFETY: all five pointers are live objects owned by the values above and not aliased
    // (`result` is none of the operands). A null Montgomery context asks the library to make its own.
    let done = unsafe {
        aws::BN_mod_exp_mont_consttime(
            result.0.as_ptr(),
            base.0.as_ptr(),
            exponent.0.as_ptr(),
            modulus.0.as_ptr(),
            context.0.as_ptr(),
            null(),
        )
    };
    if done == 1 { result.write(out) } else { Err(CryptoError::Unsupported) }
}

/// An owned `BIGNUM`, wiped when dropped.
struct Number(NonNull<aws::BIGNUM>);

impl Number {
    fn zero() -> Result<Self, CryptoError> {
        // SAFETY: no arguments; a null result means out of memory and is refused.
        NonNull::new(unsafe { aws::BN_new() }).map(Self).ok_or(CryptoError::Unsupported)
    }

    /// Reads big-endian bytes.
    fn read(bytes: &[u8]) -> Result<Self, CryptoError> {
        // SAFETY: the pointer and length are those of a live slice, from which the library only
        // reads; a null third argument asks for a new number, and a null result is refused.
        let number = unsafe { aws::BN_bin2bn(bytes.as_ptr(), bytes.len(), null_mut()) };
        NonNull::new(number).map(Self).ok_or(CryptoError::Unsupported)
    }

    /// Fills `out` big-endian in time that depends on its length only.
    fn write(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        // SAFETY: the pointer and length are those of a live slice that the library overwrites; it
        // refuses a number that does not fit.
        let done = unsafe { aws::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), self.0.as_ptr()) };
        if done == 1 { Ok(()) } else { Err(CryptoError::BadLength) }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: the number came from the library, is owned here and freed once.
        unsafe { aws::BN_clear_free(self.0.as_ptr()) };
    }
}

/// An owned `BN_CTX`: the library's scratch numbers.
struct Context(NonNull<aws::BN_CTX>);

impl Context {
    fn new() -> Result<Self, CryptoError> {
        // SAFETY: no arguments; a null result means out of memory and is refused.
        NonNull::new(unsafe { aws::BN_CTX_new() }).map(Self).ok_or(CryptoError::Unsupported)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context came from the library, is owned here and freed once.
        unsafe { aws::BN_CTX_free(self.0.as_ptr()) };
    }
}
