//! Every profile is read back by a parser that we did not write, whatever the names and secrets are.
//!
//! Property lists by the crate `plist`, keyfiles by `rust-ini` (the escapes of a `GKeyFile` by the
//! Desktop Entry rules below), ONC by `serde_json`, PowerShell by its tree-sitter grammar for the shape
//! of the script. What a PowerShell or RouterOS string means is decoded by strict readers below, written
//! from the language descriptions: no independent parser of these can be had here.

use ini::{Ini, ParseOption};
use plist::{Dictionary, Value};
use proptest::prelude::*;

use super::*;

fn profile(user: &str, psk: &str, password: Option<&str>) -> Profile {
    Profile {
        name: String::from("Isthmus acme"),
        server: String::from("vpn.example.org"),
        user: user.to_owned(),
        password: password.map(str::to_owned),
        psk: psk.to_owned(),
        group: None,
        routes: vec!["10.0.0.0/8".parse().unwrap(), "172.16.0.0/12".parse().unwrap()],
        auth: vec![AuthProtocol::MsChapV2, AuthProtocol::Pap],
        server_behind_nat: true,
        legacy: false,
    }
}

/// What has broken others: quotes, expansions, comments, sections, markup, blanks, other scripts.
const NASTY: [&str; 17] = [
    "it's \"quoted\"",
    "$env:PATH $(calc) `n",
    "a;b|c&d<e>f",
    "<![CDATA[x]]>&amp;",
    "[section]",
    "#comment",
    "\\s\\n\\t\\\\",
    " leading and trailing ",
    "   ",
    "‘typographic’ ‚quotes‛ “”„",
    "zoë 密码 🔑",
    "%d %s {0}",
    "$[/system reboot]",
    "key=value",
    "a\u{a0}b\u{3000}c",
    "\u{a0}a\u{a0}",
    "\\",
];

fn text() -> impl Strategy<Value = String> {
    let nasty = proptest::sample::select(NASTY.to_vec()).prop_map(str::to_owned);
    let free = proptest::collection::vec(any::<char>(), 1..40);
    let free = free.prop_map(|c| c.into_iter().filter(|c| !is_refused(*c)).collect::<String>());
    prop_oneof![nasty, free, "[ -~]{1,40}"].prop_filter("empty", |text| !text.is_empty())
}

proptest! {
    #[test]
    fn any_name_and_secret_survives_every_form(user in text(), psk in text(), word in text()) {
        for password in [None, Some(word.as_str())] {
            let profile = profile(&user, &psk, password);
            read_apple(&profile);
            read_linux(&profile);
            read_chromeos(&profile);
            read_routeros(&profile);
            read_windows(&profile);
        }
    }
}

fn dictionary<'a>(of: &'a Dictionary, key: &str) -> &'a Dictionary {
    of.get(key).and_then(Value::as_dictionary).unwrap()
}

fn read_apple(profile: &Profile) {
    let written = profile.write(System::Apple).unwrap();
    let read = Value::from_reader_xml(written.as_bytes()).unwrap();
    let outer = read.as_dictionary().unwrap();
    let text =
        |of: &Dictionary, key: &str| of.get(key).and_then(Value::as_string).map(str::to_owned);
    assert_eq!(text(outer, "PayloadType").unwrap(), "Configuration");
    let content = outer.get("PayloadContent").and_then(Value::as_array).unwrap();
    let vpn = content[0].as_dictionary().unwrap();
    assert_eq!(text(vpn, "PayloadType").unwrap(), "com.apple.vpn.managed");
    assert_eq!(text(vpn, "VPNType").unwrap(), "L2TP");
    assert_ne!(text(vpn, "PayloadUUID"), text(outer, "PayloadUUID"));
    let ppp = dictionary(vpn, "PPP");
    assert_eq!(text(ppp, "AuthName").unwrap(), profile.user);
    assert_eq!(text(ppp, "AuthPassword"), profile.password);
    assert_eq!(text(ppp, "CommRemoteAddress").unwrap(), profile.server);
    let secret = dictionary(vpn, "IPSec").get("SharedSecret").and_then(Value::as_data).unwrap();
    assert_eq!(secret, profile.psk.as_bytes());
    let everything = dictionary(vpn, "IPv4").get("OverridePrimary").unwrap();
    assert_eq!(everything.as_unsigned_integer(), Some(u64::from(profile.routes.is_empty())));
}

