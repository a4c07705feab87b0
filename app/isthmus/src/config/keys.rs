//! The table of every key: what may be written, what it means, what holds when it is absent.
//!
//! It is the one list: unknown keys are those not in it, suggestions come from it, and
//! `docs/operate/configuration.md` is printed from it.

mod data_path;
mod egress;
mod gateway;
mod group;
mod ipsec;
mod limits;
mod links;
mod nat;
mod policy;
mod tenant;

pub(crate) use data_path::DATA_PATH;
pub(crate) use egress::{EGRESS, HEALTH, MATCH, VIA};
pub(crate) use gateway::{GATEWAY, LOG};
pub(crate) use group::GROUP;
pub(crate) use ipsec::IPSEC;
pub(crate) use links::{L2TP, LAC, PPP};
pub(crate) use nat::{DNAT, NAT, NETMAP, ONE_TO_ONE};
pub(crate) use policy::{POLICY, RULE, TEST};
pub(crate) use tenant::{TENANT, USER};

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
pub(crate) const SECTIONS: [&SectionKeys; 22] = [
    &ROOT,
    &GATEWAY,
    &LOG,
    &DATA_PATH,
    &IPSEC,
    &L2TP,
    &LAC,
    &PPP,
    &TENANT,
    &GROUP,
    &EGRESS,
    &MATCH,
    &VIA,
    &HEALTH,
    &NAT,
    &DNAT,
    &ONE_TO_ONE,
    &NETMAP,
    &POLICY,
    &RULE,
    &USER,
    &TEST,
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
        Key {
            name: "test",
            kind: "list of tables",
            default: "none",
            example: "",
            about: "What must come of packets of users.",
        },
    ],
    reserved: &[("radius", RADIUS_LATER), ("bgp", BGP_LATER), ("overlay", OVERLAY_LATER)],
};
