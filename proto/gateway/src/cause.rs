//! Why an attempt to connect can fail, and what to do about it.

use serde::Serialize;

/// The cause of a failure: a closed set, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The user is switched off.
    AccountDisabled,
    /// The user's own address is held by another session.
    AddressInUse,
    /// The configuration has no secret in the form the chosen authentication protocol needs.
    AuthProtocolUnusable,
    /// The client's certificate, or what it signed with it, is not believed.
    CertificateRefused,
    /// The client begins in a way we do not do, such as aggressive mode.
    ExchangeUnsupported,
    /// The client speaks IKEv2.
    #[serde(rename = "ike_v2")]
    IkeV2,
    /// Neither side could agree on how to authenticate, or on link options.
    LinkNegotiation,
    /// UDP 500 works, a NAT was found, and nothing came on UDP 4500.
    NatTraversalBlocked,
    /// A first message came, ours went back, and nothing followed.
    NoAnswerHeard,
    /// The IPsec SA is up but no L2TP followed.
    NoL2tp,
    /// None of the ESP suites the client offers is allowed.
    NoProposalEsp,
    /// None of the IKE proposals the client offers is allowed.
    NoProposalIke,
    /// There is no pre-shared key for who the client says it is, or for its address.
    NoPskForIdentity,
    /// The client proved its pre-shared key and then asked for no IPsec SA.
    NoQuickMode,
    /// The key is right, but no tenant that it leads to serves who the client says it is at the address it
    /// dialled.
    NoTenant,
    /// Small packets pass, large ones do not.
    PathMtu,
    /// The peer broke its protocol.
    PeerMisbehaved,
    /// The peer said itself that it ends, with a notification, a result code or a Terminate-Request.
    PeerRefused,
    /// No answer to our retransmissions.
    PeerSilent,
    /// Every address of the pool is in use.
    PoolExhausted,
    /// What the client sends through its IPsec SA arrives; what we send does not reach it.
    ReturnPathDead,
    /// A limit was reached.
    TooMany,
    /// The tenant or the user has as many sessions as it may have.
    TooManySessions,
    /// Aggressive mode with a group that is not configured.
    UnknownGroup,
    /// The realm in the user's name is no tenant's, or there is none in it and every tenant wants one.
    UnknownRealm,
    /// No user of that name.
    UnknownUser,
    /// The gateway is behind a NAT, which Windows does not connect to by default.
    WindowsServerNat,
    /// The password is not the user's.
    WrongPassword,
    /// No configured pre-shared key fits.
    WrongPsk,
    /// The LAC does not prove the tunnel secret, or asks for a proof of one that we do not have.
    WrongTunnelSecret,
}

impl Cause {
    /// Every cause, in order of name.
    pub const ALL: [Self; 30] = [
        Self::AccountDisabled,
        Self::AddressInUse,
        Self::AuthProtocolUnusable,
        Self::CertificateRefused,
        Self::ExchangeUnsupported,
        Self::IkeV2,
        Self::LinkNegotiation,
        Self::NatTraversalBlocked,
        Self::NoAnswerHeard,
        Self::NoL2tp,
        Self::NoProposalEsp,
        Self::NoProposalIke,
        Self::NoPskForIdentity,
        Self::NoQuickMode,
        Self::NoTenant,
        Self::PathMtu,
        Self::PeerMisbehaved,
        Self::PeerRefused,
        Self::PeerSilent,
        Self::PoolExhausted,
        Self::ReturnPathDead,
        Self::TooMany,
        Self::TooManySessions,
        Self::UnknownGroup,
        Self::UnknownRealm,
        Self::UnknownUser,
        Self::WindowsServerNat,
        Self::WrongPassword,
        Self::WrongPsk,
        Self::WrongTunnelSecret,
    ];