/// The escapes of the Desktop Entry Specification, which a `GKeyFile` follows.
fn unescaped(raw: &str) -> String {
    let mut out = String::new();
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\\' => match rest.next().unwrap() {
                's' => ' ',
                '\\' => '\\',
                '{' => {
                    let hex: String = rest.by_ref().take_while(|c| *c != '}').collect();
                    char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap()
                }
                other => panic!("the escape \\{other} is unknown"),
            },
            c => c,
        });
    }
    out
}

fn read_linux(profile: &Profile) {
    let written = profile.write(System::Linux).unwrap();
    let raw = ParseOption { enabled_escape: false, enabled_quote: false, ..ParseOption::default() };
    // This reader strips every blank of Unicode at the ends, GLib's only those of ASCII.
    let hide = |c: char| match c {
        c if c.is_whitespace() && !c.is_ascii() => format!("\\{{{:x}}}", u32::from(c)),
        c => c.to_string(),
    };
    let hidden: String = written.chars().map(hide).collect();
    let read = Ini::load_from_str_opt(&hidden, raw).unwrap();
    let value = |section: &str, key: &str| read.get_from(Some(section), key).map(unescaped);
    assert_eq!(value("vpn", "user").unwrap(), profile.user);
    assert_eq!(value("vpn", "gateway").unwrap(), profile.server);
    assert_eq!(value("vpn-secrets", "ipsec-psk").unwrap(), profile.psk);
    assert_eq!(value("vpn-secrets", "password"), profile.password);
    assert_eq!(value("vpn", "service-type").unwrap(), "org.freedesktop.NetworkManager.l2tp");
    assert_eq!(value("vpn", "refuse-chap").as_deref(), Some("yes"));
    assert_eq!(value("vpn", "refuse-mschapv2"), None);
    assert_eq!(value("ipv4", "route2").unwrap(), "172.16.0.0/12");
    // What strips blanks must find none at the ends.
    for line in written.lines() {
        assert_eq!(line, line.trim_matches(' '), "{line:?}");
    }
}

fn read_chromeos(profile: &Profile) {
    let written = profile.write(System::Chromeos).unwrap();
    let read: serde_json::Value = serde_json::from_str(&written).unwrap();
    let network = &read["NetworkConfigurations"][0];
    assert_eq!(network["Type"], "VPN");
    let vpn = &network["VPN"];
    assert_eq!(
        (&vpn["Type"], &vpn["Host"]),
        (&"L2TP-IPsec".into(), &profile.server.as_str().into())
    );
    assert_eq!(vpn["IPsec"]["PSK"], profile.psk.as_str());
    assert_eq!(vpn["IPsec"]["IKEVersion"], 1);
    assert_eq!(vpn["L2TP"]["Username"], profile.user.as_str());
    assert_eq!(vpn["L2TP"]["Password"].as_str().map(str::to_owned), profile.password);
}

/// A word of a RouterOS command line: bare, or with a quoted part at its end.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    key: String,
    value: Option<Vec<u8>>,
}

/// Reads a line strictly: within quotes only the escapes that the manual names.
fn routeros_words(line: &str) -> Vec<Word> {
    let mut bytes = line.bytes().peekable();
    let mut words = Vec::new();
    while let Some(first) = bytes.next() {
        if first == b' ' {
            continue;
        }
        let mut key = String::from(char::from(first));
        let mut value = None;
        while let Some(byte) = bytes.next_if(|b| *b != b' ') {
            assert!(
                byte.is_ascii_graphic() && !b"$;{}".contains(&byte),
                "bare {byte:#x} in {line}"
            );
            if byte == b'"' {
                value = Some(routeros_string(&mut bytes));
                assert!(bytes.peek().is_none_or(|b| *b == b' '), "text behind quotes in {line}");
                break;
            }
            key.push(char::from(byte));
        }
        words.push(Word { key, value });
    }
    words
}

