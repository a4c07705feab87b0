//! What a process on this machine takes: memory and processor time.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use serde::Serialize;

/// A look at a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    at: Instant,
    /// Memory that is resident, in bytes.
    pub(crate) resident: u64,
    /// Processor time so far.
    pub(crate) cpu: Duration,
}

/// What a process took between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Processor time, in percent of one core.
    pub cpu_percent: f64,
    /// Resident memory at the end, in bytes.
    pub resident_bytes: u64,
}

impl Sample {
    /// Looks at a process; at ourselves when none is given.
    ///
    /// # Errors
    /// There is no such process, or it cannot be looked at.
    pub(crate) fn of(pid: Option<Pid>) -> io::Result<Self> {
        let name = pid.map_or_else(|| String::from("self"), |pid| pid.as_raw_pid().to_string());
        let read = |file: &str| fs::read_to_string(format!("/proc/{name}/{file}"));
        let odd = || io::Error::other("the system's words about it are not understood");
        let resident = resident(&read("status")?).ok_or_else(odd)?;
        let cpu = cpu(&read("stat")?, rustix::param::clock_ticks_per_second()).ok_or_else(odd)?;
        Ok(Self { at: Instant::now(), resident, cpu })
    }

    /// What was taken since an earlier look.
    pub(crate) fn since(&self, earlier: &Self) -> Share {
        let elapsed = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let cpu = self.cpu.saturating_sub(earlier.cpu).as_secs_f64();
        let cpu_percent = if elapsed > 0.0 { 100.0 * cpu / elapsed } else { 0.0 };
        Share { cpu_percent, resident_bytes: self.resident }
    }
}

/// `VmRSS` of `/proc/PID/status`, in bytes (`proc_pid_status(5)`).
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// `utime` and `stime` of `/proc/PID/stat`, fields 14 and 15 (`proc_pid_stat(5)`). The second field
/// may hold anything but ends with the last bracket.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()?.checked_add(fields.next()?.ok()?)?;
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_read() {
        let status = "Name:\tisthmus\nVmPeak:\t  9 kB\nVmRSS:\t   12345 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(12_345 * 1024));
        assert_eq!(resident("Name:\tkthreadd\n"), None);
        let stat = "42 (odd) name) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 3 0 100";
        assert_eq!(cpu(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(cpu("42 (x) S 1", 100), None);
    }

    #[test]
    fn we_can_look_at_ourselves_and_not_at_nobody() {
        let before = Sample::of(None).unwrap();
        assert!(before.resident > 1 << 20);
        let share = Sample::of(None).unwrap().since(&before);
        assert!(share.cpu_percent >= 0.0 && share.resident_bytes > 1 << 20);
        assert!(Sample::of(Pid::from_raw(i32::MAX)).is_err());
    }
}
