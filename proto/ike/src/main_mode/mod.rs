//! Main mode with a pre-shared key (RFC 2409 §5.4): six messages, both roles.
//!
//! ```text
//! initiator                              responder
//!   1  SA, VIDs                   ->      choose a transform
//!      choose a group             <-   2  SA, VIDs
//!   3  KE, Ni, NAT-D ..           ->      generate and agree (offloaded)
//!      agree (offloaded)          <-   4  KE, Nr, NAT-D ..
//!   5  {IDii, HASH_I, [N]}        ->      try the keys that may fit
//!      verify                     <-   6  {IDir, HASH_R}
//! ```
//!
//! Each file has the `admit` functions, which see state and cannot change it, and the `commit`
//! methods on the endpoint, which are given what `admit` proved.

pub(crate) mod authentication;
pub(crate) mod initiator;
pub(crate) mod responder;
pub(crate) mod signature;

use alloc::vec::Vec;

use crate::codec::{Chain, IdBody, Message, Notification};
use crate::error::Rejected;
use crate::iana::PayloadType;
use crate::nat;
use crate::proposal::IkeProposal;

/// The content of message 3 or 4.
#[derive(Clone, Debug)]
pub(crate) struct KeyExchange {
    pub(crate) ke: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) nat_d: Vec<Vec<u8>>,
}

impl KeyExchange {
    pub(crate) fn read(message: &Message<'_>, proposal: IkeProposal) -> Result<Self, Rejected> {
        let chain = Chain::read(message.header.first, message.body)?;
        let ke = chain.required(PayloadType::KE)?;
        if ke.len() != proposal.group.public_len() {
            return Err(isthmus_wire::DecodeError::illegal("KE").into());
        }
        let nonce = crate::codec::body::read_nonce(chain.required(PayloadType::NONCE)?)?;
        Ok(Self { ke: ke.to_vec(), nonce: nonce.to_vec(), nat_d: nat::received(&chain) })
    }
}

/// The content of message 5 or 6, decrypted.
#[derive(Clone, Debug)]
pub(crate) struct Identification {
    pub(crate) id: IdBody,
    /// The exact bytes that the hash covers.
    pub(crate) id_bytes: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) initial_contact: bool,
}

impl Identification {
    pub(crate) fn read(first: PayloadType, plain: &[u8]) -> Result<Self, Rejected> {
        let chain = Chain::read_decrypted(first, plain)?;
        let id_bytes = chain.required(PayloadType::ID)?;
        let hash = chain.required(PayloadType::HASH)?;
        Ok(Self {
            id: IdBody::read(id_bytes)?,
            id_bytes: id_bytes.to_vec(),
            hash: hash.to_vec(),
            initial_contact: Notification::is_initial_contact(&chain),
        })
    }
}
