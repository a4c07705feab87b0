//! `[[tenant]]` and its users.

use super::limits::{
    BURST, BURST_ROW, IDLE_TIMEOUT, IDLE_TIMEOUT_ROW, ON_LIMIT, ON_LIMIT_ROW, QUOTA, QUOTA_ROW,
    RATE_DOWN, RATE_DOWN_ROW, RATE_UP, RATE_UP_ROW, SESSION_TIMEOUT, SESSION_TIMEOUT_ROW,
};
use super::{BGP_LATER, Key, RADIUS_LATER, SectionKeys};

/// `[[tenant]]`.
pub(crate) const TENANT: SectionKeys = SectionKeys {
    header: "[[tenant]]",
    about: "One customer, department or site: its users, its addresses, its way out. Tenants in \
            different network namespaces may use the same addresses. The pre-shared key or the authority of \
            the certificate says which tenants a client may come to; where these are several, `identity`, \
            then `listen`, then `realm` say which of them: the tenants that name what the client brings, or, \
            where none does, those that do not have the key. `isthmus check` refuses tenants that nothing \
            tells apart.",
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
            about: "Name (as in `ip netns`) of the namespace the tenant's packets come out in; it is made if there is none.",
        },
        Key {
            name: "psk",
            kind: "secret",
            default: "`[ipsec] psk`",
            example: "\"correct horse battery staple\"",
            about: "Pre-shared key that leads to this tenant. Several may have the same, told apart as said \
                    above; 16 different ones are possible.",
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
            about: "Authorities whose certificates lead to this tenant, PEM; needs `certificate_file` in [ipsec]. \
                    Several tenants may have the same, told apart as said above.",
        },
        Key {
            name: "group",
            kind: "list of tables",
            default: "none",
            example: "",
            about: "What some of the users have in common; see `[[tenant.group]]`.",
        },
        Key {
            name: "realm",
            kind: "name or list of names",
            default: "none",
            example: "\"blue\"",
            about: "Users who write their name as `user@blue` or `blue\\user` come to this tenant, of those \
                    that their key leads to; letter case does not matter. Where the key leads to this tenant \
                    alone, the realm may be left out. A name without a realm comes to the tenant without one. \
                    A realm that is nobody's is refused as `unknown_realm`.",
        },
        Key {
            name: "strip_realm",
            kind: "boolean",
            default: "`true`",
            example: "true",
            about: "Users files, logs and `isthmus sessions` have the name without the realm: `alice`. With \
                    `false` they have `alice@blue`, whichever way the client writes it.",
        },
        Key {
            name: "identity",
            kind: "identity or list of identities",
            default: "anybody's",
            example: "[\"*.blue.example\", \"192.168.7.7\"]",
            about: "Clients that say in IKE that they are this come to this tenant, of those that their key \
                    leads to: an IP address, a domain name, `user@domain` or a key id; `*` in front stands \
                    for any beginning. Who has a pre-shared key may say any name: this is for order, not \
                    for defence. Distinguished names of certificates are told apart by `ca_file`.",
        },
        Key {
            name: "listen",
            kind: "IP address or list of IP addresses",
            default: "all of `[gateway] listen`",
            example: "[\"198.51.100.2\"]",
            about: "Clients that dial these addresses of the gateway come to this tenant, of those that their \
                    key leads to, and no others do. Behind a 1:1 NAT write the private address.",
        },
        Key {
            name: "pool",
            kind: "list of IPv4 networks",
            default: "required",
            example: "[\"10.64.0.0/20\"]",
            about: "Addresses given to clients. A user who comes back while the gateway runs gets the same address \
                    again unless the pool had to give it away; 65536 users are remembered.",
        },
        Key {
            name: "exclude",
            kind: "list of IP addresses, networks or ranges",
            default: "`[]`",
            example: "[\"10.64.0.10\", \"10.64.1.0/24\", \"10.64.2.1-10.64.2.50\"]",
            about: "What of `pool` and `pool6` is given to nobody but the users whose own `address` or \
                    `address6` it is. Of IPv6 every /64 is meant that one of the addresses is in.",
        },
        Key {
            name: "gateway_address",
            kind: "IPv4 address",
            default: "the first address of `pool` that is not in `exclude`",
            example: "\"10.64.0.1\"",
            about: "Our own address on every link of the tenant; never given to a client.",
        },
        Key {
            name: "pool6",
            kind: "list of IPv6 networks, /32 to /64",
            default: "`[]`: no IPv6",
            example: "[\"2001:db8:64::/48\"]",
            about: "Networks that each session gets a /64 of, by router advertisement. They must be routed to this machine.",
        },
        Key {
            name: "gateway_address6",
            kind: "IPv6 address",
            default: "the first address of `pool6` that is not in `exclude`",
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
            name: "ntp",
            kind: "list of IPv4 addresses, at most 4",
            default: "`[]`",
            example: "[\"10.64.0.1\"]",
            about: "Time servers; told to clients that ask (DHCP option 42).",
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
            name: "sessions",
            kind: "number, 1 to 1000000",
            default: "no limit but the pool",
            example: "500",
            about: "Most sessions of the tenant at once; further logins are refused as `too_many_sessions`.",
        },
        Key {
            name: "sessions_per_user",
            kind: "number, 1 to 65535",
            default: "no limit",
            example: "1",
            about: "Most sessions of one user at once.",
        },
        Key {
            name: "on_limit",
            kind: "`\"refuse\"` or `\"replace\"`",
            default: "`\"refuse\"`",
            example: "\"replace\"",
            about: ON_LIMIT,
        },
        Key {
            name: "session_timeout",
            kind: "duration",
            default: "no limit",
            example: "\"12h\"",
            about: SESSION_TIMEOUT,
        },
        Key {
            name: "idle_timeout",
            kind: "duration",
            default: "no limit",
            example: "\"30m\"",
            about: IDLE_TIMEOUT,
        },
        Key {
            name: "quota",
            kind: "bytes",
            default: "no limit",
            example: "\"10GB\"",
            about: QUOTA,
        },
        Key {
            name: "rate_up",
            kind: "bits per second",
            default: "no limit",
            example: "\"20Mbit/s\"",
            about: RATE_UP,
        },
        Key {
            name: "rate_down",
            kind: "bits per second",
            default: "no limit",
            example: "\"100Mbit/s\"",
            about: RATE_DOWN,
        },
        Key {
            name: "burst",
            kind: "bytes",
            default: "what the rate carries in 250 ms, at least 64 KiB",
            example: "\"1MB\"",
            about: BURST,
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
            name: "device_per_session",
            kind: "boolean",
            default: "`false`",
            example: "true",
            about: "Gives each session a TUN device to itself beside the tenant's, called as that one, a dot and \
                    a number (`ist-acme.0`), so that `tcpdump`, `tc` and `ip route` see it apart. The name of \
                    `interface` has at most 10 characters then. Each device is a descriptor and a few \
                    routes; 4096 of a tenant, and the sessions beyond share `interface`.",
        },
        Key {
            name: "policy",
            kind: "table",
            default: "everything but other tenants and the metadata of clouds may be reached",
            example: "",
            about: "What users may reach, see below.",
        },
        Key {
            name: "egress",
            kind: "list of tables",
            default: "as the namespace routes",
            example: "",
            about: "Ways out; see `[[tenant.egress]]`.",
        },
        Key {
            name: "nat",
            kind: "list of tables",
            default: "none",
            example: "",
            about: "Translations of addresses beside those of the ways out; see `[[tenant.nat]]`.",
        },
    ],
    reserved: &[("radius", RADIUS_LATER), ("bgp", BGP_LATER)],
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
            name: "ntp",
            kind: "list of IPv4 addresses, at most 4",
            default: "those of the tenant",
            example: "[\"10.1.0.123\"]",
            about: "Time servers told to this user instead of the tenant's.",
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
            about: "One of the tenant's `[[tenant.group]]`. Where the tenant has none, any name: for policy, and for \
                    the operator's own order.",
        },
        Key {
            name: "sessions",
            kind: "number, 1 to 65535",
            default: "`sessions_per_user` of the tenant",
            example: "2",
            about: "Most sessions of this user at once.",
        },
        ON_LIMIT_ROW,
        SESSION_TIMEOUT_ROW,
        IDLE_TIMEOUT_ROW,
        QUOTA_ROW,
        RATE_UP_ROW,
        RATE_DOWN_ROW,
        BURST_ROW,
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
