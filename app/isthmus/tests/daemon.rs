//! The life of a daemon: ready, asked, reloaded, stopped; with a stand-in for the engine.
//!
//! The program under test is this one, started again with the name of a configuration in
//! `ISTHMUS_TEST_DAEMON`; questions are asked with the real `isthmus` command.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and tell what they do"
)]

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use isthmus::api::{ControlRequest, SessionId, Status, TenantStatus};
use isthmus::config::{Config, Environment};
use isthmus::daemon::{self, EngineError, EngineSide, RunOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn main() -> ExitCode {
    if let Some(config) = std::env::var_os("ISTHMUS_TEST_DAEMON") {
        return be_the_daemon(config.into());
    }
    let stories: [(&str, fn()); 7] = [
        ("a_daemon_is_ready_answers_and_stops", a_daemon_is_ready_answers_and_stops),
        ("sessions_are_shown_and_ended", sessions_are_shown_and_ended),
        ("a_changed_users_file_is_noticed", a_changed_users_file_is_noticed),
        ("a_reload_applies_what_it_can", a_reload_applies_what_it_can),
        ("a_reload_with_mistakes_changes_nothing", a_reload_with_mistakes_changes_nothing),
        ("a_second_daemon_does_not_disturb_the_first", a_second_daemon_does_not_disturb_the_first),
        ("an_engine_that_fails_ends_the_daemon", an_engine_that_fails_ends_the_daemon),
    ];
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for (name, story) in stories {
        if filter.as_ref().is_none_or(|filter| name.contains(filter.as_str())) {
            story();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

// ---- the daemon ----

fn be_the_daemon(config: PathBuf) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = RunOptions { config, environment: Environment::default(), log_filter: None };
    match runtime.block_on(daemon::run(options, stand_in)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_logged() => ExitCode::from(1),
        Err(error) => panic!("{error}"),
    }
}

/// A gateway that shows its configuration and one session.
async fn stand_in(mut config: Arc<Config>, mut side: EngineSide) -> Result<(), EngineError> {
    if config.gateway.name == "broken" {
        return Err(EngineError(String::from("UDP port 500 is taken; stop the other IKE daemon")));
    }
    side.ready.send(()).unwrap();
    loop {
        tokio::select! {
            _ = &mut side.stop => return Ok(()),
            request = side.requests.recv() => match request.unwrap() {
                ControlRequest::Apply { config: new, reply } => {
                    config = new;
                    reply.send(Ok(())).unwrap();
                }
                ControlRequest::Disconnect { session, reply } => {
                    reply.send(session == SessionId(7)).unwrap();
                }
                ControlRequest::Failures(reply) => reply.send(Vec::new()).unwrap(),
                ControlRequest::Probe { reply, .. } => drop(reply),
                ControlRequest::Sessions(reply) => reply.send(vec![session()]).unwrap(),
                ControlRequest::Status(reply) => reply.send(status(&config)).unwrap(),
            }
        }
    }
}

fn session() -> isthmus::api::Session {
    isthmus::api::Session {
        id: SessionId(7),
        user: Some(String::from("jo\u{1b}[2J")),
        tenant: String::from("acme"),
        address: Some([10, 64, 0, 9].into()),
        prefix6: Some("2001:db8:64:9::/64".parse().unwrap()),
        device: None,
        up: true,
        age_seconds: 3700,
        from: "198.51.100.7:4500".parse().unwrap(),
        encapsulated: true,
        suite: Some(String::from("aes256-sha1")),
        identity: String::from("192.168.1.7"),
        host: String::from("LAPTOP"),
        rx_bytes: 1536,
        rx_packets: 10,
        tx_bytes: 5 << 20,
        ends_in_seconds: None,
        idle_timeout_seconds: None,
        quota_bytes: None,
        quota_used_bytes: None,
        rate_up_bits: None,
        rate_down_bits: None,
        burst_up_bytes: None,
        burst_down_bytes: None,
        group: None,
        tx_packets: 20,
        dropped_packets: 0,
        dropped_rate_up: 0,
        dropped_rate_down: 0,
    }
}

fn status(config: &Config) -> Status {
    Status {
        name: config.gateway.name.clone(),
        pid: std::process::id(),
        sessions: u64::from(config.ppp.mru),
        tenants: config
            .tenants
            .iter()
            .map(|tenant| TenantStatus {
                number: None,
                limits: isthmus::api::LimitCounts::default(),
                egress: Vec::new(),
                name: tenant.name.clone(),
                interface: tenant.interface.clone(),
                netns: tenant.netns.clone(),
                pool: tenant.pool.clone(),
                pool_size: 254,
                pool_used: 1,
                pool6: tenant.pool6.clone(),
                pool6_used: 0,
                users: tenant.users.len() as u64,
                sessions: 1,
            })
            .collect(),
        ..Status::default()
    }
}

// ---- the stories ----

fn a_daemon_is_ready_answers_and_stops() {
    let mut daemon = Daemon::start("");
    assert!(daemon.told("READY=1").contains("STATUS="));
    let status = daemon.status();
    assert_eq!(status["name"], "lab");
    assert_eq!(status["pid"], daemon.child.id());
    let shown = daemon.isthmus(&["status"]);
    assert!(shown.out.contains("1 of 254") && shown.out.contains("10.64.0.0/24"), "{}", shown.out);
    daemon.told("WATCHDOG=1");
    daemon.signal(Signal::TERM);
    daemon.told("STOPPING=1");
    let log = daemon.end(0);
    assert!(log.contains("ready") && log.contains("stopped"), "{log}");
    assert!(!log.contains("correct horse") && !log.contains("alice"), "{log}");
    assert_eq!(daemon.isthmus(&["status"]).code, 3);
}

fn sessions_are_shown_and_ended() {
    let daemon = Daemon::start("");
    daemon.told("READY=1");
    let shown = daemon.isthmus(&["sessions"]);
    for cell in ["jo\\u{1b}[2J", "10.64.0.9", "1h01m", "aes256-sha1 udp", "1.5 KiB", "5.0 MiB"] {
        assert!(shown.out.contains(cell), "{cell}: {}", shown.out);
    }
    let shown: Value = serde_json::from_str(&daemon.isthmus(&["sessions", "--json"]).out).unwrap();
    assert_eq!(shown[0]["id"], 7);
    assert_eq!(daemon.isthmus(&["sessions", "--disconnect", "7"]).code, 0);
    let unknown = daemon.isthmus(&["sessions", "--disconnect", "8"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("there is no session `8`"), "{}", unknown.err);
}

fn a_changed_users_file_is_noticed() {
    let mut daemon = Daemon::start("");
    daemon.told("READY=1");
    assert_eq!(daemon.users(), 1);
    daemon.write("users.toml", "[users.alice]\npassword = \"a\"\n[users.bob]\npassword = \"b\"\n");
    daemon.wait_for("two users", |daemon| daemon.users() == 2);
    daemon.write("users.toml", "[users.alice]\npassword = \"s3cret\"\nadress = 1\n");
    daemon
        .wait_for("a complaint in the log", |daemon| daemon.log().contains("unknown key `adress`"));
    assert_eq!(daemon.users(), 2);
    daemon.write("users.toml", "[users.zoe]\ngroup = \"x\"\n");
    daemon.wait_for("the name in the audit trail", |daemon| daemon.log().contains("`zoe` has"));
    let named = daemon.log();
    let named: Vec<_> = named.lines().filter(|line| line.contains("zoe")).collect();
    assert!(named.iter().all(|line| line.contains(" audit: ")), "{named:?}");
    daemon.write("users.toml", "[users.alice]\npassword = \"a\"\n");
    daemon.wait_for("one user", |daemon| daemon.users() == 1);
    daemon.signal(Signal::INT);
    let log = daemon.end(0);
    assert!(log.contains("users.toml:3") && log.contains("the users stay as they were"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

fn a_reload_applies_what_it_can() {
    let mut daemon = Daemon::start("");
    daemon.told("READY=1");
    assert!(daemon.isthmus(&["reload"]).out.contains("nothing has changed"));
    daemon.write_config("[gateway]\nike_port = 501\n[ppp]\nmru = 1300\n");
    let said = daemon.isthmus(&["reload"]);
    assert!(said.out.contains("applied: ppp\n"), "{}", said.out);
    assert!(said.out.contains("waiting for a restart: gateway.ike_port\n"), "{}", said.out);
    assert_eq!(daemon.status()["sessions"], 1300);
    daemon.told("RELOADING=1");
    daemon.told("READY=1");

    daemon.write_config("[ppp]\nmru = 1200\n");
    daemon.signal(Signal::HUP);
    daemon.told("RELOADING=1");
    daemon.told("READY=1");
    assert_eq!(daemon.status()["sessions"], 1200);
    let json = daemon.isthmus(&["reload", "--json"]).out;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["applied"], Value::Array(vec![]));
    daemon.signal(Signal::TERM);
    daemon.end(0);
}

fn a_reload_with_mistakes_changes_nothing() {
    let mut daemon = Daemon::start("");
    daemon.told("READY=1");
    daemon.write_config("[ppp]\nmru = 1300\n[ipsec]\nlegcy = true\n");
    let said = daemon.isthmus(&["reload"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("isthmus.toml:4: unknown key `legcy`"), "{}", said.err);
    assert!(said.err.contains("did you mean `legacy`?"), "{}", said.err);
    let said = daemon.isthmus(&["reload", "--json"]);
    let refusal: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &refusal["problems"][0]["line"]), (1, &Value::from(4)));
    daemon.signal(Signal::HUP);
    daemon.told("RELOADING=1");
    daemon
        .wait_for("a complaint in the log", |daemon| daemon.log().contains("nothing was reloaded"));
    assert_eq!(daemon.status()["sessions"], 1400);
    daemon.signal(Signal::TERM);
    daemon.end(0);
}

fn a_second_daemon_does_not_disturb_the_first() {
    let first = Daemon::start("");
    first.told("READY=1");
    let mut second = Daemon::start_in(first.dir.path(), "second.log");
    let log = second.end(1);
    assert!(log.contains("another gateway listens at"), "{log}");
    assert_eq!(first.status()["name"], "lab");
}

fn an_engine_that_fails_ends_the_daemon() {
    let mut daemon = Daemon::start("[gateway]\nname = \"broken\"\n");
    let log = daemon.end(1);
    assert!(log.contains("UDP port 500 is taken; stop the other IKE daemon"), "{log}");
    assert!(!daemon.dir.path().join("control.sock").exists());
}

// ---- what the stories need ----

struct Answer {
    code: i32,
    out: String,
    err: String,
}

enum Home {
    Own(tempfile::TempDir),
    Shared(PathBuf),
}

impl Home {
    fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Shared(path) => path,
        }
    }
}

struct Daemon {
    dir: Home,
    log: PathBuf,
    child: Child,
    notices: Option<UnixDatagram>,
}

impl Daemon {
    fn start(first_lines: &str) -> Self {
        let dir = Home::Own(tempfile::tempdir().unwrap());
        write(dir.path(), "users.toml", "[users.alice]\npassword = \"a\"\n");
        write(dir.path(), "isthmus.toml", &config(first_lines));
        let notices = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        notices.set_read_timeout(Some(PATIENCE)).unwrap();
        let (log, child) = spawn(dir.path(), "daemon.log");
        Self { dir, log, child, notices: Some(notices) }
    }

    fn start_in(dir: &Path, log: &str) -> Self {
        let (log, child) = spawn(dir, log);
        Self { dir: Home::Shared(dir.to_owned()), log, child, notices: None }
    }

    /// Waits for a notice to the service manager with this line.
    #[track_caller]
    fn told(&self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let received = self.notices.as_ref().unwrap().recv(&mut buffer);
            let length =
                received.unwrap_or_else(|error| panic!("no {line}: {error}\n{}", self.log()));
            let notice = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if notice.lines().any(|told| told == line) {
                return notice;
            }
        }
    }

    fn isthmus(&self, arguments: &[&str]) -> Answer {
        let socket = self.dir.path().join("control.sock");
        let output = assert_cmd::Command::cargo_bin("isthmus")
            .unwrap()
            .args(arguments)
            .arg("--socket")
            .arg(socket)
            .output()
            .unwrap();
        Answer {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn status(&self) -> Value {
        let said = self.isthmus(&["status", "--json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.err))
    }

    fn users(&self) -> u64 {
        self.status()["tenants"][0]["users"].as_u64().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        write(self.dir.path(), name, text);
    }

    fn write_config(&self, first_lines: &str) {
        self.write("isthmus.toml", &config(first_lines));
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    #[track_caller]
    fn wait_for(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !reached(self) {
            assert!(Instant::now() < deadline, "{what} did not come\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end, and gives the log.
    #[track_caller]
    fn end(&mut self, code: i32) -> String {
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.log());
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(dir: &Path, log: &str) -> (PathBuf, Child) {
    let log = dir.join(log);
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .env("ISTHMUS_TEST_DAEMON", dir.join("isthmus.toml"))
        .env("NOTIFY_SOCKET", dir.join("notify"))
        .env("WATCHDOG_USEC", "20000000")
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    (log, child)
}

/// Written elsewhere and renamed, so that the daemon never reads half of it.
fn write(dir: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;

    let new = dir.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&new, dir.join(name)).unwrap();
}

/// A configuration; `first_lines` may begin with keys of `[gateway]` and `[ipsec]`.
fn config(first_lines: &str) -> String {
    let mut gateway = String::from("[gateway]\ncontrol_socket = \"control.sock\"\n");
    if !first_lines.contains("name =") {
        gateway.push_str("name = \"lab\"\n");
    }
    let rest = match first_lines.strip_prefix("[gateway]\n") {
        Some(rest) => {
            gateway.push_str(rest);
            ""
        }
        None => first_lines,
    };
    format!(
        "{rest}{gateway}[[tenant]]\nname = \"acme\"\npsk = \"correct horse battery\"\n\
         pool = [\"10.64.0.0/24\"]\nusers_file = \"users.toml\"\n"
    )
}

/// How long a story waits for what must come; much longer than it takes.
const PATIENCE: Duration = Duration::from_secs(30);
