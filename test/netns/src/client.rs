//! `isthmus client connect`, run as a person would, in a namespace.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use isthmus_interop::{Daemon, GATEWAY, LabError, Namespace, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use crate::config::{PASSWORD, PSK, USER};
use crate::site::Site;

/// Who dials, and how.
#[derive(Debug, Clone)]
pub struct Dial {
    psk: String,
    user: String,
    password: String,
    routes: String,
    server: IpAddr,
    options: Vec<String>,
}

impl Dial {
    /// The configuration's first user, with the default options and the way to the cloud.
    pub fn new() -> Self {
        Self {
            psk: PSK.to_owned(),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            routes: "--routes 10.0.0.0/24".to_owned(),
            server: GATEWAY.into(),
            options: Vec::new(),
        }
    }

    /// Somebody else.
    #[must_use]
    pub fn user(mut self, user: &str, password: &str) -> Self {
        user.clone_into(&mut self.user);
        password.clone_into(&mut self.password);
        self
    }

    /// Another pre-shared key.
    #[must_use]
    pub fn psk(mut self, psk: &str) -> Self {
        psk.clone_into(&mut self.psk);
        self
    }

    /// Another option than `--routes 10.0.0.0/24` about what goes through the tunnel.
    #[must_use]
    pub fn routes(mut self, option: &str) -> Self {
        option.clone_into(&mut self.routes);
        self
    }

    /// Another address of the gateway.
    #[must_use]
    pub fn server(mut self, server: IpAddr) -> Self {
        self.server = server;
        self
    }

    /// More options, separated by blanks.
    #[must_use]
    pub fn with(mut self, options: &str) -> Self {
        self.options.extend(options.split_whitespace().map(str::to_owned));
        self
    }
}

impl Default for Dial {
    fn default() -> Self {
        Self::new()
    }
}

/// What the client says when it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Up {
    /// Its inner address.
    pub address: Ipv4Addr,
    /// Its tunnel device.
    pub interface: String,
    /// Its largest inner packet.
    pub mtu: u64,
}

/// What the client says when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// Its exit code.
    pub exit: Option<i32>,
    /// Whether it was asked to end.
    pub requested: bool,
    /// How far it had come.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    /// Everything it printed.
    pub log: String,
}

/// A running client. Dropping it kills it.
#[derive(Debug)]
pub struct Client {
    daemon: Daemon,
}

impl Client {
    /// Starts to dial from `host`.
    pub fn start(site: &Site, host: &Namespace, dial: &Dial) -> Result<Self, LabError> {
        let role = host.name().rsplit('-').next().unwrap_or_default();
        let evidence = site.lab().evidence();
        evidence.note(&format!("{role}: client connect, {} {}", dial.user, dial.options.join(" ")));
        let mut command = host.command(site.binary());
        command.args(["client", "connect", "--json", "--server", &dial.server.to_string()]);
        command.args(["--user", &dial.user]).args(dial.routes.split_whitespace());
        command.args(&dial.options);
        command.env("ISTHMUS_PSK", &dial.psk).env("ISTHMUS_PASSWORD", &dial.password);
        command.env("RUST_BACKTRACE", "1");
        let log = (1..).map(|turn| evidence.path(&format!("client-{role}-{turn}.log")));
        let log = log.into_iter().find(|path| !path.exists()).unwrap_or_default();
        let daemon = Daemon::start(&format!("client in {role}"), &command, &log)?;
        Ok(Self { daemon })
    }

    /// Starts to dial from `host` and waits until packets flow.
    pub fn connect(site: &Site, host: &Namespace, dial: &Dial) -> Result<(Self, Up), LabError> {
        let mut client = Self::start(site, host, dial)?;
        let up = client.wait_up()?;
        Ok((client, up))
    }

    /// Waits until packets flow.
    ///
    /// # Errors
    /// The client ends, or takes longer than `CONNECT_LIMIT`.
    pub fn wait_up(&mut self) -> Result<Up, LabError> {
        let up = wait_for("a connection", CONNECT_LIMIT, || {
            let up = self.event("up").map(|event| read_up(&event)).transpose()?;
            self.daemon.alive()?;
            Ok(up)
        });
        up.map_err(|error| LabError::unexpected(format!("{error}\n{}", self.daemon.log())))
    }

