//! The program as a person uses it: commands, answers, exit codes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

struct Answer {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program without a terminal and without the environment of whoever runs the tests.
fn isthmus(arguments: &[&str], stdin: &str) -> Answer {
    let mut command = Command::cargo_bin("isthmus").unwrap();
    for name in ["ISTHMUS_PSK", "ISTHMUS_PASSWORD", "ISTHMUS_LOG", "COLUMNS"] {
        command.env_remove(name);
    }
    let output = command.args(arguments).write_stdin(stdin).output().unwrap();
    answer(&output)
}

fn answer(output: &Output) -> Answer {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Answer {
        code: output.status.code().unwrap(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

#[track_caller]
fn done(arguments: &[&str], stdin: &str) -> String {
    let answer = isthmus(arguments, stdin);
    assert_eq!(answer.code, 0, "{arguments:?}: {}{}", answer.out, answer.err);
    answer.out
}

/// A directory with a fresh quickstart in it.
struct Fresh {
    dir: tempfile::TempDir,
    said: String,
}

impl Fresh {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("etc");
        let said = done(
            &["quickstart", "--dir", target.to_str().unwrap(), "--address", "203.0.113.10"],
            "",
        );
        Self { dir, said }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join("etc").join(name).display().to_string()
    }

    fn config(&self) -> String {
        self.path("isthmus.toml")
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn user(&self, arguments: &[&str], stdin: &str) -> Answer {
        let config = self.config();
        isthmus(&[&["user"], arguments, &["--config", &config]].concat(), stdin)
    }
}

#[test]
fn help_is_as_committed() {
    let pages: [&[&str]; 26] = [
        &[],
        &["quickstart"],
        &["profile"],
        &["check"],
        &["plan"],
        &["show"],
        &["trace"],
        &["run"],
        &["status"],
        &["explain"],
        &["sessions"],
        &["reload"],
        &["user"],
        &["user", "add"],
        &["user", "list"],
        &["user", "remove"],
        &["user", "test"],
        &["client", "connect"],
        &["bench"],
        &["bench", "connect"],
        &["bench", "hold"],
        &["bench", "traffic"],
        &["bench", "storm"],
        &["bench", "carry"],
        &["bench", "reflect"],
        &["version"],
    ];
    let mut text = String::new();
    for page in pages {
        let said = done(&[page, &["--help"]].concat(), "");
        text.push_str(
            &format!("$ isthmus {} --help\n{said}\n", page.join(" "))
                .replace("isthmus  ", "isthmus "),
        );
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    common::expect_file(&path, &text);
}

#[test]
fn a_load_that_makes_no_sense_or_is_an_attack_is_refused() {
    let who = ["--psk", "key", "--user", "load", "--password-file", "-"];
    let near = [&["--server", "127.0.0.1"], &who[..]].concat();
    let cases: [(&[&str], &[&str], &str); 8] = [
        (&["connect", "--server", "203.0.113.10"], &who, "--public-target"),
        (&["traffic", "--reflector", "203.0.113.10:7007"], &near, "--public-target"),
        (&["traffic", "--between", "--clients", "1"], &near, "two --clients"),
        (&["traffic"], &near, "--reflector"),
        (&["hold", "--source", "::1"], &near, "family"),
        (&["storm", "--rate", "0"], &near, "0.01"),
        (&["carry"], &near, "--route"),
        (&["carry", "--route", "10.8.0.0/16", "--threads", "2"], &near, "one thread"),
    ];
    for (words, rest, said) in cases {
        let answer = isthmus(&[&["bench"], words, rest].concat(), "pw\n");
        assert_eq!(answer.code, 2, "{words:?}: {}{}", answer.out, answer.err);
        assert!(answer.err.contains(said), "{words:?}: {}", answer.err);
    }
}

#[test]
fn a_picture_that_cannot_be_written_is_known_before_the_load() {
    let words = ["bench", "connect", "--server", "127.0.0.1", "--psk", "key", "--user", "load"];
    let plot = ["--password-file", "-", "--plot", "/nowhere/at/all.svg"];
    let answer = isthmus(&[&words[..], &plot].concat(), "pw\n");
    assert_eq!(answer.code, 1, "{}{}", answer.out, answer.err);
    assert!(answer.err.contains("/nowhere/at/all.svg") && answer.out.is_empty(), "{}", answer.err);
}

#[test]
fn the_clients_that_connect_can_speak_as_are_listed_and_no_others_taken() {
    let listed = done(&["client", "connect", "--as", "help"], "");
    assert_eq!(listed.lines().count(), 13);
    let windows = listed.lines().find(|line| line.starts_with("windows10 ")).unwrap();
    assert!(windows.ends_with("Windows 8 and 10"), "{windows}");
    let android = listed.lines().find(|line| line.starts_with("android_7_11 ")).unwrap();
    assert!(android.ends_with("needs `legacy = true` at the server"), "{android}");
    assert_eq!(done(&["client", "connect", "--as=help"], ""), listed);

    let connect = ["client", "connect", "--server", "192.0.2.1", "--user", "u", "--psk", "p"];
    let wrong = isthmus(&[&connect[..], &["--as", "windows95"]].concat(), "");
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("windows95") && wrong.err.contains("windows11"), "{}", wrong.err);
    let both = isthmus(&[&connect[..], &["--as", "windows10", "--mtu", "1300"]].concat(), "");
    assert_eq!(both.code, 2);
    assert!(both.err.contains("--mtu"), "{}", both.err);
}

#[test]
fn quickstart_writes_what_check_accepts_and_nobody_else_reads() {
    let fresh = Fresh::new();
    let checked = isthmus(&["check", "--config", &fresh.config()], "");
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert!(checked.out.contains("valid, 0 warnings"), "{}", checked.out);
    assert_eq!(checked.err, "");
    for file in ["isthmus.toml", "psk", "users.toml"] {
        let mode = std::fs::metadata(fresh.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let psk = fresh.read("psk");
    assert!(psk.trim().len() >= 24 && fresh.said.contains(psk.trim()));
    assert!(fresh.said.contains("203.0.113.10") && fresh.said.contains("Add-VpnConnection"));
    assert!(fresh.read("isthmus.toml").contains("public_address = \"203.0.113.10\""));
}

#[test]
fn quickstart_gives_the_password_it_has_written() {
    let fresh = Fresh::new();
    let line = fresh.said.lines().find(|line| line.trim().starts_with("password ")).unwrap();
    let password = line.split_whitespace().nth(1).unwrap();
    let tested = fresh.user(&["test", "alice"], &format!("{password}\n"));
    assert_eq!(tested.code, 0, "{}", tested.err);
}

#[test]
fn quickstart_replaces_nothing_unless_forced() {
    let fresh = Fresh::new();
    let before = fresh.read("psk");
    let dir = fresh.dir.path().join("etc").display().to_string();
    let again = isthmus(&["quickstart", "--dir", &dir], "");
    assert_eq!(again.code, 1);
    assert!(again.err.contains("exists") && again.err.contains("--force"), "{}", again.err);
    assert_eq!(fresh.read("psk"), before);
    done(&["quickstart", "--dir", &dir, "--force"], "");
    assert_ne!(fresh.read("psk"), before);
}

#[test]
fn check_finds_what_cannot_work_and_writes_the_cure() {
    let fresh = Fresh::new();
    let egress = |to: &str| {
        format!(
            "\n[[tenant.egress]]\nname = \"dc\"\nmatch = {{ to = [\"{to}\"] }}\nvia = {{ interface = \"eth1\" }}\n"
        )
    };
    let least = fresh.read("isthmus.toml");
    std::fs::write(fresh.config(), least.clone() + &egress("10.64.0.128/25")).unwrap();
    let checked = isthmus(&["check", "--config", &fresh.config()], "");
    assert_eq!(checked.code, 1, "{}", checked.err);
    let expected = "error pool-overlaps-egress: the pool of tenant";
    assert!(checked.err.contains(expected), "{}", checked.err);
    assert!(checked.err.contains("      pool = [\"10.64.1.0/24\"]\n"), "{}", checked.err);
    assert!(checked.err.contains("1 error, "), "{}", checked.err);
    let checked = isthmus(&["check", "--config", &fresh.config(), "--json"], "");
    let verdict: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!((checked.code, &verdict["valid"]), (1, &Value::from(true)));
    assert_eq!(verdict["findings"][0]["code"], "pool-overlaps-egress", "{verdict}");

    std::fs::write(fresh.config(), least + &egress("10.0.0.0/8")).unwrap();
    let checked = isthmus(&["check", "--config", &fresh.config()], "");
    assert!(checked.err.contains("note pool-overlaps-egress: "), "{}", checked.err);
    assert!(checked.code == 0 && checked.out.contains(", 1 finding\n"), "{}", checked.out);
}

#[test]
fn check_points_at_mistakes_for_people_and_for_programs() {
    let fresh = Fresh::new();
    let text = fresh.read("isthmus.toml").replace("pool =", "pol =");
    std::fs::write(fresh.config(), text).unwrap();
    let checked = isthmus(&["check", "--config", &fresh.config()], "");
    assert_eq!((checked.code, checked.out.as_str()), (1, ""));
    assert!(checked.err.contains("did you mean `pool`?"), "{}", checked.err);
    assert!(checked.err.contains("2 errors, 0 warnings"), "{}", checked.err);
    let checked = isthmus(&["check", "--config", &fresh.config(), "--json"], "");
    assert_eq!((checked.code, checked.err.as_str()), (1, ""));
    let verdict: Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(verdict["valid"], false);
    let unknown = verdict["problems"].as_array().unwrap().iter();
    let unknown: Vec<_> =
        unknown.filter(|p| p["message"].as_str().unwrap().contains("pol`")).collect();
    assert_eq!(unknown.len(), 1, "{verdict}");
    assert!(unknown[0]["line"].is_u64() && unknown[0]["severity"] == "error");
}

#[test]
fn users_are_added_listed_tested_and_removed() {
    let fresh = Fresh::new();
    let path = fresh.path("users.toml");
    let original = format!("# the whole team\n\n{}", fresh.read("users.toml"));
    std::fs::write(&path, &original).unwrap();

    let added =
        fresh.user(&["add", "jo", "--address", "10.64.0.9", "--group", "staff"], "s3cret-jo\n");
    assert_eq!(added.code, 0, "{}", added.err);
    assert!(fresh.read("users.toml").starts_with(&original), "comments and order stay");
    assert_eq!(fresh.user(&["add", "kim", "--nt-hash"], "s3cret-kim").code, 0);
    let file = fresh.read("users.toml");
    assert!(file.contains("s3cret-jo") && !file.contains("s3cret-kim"), "{file}");

    let listed = fresh.user(&["list"], "");
    let rows: Vec<Vec<&str>> =
        listed.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "SECRET", "ADDRESS", "GROUP", "STATE"]);
    assert_eq!(rows[2], ["jo", "password", "10.64.0.9", "staff"]);
    assert_eq!(rows[3], ["kim", "nt_hash"]);
    let json: Value = serde_json::from_str(&fresh.user(&["list", "--json"], "").out).unwrap();
    assert_eq!(json[1]["name"], "jo");

    assert_eq!(fresh.user(&["test", "jo"], "s3cret-jo\n").code, 0);
    assert_eq!(fresh.user(&["test", "kim"], "s3cret-kim\n").code, 0);
    let wrong = fresh.user(&["test", "kim"], "s3cret-jo\n");
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("is wrong"), "{}", wrong.err);
    let wrong = fresh.user(&["test", "jo", "--json"], "nope\n");
    let verdict: Value = serde_json::from_str(&wrong.out).unwrap();
    assert_eq!((wrong.code, &verdict["password_fits"]), (1, &Value::Bool(false)));

    assert_eq!(fresh.user(&["add", "jo", "--replace"], "n3w-jo\n").code, 0);
    assert_eq!(fresh.user(&["test", "jo"], "n3w-jo\n").code, 0);
    assert!(fresh.read("users.toml").contains("10.64.0.9"), "the rest of the user stays");

    assert_eq!(fresh.user(&["remove", "jo"], "").code, 0);
    assert_eq!(fresh.user(&["remove", "kim"], "").code, 0);
    assert_eq!(fresh.read("users.toml").trim_end(), original.trim_end());
    for said in [&added, &listed, &wrong] {
        assert!(!said.out.contains("s3cret") && !said.err.contains("s3cret"));
    }
}

#[test]
fn user_commands_refuse_what_would_break_the_file() {
    let fresh = Fresh::new();
    let before = fresh.read("users.toml");
    for (arguments, password, reason) in [
        (&["add", "alice"][..], "x\n", "exists; use --replace"),
        (&["add", "a\tb"], "x\n", "cannot be a user name"),
        (&["add", "jo"], "\n", "password is empty"),
        (&["add", "jo", "--address", "10.64.0.1"], "x\n", "it is the gateway's own"),
        (&["add", "jo", "--address", "192.0.2.7"], "x\n", "not in the pool of `main`"),
        (&["add", "jo", "--tenant", "other"], "x\n", "no tenant `other`"),
        (
            &["add", "jo", "--password-file", "/nowhere/pw"],
            "",
            "cannot read the password from /nowhere/pw",
        ),
        (&["remove", "jo"], "", "no user `jo`"),
        (&["test", "jo"], "x\n", "no user `jo`"),
    ] {
        let said = fresh.user(arguments, password);
        assert_eq!(said.code, 1, "{arguments:?}: {}", said.err);
        assert!(said.err.contains(reason), "{arguments:?}: {}", said.err);
    }
    assert_eq!(fresh.read("users.toml"), before);
    std::fs::write(fresh.path("users.toml"), "[users.alice]\npassword = \"s3cret\"\nadress = 1\n")
        .unwrap();
    let broken = fresh.user(&["add", "jo"], "x\n");
    assert_eq!(broken.code, 1);
    assert!(
        broken.err.contains("users.toml:3:1") && !broken.err.contains("s3cret"),
        "{}",
        broken.err
    );
}

#[test]
fn the_first_user_makes_the_file() {
    let fresh = Fresh::new();
    std::fs::remove_file(fresh.path("users.toml")).unwrap();
    assert_eq!(isthmus(&["check", "--config", &fresh.config()], "").code, 1);
    assert_eq!(fresh.user(&["add", "jo"], "x\n").code, 0);
    assert_eq!(isthmus(&["check", "--config", &fresh.config()], "").code, 0);
}

#[test]
fn a_disabled_user_fails_the_test_with_the_right_password() {
    let fresh = Fresh::new();
    std::fs::write(fresh.path("users.toml"), "[users.jo]\npassword = \"pw\"\ndisabled = true\n")
        .unwrap();
    let said = fresh.user(&["test", "jo"], "pw\n");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("is disabled"), "{}", said.err);
    assert!(fresh.user(&["list"], "").out.contains("disabled"));
}

#[test]
fn a_profile_is_written_for_each_system_with_what_the_configuration_says() {
    let fresh = Fresh::new();
    let config = fresh.config();
    let psk = fresh.read("psk").trim().to_owned();
    for system in ["windows", "android", "linux", "routeros", "chromeos"] {
        let text = done(&["profile", "--for", system, "alice", "--config", &config], "");
        for part in [psk.as_str(), "203.0.113.10", "alice"] {
            assert!(text.contains(part), "{system} lacks {part}:\n{text}");
        }
    }
    let apple = done(&["profile", "--for", "apple", "alice", "--config", &config], "");
    assert!(apple.contains("<string>L2TP</string>") && !apple.contains("AuthPassword"), "{apple}");
    assert_eq!(apple, done(&["profile", "--for", "apple", "alice", "--config", &config], ""));

    let file = fresh.path("alice.ps1");
    let arguments =
        ["profile", "--for", "windows", "alice", "--config", &config, "--output", &file];
    let said = isthmus(&arguments, "");
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(isthmus(&arguments, "").code, 1, "what is there stays");
    let named = ["--server", "vpn.example.org", "--include-password"];
    let text = done(
        &[&["profile", "--for", "linux", "alice", "--config", &config], named.as_slice()].concat(),
        "",
    );
    assert!(text.contains("gateway=vpn.example.org\n") && text.contains("\npassword="), "{text}");
    for (arguments, code, reason) in [
        (&["nobody"][..], 1, "no user `nobody`"),
        (&["alice", "--tenant", "other"], 1, "no tenant `other`"),
        (&["alice", "--server", "a b"], 2, "no host name"),
        (&["alice", "--name", "a\nb"], 1, "U+000A"),
    ] {
        let front = ["profile", "--for", "apple", "--config", &config];
        let said = isthmus(&[&front, arguments].concat(), "");
        assert_eq!((said.code, said.out.as_str()), (code, ""), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(reason), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn what_needs_a_gateway_says_that_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("control.sock").display().to_string();
    for command in ["status", "explain", "sessions", "reload"] {
        let said = isthmus(&[command, "--socket", &socket], "");
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{command}");
        assert!(said.err.contains("isthmus is not running") && said.err.contains("isthmus run"));
    }
    // A name left by a crash is no gateway either.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(isthmus(&["status", "--socket", &socket], "").code, 3);
    let said = isthmus(&["status", "--config", "/nowhere/isthmus.toml"], "");
    assert_eq!(said.code, 1, "{}", said.err);
}

#[test]
fn a_packet_is_sent_only_by_a_gateway_that_runs_and_of_a_kind_that_can_be() {
    let fresh = Fresh::new();
    let config = fresh.dir.path().join("etc/isthmus.toml");
    let socket = fresh.dir.path().join("control.sock");
    let at = ["--config", config.to_str().unwrap(), "--socket", socket.to_str().unwrap()];
    let trace = |words: &[&str]| isthmus(&[&["trace"], words, &at].concat(), "");
    let answer = trace(&["alice", "10.1.2.3:443", "--send"]);
    assert_eq!(answer.code, 3, "{}", answer.err);
    for wait in ["0", "61", "soon"] {
        let answer = trace(&["alice", "10.1.2.3:443", "--send", "--wait", wait]);
        assert_eq!(answer.code, 2, "{wait}: {}", answer.err);
    }
    let answer = trace(&["alice", "10.1.2.3:443", "--send", "--wait", "60"]);
    assert_eq!(answer.code, 3, "{}", answer.err);
    let answer = trace(&["alice", "10.1.2.3:443", "--wait", "5"]);
    assert_eq!(answer.code, 2, "waiting for nothing: {}", answer.err);
    assert!(answer.err.contains("--send"), "{}", answer.err);
}

#[test]
fn wrong_usage_is_2_and_says_what_is_right() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["status", "--jsn"],
        &["client", "connect", "--server", "192.0.2.1"],
        &[
            "client",
            "connect",
            "--server",
            "192.0.2.1",
            "--user",
            "a",
            "--psk",
            "x",
            "--esp",
            "des",
        ],
        &[
            "client",
            "connect",
            "--server",
            "192.0.2.1",
            "--user",
            "a",
            "--psk",
            "x",
            "--ike",
            "aes",
        ],
        &[
            "client",
            "connect",
            "--server",
            "192.0.2.1",
            "--user",
            "a",
            "--psk",
            "x",
            "--mtu",
            "9000",
        ],
        &[
            "client",
            "connect",
            "--server",
            "192.0.2.1",
            "--user",
            "a",
            "--psk",
            "x",
            "--source-ports",
            "1",
        ],
        &["sessions", "--watch", "--json"],
    ] {
        let said = isthmus(arguments, "");
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{arguments:?}: {}", said.err);
    }
    let said = isthmus(&["client", "connect", "--server", "192.0.2.1", "--user", "a"], "");
    assert_eq!(said.code, 2);
    assert!(said.err.contains("--psk-file") && said.err.contains("ISTHMUS_PSK"), "{}", said.err);
}

#[test]
fn a_client_that_cannot_begin_says_why() {
    let connect = |more: &[&str], stdin: &str| {
        let common = ["client", "connect", "--user", "a", "--psk", "x", "--password-file", "-"];
        isthmus(&[&common, more].concat(), stdin)
    };
    let said = connect(&["--server", "no..host"], "pw\n");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("cannot find the server `no..host`"), "{}", said.err);
    let said = connect(&["--server", "192.0.2.1", "--netns", "no-such-namespace"], "pw\n");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("ip netns add no-such-namespace"), "{}", said.err);
    let said = connect(&["--server", "192.0.2.1"], "");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("password is empty"), "{}", said.err);
}

#[test]
fn a_gateway_with_mistakes_does_not_start() {
    let fresh = Fresh::new();
    std::fs::write(fresh.config(), "[gateway]\nnmae = \"x\"\n").unwrap();
    let said = isthmus(&["run", "--config", &fresh.config()], "");
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("did you mean `name`?"), "{}", said.err);
}

#[test]
fn the_version_is_told() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(done(&["version"], ""), format!("isthmus {version}\n"));
    assert_eq!(done(&["--version"], ""), format!("isthmus {version}\n"));
    let json: Value = serde_json::from_str(&done(&["version", "--json"], "")).unwrap();
    assert_eq!(json["version"], version);
}
