//! The habits of a client: what each puts on the wire, and that our server lives with it.

use alloc::vec;
use alloc::vec::Vec;

use super::pair::{Pair, client_config, server_config};
use super::script::{Script, hex};
use crate::iana::{Protocol, ipcp_option, lcp_option};
use crate::{AuthProtocol, CloseReason, Habits, IpcpItem, LcpItem, LinkConfig, Stage, Wanted};

const LCP: Protocol = Protocol::LCP;
const IPCP: Protocol = Protocol::IPCP;
const CCP: Protocol = Protocol::CCP;

/// Windows: callback, three Identifications, IPV6CP and CCP before IPCP, NBNS, a talkative goodbye.
fn windows() -> Habits {
    let wanted = |protocol, options: &str, farewell: Option<&str>| Wanted {
        protocol,
        options: hex(options),
        farewell: farewell.map(hex),
    };
    let nbns = |kind| IpcpItem::Other(kind, vec![0; 4]);
    Habits {
        lcp: Some(vec![
            LcpItem::Mru,
            LcpItem::Magic,
            LcpItem::Pfc,
            LcpItem::Acfc,
            LcpItem::Other(lcp_option::CALLBACK, vec![6]),
        ]),
        first_id: Some(0),
        identifications: vec![b"MSRASV5.20".to_vec(), b"MSRAS-0-PC".to_vec(), vec![0x9c; 16]],
        before_ipcp: vec![
            wanted(Protocol::IPV6CP, "01 0a 0011223344556677", None),
            wanted(CCP, "12 06 00000001", Some("1a2b3c4d 003ccd74 000002dc")),
        ],
        ipcp: Some(vec![
            IpcpItem::Address,
            IpcpItem::Dns1,
            nbns(ipcp_option::NBNS1),
            IpcpItem::Dns2,
            nbns(ipcp_option::NBNS2),
        ]),
        after_ipcp: Vec::new(),
        farewell: Some(hex("003ccd74 000003d4")),
    }
}

fn client(habits: Habits) -> LinkConfig {
    LinkConfig { habits, ..client_config(&[AuthProtocol::Pap], b"clientPass") }
}

/// LCP with a server that wants PAP and refuses callback, up to the network phase.
fn network(habits: Habits) -> Script {
    let mut script = Script::new(client(habits));
    let first = script.expect(LCP, 1);
    assert_eq!(first.id, 0);
    assert!(first.data.starts_with(&hex("01 04 0578 05 06")));
    assert!(first.data.ends_with(&hex("07 02 08 02 0d 03 06")));
    script.send(LCP, 4, 0, &hex("0d 03 06"));
    let second = script.acknowledge(LCP);
    assert_eq!((second.id, second.data), (1, first.data[..first.data.len() - 3].to_vec()));
    script.send(LCP, 1, 1, &hex("03 04 c023"));
    script.expect(LCP, 2);
    for text in [b"MSRASV5.20".to_vec(), b"MSRAS-0-PC".to_vec(), vec![0x9c; 16]] {
        let said = script.expect(LCP, 12);
        assert_eq!(said.data[4..], text);
    }
    let login = script.expect(Protocol::PAP, 1);
    script.send(Protocol::PAP, 2, login.id, &[0]);
    script
}

#[test]
fn windows_asks_for_everything_in_its_order() {
    let mut script = network(windows());
    script.expect(Protocol::IPV6CP, 1);
    assert_eq!(script.expect(CCP, 1).data, hex("12 06 00000001"));
    let all = hex("0306 00000000 8106 00000000 8206 00000000 8306 00000000 8406 00000000");
    let request = script.expect(IPCP, 1);
    assert_eq!(request.data, all);
    script.expect_silence();
    script.send(LCP, 8, 9, &hex("80fd 01 01 000a 12 06 00000001"));
    assert_eq!(script.expect(CCP, 5).data, hex("1a2b3c4d 003ccd74 000002dc"));
    script.send(CCP, 6, 2, &[]);
    script.send(IPCP, 4, request.id, &hex("8206 00000000 8406 00000000"));
    let request = script.expect(IPCP, 1);
    assert_eq!(request.data, hex("0306 00000000 8106 00000000 8306 00000000"));
    script.send(IPCP, 3, request.id, &hex("0306 0a400002 8106 0a400035"));
    let request = script.expect(IPCP, 1);
    assert_eq!(request.data, hex("0306 0a400002 8106 0a400035 8306 00000000"));
}

#[test]
fn what_nobody_answers_is_asked_again_and_what_was_refused_is_not() {
    let mut script = network(windows());
    script.send(LCP, 8, 9, &hex("8057 01 01 000e 01 0a 0011223344556677"));
    script.frames.clear();
    script.wait_until(4);
    let protocols: Vec<_> = script.frames.iter().map(|f| f[2..4].to_vec()).collect();
    assert_eq!(protocols, [hex("8021"), hex("80fd")], "three seconds later, IPV6CP no more");
}

#[test]
fn our_server_takes_windows_with_all_its_habits() {
    let mut pair = Pair::new(
        server_config(&[AuthProtocol::MsChapV2]),
        LinkConfig { habits: windows(), ..client_config(&[AuthProtocol::MsChapV2], b"clientPass") },
    );
    pair.run_until(20);
    assert_eq!(pair.client.stage(), Stage::Up);
    assert_eq!(pair.server.stage(), Stage::Up);
    let said: Vec<_> = pair.server.identifications().iter().map(|t| t.raw().len()).collect();
    assert_eq!(said, [10, 10, 16]);
    pair.client.close(CloseReason::User, pair.now);
    pair.run_until(20);
    assert_eq!(pair.server.farewell().unwrap().raw().len(), 12, "magic number and reason");
}

#[test]
fn apple_asks_for_acscp_behind_ipcp() {
    let acscp = Wanted { protocol: Protocol::ACSCP, options: Vec::new(), farewell: None };
    let habits = Habits {
        lcp: Some(vec![LcpItem::Magic, LcpItem::Pfc, LcpItem::Acfc]),
        after_ipcp: vec![acscp],
        ..Habits::default()
    };
    let mut script = Script::new(client(habits));
    let request = script.acknowledge(LCP);
    assert!(request.data.starts_with(&[5, 6]) && request.data.ends_with(&[7, 2, 8, 2]));
    script.send(LCP, 1, 1, &hex("03 04 c023"));
    script.expect(LCP, 2);
    let login = script.expect(Protocol::PAP, 1);
    script.send(Protocol::PAP, 2, login.id, &[0]);
    script.expect(IPCP, 1);
    script.wait_until(1);
    script.expect(Protocol::ACSCP, 1);
    script.expect_silence();
}
