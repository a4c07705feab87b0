//! Sending in batches: packets are grouped into messages, messages into system calls.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use isthmus_core::Path;

use crate::NetStats;
use crate::mmsg::{self, MESSAGES_MAX, Message};

/// How far a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Packets from the front of the batch that are done with: sent, or failed and counted.
    pub done: usize,
    /// The kernel's buffer is full: the packets after `done` were not tried. Wait until the descriptor
    /// is writable, or drop them.
    pub blocked: bool,
}

/// The sending half of a socket.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Packets that one message may carry; 1 where the kernel or the interface does not segment.
    segments_max: usize,
    /// Raw sockets take no port.
    with_ports: bool,
}

impl Sender {
    pub(crate) fn new(segments_max: usize, with_ports: bool) -> Self {
        Self { segments_max, with_ports }
    }

    pub(crate) fn segments_max(&self) -> usize {
        self.segments_max
    }

    /// Sends packets in order until all are done with or the socket is full.
    pub(crate) fn send<'a>(
        &mut self,
        socket: &impl AsFd,
        packets: impl IntoIterator<Item = (Path, &'a [u8])>,
        stats: &mut NetStats,
    ) -> io::Result<Sent> {
        let (paths, slices): (Vec<_>, Vec<_>) =
            packets.into_iter().map(|(path, bytes)| (path, IoSlice::new(bytes))).unzip();
        let mut done = 0;
        while done < slices.len() {
            let messages = self.messages(&paths, &slices, done);
            match mmsg::send(socket, &messages) {
                Ok(sent) => done += count(&messages, sent, stats),
                Err(error) => {
                    let Some(failed) = self.failed(socket, &messages, &error, stats)? else {
                        stats.blocked += 1;
                        return Ok(Sent { done, blocked: true });
                    };
                    done += failed;
                }
            }
        }
        Ok(Sent { done, blocked: false })
    }

    /// Groups the packets from `start` on into the messages of one system call.
    fn messages<'a>(
        &self,
        paths: &[Path],
        slices: &'a [IoSlice<'a>],
        start: usize,
    ) -> Vec<Message<'a>> {
        let mut messages = Vec::with_capacity((slices.len() - start).min(MESSAGES_MAX));
        let mut paths = paths.get(start..).unwrap_or_default();
        let mut slices = slices.get(start..).unwrap_or_default();
        while let Some(path) = paths.first()
            && messages.len() < MESSAGES_MAX
        {
            let length = run_length(paths, slices, self.segments_max);
            let (packets, rest) = slices.split_at(length);
            messages.push(self.message(path, packets));
            paths = paths.get(length..).unwrap_or_default();
            slices = rest;
        }
        messages
    }

    fn message<'a>(&self, path: &Path, packets: &'a [IoSlice<'a>]) -> Message<'a> {
        let mut destination = path.remote;
        if !self.with_ports {
            destination.set_port(0);
        }
        let source = Some(path.local.ip()).filter(|source| !source.is_unspecified());
        let segment_size = match packets {
            [first, _, ..] => u16::try_from(first.len()).ok(),
            [] | [_] => None,
        };
        Message { destination, source, packets, segment_size }
    }

    /// Deals with the failure of the first message; answers how many packets are done with by that, or
    /// nothing when the socket is full.
    fn failed(
        &mut self,
        socket: &impl AsFd,
        messages: &[Message<'_>],
        error: &io::Error,
        stats: &mut NetStats,
    ) -> io::Result<Option<usize>> {
        let first = messages.first().map_or(&[] as &[_], |message| message.packets);
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(None),
            Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) | None => Err(clone(error)),
            // The interface cannot do the checksums that segmenting needs: it never will.
            Some(libc::EIO) if first.len() > 1 => {
                self.segments_max = 1;
                stats.segmentation_refused += 1;
                Ok(Some(0))
            }
            // Segments that would have to be fragmented, or a message too long with its headers.
            Some(libc::EINVAL | libc::EMSGSIZE) if first.len() > 1 => {
                stats.segmentation_refused += 1;
                self.one_by_one(socket, messages, stats)
            }
            Some(errno) => {
                count_failure(errno, first.len() as u64, stats);
                Ok(Some(first.len()))
            }
        }
    }

    /// Sends the packets of the first message without asking the kernel to cut them.
    fn one_by_one(
        &mut self,
        socket: &impl AsFd,
        messages: &[Message<'_>],
        stats: &mut NetStats,
    ) -> io::Result<Option<usize>> {
        let Some(first) = messages.first() else { return Ok(Some(0)) };
        let singles: Vec<Message<'_>> = first
            .packets
            .chunks(1)
            .map(|packets| Message {
                destination: first.destination,
                source: first.source,
                packets,
                segment_size: None,
            })
            .collect();
        let mut done = 0;
        while let Some(rest) = singles.get(done..).filter(|rest| !rest.is_empty()) {
            match mmsg::send(socket, rest) {
                Ok(sent) => done += count(rest, sent, stats),
                Err(error) => match self.failed(socket, rest, &error, stats)? {
                    Some(failed) => done += failed,
                    None if done == 0 => return Ok(None),
                    None => break,
                },
            }
        }
        Ok(Some(done))
    }
}

