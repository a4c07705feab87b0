//! The control API over a real Unix socket, with a stand-in for the gateway.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use isthmus::api::{
    self, Client, ClientError, ControlRequest, ControlSocket, Failure, ProbeProtocol, ProbeRequest,
    Refusal, Reload, ReloadOutcome, Session, SessionId, Status, Step,
};
use isthmus::report::{ProblemView, Severity};
use isthmus_gateway::ProbeRefusal;
use isthmus_wire::probe::{Kind, Probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

struct Served {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    server: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
    _socket: ControlSocket,
    _dir: tempfile::TempDir,
}

/// Answers every reload with a mistake in line 3.
struct Refusing;

impl Reload for Refusing {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<ReloadOutcome, Refusal>> + Send + '_>> {
        let problem = ProblemView {
            severity: Severity::Error,
            file: Some(String::from("isthmus.toml")),
            line: Some(3),
            column: Some(1),
            message: String::from("unknown key `pol`"),
            remedy: String::from("did you mean `pool`?"),
        };
        Box::pin(async {
            Err(Refusal {
                error: String::from("the configuration has mistakes"),
                remedy: String::from("correct them"),
                problems: vec![problem],
            })
        })
    }

    fn preview(&self) -> Pin<Box<dyn Future<Output = Result<ReloadOutcome, Refusal>> + Send + '_>> {
        self.reload()
    }
}

