//! `[l2tp]`, `[[lac]]` and `[ppp]`.

use super::{Key, SectionKeys};

/// `[l2tp]`.
pub(crate) const L2TP: SectionKeys = SectionKeys {
    header: "[l2tp]",
    about: "The tunnels inside IPsec.",
    keys: &[
        Key {
            name: "hello_interval",
            kind: "duration",
            default: "`\"60s\"`",
            example: "\"60s\"",
            about: "A tunnel that was silent for so long is probed with HELLO.",
        },
        Key {
            name: "host_name",
            kind: "name",
            default: "`[gateway] name`",
            example: "\"use1-a\"",
            about: "Our name in the Host Name AVP.",
        },
        Key {
            name: "secret",
            kind: "secret",
            default: "none",
            example: "\"tunnel secret\"",
            about: "Tunnel authentication (RFC 2661 §5.1.1). Built-in clients cannot do it: set it only when every peer has it.",
        },
        Key {
            name: "secret_file",
            kind: "path",
            default: "none",
            example: "\"/etc/isthmus/l2tp.secret\"",
            about: "A file whose only line is `secret`.",
        },
        Key {
            name: "proxy",
            kind: "`\"renegotiate\"` or `\"accept\"`",
            default: "`\"renegotiate\"`",
            example: "\"renegotiate\"",
            about: "What becomes of LCP and authentication that a LAC inside IPsec brings along (RFC 2661 §4.4.5). \
                    With `\"accept\"` the session goes on with them if the gateway could have agreed to them itself; a \
                    LAC could repeat a login that it has seen before, so this needs `secret`.",
        },
    ],
    reserved: &[],
};

/// `[[lac]]`.
pub(crate) const LAC: SectionKeys = SectionKeys {
    header: "[[lac]]",
    about: "A LAC that is trusted without IPsec: a wholesale access network that hands its users over in \
            plain L2TP on UDP 1701. What it carries can be read and changed by whoever is on the way, so the \
            way must be a network of its own. From other addresses nothing is heard and nothing is answered.",
    keys: &[
        Key {
            name: "name",
            kind: "name",
            default: "required",
            example: "\"metro\"",
            about: "Unique; shown in status and logs.",
        },
        Key {
            name: "address",
            kind: "list of IP networks",
            default: "required",
            example: "[\"192.0.2.16/28\", \"2001:db8:20::/64\"]",
            about: "Where the LAC may be. No address can belong to two.",
        },
        Key {
            name: "secret",
            kind: "secret",
            default: "required, or `secret_file`",
            example: "\"tunnel secret\"",
            about: "The tunnel secret (RFC 2661 §5.1.1): both ends prove it before any user comes in.",
        },
        Key {
            name: "secret_file",
            kind: "path",
            default: "required, or `secret`",
            example: "\"/etc/isthmus/metro.secret\"",
            about: "A file whose only line is `secret`.",
        },
        Key {
            name: "tenant",
            kind: "name or list of names",
            default: "the only tenant",
            example: "[\"acme\", \"blue\"]",
            about: "Whose users it brings. Where these are several, the `realm` of the user's name chooses, as for clients \
                    with one key; a name without a realm comes to the tenant without one.",
        },
        Key {
            name: "listen",
            kind: "list of IP addresses",
            default: "as `[gateway] listen`",
            example: "[\"198.51.100.1\"]",
            about: "Addresses to take its tunnels on, UDP port 1701.",
        },
        Key {
            name: "tunnels",
            kind: "number, 1 to 64",
            default: "`16`",
            example: "16",
            about: "Most tunnels from one of its addresses and ports.",
        },
        Key {
            name: "sessions",
            kind: "number, 1 to 2048",
            default: "`1024`",
            example: "1024",
            about: "Most sessions from one of its addresses and ports.",
        },
        Key {
            name: "proxy",
            kind: "`\"renegotiate\"` or `\"accept\"`",
            default: "`\"renegotiate\"`",
            example: "\"accept\"",
            about: "What becomes of LCP and authentication that the LAC brings along (RFC 2661 §4.4.5). With \
                    `\"accept\"` the session goes on with them if the gateway could have agreed to them itself: an MRU \
                    not above `[ppp] mru`, a protocol of `[ppp] auth`. Otherwise the session begins anew.",
        },
    ],
    reserved: &[],
};

/// `[ppp]`.
pub(crate) const PPP: SectionKeys = SectionKeys {
    header: "[ppp]",
    about: "Login and the link of each session.",
    keys: &[
        Key {
            name: "auth",
            kind: "list of `\"mschapv2\"`, `\"eap-mschapv2\"`, `\"chap\"`, `\"pap\"`",
            default: "`[\"mschapv2\"]`",
            example: "[\"mschapv2\"]",
            about: "Authentication protocols in the order they are asked for. Every known client has MS-CHAPv2.",
        },
        Key {
            name: "mru",
            kind: "number, 576 to 1500",
            default: "`1400`",
            example: "1400",
            about: "Largest inner packet in bytes; larger ones are fragmented or refused with the right ICMP message.",
        },
        Key {
            name: "echo_interval",
            kind: "duration",
            default: "`\"30s\"`",
            example: "\"30s\"",
            about: "A link that was silent for so long, less a tenth, is probed with LCP Echo.",
        },
    ],
    reserved: &[],
};
