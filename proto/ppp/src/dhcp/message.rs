//! The fixed part of a DHCP message (RFC 2131 §2).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use isthmus_wire::{DecodeError, Reader, Writer};

use super::options::{Options, code};

/// What a message says, without the fields that mean nothing on a point-to-point link.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) op: u8,
    pub(super) hardware: Hardware,
    pub(super) xid: u32,
    pub(super) flags: u16,
    pub(super) ciaddr: Ipv4Addr,
    pub(super) options: Options,
}

/// The client's hardware address, which an answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hardware {
    htype: u8,
    hlen: u8,
    chaddr: [u8; 16],
}

impl Hardware {
    /// A locally administered Ethernet address made of the IP address: a PPP link has none, but
    /// servers want one.
    pub(super) fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self {
            htype: ETHERNET,
            hlen: 6,
            chaddr: [0x02, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    fn read(htype: u8, hlen: u8, chaddr: [u8; 16]) -> Result<Self, DecodeError> {
        if usize::from(hlen) > chaddr.len() {
            return Err(DecodeError::illegal("hlen"));
        }
        Ok(Self { htype, hlen, chaddr })
    }
}

impl Message {
    /// Reads a UDP payload.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let [op, htype, hlen, _hops] = reader.array("op")?;
        let xid = reader.u32("xid")?;
        let _secs = reader.u16("secs")?;
        let flags = reader.u16("flags")?;
        let ciaddr = reader.array::<4>("ciaddr")?.into();
        let _yiaddr_siaddr_giaddr = reader.array::<12>("yiaddr")?;
        let hardware = Hardware::read(htype, hlen, reader.array("chaddr")?)?;
        reader.take("file", SNAME_AND_FILE)?;
        if reader.array("magic cookie")? != COOKIE {
            return Err(DecodeError::illegal("magic cookie"));
        }
        let options = Options::read(&mut reader)?;
        Ok(Self { op, hardware, xid, flags, ciaddr, options })
    }

    /// The UDP payload, not shorter than a BOOTP message (RFC 951 §3).
    pub(super) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(&[self.op, self.hardware.htype, self.hardware.hlen, 0]);
        writer.u32(self.xid);
        writer.u16(0);
        writer.u16(self.flags);
        writer.bytes(&self.ciaddr.octets());
        writer.bytes(&[0; 12]);
        writer.bytes(&self.hardware.chaddr);
        writer.bytes(&[0; SNAME_AND_FILE]);
        writer.bytes(&COOKIE);
        self.options.write(&mut writer);
        let mut bytes = writer.into_vec();
        bytes.resize(bytes.len().max(BOOTP_LEN), 0);
        bytes
    }

    /// Refuses a message of another type.
    pub(super) fn expect_type(&self, message_type: u8) -> Result<(), DecodeError> {
        match self.options.find(code::MESSAGE_TYPE) {
            Some([found]) if *found == message_type => Ok(()),
            _ => Err(DecodeError::illegal("message type")),
        }
    }
}

/// What options of DHCP begin with (RFC 2131 §3).
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Hardware type Ethernet (RFC 1700).
const ETHERNET: u8 = 1;
/// Length of the fields `sname` and `file`.
const SNAME_AND_FILE: usize = 64 + 128;
/// Shortest message that relays and servers of BOOTP take.
const BOOTP_LEN: usize = 300;
