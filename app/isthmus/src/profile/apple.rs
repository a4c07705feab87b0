//! A configuration profile (`.mobileconfig`) for macOS, iOS and iPadOS.

use std::fmt::Write as _;

use super::Profile;

pub(super) fn plist(profile: &Profile) -> String {
    let Profile { name, server, user, psk, .. } = profile;
    let (name, server, user) = (escaped(name), escaped(server), escaped(user));
    let password = profile.password.as_ref().map_or_else(String::new, |password| {
        format!("<key>AuthPassword</key><string>{}</string>", escaped(password))
    });
    let group = profile.group.as_ref().map_or_else(String::new, |group| {
        format!(
            "<key>LocalIdentifier</key><string>{}</string>\n        \
             <key>LocalIdentifierType</key><string>KeyID</string>",
            escaped(group)
        )
    });
    let everything = u8::from(profile.sends_everything());
    let (outer, inner) = (profile.uuid("apple"), profile.uuid("apple-vpn"));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadVersion</key><integer>1</integer>
  <key>PayloadIdentifier</key><string>isthmus.{outer}</string>
  <key>PayloadUUID</key><string>{outer}</string>
  <key>PayloadDisplayName</key><string>{name}</string>
  <key>PayloadDescription</key><string>L2TP over IPsec to {server}</string>
  <key>PayloadRemovalDisallowed</key><false/>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>PayloadType</key><string>com.apple.vpn.managed</string>
      <key>PayloadVersion</key><integer>1</integer>
      <key>PayloadIdentifier</key><string>isthmus.{outer}.vpn</string>
      <key>PayloadUUID</key><string>{inner}</string>
      <key>PayloadDisplayName</key><string>{name}</string>
      <key>UserDefinedName</key><string>{name}</string>
      <key>VPNType</key><string>L2TP</string>
      <key>OnDemandEnabled</key><integer>0</integer>
      <key>PPP</key>
      <dict>
        <key>CommRemoteAddress</key><string>{server}</string>
        <key>AuthName</key><string>{user}</string>{password}
      </dict>
      <key>IPSec</key>
      <dict>
        <key>AuthenticationMethod</key><string>SharedSecret</string>
        <key>SharedSecret</key><data>{}</data>{group}
      </dict>
      <key>IPv4</key>
      <dict>
        <key>OverridePrimary</key><integer>{everything}</integer>
      </dict>
    </dict>
  </array>
</dict>
</plist>
"#,
        base64(psk.as_bytes())
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // A reader may trim text; a reference is kept.
            ' ' => out.push_str("&#32;"),
            c if c.is_whitespace() => {
                // Writing into a String cannot fail.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    let digit = |value: u32| char::from(DIGITS.get(value as usize & 63).copied().unwrap_or(b'A'));
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        out.push(digit(word >> 18));
        out.push(digit(word >> 12));
        out.push(if chunk.len() > 1 { digit(word >> 6) } else { '=' });
        out.push(if chunk.len() > 2 { digit(word) } else { '=' });
    }
    out
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
