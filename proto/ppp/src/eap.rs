//! EAP over PPP (RFC 3748): Identity, Notification, Nak, and EAP-MSCHAPv2 as the one method.
//!
//! ```text
//!   server                                   peer
//!   Request Identity          ------------>
//!                             <------------  Response Identity
//!   Request Challenge         ------------>
//!                             <------------  Response (MS-CHAPv2)      --> Authenticate --> verdict
//!   Request Success "S=..."   ------------>                            checks that we know the password
//!                             <------------  Response Success
//!   EAP-Success               ------------>
//! ```
//!
//! Nothing is taken out of turn: a Response must answer the outstanding Request, and a Success of either
//! side counts only as the last step (CVE-2015-8023, CVE-2021-45079). A conversation that somebody else
//! leads, such as RADIUS, would be another method of [`Server`](server::Server): it carries whole EAP
//! packets in the question and further Requests in the answer, where MS-CHAPv2 has one of each.

pub(crate) mod message;
pub(crate) mod peer;
pub(crate) mod server;
