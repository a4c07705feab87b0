//! The option negotiation automaton of RFC 1661 §4, as a table and nothing else.
//!
//! [`step`] answers what a state does with an event; who counts, sends and reads is in
//! [`negotiation`](crate::negotiation). The table stands in the RFC's own layout, so that it can be
//! laid beside §4.1 and compared.

/// A state (RFC 1661 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The lower layer is down and nobody asked to open.
    Initial,
    /// The lower layer is down and an Open is waiting for it.
    Starting,
    /// The link is there, nobody asked to open.
    Closed,
    /// Finished, after a timeout or by the peer.
    Stopped,
    /// We asked to terminate and wait for the peer's word.
    Closing,
    /// The peer asked to terminate; we wait until it is gone.
    Stopping,
    /// Request sent, nothing acknowledged.
    ReqSent,
    /// The peer acknowledged our request.
    AckRcvd,
    /// We acknowledged the peer's request.
    AckSent,
    /// Both requests are acknowledged.
    Opened,
}

/// An event (RFC 1661 §4.3); the variants stand in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Up: the lower layer can carry packets.
    Up,
    /// Down: the lower layer cannot.
    #[cfg_attr(not(test), expect(dead_code, reason = "a lost session takes its link with it"))]
    Down,
    /// Open: the administrator allows the link.
    Open,
    /// Close: the administrator forbids the link.
    Close,
    /// TO+: the restart timer ran out, attempts are left.
    TimeoutAgain,
    /// TO-: the restart timer ran out for good.
    TimeoutLast,
    /// RCR+: an acceptable Configure-Request.
    GoodRequest,
    /// RCR-: an unacceptable Configure-Request.
    BadRequest,
    /// RCA: a Configure-Ack.
    Ack,
    /// RCN: a Configure-Nak or Configure-Reject.
    NakOrReject,
    /// RTR: a Terminate-Request.
    TerminateRequest,
    /// RTA: a Terminate-Ack.
    TerminateAck,
    /// RUC: a packet with an unknown code.
    UnknownCode,
    /// RXJ+: a Code- or Protocol-Reject we can live with.
    MildReject,
    /// RXJ-: a Code- or Protocol-Reject we cannot live with.
    FatalReject,
    /// RXR: Echo-Request, Echo-Reply or Discard-Request.
    #[cfg_attr(not(test), expect(dead_code, reason = "the link answers echoes by itself"))]
    Extra,
}

/// An action (RFC 1661 §4.4), by the RFC's abbreviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Do {
    /// Initialize-Restart-Count.
    Irc,
    /// Send-Configure-Ack.
    Sca,
    /// Send-Code-Reject.
    Scj,
    /// Send-Configure-Nak or -Reject.
    Scn,
    /// Send-Configure-Request.
    Scr,
    /// Send-Echo-Reply.
    Ser,
    /// Send-Terminate-Ack.
    Sta,
    /// Send-Terminate-Request.
    Str,
    /// This-Layer-Down.
    Tld,
    /// This-Layer-Finished.
    Tlf,
    /// This-Layer-Started.
    Tls,
    /// This-Layer-Up.
    Tlu,
    /// Zero-Restart-Count.
    Zrc,
}

/// What one cell of the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Things to do, in order.
    pub(crate) does: &'static [Do],
    /// The state afterwards.
    pub(crate) next: State,
}

/// The cell for a state and an event; none where the RFC has a dash (cannot happen).
pub(crate) fn step(state: State, event: Event) -> Option<Step> {
    *TABLE.get(event as usize)?.get(state as usize)?
}

