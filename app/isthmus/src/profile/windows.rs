//! A PowerShell script for Windows 8 and later.

use std::fmt::Write as _;

use super::{Profile, ProfileError};
use crate::config::AuthProtocol;

/// # Errors
/// A password that `rasdial` cannot be given.
pub(super) fn script(profile: &Profile) -> Result<String, ProfileError> {
    let Profile { name, server, psk, user, .. } = profile;
    let auth: Vec<&str> = profile.auth.iter().map(|auth| method(*auth)).collect();
    let split = if profile.sends_everything() { "" } else { " -SplitTunneling" };
    // Without the mark Windows PowerShell takes the file for one in the system's own code page.
    let mut out = String::from(BYTE_ORDER_MARK);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "# Written by `isthmus profile`. It holds the pre-shared key: delete it when it has run.\n\
         # Run as the user who connects: powershell -ExecutionPolicy Bypass -File THIS-FILE\n\
         $ErrorActionPreference = 'Stop'\n\
         $name = {}\n\
         $server = {}\n\
         $psk = {}\n\
         \n\
         Get-VpnConnection -Name $name -ErrorAction SilentlyContinue | Remove-VpnConnection -Force\n\
         Add-VpnConnection -Name $name -ServerAddress $server -TunnelType L2tp -L2tpPsk $psk `\n\
         \x20   -AuthenticationMethod {} -EncryptionLevel Required -RememberCredential{split} -Force\n",
        quoted(name),
        quoted(server),
        quoted(psk),
        auth.join(", "),
    );
    for route in &profile.routes {
        let _ = writeln!(
            out,
            "Add-VpnConnectionRoute -ConnectionName $name -DestinationPrefix {} | Out-Null",
            quoted(&route.trunc().to_string())
        );
    }
    out.push_str(&registry(profile.server_behind_nat));
    match &profile.password {
        Some(password) if password.contains(['"', '“', '”', '„']) || password.ends_with('\\') =>
        {
            return Err(ProfileError::WindowsPassword);
        }
        Some(password) => {
            let _ = write!(
                out,
                "\n# Connects, and remembers the password.\nrasdial.exe $name {} {}\n",
                quoted(user),
                quoted(password)
            );
        }
        None => {
            let _ = write!(
                out,
                "\n# Asks for the password of the user when it connects.\n\
                 Write-Host {}\nrasphone.exe -d $name\n",
                quoted(&format!("User name: {user}"))
            );
        }
    }
    Ok(out)
}

/// The value that lets Windows connect to a server behind a NAT (Microsoft KB 926179).
fn registry(needed: bool) -> String {
    let why = if needed {
        "The gateway is behind a NAT, which Windows refuses by default (error 809)."
    } else {
        "Only should the gateway be behind a NAT (error 809): set $behindNat to $true."
    };
    let needed = if needed { "$true" } else { "$false" };
    format!(
        "\n# {why} Needs an administrator and a restart.\n\
         $behindNat = {needed}\n\
         $policyAgent = 'HKLM:\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent'\n\
         $rule = 'AssumeUDPEncapsulationContextOnSendRule'\n\
         $now = (Get-ItemProperty -Path $policyAgent).$rule\n\
         if ($behindNat -and $now -ne 2) {{\n\
         \x20   $set = \"New-ItemProperty -Path $policyAgent -Name $rule -PropertyType DWord -Value 2 -Force\"\n\
         \x20   Start-Process powershell.exe -Verb RunAs -Wait -ArgumentList '-Command', $set\n\
         \x20   Write-Warning 'Restart Windows before you connect.'\n\
         \x20   exit\n\
         }}\n"
    )
}

const fn method(auth: AuthProtocol) -> &'static str {
    match auth {
        AuthProtocol::ChapMd5 => "Chap",
        AuthProtocol::EapMsChapV2 => "Eap",
        AuthProtocol::MsChapV2 => "MSChapv2",
        AuthProtocol::Pap => "Pap",
    }
}

/// A single-quoted string, in which nothing is expanded. `PowerShell` takes typographic quotes for
/// quotes as well; doubled they stand for themselves.
fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '‘' | '’' | '‚' | '‛') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    out
}

const BYTE_ORDER_MARK: &str = "\u{feff}";
