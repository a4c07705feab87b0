//! The table of every key: what may be written, what it means, what holds when it is absent.
//!
//! It is the one list: unknown keys are those not in it, suggestions come from it, and
//! `docs/operate/configuration.md` is printed from it.

mod data_path;
mod group;

pub(crate) use data_path::DATA_PATH;
pub(crate) use group::GROUP;

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// As written.
    pub(crate) name: &'static str,
    /// What kind of value, in words.
    pub(crate) kind: &'static str,
    /// What holds when it is absent, in words or as TOML between backquotes.
    pub(crate) default: &'static str,
    /// A TOML value to copy.
    pub(crate) example: &'static str,
    /// What it means.
    pub(crate) about: &'static str,
}

/// A table of the file.
#[derive(Debug)]
pub(crate) struct SectionKeys {
    /// As written, with brackets.
    pub(crate) header: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// Its keys in the order of the reference.
    pub(crate) keys: &'static [Key],
    /// Names kept for later, with what to do until then.
    pub(crate) reserved: &'static [(&'static str, &'static str)],
}

impl SectionKeys {
    /// The key with this name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// What to do instead of using a reserved name.
    pub(crate) fn reserved(&self, name: &str) -> Option<&'static str> {
        self.reserved.iter().find(|(reserved, _)| *reserved == name).map(|(_, remedy)| *remedy)
    }

    /// Every name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|key| key.name)
    }
}

/// The name most like a misspelt one, if any is close.
pub(crate) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = 1 + written.chars().count() / 4;
    names
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, _)| *distance <= close)
        .min()
        .map(|(_, name)| name)
}

/// The other section that knows a key.
pub(crate) fn home_of(key: &str) -> Option<&'static str> {
    SECTIONS.iter().find(|section| section.key(key).is_some()).map(|section| section.header)
}

/// Every section in the order of the reference.
pub(crate) const SECTIONS: [&SectionKeys; 14] = [
    &ROOT, &GATEWAY, &LOG, &DATA_PATH, &IPSEC, &L2TP, &LAC, &PPP, &TENANT, &GROUP, &EGRESS, &MATCH,
    &VIA, &USER,
];

const RADIUS_LATER: &str =
    "RADIUS comes with a later version; list the users in `users_file` until then";
const BGP_LATER: &str =
    "BGP comes with a later version; route the pool to this gateway statically until then";
const OVERLAY_LATER: &str =
    "overlays come with a later version; name an interface or a next hop in `via` until then";

/// The top of the file.
pub(crate) const ROOT: SectionKeys = SectionKeys {
    header: "the top level",
    about: "A configuration is made of these tables. They may be spread over the main file and the \
            files in `conf.d/` next to it (`*.toml`, in the order of their names): tables of the same \
            name join, `[[tenant]]` lists grow, and a key set twice is an error.",
    keys: &[
        Key {
            name: "gateway",
            kind: "table",
            default: "all defaults",
            example: "",
            about: "This gateway.",
        },
        Key {
            name: "data_path",
            kind: "table",
            default: "all defaults",
            example: "",
            about: "How packets are worked on.",
        },
        Key {
            name: "ipsec",
            kind: "table",
            default: "all defaults",
            example: "",
            about: "IKE and ESP.",
        },
        Key {
            name: "l2tp",
            kind: "table",
            default: "all defaults",
            example: "",
            about: "Tunnels.",
        },
        Key {
            name: "lac",
            kind: "list of tables",
            default: "none",
            example: "",
            about: "Access networks that hand users over without IPsec; without any, UDP 1701 is closed.",
        },
        Key {
            name: "ppp",
            kind: "table",
            default: "all defaults",
            example: "",
            about: "Login and links.",
        },
        Key {
            name: "tenant",
            kind: "list of tables",
            default: "required",
            example: "",
            about: "Who is served; at least one.",
        },
    ],
    reserved: &[("radius", RADIUS_LATER), ("bgp", BGP_LATER), ("overlay", OVERLAY_LATER)],
};

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

