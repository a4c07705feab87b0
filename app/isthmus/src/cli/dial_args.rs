//! Arguments of everything that dials a server: `isthmus client connect` and the loads of `isthmus bench`.

use std::path::PathBuf;

use clap::Args;
use isthmus_core::SecretBytes;
use isthmus_crypto::EspSuite;

use super::args::{auth_protocol, esp_suite, ports};
use super::client::read_psk;
use super::failure::CliError;
use crate::config::{AuthProtocol, IkeProposal, default_esp, default_ike};

/// The server, its key, and what to offer.
#[derive(Debug, Args)]
pub(crate) struct DialArgs {
    /// Name or address of the server
    #[arg(long, short)]
    pub(crate) server: String,
    /// The pre-shared key; better in a file, or in the environment as `ISTHMUS_PSK`
    #[arg(long, conflicts_with = "psk_file")]
    pub(crate) psk: Option<String>,
    /// A file whose first line is the pre-shared key; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) psk_file: Option<PathBuf>,
    /// IKE proposals to offer, most wanted first, such as aes256-sha256-modp2048
    #[arg(long, value_delimiter = ',', value_name = "PROPOSAL")]
    ike: Vec<IkeProposal>,
    /// ESP suites to offer, most wanted first, such as aes256-sha1
    #[arg(long, value_delimiter = ',', value_name = "SUITE", value_parser = esp_suite)]
    esp: Vec<EspSuite>,
    /// Authentication protocols to agree to
    #[arg(long, value_delimiter = ',', value_name = "PROTOCOL", default_value = "mschapv2,chap", value_parser = auth_protocol)]
    pub(crate) auth: Vec<AuthProtocol>,
    /// Largest inner packet in bytes
    #[arg(long, default_value_t = 1400, value_parser = clap::value_parser!(u16).range(576..=1500))]
    pub(crate) mtu: u16,
    /// The server's UDP ports for IKE and for NAT traversal
    #[arg(long, default_value = "500,4500", value_name = "IKE,NATT", value_parser = ports)]
    pub(crate) server_ports: (u16, u16),
}

impl DialArgs {
    /// IKE proposals to offer; those of a gateway by default.
    pub(crate) fn ike(&self) -> Vec<IkeProposal> {
        if self.ike.is_empty() { default_ike(false) } else { self.ike.clone() }
    }

    /// ESP suites to offer; those of a gateway by default.
    pub(crate) fn esp(&self) -> Vec<EspSuite> {
        if self.esp.is_empty() { default_esp(false) } else { self.esp.clone() }
    }

    /// The pre-shared key, from wherever it is given.
    pub(crate) fn psk(&self) -> Result<SecretBytes, CliError> {
        read_psk(self.psk.as_deref(), self.psk_file.as_deref())
    }
}
