//! The keys of `[[tenant.nat]]`.

use super::{Key, SectionKeys};

const fn key(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    example: &'static str,
    about: &'static str,
) -> Key {
    Key { name, kind, default, example, about }
}

/// `[[tenant.nat]]`.
pub(crate) const NAT: SectionKeys = SectionKeys {
    header: "[[tenant.nat]]",
    about: "A translation of addresses beside `nat` of an egress, which comes after it. Exactly one of `dnat`, \
            `one_to_one` and `netmap`. Addresses outside must be routed to this machine by whoever is there. See \
            docs/operate/nat.md.",
    keys: &[
        key(
            "dnat",
            "table",
            "none",
            "{ address = \"192.0.2.7\", protocol = \"tcp\", port = 443, to = \"10.64.0.9\" }",
            "Packets to an address outside go to a client.",
        ),
        key(
            "one_to_one",
            "table",
            "none",
            "{ inside = \"10.64.0.9\", outside = \"192.0.2.9\" }",
            "A client is known outside by another address, both ways.",
        ),
        key(
            "netmap",
            "table",
            "none",
            "{ inside = \"10.201.0.0/16\", outside = \"10.1.0.0/16\" }",
            "Clients know the network `outside` by the addresses of `inside`, both ways: for networks that exist \
             twice.",
        ),
        key(
            "egress",
            "name or list of names",
            "all egresses",
            "[\"azure\"]",
            "Only packets by these egresses. Packets to a `netmap` then take them whatever other egress has the \
             same network; at most 15 in a tenant.",
        ),
        key(
            "except",
            "list of IP networks",
            "`[]`",
            "[\"10.201.9.0/24\"]",
            "Destinations that are not translated.",
        ),
    ],
    reserved: &[],
};

/// `dnat` of a translation.
pub(crate) const DNAT: SectionKeys = SectionKeys {
    header: "[tenant.nat.dnat]",
    about: "Packets to an address outside go to a client.",
    keys: &[
        key("address", "IP address", "required", "\"192.0.2.7\"", "The address outside."),
        key("protocol", "`\"tcp\"` or `\"udp\"`", "all packets", "\"tcp\"", "With `port`."),
        key("port", "number, 1 to 65535", "all packets", "443", "The port outside."),
        key("to", "IP address", "required", "\"10.64.0.9\"", "The client's address; in the pool."),
        key("to_port", "number, 1 to 65535", "`port`", "8443", "The client's port."),
    ],
    reserved: &[],
};

/// `one_to_one` of a translation.
pub(crate) const ONE_TO_ONE: SectionKeys = SectionKeys {
    header: "[tenant.nat.one_to_one]",
    about: "A client is known outside by another address, both ways.",
    keys: &[
        key(
            "inside",
            "IP address",
            "required",
            "\"10.64.0.9\"",
            "The client's address; in the pool.",
        ),
        key("outside", "IP address", "required", "\"192.0.2.9\"", "Its address outside."),
    ],
    reserved: &[],
};

/// `netmap` of a translation.
pub(crate) const NETMAP: SectionKeys = SectionKeys {
    header: "[tenant.nat.netmap]",
    about: "Clients know the hosts of a network by other addresses; who opens connections from there comes from those.",
    keys: &[
        key("inside", "IP network", "required", "\"10.201.0.0/16\"", "As clients know it."),
        key("outside", "IP network", "required", "\"10.1.0.0/16\"", "As it is; as large."),
    ],
    reserved: &[],
};
