//! Probes as the API has them, and as the gateway has them.

use axum::http::StatusCode;
use isthmus_gateway::{PROBES_PER_SECOND_MAX, ProbeRefusal};
use isthmus_wire::probe::{Kind, Probe};

use super::types::{ProbeProtocol, ProbeRequest, ProbeSent, Refusal, SessionId};

/// What a body has to be.
pub(super) const REMEDY: &str = "send JSON like {\"source\": \"10.64.0.9\", \"destination\": \
                                 \"10.1.2.3\", \"protocol\": \"tcp\", \"port\": 443}";

/// The probe that is asked for, and the request with its mark.
///
/// # Errors
/// Why there is no such probe.
pub(super) fn read(request: ProbeRequest) -> Result<(ProbeRequest, Probe), String> {
    let kind = match (request.protocol, request.port) {
        (ProbeProtocol::Icmp, None) => Kind::Echo,
        (ProbeProtocol::Icmp, Some(_)) => return Err(String::from("icmp has no ports")),
        (ProbeProtocol::Tcp | ProbeProtocol::Udp, None | Some(0)) => {
            return Err(format!("{} needs a port from 1 to 65535", request.protocol));
        }
        (ProbeProtocol::Tcp, Some(port)) => Kind::Tcp(port),
        (ProbeProtocol::Udp, Some(port)) => Kind::Udp(port),
    };
    let mark = match request.mark {
        Some(mark) => mark,
        None => getrandom::u32().map_err(|error| format!("no random numbers: {error}"))?,
    };
    let probe = Probe::new(request.source, request.destination, kind, mark);
    let probe = probe.ok_or("source and destination are not of the same IP version")?;
    Ok((ProbeRequest { mark: Some(mark), ..request }, probe))
}

/// The answer to a probe that was sent.
pub(super) fn sent(session: SessionId, request: ProbeRequest, probe: &Probe) -> ProbeSent {
    let source_port = request.port.map(|_| probe.source_port());
    ProbeSent { session, probe: request, source_port }
}

/// What is said when the gateway sends none.
pub(super) fn refusal(session: &str, refusal: &ProbeRefusal) -> (StatusCode, Refusal) {
    let (code, error, remedy) = match refusal {
        ProbeRefusal::Destination => (
            StatusCode::UNPROCESSABLE_ENTITY,
            String::from("a probe goes to one host, and not to one on the link"),
            "choose an address behind the gateway",
        ),
        ProbeRefusal::NotUp => (
            StatusCode::CONFLICT,
            format!("no packets of this IP version flow in session {session} now"),
            "`isthmus sessions` shows its addresses",
        ),
        ProbeRefusal::Source { own } => (
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("a probe of session {session} comes from {own}, and from nowhere else"),
            "choose that address",
        ),
        ProbeRefusal::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            format!("{PROBES_PER_SECOND_MAX} probes were sent within the last second"),
            "try again in a second",
        ),
        ProbeRefusal::Unknown => (
            StatusCode::NOT_FOUND,
            format!("there is no session `{session}`"),
            "`isthmus sessions` shows all",
        ),
    };
    (code, Refusal { error, remedy: remedy.to_owned(), problems: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(protocol: ProbeProtocol, port: Option<u16>) -> ProbeRequest {
        let (source, destination) = ([10, 64, 0, 9].into(), [10, 1, 2, 3].into());
        ProbeRequest { source, destination, protocol, port, mark: Some(7) }
    }

    #[test]
    fn ports_belong_to_tcp_and_udp_only() {
        for (protocol, port, fits) in [
            (ProbeProtocol::Icmp, None, true),
            (ProbeProtocol::Icmp, Some(7), false),
            (ProbeProtocol::Tcp, Some(443), true),
            (ProbeProtocol::Tcp, None, false),
            (ProbeProtocol::Udp, Some(53), true),
            (ProbeProtocol::Udp, Some(0), false),
        ] {
            assert_eq!(read(request(protocol, port)).is_ok(), fits, "{protocol} {port:?}");
        }
    }

    #[test]
    fn a_mark_that_is_absent_is_chosen() {
        let asked = ProbeRequest { mark: None, ..request(ProbeProtocol::Icmp, None) };
        let (request, probe) = read(asked).unwrap();
        assert_eq!(request.mark, Some(probe.mark()));
        let six = ProbeRequest { destination: [7; 16].into(), ..asked };
        assert!(read(six).unwrap_err().contains("IP version"));
    }
}
