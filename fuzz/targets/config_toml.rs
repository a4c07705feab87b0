//! Configuration files: every mistake is reported without a panic, and the report can be shown.
#![no_main]

use std::path::Path;

use isthmus::config::{self, Environment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // The text must not make the target read whatever file it names.
    if text.contains("_file") || text.contains("\\") {
        return;
    }
    match config::load_text(Path::new("/nowhere"), text, &Environment::default()) {
        Ok((config, warnings)) => {
            assert!(!config.tenants.is_empty());
            let changes = config::compare(&config, &config);
            assert!(changes.is_empty());
            assert!(config::effective(&config, &config) == config);
            let _shown = warnings.to_string();
        }
        Err(report) => {
            assert!(!report.is_empty());
            assert!(!report.to_string().is_empty());
            assert!(!report.view().is_empty());
        }
    }
});