/// `[ipsec]`.
pub(crate) const IPSEC: SectionKeys = SectionKeys {
    header: "[ipsec]",
    about: "IKE and ESP. The defaults serve Windows, Apple, ChromeOS, NetworkManager and RouterOS; \
            `legacy` adds what Android up to 11 and old routers need.",
    keys: &[
        Key {
            name: "psk",
            kind: "secret",
            default: "see below",
            example: "\"correct horse battery staple\"",
            about: "Pre-shared key of the one tenant that has none of its own. A key must come from somewhere: here, from `psk_file`, from the environment variable `ISTHMUS_PSK` (which has precedence), or from the tenant.",
        },
        Key {
            name: "psk_file",
            kind: "path",
            default: "see `psk`",
            example: "\"/etc/isthmus/psk\"",
            about: "A file whose only line is the pre-shared key. Relative to the file that names it.",
        },
        Key {
            name: "legacy",
            kind: "boolean",
            default: "`false`",
            example: "false",
            about: "Allows modp1024, modp1536, MD5 and 3DES, which can be broken with effort, and adds them after the better proposals.",
        },
        Key {
            name: "ike",
            kind: "list of IKE proposals",
            default: "see the lists below",
            example: "[\"aes256-sha256-modp2048\"]",
            about: "Proposals accepted, most wanted first, as cipher-hash-group.",
        },
        Key {
            name: "esp",
            kind: "list of ESP suites",
            default: "see the lists below",
            example: "[\"aes256-sha256\", \"aes256-sha1\"]",
            about: "Suites accepted, most wanted first.",
        },
        Key {
            name: "ike_lifetime",
            kind: "duration",
            default: "`\"8h\"`",
            example: "\"8h\"",
            about: "Longest life of an IKE SA; a client that asks for less gets less.",
        },
        Key {
            name: "child_lifetime",
            kind: "duration",
            default: "`\"1h\"`",
            example: "\"1h\"",
            about: "Longest life of an ESP SA pair that we ask for; a client that offers a longer one is told, and may mind.",
        },
        Key {
            name: "dpd_interval",
            kind: "duration",
            default: "`\"30s\"`",
            example: "\"30s\"",
            about: "A peer that was silent for so long is asked whether it is alive (RFC 3706), if it knows the question.",
        },
        Key {
            name: "force_encap",
            kind: "boolean",
            default: "`false`",
            example: "false",
            about: "Puts ESP into UDP even where no NAT is seen, for paths that drop IP protocol 50.",
        },
        Key {
            name: "certificate_file",
            kind: "path or list of paths",
            default: "none",
            example: "[\"rsa.crt\", \"ecdsa.crt\"]",
            about: "Our certificate and those that lead to its authority, PEM: serves clients that use certificates, beside those with pre-shared keys. Needs `key_file`, and `ca_file` here or in tenants. RSA of 2048 bits or more, P-256 or P-384; clients need a key of the same kind, so a list with one of each kind serves all of them. Read again on reload.",
        },
        Key {
            name: "key_file",
            kind: "path or list of paths",
            default: "none",
            example: "[\"rsa.key\", \"ecdsa.key\"]",
            about: "The private key of the certificate, PEM, not encrypted; of several certificates a list in the same order. Read again on reload.",
        },
        Key {
            name: "ca_file",
            kind: "path",
            default: "none",
            example: "\"clients-ca.crt\"",
            about: "Authorities whose certificates clients may have, PEM. With several tenants each names its own.",
        },
        Key {
            name: "crl_file",
            kind: "path",
            default: "none",
            example: "\"clients.crl\"",
            about: "Revocation lists of the authorities, PEM. Nothing is ever fetched from addresses in certificates. Read again on reload.",
        },
        Key {
            name: "certificate_usages",
            kind: "list of `\"ipsec\"`, `\"client\"`, `\"server\"`",
            default: "`[\"ipsec\", \"client\", \"server\"]`",
            example: "[\"ipsec\", \"client\"]",
            about: "Extended key usages of which a client's certificate must have one. A certificate without any is taken, unless the list is written here.",
        },
        Key {
            name: "certificate_names",
            kind: "boolean",
            default: "`true`",
            example: "true",
            about: "The name a client goes by (its subject, domain name, mail address or IP address) must be in its certificate. Without this, any valid certificate may go by any name.",
        },
        Key {
            name: "aggressive",
            kind: "boolean",
            default: "`false`",
            example: "false",
            about: "Serves IKE aggressive mode with the pre-shared key of the tenant, whatever name a client gives; with several tenants use `[[tenant.group]]`, which needs no switch. In aggressive mode anybody can get a hash made with the key and try keys against it in peace: only long random keys withstand that.",
        },
        Key {
            name: "fragment_size",
            kind: "bytes",
            default: "`1280`",
            example: "1280",
            about: "Longest IP packet with an IKE message, 576 to 9000; longer messages are cut for clients that understand pieces.",
        },
    ],
    reserved: &[],
};

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
            kind: "name",
            default: "the only tenant",
            example: "\"acme\"",
            about: "Whose users it brings.",
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
            about: "A link that was silent for so long is probed with LCP Echo.",
        },
    ],
    reserved: &[],
};

