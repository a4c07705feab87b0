//! `[data_path]`.

use super::{Key, SectionKeys};

/// `[data_path]`.
pub(crate) const DATA_PATH: SectionKeys = SectionKeys {
    header: "[data_path]",
    about: "How packets are worked on. The defaults use the whole machine; `isthmus status` says what is \
            in use. Changes take effect with a restart.",
    keys: &[
        Key {
            name: "workers",
            kind: "1 to 64",
            default: "one for each processor, at most 16",
            example: "4",
            about: "Threads that work on packets. A client stays with one of them, so one client is never faster than one processor.",
        },
        Key {
            name: "pin",
            kind: "true or false",
            default: "`false`",
            example: "true",
            about: "Keeps each worker on a processor of its own, the first on the first. Useful where nothing else runs on the machine.",
        },
        Key {
            name: "busy_poll",
            kind: "microseconds, 0 to 10000",
            default: "`0`",
            example: "50",
            about: "How long a worker goes on looking for packets before it sleeps. Takes some latency off, and a whole processor for each worker under steady traffic.",
        },
        Key {
            name: "engine",
            kind: "`\"fastest\"` or `\"portable\"`",
            default: "`\"fastest\"`",
            example: "\"portable\"",
            about: "What encrypts: Intel's libipsec-mb where it is installed (Debian: `apt install libipsec-mb1`) and agrees with the portable one, or the portable one in any case.",
        },
    ],
    reserved: &[],
};
