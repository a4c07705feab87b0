//! How to connect from each kind of client, in words to copy.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

/// What the words are made of.
pub(crate) struct Guide<'a> {
    pub(crate) config: &'a Path,
    /// What clients dial, if known.
    pub(crate) server: Option<IpAddr>,
    /// Whether a person said so.
    pub(crate) certain: bool,
    pub(crate) user: &'a str,
    pub(crate) psk: String,
    pub(crate) password: String,
    pub(crate) legacy: bool,
}

/// The words.
pub(crate) fn guide(guide: &Guide<'_>) -> String {
    let server = guide.server.map_or_else(|| String::from("SERVER"), |address| address.to_string());
    let server = server.as_str();
    let (user, psk, password) = (guide.user, guide.psk.as_str(), guide.password.as_str());
    let config = guide.config.display();
    let usual = guide.config == Path::new(crate::config::DEFAULT_PATH);
    let elsewhere = if usual { String::new() } else { format!(" --config {config}") };
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "Written: {config}, and next to it the key and the users.\n\
         \n\
         1. Let UDP 500 and 4500 in (firewall, security group).\n\
         2. isthmus check --config {config}\n\
         3. isthmus run --config {config}\n\
         4. Connect with:\n\
         \n    server          {server}{}\
         \n    pre-shared key  {psk}\
         \n    user            {user}\
         \n    password        {password}\n\
         \n\
         The key and the password are in the files and are not shown again. A script or a profile for\n\
         each system: isthmus profile --for windows|apple|android|linux|routeros|chromeos {user}{elsewhere}\n",
        doubt(guide)
    );
    let _ = write!(out, "\n{}", windows(server, psk));
    let _ = write!(
        out,
        "\nmacOS, iOS, iPadOS\n\
         \x20 Settings > VPN > Add VPN Configuration > L2TP over IPSec. Server {server}, account {user}, the\n\
         \x20 password, and the key as \"Shared secret\" (iOS: \"Secret\"). Leave \"Group name\" empty. \"Send all\n\
         \x20 traffic\" decides between everything and the tenant's `routes`.\n"
    );
    let android = if guide.legacy {
        "Type \"L2TP/IPSec PSK\"; leave L2TP secret and IPSec identifier empty."
    } else {
        "Type \"L2TP/IPSec PSK\". Needs `legacy = true` in [ipsec]: these systems know only weak groups."
    };
    let _ = write!(
        out,
        "\nAndroid up to 11 (later versions have no L2TP)\n\
         \x20 Settings > Network > VPN > add. {android}\n"
    );
    let _ = write!(
        out,
        "\nLinux with NetworkManager (package network-manager-l2tp)\n\
         \x20 nmcli connection add type vpn vpn-type l2tp con-name isthmus \\\n\
         \x20   vpn.data 'gateway={server}, user={user}, ipsec-enabled=yes, password-flags=0, ipsec-psk-flags=0' \\\n\
         \x20   vpn.secrets 'password={password}, ipsec-psk={psk}'\n\
         \x20 nmcli connection up isthmus\n\
         \nLinux with isthmus itself\n\
         \x20 isthmus client connect --server {server} --psk-file psk --user {user} --password-file - --default-route\n"
    );
    let _ = write!(
        out,
        "\nMikroTik RouterOS\n\
         \x20 /ip ipsec proposal set [find default=yes] pfs-group=modp2048\n\
         \x20 /interface l2tp-client add name=isthmus connect-to={server} user=\"{user}\" \\\n\
         \x20   password=\"{password}\" use-ipsec=yes ipsec-secret=\"{psk}\" allow=mschap2 disabled=no\n"
    );
    out
}

fn windows(server: &str, psk: &str) -> String {
    format!(
        "Windows 7 to 11 (PowerShell; asks for user and password when connecting)\n\
         \x20 Add-VpnConnection -Name Isthmus -ServerAddress {server} -TunnelType L2tp -L2tpPsk '{psk}' `\n\
         \x20   -AuthenticationMethod MSChapv2 -EncryptionLevel Required -RememberCredential -Force\n\
         \x20 rasphone -d Isthmus\n\
         \x20 If it fails with error 809 and the server is behind NAT, run this as administrator and restart:\n\
         \x20 reg add HKLM\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent /f `\n\
         \x20   /v AssumeUDPEncapsulationContextOnSendRule /t REG_DWORD /d 2\n"
    )
}

/// A remark about an address that nobody has confirmed.
fn doubt(guide: &Guide<'_>) -> &'static str {
    match guide.server {
        None => "   (the address of this machine as clients see it)",
        Some(_) if guide.certain => "",
        Some(IpAddr::V4(address)) if address.is_private() => {
            "   (private: outside, clients need the public address; set `public_address`)"
        }
        Some(_) => "   (found on this machine; use the name or address clients reach it by)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_the_server_and_what_it_needs() {
        let text = guide(&Guide {
            config: Path::new("/etc/isthmus/isthmus.toml"),
            server: Some(IpAddr::from([203, 0, 113, 10])),
            certain: true,
            user: "alice",
            psk: String::from("PSK"),
            password: String::from("PASSWORD"),
            legacy: false,
        });
        for expected in [
            "-ServerAddress 203.0.113.10 -TunnelType L2tp -L2tpPsk 'PSK'",
            "AssumeUDPEncapsulationContextOnSendRule",
            "L2TP over IPSec. Server 203.0.113.10, account alice",
            "Needs `legacy = true`",
            "'gateway=203.0.113.10, user=alice, ipsec-enabled=yes",
            "isthmus client connect --server 203.0.113.10",
            "isthmus profile --for windows|apple|android|linux|routeros|chromeos alice",
            "connect-to=203.0.113.10 user=\"alice\"",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
    }
}