/// How many packets from the front go to one destination in one message: equal in length, except that
/// the last may be shorter.
fn run_length(paths: &[Path], slices: &[IoSlice<'_>], segments_max: usize) -> usize {
    let (Some(path), Some(first)) = (paths.first(), slices.first()) else { return 0 };
    let mut bytes = first.len();
    let mut length = 1;
    if bytes == 0 {
        return length;
    }
    for (other, slice) in paths.iter().zip(slices).take(segments_max).skip(1) {
        bytes += slice.len();
        let fits = other == path && (1..=first.len()).contains(&slice.len());
        if !fits || bytes > MESSAGE_BYTES_MAX {
            break;
        }
        length += 1;
        if slice.len() < first.len() {
            break;
        }
    }
    length
}

/// Counts `sent` messages as sent and answers how many packets that are.
fn count(messages: &[Message<'_>], sent: usize, stats: &mut NetStats) -> usize {
    let lengths = messages.iter().take(sent).map(|message| message.packets.len());
    stats.segmented += lengths.clone().filter(|&length| length > 1).count() as u64;
    let packets = lengths.sum::<usize>();
    stats.sent += packets as u64;
    packets
}

/// Counts `packets` that the kernel refused.
fn count_failure(errno: i32, packets: u64, stats: &mut NetStats) {
    let counter = match errno {
        libc::ECONNREFUSED
        | libc::EHOSTUNREACH
        | libc::ENETUNREACH
        | libc::EHOSTDOWN
        | libc::ENETDOWN => &mut stats.unreachable,
        libc::EACCES | libc::EPERM => &mut stats.filtered,
        libc::EMSGSIZE => &mut stats.too_big,
        _ => &mut stats.send_failed,
    };
    *counter += packets;
}

/// `io::Error` is not `Clone`; these come from the system and have a number.
fn clone(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Bytes in one message: the longest UDP payload over IPv4 (over IPv6 it is 20 bytes longer).
const MESSAGE_BYTES_MAX: usize = 65_507;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(remote: &str) -> Path {
        Path::new("192.0.2.1:4500".parse().unwrap(), remote.parse().unwrap())
    }

    fn lengths(packets: &[(&str, usize)], segments_max: usize) -> Vec<usize> {
        let bytes = vec![0; 65_535];
        let paths: Vec<Path> = packets.iter().map(|(remote, _)| path(remote)).collect();
        let slices: Vec<IoSlice<'_>> =
            packets.iter().map(|&(_, length)| IoSlice::new(&bytes[..length])).collect();
        let sender = Sender::new(segments_max, true);
        let messages = sender.messages(&paths, &slices, 0);
        messages.iter().map(|message| message.packets.len()).collect()
    }

    const A: &str = "198.51.100.1:4500";
    const B: &str = "198.51.100.2:4500";

    #[test]
    fn equal_packets_to_one_peer_are_one_message_and_a_shorter_one_ends_it() {
        assert_eq!(lengths(&[(A, 100), (A, 100), (A, 60), (A, 60), (A, 100)], 64), [3, 1, 1]);
    }

    #[test]
    fn order_is_kept_so_only_neighbours_are_grouped() {
        assert_eq!(lengths(&[(A, 100), (B, 100), (A, 100), (A, 100)], 64), [1, 1, 2]);
    }

    #[test]
    fn a_message_is_bounded_in_packets_and_bytes() {
        assert_eq!(lengths(&[(A, 10); 7], 3), [3, 3, 1]);
        assert_eq!(lengths(&[(A, 30_000); 3], 64), [2, 1]);
        assert_eq!(lengths(&[(A, 10); 3], 1), [1, 1, 1]);
        assert_eq!(lengths(&[(A, 0); 2], 64), [1, 1]);
    }

    #[test]
    fn one_call_takes_at_most_messages_max() {
        let one_each: Vec<_> = [(A, 10), (B, 10)].repeat(MESSAGES_MAX);
        assert_eq!(lengths(&one_each, 64).len(), MESSAGES_MAX);
    }

    #[test]
    fn an_unspecified_source_is_left_to_the_kernel() {
        let sender = Sender::new(64, false);
        let anywhere = Path::new("0.0.0.0:0".parse().unwrap(), A.parse().unwrap());
        let message = sender.message(&anywhere, &[]);
        assert_eq!((message.source, message.destination.port()), (None, 0));
    }
}
