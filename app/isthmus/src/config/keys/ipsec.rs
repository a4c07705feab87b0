//! `[ipsec]`.

use super::{Key, SectionKeys};

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
            about: "Pre-shared key of the tenants that have none of their own. A key must come from somewhere: here, from `psk_file`, from the environment variable `ISTHMUS_PSK` (which has precedence), or from the tenant.",
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
