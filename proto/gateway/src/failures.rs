//! The failures that are kept, and which of them are worth a line in the log.
//!
//! A client tries again and again: the same cause from the same source within [`MERGE_WINDOW`] is one
//! record with a count. Memory is bounded three times: in all, for one source, and for sources that
//! have not shown that they receive what we send. Those may be forged by the thousand, and can push out
//! only each other.

use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv6Addr};

use isthmus_core::{Duration, Instant};

use crate::cause::Cause;
use crate::failure::Failure;

/// The last failures.
#[derive(Debug, Default)]
pub struct FailureLog {
    /// Of sources that receive what we send. In order of the last occurrence, as is the other.
    proven: VecDeque<Kept>,
    /// Of sources that may be forged.
    unproven: VecDeque<Kept>,
    total: u64,
    /// Attempts that no log line was written for since the last one.
    unsaid: u64,
    lines: Allowance,
    unproven_lines: Allowance,
}

#[derive(Debug)]
struct Kept {
    failure: Failure,
    /// The count at which the next line is due.
    next_line: u64,
}

impl FailureLog {
    /// Adds a failure. The record as it is now when it is worth a log line: a new one, or one whose count
    /// has doubled, unless there are too many lines.
    pub fn push(&mut self, mut failure: Failure) -> Option<&Failure> {
        cut(&mut failure.detail);
        cut(&mut failure.remedy);
        let now = failure.at;
        self.total += 1;
        let (entries, lines, most) = if failure.proven {
            (&mut self.proven, &mut self.lines, FAILURES_MAX)
        } else {
            (&mut self.unproven, &mut self.unproven_lines, UNPROVEN_MAX)
        };
        let like = entries.iter().position(|kept| is_like(&kept.failure, &failure));
        let known = like.and_then(|at| entries.remove(at));
        let mut kept = if let Some(kept) = known {
            merged(kept, failure)
        } else {
            make_room(entries, source(failure.from.ip()), most);
            Kept { failure, next_line: 1 }
        };
        let due = kept.failure.count >= kept.next_line && lines.take(now, kept.failure.proven);
        if due {
            kept.next_line = kept.failure.count.saturating_mul(2);
        } else {
            self.unsaid += 1;
        }
        entries.push_back(kept);
        entries.back().filter(|_| due).map(|kept| &kept.failure)
    }

    /// The failures kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        let mut all: alloc::vec::Vec<&Failure> =
            self.proven.iter().chain(&self.unproven).map(|kept| &kept.failure).collect();
        all.sort_by_key(|failure| failure.at);
        all.into_iter()
    }

    /// How many attempts failed since the start.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many attempts had no log line since the last question.
    pub fn take_unsaid(&mut self) -> u64 {
        core::mem::take(&mut self.unsaid)
    }
}

/// The same trouble of the same source, not long ago.
fn is_like(old: &Failure, new: &Failure) -> bool {
    // A flood has no source worth a name.
    let flood = new.cause == Cause::TooMany && !new.proven;
    old.cause == new.cause
        && old.stage == new.stage
        && old.user == new.user
        && (flood || source(old.from.ip()) == source(new.from.ip()))
        && new.at.since(old.at) <= MERGE_WINDOW
}

fn merged(mut kept: Kept, new: Failure) -> Kept {
    let (first, count) = (kept.failure.first, kept.failure.count.saturating_add(1));
    kept.failure = Failure { first, count, ..new };
    kept
}

/// Makes room for one of this source: its own oldest goes when it has many, else the oldest of all.
fn make_room(entries: &mut VecDeque<Kept>, of: IpAddr, most: usize) {
    let own = |kept: &Kept| source(kept.failure.from.ip()) == of;
    if entries.iter().filter(|kept| own(kept)).count() >= FAILURES_PER_SOURCE_MAX
        && let Some(oldest) = entries.iter().position(own)
    {
        entries.remove(oldest);
    }
    if entries.len() >= most {
        entries.pop_front();
    }
}

/// Whom an address stands for: one IPv6 customer has a whole /64.
fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

fn cut(text: &mut alloc::string::String) {
    let end = text.floor_char_boundary(DETAIL_BYTES_MAX);
    text.truncate(end);
}

/// How many log lines may be written now.
#[derive(Debug, Default)]
struct Allowance {
    /// When all of them will have been earned back.
    full_at: Option<Instant>,
}

impl Allowance {
    fn take(&mut self, now: Instant, proven: bool) -> bool {
        let (burst, each) =
            if proven { (LINES_MAX, LINE_EACH) } else { (UNPROVEN_LINES_MAX, LINE_EACH_UNPROVEN) };
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        if full_at.since(now) > each * (burst - 1) {
            return false;
        }
        self.full_at = Some(full_at + each);
        true
    }
}