    /// The metric label; also what `--json` shows.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AccountDisabled => "account_disabled",
            Self::AddressInUse => "address_in_use",
            Self::AuthProtocolUnusable => "auth_protocol_unusable",
            Self::CertificateRefused => "certificate_refused",
            Self::ExchangeUnsupported => "exchange_unsupported",
            Self::IkeV2 => "ike_v2",
            Self::LinkNegotiation => "link_negotiation",
            Self::NatTraversalBlocked => "nat_traversal_blocked",
            Self::NoAnswerHeard => "no_answer_heard",
            Self::NoL2tp => "no_l2tp",
            Self::NoProposalEsp => "no_proposal_esp",
            Self::NoProposalIke => "no_proposal_ike",
            Self::NoPskForIdentity => "no_psk_for_identity",
            Self::NoQuickMode => "no_quick_mode",
            Self::NoTenant => "no_tenant",
            Self::PathMtu => "path_mtu",
            Self::PeerMisbehaved => "peer_misbehaved",
            Self::PeerRefused => "peer_refused",
            Self::PeerSilent => "peer_silent",
            Self::PoolExhausted => "pool_exhausted",
            Self::ReturnPathDead => "return_path_dead",
            Self::TooMany => "too_many",
            Self::TooManySessions => "too_many_sessions",
            Self::UnknownGroup => "unknown_group",
            Self::UnknownRealm => "unknown_realm",
            Self::UnknownUser => "unknown_user",
            Self::WindowsServerNat => "windows_server_nat",
            Self::WrongPassword => "wrong_password",
            Self::WrongPsk => "wrong_psk",
            Self::WrongTunnelSecret => "wrong_tunnel_secret",
        }
    }

    /// What to do about it. A failure may know better: see [`crate::Failure::remedy`].
    #[expect(clippy::too_many_lines, reason = "one arm for each cause")]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::AccountDisabled => "remove `disabled = true` from the user, or tell the user why",
            Self::AddressInUse => {
                "end the other session of this user, or remove the user's fixed `address`"
            }
            Self::AuthProtocolUnusable => {
                "store `password` instead of `nt_hash`, or take \"chap\" out of `[ppp] \
                 auth`"
            }
            Self::CertificateRefused => {
                "the detail names the fault: give the client a certificate of one of the authorities \
                 in `ca_file`, valid today, for IPsec or client authentication, with the name that \
                 the client goes by; `isthmus check` looks at the gateway's own"
            }
            Self::ExchangeUnsupported => {
                "leave \"group name\" and \"IPsec identifier\" empty in the client, so that \
                 it uses main mode"
            }
            Self::IkeV2 => {
                "set the client's VPN type to L2TP/IPsec with a pre-shared key; IKEv2 is \
                 another protocol"
            }
            Self::LinkNegotiation => {
                "allow in `[ppp] auth` a protocol that the client offers (MS-CHAPv2 is the \
                 usual one); the detail says what each side wanted"
            }
            Self::NatTraversalBlocked => {
                "let UDP 4500 in: in the cloud's security group, in the firewall in front \
                 of this gateway, and in the firewall of the client's network"
            }
            Self::NoAnswerHeard => {
                "check that UDP 500 also leaves: firewalls that let answers out, asymmetric \
                 routes, and `listen` on the address the client dials; a scanner that only \
                 looks is harmless"
            }
            Self::NoL2tp => {
                "check that nothing between the client and the gateway drops UDP 4500 or \
                 ESP (IP protocol 50) after the first exchange, and that the client is set \
                 to L2TP/IPsec, not to IPsec alone"
            }
            Self::NoProposalEsp => {
                "add one of the offered suites to `[ipsec] esp`; old clients may need \
                 `legacy = true`"
            }
            Self::NoProposalIke => {
                "add one of the offered proposals to `[ipsec] ike`; Android up to 11 and \
                 old routers need `legacy = true`"
            }
            Self::NoPskForIdentity => {
                "give the client the identity that a configured key is for, or configure a \
                 key for the one it has"
            }
            Self::NoQuickMode => {
                "check that UDP 4500 passes in both directions after the first exchange, \
                 and look at the client's own log"
            }
            Self::NoTenant => {
                "add what the detail names to `identity` or `listen` of the tenant that the client is \
                 for, or give that tenant a key of its own"
            }
            Self::PathMtu => {
                "let ICMP \"fragmentation needed\" pass on the way, or lower `[ppp] mru` to \
                 what passes"
            }
            Self::PeerMisbehaved => "look at the peer's own log; the detail names what it sent",
            Self::PeerRefused => "look at the peer's own log for the reason it gives in the detail",
            Self::PeerSilent => {
                "check that UDP 500 and 4500 pass in both directions, and that the client \
                 is still there"
            }
            Self::PoolExhausted => "enlarge `pool` of the tenant, or end unused sessions",
            Self::ReturnPathDead => {
                "check the way back: a firewall that drops UDP 4500 or ESP from the \
                 gateway, a second default route, a NAT in front of the gateway that \
                 rewrites the port 4500"
            }
            Self::TooMany => "find out who opens so many; `isthmus status` counts what was dropped",
            Self::TooManySessions => {
                "end another session, raise `sessions` or `sessions_per_user` of the tenant or `sessions` \
                 of the user, or set `on_limit = \"replace\"`"
            }
            Self::UnknownGroup => {
                "set the client's group name to a `group` of a tenant, in the same letter case, or \
                 remove it from the client to use the tenant's own pre-shared key"
            }
            Self::UnknownRealm => {
                "write the user's name in the client with the `realm` of its tenant, as USER@REALM; \
                 only tenants that the client's pre-shared key leads to count"
            }
            Self::UnknownUser => {
                "add the user with `isthmus user add`, or correct the name in the client"
            }
            Self::WindowsServerNat => WINDOWS_REGISTRY,
            Self::WrongPassword => {
                "correct the password in the client, or set it with `isthmus user add \
                 --replace`; `isthmus user test` tells whether it fits"
            }
            Self::WrongTunnelSecret => {
                "set the same L2TP tunnel secret at the LAC and in its `[[lac]]`; clients with IPsec need \
                 none"
            }
            Self::WrongPsk => {
                "set the client's pre-shared key to the `psk` of the gateway or tenant; \
                 mind trailing spaces and line ends"
            }
        }
    }
}

/// What Windows needs to connect to a server behind a NAT (Microsoft, KB 926179).
pub const WINDOWS_REGISTRY: &str = "on the Windows client set the DWORD \
     HKLM\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent\\AssumeUDPEncapsulationContextOnSendRule \
     to 2 and restart Windows; as administrator: reg add \
     HKLM\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent \
     /v AssumeUDPEncapsulationContextOnSendRule /t REG_DWORD /d 2 /f; or in PowerShell: \
     Set-ItemProperty HKLM:\\SYSTEM\\CurrentControlSet\\Services\\PolicyAgent \
     AssumeUDPEncapsulationContextOnSendRule 2 -Type DWord. Or give the gateway a public address of its \
     own. If it is set already, check that UDP 4500 passes";

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cause_has_a_label_of_its_own_and_a_remedy() {
        let labels: BTreeSet<_> = Cause::ALL.iter().map(|cause| cause.label()).collect();
        assert_eq!(labels.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert!(cause.remedy().len() > 20, "{cause:?}");
            assert!(!cause.remedy().contains("  "), "{cause:?}: {}", cause.remedy());
        }
    }

    #[test]
    fn the_remedy_for_windows_can_be_copied() {
        let remedy = Cause::WindowsServerNat.remedy();
        for part in ["AssumeUDPEncapsulationContextOnSendRule", "reg add", "/d 2", "restart"] {
            assert!(remedy.contains(part), "{part}");
        }
    }
}
