//! Certificates: which to believe, and our own.
//!
//! [`Authorities`] judges what a peer sends: a path to an authority of the configuration, times,
//! revocation by the lists it was given, usage, strength, the signature over the exchange, and that the
//! certificate bears the name the peer goes by. It reads no file and asks nobody: what an address in a
//! certificate points to is never fetched. [`Own`] is our certificate with its key. `pem` turns files
//! into either.
//!
//! Path building and revocation are `rustls-webpki`'s; names are read with `x509-parser`.

mod authorities;
mod names;
mod own;
pub mod pem;

pub use authorities::{Authorities, CHAIN_MAX, CertificateFault, Policy, Usage};
pub use own::{Own, OwnError};

#[cfg(test)]
mod tests;