fn routeros_string(bytes: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        match bytes.next().expect("closing quotes") {
            b'"' => return out,
            b'\\' => match bytes.next().expect("an escape") {
                c @ (b'"' | b'\\' | b'$' | b'?') => out.push(c),
                high => {
                    let pair = [high, bytes.next().expect("two digits")];
                    assert!(
                        pair.iter().all(|d| matches!(d, b'0'..=b'9' | b'A'..=b'F')),
                        "{pair:?}"
                    );
                    let digits = std::str::from_utf8(&pair).unwrap();
                    out.push(u8::from_str_radix(digits, 16).unwrap());
                }
            },
            b'$' | b'?' => panic!("an expansion"),
            byte => {
                assert!((0x20..0x7f).contains(&byte), "{byte:#x} in a string");
                out.push(byte);
            }
        }
    }
}

fn read_routeros(profile: &Profile) {
    let written = profile.write(System::Routeros).unwrap();
    assert!(written.is_ascii());
    let lines: Vec<&str> = written.lines().filter(|line| !line.starts_with('#')).collect();
    let add = lines.iter().find(|line| line.starts_with("/interface l2tp-client add ")).unwrap();
    let words = routeros_words(add);
    let value = |key: &str| {
        let key = format!("{key}=");
        let word = words.iter().find(|word| word.key == key).unwrap();
        String::from_utf8(word.value.clone().unwrap()).unwrap()
    };
    assert_eq!(value("ipsec-secret"), profile.psk);
    assert_eq!(value("user"), profile.user);
    assert_eq!(value("password"), profile.password.clone().unwrap_or_default());
    assert_eq!(value("connect-to"), profile.server);
    assert!(words.iter().any(|word| word.key == "allow=mschap2,pap"), "{add}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("/ip route add ")).count(), 2);
    for line in lines {
        routeros_words(line);
    }
}

/// The strings in single quotes, in order, as PowerShell reads them: any of its single quotes ends one,
/// two in a row are the second of them.
fn powershell_strings(line: &str) -> Vec<String> {
    let is_quote = |c: &char| matches!(c, '\'' | '‘' | '’' | '‚' | '‛');
    let mut rest = line.chars().peekable();
    let mut strings = Vec::new();
    while let Some(c) = rest.next() {
        if !is_quote(&c) {
            continue;
        }
        let mut string = String::new();
        loop {
            let c = rest.next().expect("a closing quote");
            if is_quote(&c) {
                match rest.next_if(is_quote) {
                    Some(doubled) => string.push(doubled),
                    None => break,
                }
            } else {
                string.push(c);
            }
        }
        strings.push(string);
    }
    strings
}

fn read_windows(profile: &Profile) {
    let written = match profile.write(System::Windows) {
        Ok(written) => written,
        Err(error) => {
            let password = profile.password.as_deref().unwrap();
            assert_eq!(error, ProfileError::WindowsPassword);
            assert!(password.contains(['"', '“', '”', '„']) || password.ends_with('\\'));
            return;
        }
    };
    let script = written.strip_prefix('\u{feff}').unwrap();
    let line = |start: &str| script.lines().find(|line| line.starts_with(start)).unwrap();
    assert_eq!(powershell_strings(line("$psk = ")), [profile.psk.as_str()]);
    assert_eq!(powershell_strings(line("$server = ")), [profile.server.as_str()]);
    match &profile.password {
        Some(password) => assert_eq!(
            powershell_strings(line("rasdial.exe ")),
            [profile.user.clone(), password.clone()]
        ),
        None => assert_eq!(
            powershell_strings(line("Write-Host ")),
            [format!("User name: {}", profile.user)]
        ),
    }
}

/// Whether the grammar reads the whole script without an error, and the commands it finds.
fn powershell_commands(script: &str) -> Vec<String> {
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).unwrap();
    let tree = parser.parse(script, None).unwrap();
    assert!(!tree.root_node().has_error(), "{}\n{script}", tree.root_node().to_sexp());
    let mut commands = Vec::new();
    let mut open = vec![tree.root_node()];
    while let Some(node) = open.pop() {
        if node.kind() == "command_name" {
            commands.push(script.get(node.byte_range()).unwrap().to_owned());
        }
        open.extend((0..node.child_count()).rev().filter_map(|at| node.child(at)));
    }
    commands
}

