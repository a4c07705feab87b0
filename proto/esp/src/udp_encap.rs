//! Telling apart what arrives on the NAT traversal port (RFC 3948 §2).

use crate::{DropReason, HEADER_LEN};

/// What stands before an IKE message on the NAT traversal port, where ESP has its SPI.
pub const NON_ESP_MARKER: [u8; MARKER_LEN] = [0; MARKER_LEN];

/// Length of the marker in bytes; the receiver takes it off.
pub const MARKER_LEN: usize = 4;

/// The only byte of a NAT keepalive, which says nothing but keeps a mapping open.
pub const NAT_KEEPALIVE: u8 = 0xff;

/// The kinds of datagrams on the NAT traversal port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A whole ESP packet.
    Esp {
        /// Names the SA; never zero.
        spi: u32,
    },
    /// An IKE message behind [`NON_ESP_MARKER`].
    Ike,
    /// To be ignored (RFC 3948 §2.3).
    Keepalive,
}

/// Tells what a UDP payload is; looks at its first bytes only.
///
/// # Errors
/// [`DropReason::Truncated`] when it is too short to be anything.
pub fn classify(payload: &[u8]) -> Result<Datagram, DropReason> {
    if payload == [NAT_KEEPALIVE] {
        return Ok(Datagram::Keepalive);
    }
    let spi = spi(payload).ok_or(DropReason::Truncated)?;
    if spi == 0 {
        return Ok(Datagram::Ike);
    }
    if payload.len() < HEADER_LEN {
        return Err(DropReason::Truncated);
    }
    Ok(Datagram::Esp { spi })
}

/// The first four bytes.
fn spi(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|spi| u32::from_be_bytes(*spi))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_are_told_apart() {
        assert_eq!(classify(&[0xff]), Ok(Datagram::Keepalive));
        assert_eq!(classify(&[0, 0, 0, 0, 1, 2]), Ok(Datagram::Ike));
        assert_eq!(classify(&[1, 2, 3, 4, 0, 0, 0, 1, 9]), Ok(Datagram::Esp { spi: 0x0102_0304 }));
        assert_eq!(classify(&[0xff; 8]), Ok(Datagram::Esp { spi: u32::MAX }));
    }

    #[test]
    fn every_prefix_of_an_esp_header_is_truncated() {
        let header = [1, 2, 3, 4, 0, 0, 0, 1];
        for len in 0..header.len() {
            assert_eq!(classify(&header[..len]), Err(DropReason::Truncated), "{len}");
        }
        assert_eq!(classify(&[0xff, 0xff]), Err(DropReason::Truncated));
        assert_eq!(classify(&[0; 3]), Err(DropReason::Truncated));
    }

    #[test]
    fn a_bare_marker_is_left_to_ike_to_refuse() {
        assert_eq!(classify(&NON_ESP_MARKER), Ok(Datagram::Ike));
    }
}
