//! The keys of `[[tenant.group]]`.

use super::{Key, SectionKeys};

/// `[[tenant.group]]`.
pub(crate) const GROUP: SectionKeys = SectionKeys {
    header: "[[tenant.group]]",
    about: "A group of users with a pre-shared key of its own. Clients use IKE aggressive mode for it: \
            Apple calls the name \"Group Name\", Android \"IPSec identifier\". In aggressive mode anybody \
            who knows the name can get a hash made with the key and try keys against it in peace: only \
            long random keys withstand that.",
    keys: &[
        Key {
            name: "name",
            kind: "text",
            default: "required",
            example: "\"sales\"",
            about: "What clients say they are, letter case included; unique among all tenants.",
        },
        Key {
            name: "psk",
            kind: "secret",
            default: "required",
            example: "\"correct horse battery staple\"",
            about: "Pre-shared key of the group. One of `psk` and `psk_file` is required.",
        },
        Key {
            name: "psk_file",
            kind: "path",
            default: "required",
            example: "\"sales.psk\"",
            about: "A file whose only line is `psk`.",
        },
    ],
    reserved: &[],
};
