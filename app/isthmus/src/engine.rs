//! Who encrypts.

use std::sync::Arc;

use isthmus_crypto::Provider;

/// The fastest provider there is: libipsec-mb for batches of ESP where it is installed and agrees with
/// the portable one, which does everything else.
pub(crate) fn provider() -> Arc<dyn Provider> {
    let portable = isthmus_crypto_aws::provider();
    isthmus_crypto_mb::accelerate(Arc::clone(&portable)).unwrap_or_else(|error| {
        tracing::debug!(%error, "no multi-buffer encryption");
        portable
    })
}
