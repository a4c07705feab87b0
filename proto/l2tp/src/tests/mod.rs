//! Tests of whole machines, and what they share.

mod auth;
mod bench;
mod bytes;
mod channel;
mod clients;
mod doubt;
mod exchange;
mod habits;
mod hostile;
mod pair;
mod props;
mod vectors;

use std::sync::Arc;

use isthmus_crypto::Provider;

/// The provider; these tests need its MD5 only.
pub(crate) fn md5() -> Arc<dyn Provider> {
    isthmus_crypto_aws::provider()
}
