//! The keys of `[[tenant.egress]]`.

use super::{Key, OVERLAY_LATER, SectionKeys};

/// `[[tenant.egress]]`.
pub(crate) const EGRESS: SectionKeys = SectionKeys {
    header: "[[tenant.egress]]",
    about: "A way out for packets of the tenant's clients. Among egresses with the same conditions the longest \
            matching prefix decides, then the order of the file: the first that is up is taken. What an egress \
            is for never leaves by another way: when all of them are down it is refused. See \
            docs/operate/routing.md.",
    keys: &[
        Key {
            name: "name",
            kind: "name",
            default: "required",
            example: "\"internet\"",
            about: "Unique within the tenant.",
        },
        Key {
            name: "match",
            kind: "table",
            default: "everything",
            example: "{ to = [\"172.20.0.0/14\"] }",
            about: "Which packets.",
        },
        Key {
            name: "via",
            kind: "table",
            default: "required without `deny`",
            example: "{ interface = \"eth1\", gateway = \"192.0.2.1\" }",
            about: "Where they go.",
        },
        Key {
            name: "deny",
            kind: "boolean",
            default: "`false`",
            example: "true",
            about: "Refuses the packets with an ICMP \"administratively prohibited\", instead of `via`.",
        },
        Key {
            name: "health",
            kind: "table",
            default: "none: only the link of `interface` counts",
            example: "{ icmp = \"198.51.100.9\" }",
            about: "What has to answer behind this way out for it to be up; see `[tenant.egress.health]`. At most 32 \
                    in a tenant.",
        },
        Key {
            name: "nat",
            kind: "`\"masquerade\"`, `\"none\"`, IPv4 address or range",
            default: "`\"none\"`",
            example: "\"masquerade\"",
            about: "What becomes of IPv4 sources: the address of the interface, or one of these, which must be routed \
                    to this machine.",
        },
        Key {
            name: "nat6",
            kind: "`\"masquerade\"`, `\"none\"`, IPv6 address or range",
            default: "`\"none\"`",
            example: "\"2001:db8::7\"",
            about: "The same for IPv6.",
        },
        Key {
            name: "nat_except",
            kind: "list of IP networks",
            default: "`[]`",
            example: "[\"10.0.0.0/8\"]",
            about: "Destinations to which sources stay what they are.",
        },
        Key {
            name: "mss_clamp",
            kind: "boolean",
            default: "`false`",
            example: "true",
            about: "Tells TCP connections out of the interface the largest segment that its MTU lets through. What \
                    sessions carry is bounded by `[ppp] mru` in any case.",
        },
    ],
    reserved: &[],
};

/// `match` of an egress.
pub(crate) const MATCH: SectionKeys = SectionKeys {
    header: "[tenant.egress.match]",
    about: "Which packets take this way; all conditions that are written must hold.",
    keys: &[
        Key {
            name: "to",
            kind: "list of IP networks",
            default: "everything, of the IP versions that `via` has a way for",
            example: "[\"172.20.0.0/14\", \"2001:db8:20::/48\"]",
            about: "Destinations.",
        },
        Key {
            name: "from",
            kind: "list of IP networks",
            default: "all clients",
            example: "[\"10.64.0.0/25\"]",
            about: "Sources; at most 64.",
        },
        Key {
            name: "mark",
            kind: "text, `\"MARK/MASK\"`",
            default: "any",
            example: "\"0x10/0xff\"",
            about: "Firewall mark that rules of your own set before routing. The lower 12 bits are yours, the \
                    others are the gateway's.",
        },
        Key {
            name: "group",
            kind: "name, or list of such",
            default: "any",
            example: "[\"staff\"]",
            about: "Groups of users (`group` of a user) one of which the client's is in.",
        },
        Key {
            name: "user",
            kind: "name, or list of such",
            default: "any",
            example: "[\"alice\"]",
            about: "Users one of whom the client is, beside those of `group`.",
        },
    ],
    reserved: &[],
};

/// `via` of an egress.
pub(crate) const VIA: SectionKeys = SectionKeys {
    header: "[tenant.egress.via]",
    about: "Where packets go: `interface`, `gateway` or both, or `netns`.",
    keys: &[
        Key {
            name: "interface",
            kind: "interface name",
            default: "where `gateway` is; with `netns` `isv-` and the tenant's name",
            example: "\"eth1\"",
            about: "The device they leave by; required with `nat = \"masquerade\"`. With `netns` what both ends of \
                    the pair are called.",
        },
        Key {
            name: "gateway",
            kind: "IP address, or one of each IP version",
            default: "none: the destinations of `match` are directly on the interface; without `to`, the machine's own routes decide",
            example: "[\"192.0.2.1\", \"2001:db8::1\"]",
            about: "The next hop.",
        },
        Key {
            name: "netns",
            kind: "name of a network namespace",
            default: "none",
            example: "\"transit\"",
            about: "Another namespace, which somebody else has made: a pair of devices leads there, and routes back \
                    to the clients are put there. `\"host\"` is the gateway's own. While it is away the way is \
                    down. At most 8 in a tenant.",
        },
        Key {
            name: "link",
            kind: "IP network, or one of each IP version",
            default: "a /31 of 169.254.64.0/18 and a /127 of fd69:7374:686d::/48",
            example: "[\"192.0.2.0/31\", \"2001:db8:9::/127\"]",
            about: "With `netns`, the addresses of the pair: the first one here, the second one beyond.",
        },
    ],
    reserved: &[("overlay", OVERLAY_LATER)],
};

/// `health` of an egress.
pub(crate) const HEALTH: SectionKeys = SectionKeys {
    header: "[tenant.egress.health]",
    about: "Whether the way out works. Probes go by that very way, also while it is down. After `fall` failures in a \
            row its routes are withdrawn, after `rise` successes they come back; a way that falls soon after it came \
            back is held down for 4 s, then twice as long each time, up to 2 minutes. Exactly one of `icmp`, `tcp` and \
            `http`.",
    keys: &[
        Key {
            name: "icmp",
            kind: "IP address",
            default: "none",
            example: "\"198.51.100.9\"",
            about: "A host that answers an echo request.",
        },
        Key {
            name: "tcp",
            kind: "IP address and port",
            default: "none",
            example: "\"10.0.0.5:443\"",
            about: "A server that accepts connections.",
        },
        Key {
            name: "http",
            kind: "URL with an IP address",
            default: "none",
            example: "\"http://10.0.0.5:8080/healthz\"",
            about: "A web server that answers with a status below 400.",
        },
        Key {
            name: "interval",
            kind: "duration",
            default: "`\"500ms\"`",
            example: "\"1s\"",
            about: "From one probe to the next, 100ms to 1m.",
        },
        Key {
            name: "timeout",
            kind: "duration",
            default: "`interval`",
            example: "\"300ms\"",
            about: "How long an answer may take, at most `interval`.",
        },
        Key {
            name: "fall",
            kind: "number, 1 to 100",
            default: "`3`",
            example: "3",
            about: "Failures in a row that take it down.",
        },
        Key {
            name: "rise",
            kind: "number, 1 to 100",
            default: "`5`",
            example: "5",
            about: "Successes in a row that bring it back.",
        },
    ],
    reserved: &[],
};
