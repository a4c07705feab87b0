//! Names of the configuration turned into those of the machines.

use crate::config::{AuthProtocol, IkeProposal, Ipsec};

/// IKE behaviour; the pre-shared keys are added by whoever knows them.
pub(crate) fn ike(ipsec: &Ipsec) -> isthmus_ike::Config {
    isthmus_ike::Config {
        ike: ipsec.ike.iter().copied().map(proposal).collect(),
        esp: ipsec.esp.clone(),
        legacy: ipsec.legacy,
        ike_lifetime: ipsec.ike_lifetime,
        child_lifetime: ipsec.child_lifetime,
        dpd_interval: Some(ipsec.dpd_interval),
        force_encap: ipsec.force_encap,
        aggressive: ipsec.aggressive,
        fragment_size: ipsec.fragment_size,
        ..isthmus_ike::Config::default()
    }
}

/// One proposal.
pub(crate) fn proposal(proposal: IkeProposal) -> isthmus_ike::IkeProposal {
    isthmus_ike::IkeProposal { cipher: proposal.cipher, hash: proposal.hash, group: proposal.group }
}

/// One authentication protocol.
pub(crate) fn auth(auth: AuthProtocol) -> isthmus_ppp::AuthProtocol {
    match auth {
        AuthProtocol::ChapMd5 => isthmus_ppp::AuthProtocol::ChapMd5,
        AuthProtocol::EapMsChapV2 => isthmus_ppp::AuthProtocol::EapMsChapV2,
        AuthProtocol::MsChapV2 => isthmus_ppp::AuthProtocol::MsChapV2,
        AuthProtocol::Pap => isthmus_ppp::AuthProtocol::Pap,
    }
}