/// `[[tenant]]`.
pub(crate) const TENANT: SectionKeys = SectionKeys {
    header: "[[tenant]]",
    about: "One customer, department or site: its users, its addresses, its way out. Tenants in \
            different network namespaces may use the same addresses. Each tenant is recognised by its \
            pre-shared key.",
    keys: &[
        Key {
            name: "name",
            kind: "name",
            default: "required",
            example: "\"acme\"",
            about: "Unique; letters, digits, `-`, `_` and `.`.",
        },
        Key {
            name: "netns",
            kind: "network namespace",
            default: "the gateway's own",
            example: "\"acme\"",
            about: "Name (as in `ip netns`) of the namespace the tenant's packets come out in.",
        },
        Key {
            name: "psk",
            kind: "secret",
            default: "`[ipsec] psk`",
            example: "\"correct horse battery staple\"",
            about: "Pre-shared key that leads to this tenant.",
        },
        Key {
            name: "psk_file",
            kind: "path",
            default: "`[ipsec] psk`",
            example: "\"acme.psk\"",
            about: "A file whose only line is `psk`.",
        },
        Key {
            name: "ca_file",
            kind: "path",
            default: "`[ipsec] ca_file`, with one tenant",
            example: "\"acme-ca.crt\"",
            about: "Authorities whose certificates lead to this tenant, PEM; needs `certificate_file` in [ipsec].",
        },
        Key {
            name: "group",
            kind: "list of tables",
            default: "none",
            example: "",
            about: "Groups of users with a key of their own; see `[[tenant.group]]`.",
        },
        Key {
            name: "pool",
            kind: "list of IPv4 networks",
            default: "required",
            example: "[\"10.64.0.0/20\"]",
            about: "Addresses given to clients.",
        },
        Key {
            name: "gateway_address",
            kind: "IPv4 address",
            default: "the first address of `pool`",
            example: "\"10.64.0.1\"",
            about: "Our own address on every link of the tenant; never given to a client.",
        },
        Key {
            name: "pool6",
            kind: "list of IPv6 networks, /32 to /64",
            default: "`[]`: no IPv6",
            example: "[\"2001:db8:64::/48\"]",
            about: "Networks that each session gets a /64 of, by router advertisement. They must be routed to this machine. IPv6 leaves as the namespace routes; `egress` is for IPv4.",
        },
        Key {
            name: "gateway_address6",
            kind: "IPv6 address",
            default: "the first address of `pool6`",
            example: "\"2001:db8:64::1\"",
            about: "Our own IPv6 address on the device of the tenant; its /64 is given to nobody.",
        },
        Key {
            name: "dns",
            kind: "list of IP addresses",
            default: "`[]`",
            example: "[\"10.64.0.1\"]",
            about: "Name servers told to clients; IPv6 ones over IPv6.",
        },
        Key {
            name: "routes",
            kind: "list of IPv4 networks",
            default: "`[]`",
            example: "[\"10.0.0.0/8\", \"172.20.0.0/14\"]",
            about: "Routes told to clients that do not send everything through the tunnel; the first 50 are told.",
        },
        Key {
            name: "domain",
            kind: "domain name",
            default: "none",
            example: "\"corp.example\"",
            about: "The domain clients are in; told to those that ask (DHCP option 15).",
        },
        Key {
            name: "search",
            kind: "list of domain names, at most 8",
            default: "`[]`",
            example: "[\"corp.example\", \"lab.example\"]",
            about: "Domains that clients look short names up in; told to those that ask (DHCP option 119).",
        },
        Key {
            name: "users_file",
            kind: "path",
            default: "none",
            example: "\"users.toml\"",
            about: "Who may log in, as `isthmus user` writes it. Read again whenever it changes.",
        },
        Key {
            name: "users",
            kind: "table of users",
            default: "none",
            example: "",
            about: "Users written here instead of in a file: `[tenant.users.alice]`.",
        },
        Key {
            name: "interface",
            kind: "interface name",
            default: "`ist-` and the tenant's name, cut to 15 characters",
            example: "\"ist-acme\"",
            about: "The TUN device of the tenant.",
        },
        Key {
            name: "egress",
            kind: "list of tables",
            default: "as the namespace routes",
            example: "",
            about: "Ways out; see `[[tenant.egress]]`.",
        },
    ],
    reserved: &[("radius", RADIUS_LATER), ("bgp", BGP_LATER)],
};

