//! Prints the reference of every key from the table of keys.

use std::fmt::Write as _;

use isthmus_crypto::EspSuite;

use super::keys::{SECTIONS, SectionKeys};
use super::proposal::{default_esp, default_ike};

/// `docs/operate/configuration.md`.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    for section in SECTIONS {
        write_section(&mut out, section);
    }
    out.push_str("## Proposals and suites\n\n");
    out.push_str(
        "`ike` takes `CIPHER-HASH-GROUP`: aes128, aes192, aes256 or 3des; sha1, sha256, sha384, sha512 or \
         md5; modp1024, modp1536, modp2048, modp3072, modp4096, ecp256 or ecp384.\n\n",
    );
    let (strong, all) = (default_ike(false), default_ike(true));
    let weak = all.iter().filter(|p| !strong.contains(p));
    write_list(&mut out, "Accepted by default", strong.iter().map(ToString::to_string));
    write_list(&mut out, "Added by `legacy = true`", weak.map(ToString::to_string));
    let suites = |legacy| default_esp(legacy).into_iter().map(|suite| suite.to_string());
    write_list(&mut out, "ESP suites accepted by default", suites(false));
    write_list(&mut out, "ESP suites with `legacy = true`", suites(true));
    out.push_str(
        "With `legacy = true` SHA-1 comes before SHA-256, because phones of that age cut HMAC-SHA-256 to 96 \
         bits and then drop every packet without a word.\n\n",
    );
    let standard = default_esp(true);
    let on_request = EspSuite::ALL.into_iter().filter(|suite| !standard.contains(suite));
    write_list(&mut out, "ESP suites that `esp` takes as well", on_request.map(|s| s.to_string()));
    out.push_str(
        "`sha256_96` is the cut HMAC of such phones (Android before 7); it needs `legacy = true`, has the number of \
         `sha256` on the wire, and whichever of the two is in `esp` first is meant.\n",
    );
    out
}

fn write_section(out: &mut String, section: &SectionKeys) {
    // Writing into a String cannot fail.
    let _ = write!(out, "## {}\n\n{}\n\n", title(section.header), section.about);
    out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for key in section.keys {
        let about = if key.example.is_empty() {
            key.about.to_owned()
        } else {
            format!("{} Example: `{} = {}`", key.about, key.name, key.example)
        };
        let _ = writeln!(out, "| `{}` | {} | {} | {about} |", key.name, key.kind, key.default);
    }
    out.push('\n');
    for (name, remedy) in section.reserved {
        let _ = write!(out, "`{name}` is reserved and refused: {remedy}.\n\n");
    }
}

fn title(header: &str) -> String {
    if header.starts_with('[') { format!("`{header}`") } else { String::from("Top level") }
}

fn write_list(out: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let items: Vec<_> = items.map(|item| format!("`{item}`")).collect();
    let _ = write!(out, "{title}: {}.\n\n", items.join(", "));
}

const INTRODUCTION: &str = "\
# Configuration reference

This page is printed from the code (`config/keys.rs`); a test fails when it is not fresh. Print it again with
`BLESS=1 cargo test -p isthmus --test reference`.

Isthmus reads one TOML file, `/etc/isthmus/isthmus.toml` unless `--config` names another, and every `*.toml`
in `conf.d/` next to it. `isthmus check` names every mistake with its line and what to write instead. `isthmus
quickstart` writes a configuration that works. SIGHUP or `POST /v1/reload` reads everything again; a
configuration with mistakes changes nothing. What needs a restart is named. When a pool goes while sessions have
addresses of it, it stays routed until the first change after they have ended.

Paths are relative to the file that names them. Durations are numbers with units: `500ms`, `30s`, `5m`, `1h30m`,
`7d`. Files with secrets should be readable by their owner only; `isthmus check` warns about others.

";