#[test]
fn the_windows_script_is_powershell_and_holds_the_commands_it_should() {
    for psk in ["plain", "it's", "$(Stop-Computer)", "a`nb; Stop-Computer #", "\"", "{ } @' '@"] {
        for (behind_nat, password) in [(true, None), (false, Some("pass's word"))] {
            let mut profile = profile("jo", psk, password);
            profile.server_behind_nat = behind_nat;
            let written = profile.write(System::Windows).unwrap();
            let commands = powershell_commands(written.trim_start_matches('\u{feff}'));
            let dial = if password.is_some() { "rasdial.exe" } else { "rasphone.exe" };
            for expected in
                ["Add-VpnConnection", "Add-VpnConnectionRoute", "Get-ItemProperty", dial]
            {
                assert!(
                    commands.iter().any(|c| c == expected),
                    "{expected} is not in {commands:?}"
                );
            }
            assert!(!commands.iter().any(|c| c == "Stop-Computer"), "{commands:?}");
            let needed = if behind_nat { "$behindNat = $true" } else { "$behindNat = $false" };
            assert!(written.contains(needed));
            assert!(written.contains("-SplitTunneling"));
        }
    }
}

#[test]
fn a_group_goes_where_there_is_a_place_for_it() {
    let mut profile = profile("jo", "key", None);
    profile.group = Some(String::from("branch & <co>"));
    let written = profile.write(System::Apple).unwrap();
    let read = Value::from_reader_xml(written.as_bytes()).unwrap();
    let content = read.as_dictionary().unwrap().get("PayloadContent").unwrap();
    let vpn = content.as_array().unwrap()[0].as_dictionary().unwrap();
    let ipsec = dictionary(vpn, "IPSec");
    let text = |key: &str| ipsec.get(key).and_then(Value::as_string).unwrap();
    assert_eq!(text("LocalIdentifier"), "branch & <co>");
    assert_eq!(text("LocalIdentifierType"), "KeyID");
    assert!(profile.write(System::Android).unwrap().contains("IPSec identifier        branch"));
    for system in [System::Windows, System::Linux, System::Routeros, System::Chromeos] {
        assert_eq!(profile.write(system), Err(ProfileError::Group));
    }
}

#[test]
fn without_routes_everything_goes_through_the_tunnel() {
    let mut profile = profile("jo", "key", None);
    profile.routes.clear();
    read_apple(&profile);
    assert!(!profile.write(System::Windows).unwrap().contains("SplitTunneling"));
    assert!(profile.write(System::Routeros).unwrap().contains("add-default-route=yes"));
    assert!(!profile.write(System::Linux).unwrap().contains("never-default"));
    assert!(profile.write(System::Android).unwrap().contains("everything goes through"));
}

#[test]
fn what_no_client_can_take_is_refused() {
    for bad in ["a\nb", "a\rb", "a\0b", "a\tb", "a\u{1b}b", "a\u{2028}b", "a\u{ffff}b"] {
        for profile in
            [profile(bad, "k", None), profile("u", bad, None), profile("u", "k", Some(bad))]
        {
            for system in <System as clap::ValueEnum>::value_variants() {
                let refused = profile.write(*system);
                assert!(
                    matches!(refused, Err(ProfileError::Character { .. })),
                    "{bad:?} {system:?}"
                );
            }
        }
    }
    for server in ["", "-x", "a b", "a'b", "a\nb", "$(x)", "a;b", "vpn.exämple"] {
        let mut profile = profile("u", "k", None);
        server.clone_into(&mut profile.server);
        assert!(matches!(profile.write(System::Apple), Err(ProfileError::Server(_))), "{server:?}");
    }
}

#[test]
fn a_uuid_is_of_version_5_and_belongs_to_its_connection() {
    let one = profile("jo", "key", None);
    assert_eq!(one.uuid("apple"), one.uuid("apple"));
    assert_ne!(one.uuid("apple"), one.uuid("linux"));
    assert_ne!(one.uuid("apple"), profile("kim", "key", None).uuid("apple"));
    let uuid = one.uuid("apple");
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert_eq!(uuid.as_bytes()[14], b'5');
    assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
}