    /// Waits for the client's own end.
    pub fn wait_down(mut self, limit: Duration) -> Result<Down, LabError> {
        let exit = self.daemon.ended(limit)?;
        self.read_down(exit.code())
    }

    /// Has the client replace its ESP SAs, and waits until it says that it has.
    pub fn rekey_child(&mut self) -> Result<(), LabError> {
        self.rekey(Signal::USR1, "secured")
    }

    /// Has the client replace its IKE SA, and waits until it says that it has.
    pub fn rekey_ike(&mut self) -> Result<(), LabError> {
        self.rekey(Signal::USR2, "ike_rekeyed")
    }

    fn rekey(&mut self, signal: Signal, kind: &str) -> Result<(), LabError> {
        let before = self.events(kind).len();
        self.daemon.signal(signal);
        wait_for(&format!("one more `{kind}`"), REKEY_LIMIT, || {
            self.daemon.alive()?;
            Ok((self.events(kind).len() > before).then_some(()))
        })
    }

    /// Ends the client with SIGKILL: nobody is told.
    pub fn kill(mut self) -> Result<(), LabError> {
        self.daemon.stop(Signal::KILL, HANG_UP_LIMIT).map(drop)
    }

    /// Asks the client to end, as a service manager or Ctrl-C does.
    ///
    /// # Errors
    /// It does not end well within `HANG_UP_LIMIT`.
    pub fn hang_up(self) -> Result<(), LabError> {
        self.ask_to_hang_up().wait_hung_up()
    }

    /// Asks the client to end and does not wait; see [`Client::wait_hung_up`].
    #[must_use]
    pub fn ask_to_hang_up(self) -> Self {
        self.daemon.signal(Signal::TERM);
        self
    }

    /// Waits until a client that was asked to has ended.
    ///
    /// # Errors
    /// It does not end well within `HANG_UP_LIMIT`.
    pub fn wait_hung_up(mut self) -> Result<(), LabError> {
        let exit = self.daemon.ended(HANG_UP_LIMIT)?;
        let down = self.read_down(exit.code())?;
        if down.exit == Some(0) && down.requested {
            return Ok(());
        }
        Err(LabError::unexpected(format!("the client was to hang up, but: {down:?}")))
    }

    /// What the client printed so far.
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// The last event of this kind that the client told.
    pub fn event(&self, kind: &str) -> Option<Value> {
        self.events(kind).pop()
    }

    /// All events of this kind that the client told, in order.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let log = self.daemon.log();
        let events = log.lines().filter(|line| line.starts_with('{'));
        let parsed = events.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let meant = |event: &Value| event.get("event").and_then(Value::as_str) == Some(kind);
        parsed.filter(meant).collect()
    }

    fn read_down(&self, exit: Option<i32>) -> Result<Down, LabError> {
        let log = self.daemon.log();
        let event = self.event("down");
        let event =
            event.ok_or_else(|| LabError::unexpected(format!("no event `down` in:\n{log}")))?;
        let text =
            |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Down {
            exit,
            requested: event.get("requested").and_then(Value::as_bool).unwrap_or_default(),
            stage: text("stage"),
            reason: text("reason"),
            remedy: text("remedy"),
            log,
        })
    }
}

fn read_up(event: &Value) -> Result<Up, LabError> {
    let odd = || LabError::unexpected(format!("an odd event: {event}"));
    let text = |key: &str| event.get(key).and_then(Value::as_str).ok_or_else(odd);
    Ok(Up {
        address: text("address")?.parse().map_err(|_| odd())?,
        interface: text("interface")?.to_owned(),
        mtu: event.get("mtu").and_then(Value::as_u64).ok_or_else(odd)?,
    })
}

/// How long a connection may take on a busy machine; 1 s is usual.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long new keys may take on a busy machine; far less is usual.
const REKEY_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may take to say goodbye.
const HANG_UP_LIMIT: Duration = Duration::from_secs(10);
