//! The keys of `[[tenant.group]]`.

use super::limits::{
    BURST_ROW, IDLE_TIMEOUT_ROW, ON_LIMIT_ROW, QUOTA_ROW, RATE_DOWN_ROW, RATE_UP_ROW,
    SESSION_TIMEOUT_ROW,
};
use super::{Key, SectionKeys};

/// `[[tenant.group]]`.
pub(crate) const GROUP: SectionKeys = SectionKeys {
    header: "[[tenant.group]]",
    about: "Users who have something in common: those with `group = \"NAME\"`. What a user has himself goes before \
            what the group has, and that before what the tenant has. A group may also have a pre-shared key \
            of its own, which leads to the tenant, whoever the user is. Clients use IKE aggressive mode for it: \
            Apple calls the name \"Group Name\", Android \"IPSec identifier\". In aggressive mode anybody \
            who knows the name can get a hash made with the key and try keys against it in peace: only \
            long random keys withstand that.",
    keys: &[
        Key {
            name: "name",
            kind: "text",
            default: "required",
            example: "\"sales\"",
            about: "Unique within the tenant. With a key it is what clients say they are, letter case included, and \
                    unique among all groups with keys.",
        },
        Key {
            name: "psk",
            kind: "secret",
            default: "none",
            example: "\"correct horse battery staple\"",
            about: "Pre-shared key of the group.",
        },
        Key {
            name: "psk_file",
            kind: "path",
            default: "none",
            example: "\"sales.psk\"",
            about: "A file whose only line is `psk`.",
        },
        Key {
            name: "pool",
            kind: "list of IPv4 networks",
            default: "any address of the tenant",
            example: "[\"10.64.8.0/24\"]",
            about: "Addresses for users of the group only: a part of the tenant's `pool`, which others get nothing of then, or networks besides. A user's own `address` may be anywhere.",
        },
        Key {
            name: "pool6",
            kind: "list of IPv6 networks, /32 to /64",
            default: "any /64 of the tenant",
            example: "[\"2001:db8:64:800::/56\"]",
            about: "The same for IPv6.",
        },
        Key {
            name: "dns",
            kind: "list of IP addresses",
            default: "those of the tenant",
            example: "[\"10.1.0.53\"]",
            about: "Name servers told to users of the group.",
        },
        Key {
            name: "ntp",
            kind: "list of IPv4 addresses, at most 4",
            default: "those of the tenant",
            example: "[\"10.1.0.123\"]",
            about: "Time servers told to users of the group.",
        },
        Key {
            name: "routes",
            kind: "list of IPv4 networks",
            default: "those of the tenant",
            example: "[\"10.1.0.0/16\"]",
            about: "Routes told to users of the group.",
        },
        Key {
            name: "domain",
            kind: "domain name",
            default: "that of the tenant",
            example: "\"staff.corp.example\"",
            about: "The domain told to users of the group.",
        },
        Key {
            name: "search",
            kind: "list of domain names, at most 8",
            default: "those of the tenant",
            example: "[\"staff.corp.example\"]",
            about: "The search list told to users of the group.",
        },
        Key {
            name: "sessions",
            kind: "number, 1 to 1000000",
            default: "no limit but the tenant's",
            example: "50",
            about: "Most sessions of all users of the group at once; further logins are refused as `too_many_sessions`.",
        },
        Key {
            name: "sessions_per_user",
            kind: "number, 1 to 65535",
            default: "that of the tenant",
            example: "2",
            about: "Most sessions of each user of the group at once.",
        },
        ON_LIMIT_ROW,
        SESSION_TIMEOUT_ROW,
        IDLE_TIMEOUT_ROW,
        QUOTA_ROW,
        RATE_UP_ROW,
        RATE_DOWN_ROW,
        BURST_ROW,
    ],
    reserved: &[],
};
