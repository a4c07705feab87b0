//! Who encrypts.

use std::sync::Arc;

use isthmus_crypto::Provider;

use crate::config::Engine;

/// What encrypts; the fastest is libipsec-mb for batches of ESP where it is installed and agrees with
/// the portable one, which does everything else.
pub(crate) fn provider(engine: Engine) -> Arc<dyn Provider> {
    let portable = isthmus_crypto_aws::provider();
    if engine == Engine::Portable {
        return portable;
    }
    isthmus_crypto_mb::accelerate(Arc::clone(&portable)).unwrap_or_else(|error| {
        tracing::debug!(%error, "no multi-buffer encryption");
        portable
    })
}
