//! The keys of `[tenant.policy]`, its rules, and `[[test]]`.

use super::{Key, SectionKeys};

/// `[tenant.policy]`.
pub(crate) const POLICY: SectionKeys = SectionKeys {
    header: "[tenant.policy]",
    about: "What the tenant's users may reach. Users of other tenants in the same namespace, the \
            gateway's addresses there, and the metadata services of clouds are out of reach unless a key \
            here says otherwise. What is denied is refused at once: a connection is reset, everything \
            else gets an ICMP \"administratively prohibited\". `[[test]]` keeps a policy as it is meant.",
    keys: &[
        Key {
            name: "default",
            kind: "`\"allow\"` or `\"deny\"`",
            default: "`\"allow\"`",
            example: "\"deny\"",
            about: "What becomes of packets that no rule fits.",
        },
        Key {
            name: "inbound",
            kind: "`\"allow\"` or `\"deny\"`",
            default: "`\"allow\"`",
            example: "\"deny\"",
            about: "Whether anybody outside may open connections to users; their answers always pass.",
        },
        Key {
            name: "cloud_metadata",
            kind: "boolean",
            default: "`false`",
            example: "false",
            about: "Whether users may reach the metadata services of clouds, which give the credentials \
                    of this machine to whoever asks: 169.254.169.254, 168.63.129.16, 100.100.100.200, \
                    fd00:ec2::254, fd20:ce::254.",
        },
        Key {
            name: "reaches",
            kind: "list of names",
            default: "none",
            example: "[\"shared\"]",
            about: "Other tenants of the same namespace whose users may be reached, as far as the rules \
                    let.",
        },
        Key {
            name: "rule",
            kind: "list of tables",
            default: "none",
            example: "",
            about: "In order: the first that fits decides.",
        },
    ],
    reserved: &[],
};

/// `[[tenant.policy.rule]]`.
pub(crate) const RULE: SectionKeys = SectionKeys {
    header: "[[tenant.policy.rule]]",
    about: "One rule. It fits a packet that everything written here fits; 10,000 rules cost a packet \
            hardly more than one.",
    keys: &[
        Key {
            name: "name",
            kind: "name",
            default: "required",
            example: "\"no-finance\"",
            about: "Unique within the tenant; explanations call the rule by it.",
        },
        Key {
            name: "action",
            kind: "`\"allow\"` or `\"deny\"`",
            default: "required",
            example: "\"deny\"",
            about: "What becomes of the packet.",
        },
        Key {
            name: "user",
            kind: "name or list of names",
            default: "everybody",
            example: "\"alice\"",
            about: "Whose packets; with `group` those of both.",
        },
        Key {
            name: "group",
            kind: "name or list of names",
            default: "everybody",
            example: "[\"interns\", \"guests\"]",
            about: "Groups of users whose packets it is about.",
        },
        Key {
            name: "from",
            kind: "network or list of networks",
            default: "anywhere",
            example: "\"192.168.40.0/24\"",
            about: "Sources, for networks behind users.",
        },
        Key {
            name: "to",
            kind: "network or list of networks",
            default: "everything",
            example: "[\"10.9.0.0/16\", \"2001:db8:9::/48\"]",
            about: "Destinations.",
        },
        Key {
            name: "service",
            kind: "service or list of services",
            default: "every service",
            example: "[\"tcp/443\", \"udp/8000-8999\", \"icmp\"]",
            about: "A protocol by name (`tcp`, `udp`, `icmp`, `gre`, `esp`, `ah`, `sctp`) or number, with \
                    a destination port or a range of them behind `/`.",
        },
    ],
    reserved: &[],
};

/// `[[test]]`.
pub(crate) const TEST: SectionKeys = SectionKeys {
    header: "[[test]]",
    about: "What must come of a packet. Tests are part of the configuration: `isthmus check` names those \
            that fail, and a configuration with one is neither started nor loaded.",
    keys: &[
        Key {
            name: "user",
            kind: "name",
            default: "required",
            example: "\"alice\"",
            about: "Who sends it.",
        },
        Key {
            name: "tenant",
            kind: "name",
            default: "the only tenant",
            example: "\"acme\"",
            about: "Whose user that is.",
        },
        Key {
            name: "from",
            kind: "IP address",
            default: "the user's own, or one of the pool",
            example: "\"192.168.40.7\"",
            about: "The source.",
        },
        Key {
            name: "to",
            kind: "IP address, with or without port",
            default: "required",
            example: "\"10.1.2.3:443\"",
            about: "The destination; write IPv6 with a port like `[2001:db8::1]:443`.",
        },
        Key {
            name: "protocol",
            kind: "protocol",
            default: "`\"tcp\"` with a port, `\"icmp\"` without",
            example: "\"udp\"",
            about: "As in `service` of a rule.",
        },
        Key {
            name: "expect",
            kind: "`\"allow\"`, `\"deny\"` or `\"allow via NAME\"`",
            default: "required",
            example: "\"allow via azure\"",
            about: "What must come of it, and by which egress it must leave while all of them are up. Networks \
                    that the machine itself is part of are not known to a test.",
        },
    ],
    reserved: &[],
};