impl State {
    /// Whether the restart timer runs in this state (RFC 1661 §4.2).
    pub(crate) const fn is_timed(self) -> bool {
        match self {
            Self::Closing | Self::Stopping | Self::ReqSent | Self::AckRcvd | Self::AckSent => true,
            Self::Initial | Self::Starting | Self::Closed | Self::Stopped | Self::Opened => false,
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the cells of the table are optional")]
const fn to(next: State, does: &'static [Do]) -> Option<Step> {
    Some(Step { does, next })
}

/// RFC 1661 §4.1: a row for each event, a column for each state.
#[rustfmt::skip]
const TABLE: [[Option<Step>; 10]; 16] = {
    use Do::{Irc, Sca, Scj, Scn, Scr, Ser, Sta, Str, Tld, Tlf, Tls, Tlu, Zrc};
    use State::{
        AckRcvd as S7, AckSent as S8, Closed as S2, Closing as S4, Initial as S0, Opened as S9,
        ReqSent as S6, Starting as S1, Stopped as S3, Stopping as S5,
    };
    const NO: Option<Step> = None;
    [
        // Initial, Starting, Closed, Stopped, Closing, Stopping, Req-Sent, Ack-Rcvd, Ack-Sent, Opened
        /* Up    */ [to(S2, &[]), to(S6, &[Irc, Scr]), NO, NO, NO, NO, NO, NO, NO, NO],
        /* Down  */ [NO, NO, to(S0, &[]), to(S1, &[Tls]), to(S0, &[]), to(S1, &[]),
                     to(S1, &[]), to(S1, &[]), to(S1, &[]), to(S1, &[Tld])],
        /* Open  */ [to(S1, &[Tls]), to(S1, &[]), to(S6, &[Irc, Scr]), to(S3, &[]), to(S5, &[]), to(S5, &[]),
                     to(S6, &[]), to(S7, &[]), to(S8, &[]), to(S9, &[])],
        /* Close */ [to(S0, &[]), to(S0, &[Tlf]), to(S2, &[]), to(S2, &[]), to(S4, &[]), to(S4, &[]),
                     to(S4, &[Irc, Str]), to(S4, &[Irc, Str]), to(S4, &[Irc, Str]), to(S4, &[Tld, Irc, Str])],
        /* TO+   */ [NO, NO, NO, NO, to(S4, &[Str]), to(S5, &[Str]),
                     to(S6, &[Scr]), to(S6, &[Scr]), to(S8, &[Scr]), NO],
        /* TO-   */ [NO, NO, NO, NO, to(S2, &[Tlf]), to(S3, &[Tlf]),
                     to(S3, &[Tlf]), to(S3, &[Tlf]), to(S3, &[Tlf]), NO],
        /* RCR+  */ [NO, NO, to(S2, &[Sta]), to(S8, &[Irc, Scr, Sca]), to(S4, &[]), to(S5, &[]),
                     to(S8, &[Sca]), to(S9, &[Sca, Tlu]), to(S8, &[Sca]), to(S8, &[Tld, Scr, Sca])],
        /* RCR-  */ [NO, NO, to(S2, &[Sta]), to(S6, &[Irc, Scr, Scn]), to(S4, &[]), to(S5, &[]),
                     to(S6, &[Scn]), to(S7, &[Scn]), to(S6, &[Scn]), to(S6, &[Tld, Scr, Scn])],
        /* RCA   */ [NO, NO, to(S2, &[Sta]), to(S3, &[Sta]), to(S4, &[]), to(S5, &[]),
                     to(S7, &[Irc]), to(S6, &[Scr]), to(S9, &[Irc, Tlu]), to(S6, &[Tld, Scr])],
        /* RCN   */ [NO, NO, to(S2, &[Sta]), to(S3, &[Sta]), to(S4, &[]), to(S5, &[]),
                     to(S6, &[Irc, Scr]), to(S6, &[Scr]), to(S8, &[Irc, Scr]), to(S6, &[Tld, Scr])],
        /* RTR   */ [NO, NO, to(S2, &[Sta]), to(S3, &[Sta]), to(S4, &[Sta]), to(S5, &[Sta]),
                     to(S6, &[Sta]), to(S6, &[Sta]), to(S6, &[Sta]), to(S5, &[Tld, Zrc, Sta])],
        /* RTA   */ [NO, NO, to(S2, &[]), to(S3, &[]), to(S2, &[Tlf]), to(S3, &[Tlf]),
                     to(S6, &[]), to(S6, &[]), to(S8, &[]), to(S6, &[Tld, Scr])],
        /* RUC   */ [NO, NO, to(S2, &[Scj]), to(S3, &[Scj]), to(S4, &[Scj]), to(S5, &[Scj]),
                     to(S6, &[Scj]), to(S7, &[Scj]), to(S8, &[Scj]), to(S9, &[Scj])],
        /* RXJ+  */ [NO, NO, to(S2, &[]), to(S3, &[]), to(S4, &[]), to(S5, &[]),
                     to(S6, &[]), to(S6, &[]), to(S8, &[]), to(S9, &[])],
        /* RXJ-  */ [NO, NO, to(S2, &[Tlf]), to(S3, &[Tlf]), to(S2, &[Tlf]), to(S3, &[Tlf]),
                     to(S3, &[Tlf]), to(S3, &[Tlf]), to(S3, &[Tlf]), to(S5, &[Tld, Irc, Str])],
        /* RXR   */ [NO, NO, to(S2, &[]), to(S3, &[]), to(S4, &[]), to(S5, &[]),
                     to(S6, &[]), to(S7, &[]), to(S8, &[]), to(S9, &[Ser])],
    ]
};

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// The table of RFC 1661 §4.1 as printed there, its two halves side by side.
    const RFC_1661: &str = "
        Up      2     irc,scr/6     -         -         -         -          -         -         -           -
        Down    -         -         0       tls/1       0         1          1         1         1         tld/1
        Open  tls/1       1     irc,scr/6     3r        5r        5r         6         7         8           9r
        Close   0       tlf/0       2         2         4         4      irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
        TO+     -         -         -         -       str/4     str/5      scr/6     scr/6     scr/8         -
        TO-     -         -         -         -       tlf/2     tlf/3      tlf/3p    tlf/3p    tlf/3p        -
        RCR+    -         -       sta/2 irc,scr,sca/8   4         5        sca/8   sca,tlu/9   sca/8   tld,scr,sca/8
        RCR-    -         -       sta/2 irc,scr,scn/6   4         5        scn/6     scn/7     scn/6   tld,scr,scn/6
        RCA     -         -       sta/2     sta/3       4         5        irc/7     scr/6x  irc,tlu/9   tld,scr/6x
        RCN     -         -       sta/2     sta/3       4         5      irc,scr/6   scr/6x  irc,scr/8   tld,scr/6x
        RTR     -         -       sta/2     sta/3     sta/4     sta/5      sta/6     sta/6     sta/6   tld,zrc,sta/5
        RTA     -         -         2         3       tlf/2     tlf/3        6         6         8       tld,scr/6
        RUC     -         -       scj/2     scj/3     scj/4     scj/5      scj/6     scj/7     scj/8     scj/9
        RXJ+    -         -         2         3         4         5          6         6         8         9
        RXJ-    -         -       tlf/2     tlf/3     tlf/2     tlf/3      tlf/3     tlf/3     tlf/3   tld,irc,str/5
        RXR     -         -         2         3         4         5          6         7         8       ser/9";

    const STATES: [State; 10] = [
        State::Initial,
        State::Starting,
        State::Closed,
        State::Stopped,
        State::Closing,
        State::Stopping,
        State::ReqSent,
        State::AckRcvd,
        State::AckSent,
        State::Opened,
    ];

    fn event(name: &str) -> Event {
        match name {
            "Up" => Event::Up,
            "Down" => Event::Down,
            "Open" => Event::Open,
            "Close" => Event::Close,
            "TO+" => Event::TimeoutAgain,
            "TO-" => Event::TimeoutLast,
            "RCR+" => Event::GoodRequest,
            "RCR-" => Event::BadRequest,
            "RCA" => Event::Ack,
            "RCN" => Event::NakOrReject,
            "RTR" => Event::TerminateRequest,
            "RTA" => Event::TerminateAck,
            "RUC" => Event::UnknownCode,
            "RXJ+" => Event::MildReject,
            "RXJ-" => Event::FatalReject,
            "RXR" => Event::Extra,
            other => panic!("no event {other}"),
        }
    }

    fn action(name: &str) -> Do {
        match name {
            "irc" => Do::Irc,
            "sca" => Do::Sca,
            "scj" => Do::Scj,
            "scn" => Do::Scn,
            "scr" => Do::Scr,
            "ser" => Do::Ser,
            "sta" => Do::Sta,
            "str" => Do::Str,
            "tld" => Do::Tld,
            "tlf" => Do::Tlf,
            "tls" => Do::Tls,
            "tlu" => Do::Tlu,
            "zrc" => Do::Zrc,
            other => panic!("no action {other}"),
        }
    }

    /// A printed cell; the footnote letters p, r and x are remarks, not transitions.
    fn cell(text: &str) -> Option<(Vec<Do>, State)> {
        if text == "-" {
            return None;
        }
        let text = text.trim_end_matches(['p', 'r', 'x']);
        let (does, next) = text.rsplit_once('/').unwrap_or(("", text));
        let does = does.split(',').filter(|name| !name.is_empty()).map(action).collect();
        Some((does, STATES[next.parse::<usize>().unwrap()]))
    }

    #[test]
    fn every_cell_is_that_of_rfc_1661() {
        let mut cells = 0;
        for row in RFC_1661.lines().filter(|line| !line.trim().is_empty()) {
            let words: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(words.len(), 11, "{row}");
            for (state, text) in STATES.into_iter().zip(&words[1..]) {
                let ours = step(state, event(words[0])).map(|s| (s.does.to_vec(), s.next));
                assert_eq!(ours, cell(text), "{} in {state:?}", words[0]);
                cells += 1;
            }
        }
        assert_eq!(cells, 160);
    }
}
