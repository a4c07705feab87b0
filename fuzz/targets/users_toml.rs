//! Users files: every mistake is reported without a panic, and no report shows a secret.
#![no_main]

use isthmus::users::{self, UserSecret};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match users::load_text(text) {
        Ok((users, warnings)) => {
            assert_eq!(users.iter().count(), users.len());
            for (name, user) in users.iter() {
                assert!(!name.is_empty());
                assert_eq!(users.named(name), Some(user));
                match &user.secret {
                    UserSecret::NtHash(hash) => assert_eq!(hash.len(), 16),
                    UserSecret::Password(password) => assert!(!password.is_empty()),
                }
            }
            let _shown = warnings.to_string();
        }
        Err(report) => assert!(!report.to_string().is_empty()),
    }
});
