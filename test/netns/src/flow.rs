//! A TCP connection that carries as much as it can for a time.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use isthmus_interop::{LabError, Namespace};

/// A running connection.
#[derive(Debug)]
pub struct Flow {
    receiver: JoinHandle<Flowed>,
    sender: JoinHandle<()>,
}

/// What came out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flowed {
    /// Bytes received.
    pub bytes: u64,
    /// From before the connection to the last byte.
    pub time: Duration,
}

impl Flowed {
    /// Bits received in a second.
    pub fn rate(&self) -> u64 {
        self.bytes * 8_000_000 / self.micros().max(1)
    }

    /// The most bytes that this time allows at a rate in bits per second and with a burst in bytes.
    pub fn most(&self, rate: u64, burst: u64) -> u64 {
        rate * (self.micros() + 1) / 8_000_000 + burst
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.time.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Flow {
    /// Connects `client` to `server`, which has `address`, and lets bytes flow from the client for `time`.
    pub fn up(
        (client, own): (&Namespace, Ipv4Addr),
        (server, address): (&Namespace, Ipv4Addr),
        time: Duration,
    ) -> Result<Self, LabError> {
        let (start, [near, far]) = connect((client, own), (server, address))?;
        Ok(Self::start(near, far, start, time))
    }

    /// The same the other way: bytes flow to the client, which has connected.
    pub fn down(
        (client, own): (&Namespace, Ipv4Addr),
        (server, address): (&Namespace, Ipv4Addr),
        time: Duration,
    ) -> Result<Self, LabError> {
        let (start, [near, far]) = connect((client, own), (server, address))?;
        Ok(Self::start(far, near, start, time))
    }

    /// Waits for the end.
    pub fn finish(self) -> Result<Flowed, LabError> {
        let died = |_| LabError::unexpected("a thread of a flow died");
        self.sender.join().map_err(died)?;
        self.receiver.join().map_err(died)
    }

    fn start(mut from: TcpStream, mut to: TcpStream, start: Instant, time: Duration) -> Self {
        let end = start + time;
        let sender = thread::spawn(move || {
            let piece = [0x5a; 16 << 10];
            while Instant::now() < end && goes_on(from.write(&piece)).is_some() {}
        });
        let receiver = thread::spawn(move || {
            let (mut bytes, mut last) = (0, start);
            let mut piece = [0; 16 << 10];
            while Instant::now() < end {
                match goes_on(to.read(&mut piece)) {
                    None => break,
                    Some(0) => {}
                    Some(count) => (bytes, last) = (bytes + count as u64, Instant::now()),
                }
            }
            Flowed { bytes, time: last - start }
        });
        Self { receiver, sender }
    }
}

/// Bytes moved; zero where it was only not yet possible; none at the end.
fn goes_on(moved: std::io::Result<usize>) -> Option<usize> {
    match moved {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(error) => {
            let later = [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted];
            later.contains(&error.kind()).then_some(0)
        }
    }
}

/// The client's end and the server's.
fn connect(
    (client, own): (&Namespace, Ipv4Addr),
    (server, address): (&Namespace, Ipv4Addr),
) -> Result<(Instant, [TcpStream; 2]), LabError> {
    let listener = server.with(move || TcpListener::bind((address, 0)))?;
    let at = |error| LabError::Io { what: format!("a flow to {address}"), source: error };
    let target = listener.local_addr().map_err(at)?;
    let start = Instant::now();
    let near = client.with(move || TcpStream::connect_timeout(&target, CONNECT_LIMIT))?;
    let from: SocketAddr = near.local_addr().map_err(at)?;
    if from.ip() != own {
        return Err(LabError::unexpected(format!("it goes out from {from}, not from {own}")));
    }
    let (far, _) = listener.accept().map_err(at)?;
    for end in [&near, &far] {
        end.set_read_timeout(Some(STEP)).map_err(at)?;
        end.set_write_timeout(Some(STEP)).map_err(at)?;
    }
    Ok((start, [near, far]))
}

/// How long a connection may take on a busy machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How often an end looks at the clock.
const STEP: Duration = Duration::from_millis(100);
