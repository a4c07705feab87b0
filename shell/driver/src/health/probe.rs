//! One look at whether something answers behind a way out.
//!
//! The caller's thread is in the tenant's namespace. Sockets carry a mark that leads to the routing table
//! of that very way (see `wanted/probe`), so a probe never takes another.

use std::io;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;
use isthmus_wire::checksum::checksum;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

/// What is asked whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A web server: any answer with a status below 400 will do.
    Http {
        /// Its address and port.
        address: SocketAddr,
        /// What is asked for, with its leading slash.
        path: String,
    },
    /// A host that answers an ICMP echo request.
    Icmp(IpAddr),
    /// A server that accepts connections.
    Tcp(SocketAddr),
}

impl Target {
    /// Its address.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::Http { address, .. } | Self::Tcp(address) => address.ip(),
            Self::Icmp(address) => *address,
        }
    }
}

/// A probe of a way.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) target: Target,
    pub(super) mark: u32,
    /// The device it has to leave by, where that is known.
    pub(super) device: Option<String>,
}

impl Probe {
    /// Asks once.
    ///
    /// # Errors
    /// It does not answer as it should within `limit`.
    pub(super) async fn ask(&self, sequence: u16, limit: Duration) -> io::Result<()> {
        let asked = async {
            match &self.target {
                Target::Http { address, path } => {
                    get(self.connect(*address).await?, *address, path).await
                }
                Target::Icmp(address) => self.echo(*address, sequence).await,
                Target::Tcp(address) => self.connect(*address).await.map(drop),
            }
        };
        timeout(limit, asked).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    fn socket(&self, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let domain = Domain::for_address(SocketAddr::new(self.target.address(), 0));
        let socket = Socket::new(domain, kind, Some(protocol))?;
        socket.set_mark(self.mark)?;
        socket.bind_device(self.device.as_ref().map(String::as_bytes))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.socket(Type::STREAM, Protocol::TCP)?;
        // Closing leaves no port behind that waits, however often is asked.
        socket.set_linger(Some(Duration::ZERO))?;
        TcpSocket::from_std_stream(socket.into()).connect(address).await
    }

    /// RFC 792 and RFC 4443 §4.
    async fn echo(&self, address: IpAddr, sequence: u16) -> io::Result<()> {
        let protocol = if address.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let socket = self.socket(Type::RAW, protocol)?;
        // A connected raw socket only hears from that host. To tokio all datagrams are alike.
        socket.connect(&SockAddr::from(SocketAddr::new(address, 0)))?;
        let socket = UdpSocket::from_std(socket.into())?;
        let request = request(address.is_ipv4(), self.mark, sequence);
        socket.send(&request).await?;
        let mut octets = [0; 128];
        loop {
            let length = socket.recv(&mut octets).await?;
            if is_reply(octets.get(..length).unwrap_or_default(), request) {
                return Ok(());
            }
        }
    }
}

/// An echo request. The kernel writes the checksum over IPv6.
fn request(is_ipv4: bool, mark: u32, sequence: u16) -> [u8; 8] {
    let kind = if is_ipv4 { ECHO } else { ECHO_V6 };
    let [a, b, _, _] = mark.to_be_bytes();
    let [c, d] = sequence.to_be_bytes();
    let mut message = [kind, 0, 0, 0, a, b, c, d];
    if is_ipv4 {
        let [high, low] = checksum(&message).to_be_bytes();
        (message[2], message[3]) = (high, low);
    }
    message
}

/// Whether what was received, over IPv4 with its IP header, answers the request.
fn is_reply(received: &[u8], request: [u8; 8]) -> bool {
    let (header, reply) = match received.first() {
        Some(first) if request[0] == ECHO => (usize::from(first & 15) * 4, ECHO_REPLY),
        _ => (0, ECHO_REPLY_V6),
    };
    let message = received.get(header..).unwrap_or_default();
    message.first() == Some(&reply) && message.get(4..8) == request.get(4..8)
}

/// Any answer with a status below 400 will do.
async fn get(stream: TcpStream, address: SocketAddr, path: &str) -> io::Result<()> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let request = hyper::Request::get(path)
        .header(HOST, address.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = tokio::select! {
        answer = sender.send_request(request) => answer.map_err(io::Error::other)?,
        ended = connection => return Err(ended.err().map_or(io::ErrorKind::UnexpectedEof.into(), io::Error::other)),
    };
    let status = answer.status();
    if status.as_u16() < 400 { Ok(()) } else { Err(io::Error::other(format!("status {status}"))) }
}

const ECHO_REPLY: u8 = 0;
const ECHO: u8 = 8;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_request_counts() {
        let asked = request(true, 0x0007_0000, 9);
        assert_eq!(checksum(&asked), 0, "a message with its checksum sums up to nothing");
        let mut answer = vec![0x45; 20];
        answer.extend([ECHO_REPLY, 0, 0, 0, 0, 7, 0, 9]);
        assert!(is_reply(&answer, asked));
        assert!(!is_reply(&answer, request(true, 0x0007_0000, 10)), "another turn");
        assert!(!is_reply(&answer, request(true, 0x0008_0000, 9)), "another way");
        assert!(!is_reply(&answer[..24], asked), "cut short");
        assert!(!is_reply(&[], asked));
        let mut echo = vec![0x45; 20];
        echo.extend(asked);
        assert!(!is_reply(&echo, asked), "our own request");

        let asked = request(false, 0x0007_0000, 9);
        assert!(is_reply(&[ECHO_REPLY_V6, 0, 1, 2, 0, 7, 0, 9], asked));
        assert!(!is_reply(&[ECHO_V6, 0, 1, 2, 0, 7, 0, 9], asked));
    }
}