fn session() -> Session {
    Session {
        id: SessionId(7),
        user: Some(String::from("jo")),
        tenant: String::from("acme"),
        address: Some([10, 64, 0, 9].into()),
        prefix6: None,
        device: None,
        up: true,
        age_seconds: 61,
        from: "198.51.100.7:4500".parse().unwrap(),
        encapsulated: true,
        suite: Some(String::from("aes256-sha1")),
        identity: String::from("192.168.1.7"),
        host: String::from("LAPTOP"),
        rx_bytes: 2048,
        rx_packets: 10,
        tx_bytes: 4096,
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

fn failure() -> Failure {
    Failure {
        age_seconds: 5,
        first_age_seconds: 65,
        count: 3,
        proven: true,
        tenant: None,
        client: String::from("Windows 8 or later"),
        client_behind_nat: true,
        server_behind_nat: false,
        steps: vec![
            Step { milestone: String::from("began"), ms_before_end: None },
            Step { milestone: String::from("authenticated"), ms_before_end: Some(20_500) },
        ],
        from: "198.51.100.8:500".parse().unwrap(),
        user: None,
        stage: String::from("ike_main_mode"),
        cause: String::from("wrong_psk"),
        detail: String::from("no key fits"),
        remedy: String::from("set the same key on both sides"),
    }
}

/// Each way in which a gateway may answer, by the session's number.
fn probed(session: SessionId, probe: &Probe) -> Result<(), ProbeRefusal> {
    match session.0 {
        7 if probe.kind() == Kind::Tcp(443) && probe.mark() == 9 => Ok(()),
        7 => Err(ProbeRefusal::Destination),
        8 => Err(ProbeRefusal::Unknown),
        9 => Err(ProbeRefusal::NotUp),
        10 => Err(ProbeRefusal::Source { own: String::from("10.64.0.9") }),
        _ => Err(ProbeRefusal::TooMany),
    }
}

async fn stand_in(mut requests: mpsc::Receiver<ControlRequest>) {
    while let Some(request) = requests.recv().await {
        match request {
            ControlRequest::Apply { reply, .. } => drop(reply),
            ControlRequest::Disconnect { session, reply } => {
                reply.send(session == SessionId(7)).unwrap();
            }
            ControlRequest::Failures(reply) => reply.send(vec![failure()]).unwrap(),
            ControlRequest::Probe { session, probe, reply } => {
                reply.send(probed(session, &probe)).unwrap();
            }
            ControlRequest::Sessions(reply) => reply.send(vec![session()]).unwrap(),
            ControlRequest::Status(reply) => reply
                .send(Status {
                    name: String::from("use1-a"),
                    sessions: 1,
                    failures_total: 3,
                    failures: vec![failure()],
                    ..Status::default()
                })
                .unwrap(),
        }
    }
}

/// A served API; without a gateway every request is dropped.
fn serve(with_gateway: bool) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let mut socket = ControlSocket::bind(&path).unwrap();
    let listener = socket.listener().unwrap();
    let (control, requests) = api::control();
    if with_gateway {
        tokio::spawn(stand_in(requests));
    }
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(api::serve(listener, control, Arc::new(Refusing), async {
        let _ended = stopped.await;
    }));
    Served { path, stop: Some(stop), server: Some(server), _socket: socket, _dir: dir }
}

/// The answer to a request as it is on the wire.
async fn raw(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn everything_that_is_shown_arrives_whole() {
    let served = serve(true);
    let client = Client::new(&served.path);
    let status = client.status().await.unwrap();
    assert_eq!((status.name.as_str(), status.failures_total), ("use1-a", 3));
    assert_eq!(status.failures, [failure()]);
    assert_eq!(client.sessions().await.unwrap(), [session()]);
    assert_eq!(client.failures().await.unwrap(), [failure()]);
}

#[tokio::test]
async fn a_session_is_ended_by_its_id_only() {
    let served = serve(true);
    let client = Client::new(&served.path);
    assert_eq!(client.disconnect(SessionId(7)).await.unwrap().session, SessionId(7));
    let Err(ClientError::Refused(refusal)) = client.disconnect(SessionId(8)).await else {
        panic!("session 8 does not exist");
    };
    assert_eq!(refusal.error, "there is no session `8`");
    let answer = raw(&served.path, "POST /v1/sessions/jo/disconnect").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("isthmus sessions"), "{answer}");
}

#[tokio::test]
async fn a_probe_is_sent_or_refused_with_a_reason_and_a_remedy() {
    let served = serve(true);
    let client = Client::new(&served.path);
    let probe = ProbeRequest {
        source: [10, 64, 0, 9].into(),
        destination: [10, 1, 2, 3].into(),
        protocol: ProbeProtocol::Tcp,
        port: Some(443),
        mark: Some(9),
    };
    let sent = client.probe(SessionId(7), &probe).await.unwrap();
    assert_eq!((sent.session, sent.probe), (SessionId(7), probe));
    assert!(sent.source_port.is_some());
    for (session, probe, says) in [
        (7, ProbeRequest { port: Some(80), ..probe }, "one host"),
        (7, ProbeRequest { port: None, ..probe }, "tcp needs a port"),
        (7, ProbeRequest { destination: [7; 16].into(), ..probe }, "IP version"),
        (8, probe, "there is no session `8`"),
        (9, probe, "flow in session 9"),
        (10, probe, "comes from 10.64.0.9"),
        (11, probe, "10 probes"),
    ] {
        let Err(ClientError::Refused(refusal)) = client.probe(SessionId(session), &probe).await
        else {
            panic!("{says}");
        };
        assert!(refusal.error.contains(says) && !refusal.remedy.is_empty(), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_probe_is_told_what_one_is() {
    let served = serve(true);
    let answer = raw(&served.path, "POST /v1/sessions/7/probe").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("destination"), "{answer}");
    let answer = raw(&served.path, "POST /v1/sessions/jo/probe").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("isthmus sessions"), "{answer}");
}

#[tokio::test]
async fn a_refused_reload_names_the_place() {
    let served = serve(true);
    let Err(ClientError::Refused(refusal)) = Client::new(&served.path).reload().await else {
        panic!("the reload is refused");
    };
    assert_eq!((refusal.problems[0].line, refusal.problems.len()), (Some(3), 1));
    let answer = raw(&served.path, "POST /v1/reload").await;
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
}

#[tokio::test]
async fn wrong_paths_and_methods_are_told_what_is_right() {
    let served = serve(true);
    let answer = raw(&served.path, "GET /v2/status").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/v1/status"), "{answer}");
    for wrong in ["POST /v1/status", "GET /v1/reload", "GET /v1/sessions/7/disconnect"] {
        let answer = raw(&served.path, wrong).await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("POST"), "{wrong}: {answer}");
    }
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_no_silence() {
    let served = serve(false);
    let answer = raw(&served.path, "GET /v1/status").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("shutting down"), "{answer}");
}

#[tokio::test]
async fn what_is_no_gateway_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let client = Client::new(&path);
    assert!(matches!(client.status().await, Err(ClientError::NotRunning(_))));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let stranger = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 smtp ready\r\n").await.unwrap();
    });
    let answer = client.status().await;
    assert!(matches!(answer, Err(ClientError::Garbled { .. })), "{answer:?}");
    stranger.await.unwrap();
}

#[tokio::test]
async fn serving_ends_when_it_is_told_to() {
    let mut served = serve(true);
    served.stop.take().unwrap().send(()).unwrap();
    served.server.take().unwrap().await.unwrap().unwrap();
    assert!(Client::new(&served.path).status().await.is_err());
}
