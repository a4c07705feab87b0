//! A script for MikroTik RouterOS.

use std::fmt::Write as _;

use super::Profile;
use crate::config::AuthProtocol;

pub(super) fn script(profile: &Profile) -> String {
    let Profile { name, server, user, psk, .. } = profile;
    let auth: Vec<&str> = profile.auth.iter().filter_map(|auth| method(*auth)).collect();
    let everything = if profile.sends_everything() { "yes" } else { "no" };
    let mut out = String::from(
        "# Written by `isthmus profile`. Run it with: /import file-name=THIS-FILE\n\
         # The default proposal asks for PFS with a group of 1024 bits, which gateways refuse today.\n\
         /ip ipsec proposal set [find default=yes] pfs-group=modp2048\n",
    );
    if profile.password.is_none() {
        out.push_str(
            "# Set the password afterwards: /interface l2tp-client set NAME password=PASSWORD\n",
        );
    }
    // Writing into a String cannot fail.
    let _ = writeln!(
        out,
        "/interface l2tp-client add name={} connect-to={} user={} password={} use-ipsec=yes \
         ipsec-secret={} allow={} add-default-route={everything} disabled={}",
        quoted(name),
        quoted(server),
        quoted(user),
        quoted(profile.password.as_deref().unwrap_or_default()),
        quoted(psk),
        auth.join(","),
        if profile.password.is_some() { "no" } else { "yes" },
    );
    for route in &profile.routes {
        let _ =
            writeln!(out, "/ip route add dst-address={} gateway={}", route.trunc(), quoted(name));
    }
    out
}

/// None for what the client of that system does not have.
const fn method(auth: AuthProtocol) -> Option<&'static str> {
    match auth {
        AuthProtocol::ChapMd5 => Some("chap"),
        AuthProtocol::EapMsChapV2 => None,
        AuthProtocol::MsChapV2 => Some("mschap2"),
        AuthProtocol::Pap => Some("pap"),
    }
}

/// A string of the scripting language: what it could take for its own is escaped, and what is not
/// ASCII is written byte for byte.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'$' | b'?' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            0x20..=0x7e => out.push(char::from(byte)),
            other => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\{other:02X}");
            }
        }
    }
    out.push('"');
    out
}
