//! A keyfile for NetworkManager with the plugin NetworkManager-l2tp.

use std::fmt::Write as _;

use super::Profile;
use crate::config::AuthProtocol;

pub(super) fn keyfile(profile: &Profile) -> String {
    let Profile { name, server, user, psk, .. } = profile;
    let allowed = |auth: AuthProtocol| profile.auth.contains(&auth);
    // 0: in this file. 2: asked for each time.
    let flags = if profile.password.is_some() { 0 } else { 2 };
    let mut out = format!(
        "# Written by `isthmus profile`. Put it into /etc/NetworkManager/system-connections/, owned by\n\
         # root with mode 0600, and run: nmcli connection reload\n\
         [connection]\n\
         id={}\n\
         uuid={}\n\
         type=vpn\n\
         autoconnect=false\n\
         \n\
         [vpn]\n\
         service-type=org.freedesktop.NetworkManager.l2tp\n\
         gateway={}\n\
         user={}\n\
         ipsec-enabled=yes\n\
         ipsec-psk-flags=0\n\
         password-flags={flags}\n\
         refuse-eap=yes\n\
         refuse-mschap=yes\n",
        escaped(name),
        profile.uuid("linux"),
        escaped(server),
        escaped(user),
    );
    // Writing into a String cannot fail.
    for (auth, key) in [
        (AuthProtocol::ChapMd5, "refuse-chap"),
        (AuthProtocol::MsChapV2, "refuse-mschapv2"),
        (AuthProtocol::Pap, "refuse-pap"),
    ] {
        if !allowed(auth) {
            let _ = writeln!(out, "{key}=yes");
        }
    }
    let _ = write!(out, "\n[vpn-secrets]\nipsec-psk={}\n", escaped(psk));
    if let Some(password) = &profile.password {
        let _ = writeln!(out, "password={}", escaped(password));
    }
    out.push_str("\n[ipv4]\nmethod=auto\n");
    if !profile.sends_everything() {
        out.push_str("never-default=true\n");
    }
    for (number, route) in (1..).zip(&profile.routes) {
        let _ = writeln!(out, "route{number}={}", route.trunc());
    }
    out.push_str("\n[ipv6]\nmethod=disabled\n");
    out
}

/// A string value of a `GKeyFile`: a backslash is doubled, and a blank at either end is written out,
/// because it would be stripped.
fn escaped(text: &str) -> String {
    let inner = text.trim_matches(' ');
    let Some((before, after)) = text.split_once(inner).filter(|_| !inner.is_empty()) else {
        return "\\s".repeat(text.len());
    };
    let blanks = |text: &str| "\\s".repeat(text.len());
    format!("{}{}{}", blanks(before), inner.replace('\\', "\\\\"), blanks(after))
}
