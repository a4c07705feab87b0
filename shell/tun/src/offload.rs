//! Reading runs of packets in one go (`IFF_VNET_HDR`) and cutting them apart; writing them likewise.

use std::io::{self, IoSlice};

use isthmus_core::Buf;
use isthmus_wire::coalesce::{Kind, Long, SEGMENTS_MAX};
use tun_rs::{SyncDevice, VIRTIO_NET_HDR_LEN, VirtioNetHdr};

/// Where runs of packets arrive and what they are cut into: a megabyte, and so one for all devices that a
/// thread reads.
#[derive(Default)]
pub struct Cutter {
    block: Vec<u8>,
    rooms: Vec<Room>,
    sizes: Vec<usize>,
    /// Bytes that each room has at least.
    mtu: usize,
}

impl Cutter {
    /// One that takes memory when it is first used.
    pub fn new() -> Self {
        Self::default()
    }

    fn fit(&mut self, mtu: usize) {
        if self.mtu < mtu {
            self.mtu = mtu;
            self.rooms.clear();
        }
        self.block.resize(VIRTIO_NET_HDR_LEN + usize::from(u16::MAX), 0);
        self.sizes.resize(READ_SEGMENTS_MAX, 0);
    }

    /// Receives one run from a device with packets of at most `mtu` bytes and appends its packets; answers how
    /// many.
    pub(crate) fn receive(
        &mut self,
        (device, mtu): (&SyncDevice, u16),
        alloc: &mut dyn FnMut() -> Buf,
        out: &mut Vec<Buf>,
    ) -> io::Result<usize> {
        self.fit(mtu.into());
        while self.rooms.len() < READ_SEGMENTS_MAX {
            self.rooms.push(Room::new(alloc(), self.mtu));
        }
        let count = device.recv_multiple(&mut self.block, &mut self.rooms, &mut self.sizes, 0)?;
        for (room, &size) in self.rooms.iter_mut().zip(&self.sizes).take(count) {
            let fresh = Room::new(alloc(), self.mtu);
            let mut buf = std::mem::replace(room, fresh).0;
            buf.set_len(size);
            out.push(buf);
        }
        Ok(count)
    }
}

/// Hands one packet to a device that expects a header before each: all zeroes, for "nothing special".
pub(crate) fn send(device: &SyncDevice, packet: &[u8]) -> io::Result<usize> {
    let parts = [IoSlice::new(&[0; VIRTIO_NET_HDR_LEN]), IoSlice::new(packet)];
    uninterrupted(|| device.send_vectored(&parts))
}

/// Repeats a call that a signal interrupted.
pub(crate) fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Hands over a run as one packet, gathered from a header and the payloads, for the kernel to cut.
pub(crate) fn send_long<'a>(
    device: &SyncDevice,
    long: &Long,
    payloads: impl Iterator<Item = &'a [u8]>,
) -> io::Result<usize> {
    let mut header = [0; VIRTIO_NET_HDR_LEN];
    virtio_header(long).encode(&mut header)?;
    let mut parts = [IoSlice::new(&[]); SEGMENTS_MAX + 2];
    let [virtio, ip, rest @ ..] = &mut parts;
    (*virtio, *ip) = (IoSlice::new(&header), IoSlice::new(long.header()));
    let mut used = 2;
    for (part, payload) in rest.iter_mut().zip(payloads) {
        *part = IoSlice::new(payload);
        used += 1;
    }
    uninterrupted(|| device.send_vectored(parts.get(..used).unwrap_or_default()))
}

/// What the kernel must know (virtio 1.2 §5.1.6).
fn virtio_header(long: &Long) -> VirtioNetHdr {
    VirtioNetHdr {
        flags: NEEDS_CSUM,
        gso_type: match long.kind {
            Kind::TcpV4 => GSO_TCPV4,
            Kind::TcpV6 => GSO_TCPV6,
            Kind::Udp => GSO_UDP_L4,
        },
        hdr_len: long.header_len,
        gso_size: long.segment_len,
        csum_start: long.checksum_start,
        csum_offset: long.checksum_offset,
    }
}

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const NEEDS_CSUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV4`.
const GSO_TCPV4: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV6`.
const GSO_TCPV6: u8 = 4;
/// `VIRTIO_NET_HDR_GSO_UDP_L4`.
const GSO_UDP_L4: u8 = 5;
/// The longest run that is cut: 64 KiB in packets of 128 bytes. Longer ones, of tinier packets, are lost.
const READ_SEGMENTS_MAX: usize = 512;

/// A packet buffer whose window is all its free block, to be written to.
struct Room(Buf);

impl Room {
    fn new(mut buf: Buf, mtu: usize) -> Self {
        if buf.spare().len() < mtu {
            buf = Buf::with_capacity(mtu);
        }
        let room = buf.spare().len();
        buf.set_len(room);
        Self(buf)
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Room {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