/// `[[tenant.egress]]`.
pub(crate) const EGRESS: SectionKeys = SectionKeys {
    header: "[[tenant.egress]]",
    about: "A way out for packets of the tenant's clients. The longest matching prefix decides.",
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
            default: "required",
            example: "{ interface = \"eth1\", gateway = \"192.0.2.1\" }",
            about: "Where they go.",
        },
        Key {
            name: "nat",
            kind: "`\"masquerade\"` or `\"none\"`",
            default: "`\"none\"`",
            example: "\"masquerade\"",
            about: "Whether they leave with the address of the interface.",
        },
    ],
    reserved: &[],
};

/// `match` of an egress.
pub(crate) const MATCH: SectionKeys = SectionKeys {
    header: "[tenant.egress.match]",
    about: "Which packets take this way.",
    keys: &[Key {
        name: "to",
        kind: "list of IPv4 networks",
        default: "`[\"0.0.0.0/0\"]`",
        example: "[\"172.20.0.0/14\"]",
        about: "Destinations.",
    }],
    reserved: &[],
};

/// `via` of an egress.
pub(crate) const VIA: SectionKeys = SectionKeys {
    header: "[tenant.egress.via]",
    about: "Where packets go; at least one of the keys.",
    keys: &[
        Key {
            name: "interface",
            kind: "interface name",
            default: "where `gateway` is",
            example: "\"eth1\"",
            about: "The device they leave by; required with `nat = \"masquerade\"`.",
        },
        Key {
            name: "gateway",
            kind: "IPv4 address",
            default: "none: the network is directly on the interface",
            example: "\"192.0.2.1\"",
            about: "The next hop.",
        },
    ],
    reserved: &[("overlay", OVERLAY_LATER)],
};

/// `[users.NAME]` in a users file, `[tenant.users.NAME]` in the configuration.
pub(crate) const USER: SectionKeys = SectionKeys {
    header: "[users.NAME]",
    about: "A user, in a users file; in the configuration itself the table is `[tenant.users.NAME]`. \
            Exactly one of `password` and `nt_hash` must be there.",
    keys: &[
        Key {
            name: "password",
            kind: "secret",
            default: "none",
            example: "\"open sesame\"",
            about: "The password; serves every authentication protocol.",
        },
        Key {
            name: "nt_hash",
            kind: "32 hexadecimal digits",
            default: "none",
            example: "\"0123456789abcdef0123456789abcdef\"",
            about: "MD4 of the password in UTF-16LE, as `isthmus user add --nt-hash` writes it: the password cannot be read back, but the hash is enough to log in with MS-CHAPv2, so it is as secret as a password. Does not serve CHAP.",
        },
        Key {
            name: "address",
            kind: "IPv4 address",
            default: "any of the pool",
            example: "\"10.64.0.9\"",
            about: "The address this user always gets.",
        },
        Key {
            name: "address6",
            kind: "IPv6 /64 network",
            default: "any of `pool6`",
            example: "\"2001:db8:64:9::/64\"",
            about: "The /64 this user always gets; where another session has it, this one is without IPv6.",
        },
        Key {
            name: "routes",
            kind: "list of IPv4 networks",
            default: "those of the tenant",
            example: "[\"10.1.0.0/16\"]",
            about: "Routes told to this user instead of the tenant's.",
        },
        Key {
            name: "networks",
            kind: "list of IPv4 networks",
            default: "`[]`",
            example: "[\"192.168.40.0/24\"]",
            about: "Networks behind the user (a branch office): packets from them are accepted, packets to them are sent there.",
        },
        Key {
            name: "dns",
            kind: "list of IP addresses",
            default: "those of the tenant",
            example: "[\"10.1.0.53\"]",
            about: "Name servers told to this user instead of the tenant's.",
        },
        Key {
            name: "domain",
            kind: "domain name",
            default: "that of the tenant",
            example: "\"branch.corp.example\"",
            about: "The domain told to this user instead of the tenant's.",
        },
        Key {
            name: "search",
            kind: "list of domain names, at most 8",
            default: "those of the tenant",
            example: "[\"branch.corp.example\"]",
            about: "The search list told to this user instead of the tenant's.",
        },
        Key {
            name: "group",
            kind: "name",
            default: "none",
            example: "\"staff\"",
            about: "For the operator's own order; shown in `isthmus user list`.",
        },
        Key {
            name: "disabled",
            kind: "boolean",
            default: "`false`",
            example: "false",
            about: "Refuses the user without forgetting it.",
        },
    ],
    reserved: &[],
};