/// Most failures kept of sources that receive what we send.
pub const FAILURES_MAX: usize = 256;
/// Most failures kept of sources that may be forged.
pub const UNPROVEN_MAX: usize = 64;
/// Most failures kept of one source address, or of one IPv6 /64, in each of the two.
pub const FAILURES_PER_SOURCE_MAX: usize = 16;
/// Longest detail and remedy kept, in bytes; what peers say is cut there.
pub const DETAIL_BYTES_MAX: usize = 1024;
/// The same cause from the same source within this time is one record.
pub const MERGE_WINDOW: Duration = Duration::from_mins(10);
/// Most log lines at once, about sources that receive what we send.
pub const LINES_MAX: u32 = 50;
/// One more of those lines after each of these.
const LINE_EACH: Duration = Duration::from_millis(500);
/// Most log lines at once, about sources that may be forged.
pub const UNPROVEN_LINES_MAX: u32 = 10;
const LINE_EACH_UNPROVEN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Stage;
    use alloc::format;
    use alloc::string::ToString;

    fn failure(seconds: u64, address: &str, cause: Cause) -> Failure {
        let from = format!("{address}:500").parse().unwrap();
        Failure::new(Instant::from_secs(seconds), from, Stage::IkeMainMode, cause)
    }

    fn numbered(n: usize) -> alloc::string::String {
        format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
    }

    #[test]
    fn the_same_trouble_of_the_same_source_is_one_record() {
        let mut log = FailureLog::default();
        for second in [5, 6, 9] {
            log.push(failure(second, "192.0.2.1", Cause::WrongPsk));
        }
        log.push(failure(9, "192.0.2.1", Cause::WrongPassword));
        log.push(failure(9, "192.0.2.2", Cause::WrongPsk));
        let kept: alloc::vec::Vec<_> =
            log.iter().map(|f| (f.cause, f.count, f.first.as_secs(), f.at.as_secs())).collect();
        assert_eq!(
            kept,
            [
                (Cause::WrongPsk, 3, 5, 9),
                (Cause::WrongPassword, 1, 9, 9),
                (Cause::WrongPsk, 1, 9, 9)
            ]
        );
        assert_eq!(log.total(), 5);
        let later = 10 + MERGE_WINDOW.as_secs();
        log.push(failure(later, "192.0.2.1", Cause::WrongPsk));
        assert_eq!(log.iter().count(), 4);
    }

    #[test]
    fn other_users_behind_one_address_are_other_records() {
        let mut log = FailureLog::default();
        for user in ["alice", "bob", "alice"] {
            let mut failure = failure(1, "192.0.2.1", Cause::WrongPassword);
            failure.user = Some(user.to_string());
            log.push(failure);
        }
        assert_eq!(log.iter().map(|f| f.count).collect::<alloc::vec::Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_log_keeps_the_newest() {
        let mut log = FailureLog::default();
        for n in 0..FAILURES_MAX + 5 {
            log.push(failure(1, &numbered(n), Cause::WrongPsk));
        }
        assert_eq!(log.iter().count(), FAILURES_MAX);
        assert_eq!(log.iter().next().unwrap().from.ip().to_string(), numbered(5));
        assert_eq!(log.total(), FAILURES_MAX as u64 + 5);
    }

    #[test]
    fn one_source_pushes_out_only_itself() {
        let mut log = FailureLog::default();
        log.push(failure(1, "192.0.2.1", Cause::WrongPsk));
        for n in 0..2 * FAILURES_MAX {
            let mut noise = failure(2, "192.0.2.9", Cause::UnknownUser);
            noise.user = Some(format!("user{n}"));
            log.push(noise);
        }
        assert_eq!(log.iter().count(), 1 + FAILURES_PER_SOURCE_MAX);
        assert_eq!(log.iter().next().unwrap().cause, Cause::WrongPsk);
        for n in 0..2 * FAILURES_MAX {
            let from = format!("[2001:db8::{n:x}]:500").parse().unwrap();
            let stage = Stage::PppAuth;
            let mut noise = Failure::new(Instant::from_secs(3), from, stage, Cause::UnknownUser);
            noise.user = Some(format!("user{n}"));
            log.push(noise);
        }
        assert_eq!(log.iter().count(), 1 + 2 * FAILURES_PER_SOURCE_MAX, "a /64 is one source");
    }

    #[test]
    fn forged_sources_push_out_only_each_other_and_write_few_lines() {
        let mut log = FailureLog::default();
        log.push(failure(1, "192.0.2.1", Cause::WrongPsk));
        let mut lines = 0;
        for n in 0..10_000 {
            let mut forged = failure(2, &numbered(n), Cause::NoAnswerHeard);
            forged.proven = false;
            lines += u32::from(log.push(forged).is_some());
        }
        assert_eq!(lines, UNPROVEN_LINES_MAX);
        assert_eq!(log.iter().count(), 1 + UNPROVEN_MAX);
        assert_eq!(log.take_unsaid(), 10_000 - u64::from(UNPROVEN_LINES_MAX));
        assert_eq!(log.take_unsaid(), 0);
        assert!(log.push(failure(2, "192.0.2.2", Cause::WrongPsk)).is_some(), "others are heard");
    }

    #[test]
    fn a_flood_is_one_record_whatever_its_sources() {
        let mut log = FailureLog::default();
        for n in 0..1000 {
            let mut flood = failure(2, &numbered(n), Cause::TooMany);
            flood.proven = false;
            log.push(flood);
        }
        assert_eq!(log.iter().map(|f| f.count).collect::<alloc::vec::Vec<_>>(), [1000]);
    }

    #[test]
    fn a_repeated_failure_is_said_when_its_count_has_doubled() {
        let mut log = FailureLog::default();
        let said: alloc::vec::Vec<u64> = (0..20)
            .filter_map(|_| log.push(failure(3, "192.0.2.1", Cause::WrongPsk)).map(|f| f.count))
            .collect();
        assert_eq!(said, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn lines_are_earned_back_with_time() {
        let mut log = FailureLog::default();
        let mut said =
            |second, n| log.push(failure(second, &numbered(n), Cause::WrongPsk)).is_some();
        let first = (0..1000).filter(|n| said(1, *n)).count();
        assert_eq!(first, LINES_MAX as usize);
        let later = (1000..2000).filter(|n| said(6, *n)).count();
        assert_eq!(later, 10);
    }

    #[test]
    fn a_long_detail_is_cut_at_a_character() {
        let mut log = FailureLog::default();
        let mut wordy = failure(1, "192.0.2.1", Cause::WrongPsk);
        wordy.detail = "é".repeat(DETAIL_BYTES_MAX);
        log.push(wordy);
        assert!(log.iter().next().unwrap().detail.len() <= DETAIL_BYTES_MAX);
    }
}
