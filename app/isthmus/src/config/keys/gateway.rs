//! `[gateway]` and `[gateway.log]`.

use super::{Key, SectionKeys};

/// `[gateway]`.
pub(crate) const GATEWAY: SectionKeys = SectionKeys {
    header: "[gateway]",
    about: "This gateway: its name, where it listens, how it is operated.",
    keys: &[
        Key {
            name: "name",
            kind: "name",
            default: "the host name",
            example: "\"use1-a\"",
            about: "Shown in status and logs, and told to L2TP peers unless `[l2tp] host_name` is set.",
        },
        Key {
            name: "public_address",
            kind: "IP address",
            default: "unknown",
            example: "\"203.0.113.10\"",
            about: "What clients dial when this is not an address of this machine (cloud gateways are behind 1:1 NAT); it forces ESP into UDP then, as `force_encap` does.",
        },
        Key {
            name: "listen",
            kind: "list of IP addresses",
            default: "`[\"0.0.0.0\", \"::\"]`",
            example: "[\"0.0.0.0\", \"::\"]",
            about: "Addresses to listen on. When absent, a machine without IPv6 is served by IPv4 alone.",
        },
        Key {
            name: "ike_port",
            kind: "port",
            default: "`500`",
            example: "500",
            about: "UDP port of IKE. Built-in clients know no other.",
        },
        Key {
            name: "nat_t_port",
            kind: "port",
            default: "`4500`",
            example: "4500",
            about: "UDP port of IKE and ESP through NAT. Built-in clients know no other.",
        },
        Key {
            name: "control_socket",
            kind: "path",
            default: "`\"/run/isthmus/control.sock\"`",
            example: "\"/run/isthmus/control.sock\"",
            about: "Unix socket of the API that `isthmus status` and the others use; only the owner may open it.",
        },
        Key {
            name: "log",
            kind: "table",
            default: "see `[gateway.log]`",
            example: "{ format = \"text\", level = \"info\" }",
            about: "What is logged and how.",
        },
    ],
    reserved: &[],
};

/// `[gateway.log]`.
pub(crate) const LOG: SectionKeys = SectionKeys {
    header: "[gateway.log]",
    about: "Logs go to standard error. User names appear at debug level and in audit events only, \
            secrets never.",
    keys: &[
        Key {
            name: "format",
            kind: "`\"text\"` or `\"json\"`",
            default: "`\"text\"`",
            example: "\"json\"",
            about: "One line per event, for people or for programs.",
        },
        Key {
            name: "level",
            kind: "level",
            default: "`\"info\"`",
            example: "\"info\"",
            about: "`error`, `warn`, `info`, `debug` or `trace`. The environment variable `ISTHMUS_LOG` has precedence and also takes filters such as `info,isthmus_ike=debug`.",
        },
    ],
    reserved: &[],
};
