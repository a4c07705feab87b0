//! Reading runs of packets in one go (`IFF_VNET_HDR`) and cutting them apart.

use std::io::{self, IoSlice};

use isthmus_core::Buf;
use tun_rs::{SyncDevice, VIRTIO_NET_HDR_LEN};

/// Where runs arrive and what they are cut into.
pub(crate) struct Offload {
    block: Vec<u8>,
    rooms: Vec<Room>,
    sizes: Vec<usize>,
    mtu: usize,
}

impl Offload {
    pub(crate) fn new(mtu: u16) -> Self {
        let block = vec![0; VIRTIO_NET_HDR_LEN + usize::from(u16::MAX)];
        Self { block, rooms: Vec::new(), sizes: vec![0; SEGMENTS_MAX], mtu: mtu.into() }
    }

    /// Receives one run and appends its packets; answers how many.
    pub(crate) fn receive(
        &mut self,
        device: &SyncDevice,
        alloc: &mut dyn FnMut() -> Buf,
        out: &mut Vec<Buf>,
    ) -> io::Result<usize> {
        while self.rooms.len() < SEGMENTS_MAX {
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
    device.send_vectored(&[IoSlice::new(&[0; VIRTIO_NET_HDR_LEN]), IoSlice::new(packet)])
}

/// The longest run that is cut: 64 KiB in packets of 128 bytes. Longer ones, of tinier packets, are lost.
const SEGMENTS_MAX: usize = 512;

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
