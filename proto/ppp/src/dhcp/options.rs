//! Options of a DHCP message (RFC 2132 §2, RFC 3396).

use alloc::vec::Vec;

use isthmus_wire::{DecodeError, Fault, Reader, Writer};

/// Most options in a message we read; padding does not count.
pub const DHCP_OPTIONS_MAX: usize = 64;

/// Option codes (IANA "BOOTP Vendor Extensions and DHCP Options").
pub(super) mod code {
    pub(in super::super) const PAD: u8 = 0;
    pub(in super::super) const SUBNET_MASK: u8 = 1;
    pub(in super::super) const NAME_SERVERS: u8 = 6;
    pub(in super::super) const DOMAIN: u8 = 15;
    /// NTP servers.
    pub(in super::super) const TIME_SERVERS: u8 = 42;
    pub(in super::super) const MESSAGE_TYPE: u8 = 53;
    pub(in super::super) const SERVER: u8 = 54;
    /// The parameter request list.
    pub(in super::super) const PARAMETERS: u8 = 55;
    /// The domain search list (RFC 3397).
    pub(in super::super) const SEARCH: u8 = 119;
    /// Classless static routes (RFC 3442).
    pub(in super::super) const ROUTES: u8 = 121;
    /// The same under the number that Microsoft took (MS-DHCPE §2.2.8).
    pub(in super::super) const ROUTES_MS: u8 = 249;
    pub(in super::super) const END: u8 = 255;
}

/// Options in the order they came first. One that comes again is continued (RFC 3396 §7).
#[derive(Debug, Default)]
pub(super) struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    /// Reads up to the End option; what follows is padding.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut options = Self::default();
        let mut count = 0;
        loop {
            match reader.u8("End option")? {
                code::PAD => {}
                code::END => return Ok(options),
                code => {
                    count += 1;
                    if count > DHCP_OPTIONS_MAX {
                        return Err(DecodeError::new("options", Fault::TooMany));
                    }
                    let len = usize::from(reader.u8("option length")?);
                    options.append(code, reader.take("option", len)?);
                }
            }
        }
    }

    /// Writes all of them and the End option; one longer than 255 bytes in parts.
    pub(super) fn write(&self, writer: &mut Writer) {
        for (code, value) in &self.0 {
            for part in value.chunks(usize::from(u8::MAX)) {
                writer.u8(*code);
                writer.u8(u8::try_from(part.len()).unwrap_or(u8::MAX));
                writer.bytes(part);
            }
        }
        writer.u8(code::END);
    }

    /// Adds an option, or continues it.
    pub(super) fn append(&mut self, code: u8, bytes: &[u8]) {
        match self.0.iter_mut().find(|(known, _)| *known == code) {
            Some((_, value)) => value.extend_from_slice(bytes),
            None => self.0.push((code, bytes.to_vec())),
        }
    }

    /// The value of an option.
    pub(super) fn find(&self, code: u8) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == code).map(|(_, value)| value.as_slice())
    }
}
