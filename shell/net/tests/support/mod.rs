//! Throw-away network namespaces for tests: made by the test, gone with the value.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "shared by tests, which use parts of it and fail by panicking"
)]

use std::os::fd::AsFd;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use isthmus_net::Namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub use rustix::thread::CapabilitySet;
use rustix::thread::{capabilities, set_capabilities};

/// A network namespace with its loopback up. Dropping it deletes it.
pub struct Space {
    name: String,
}

impl Space {
    /// Makes a namespace of its own for this test.
    pub fn new(role: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let space = Self { name: format!("isu{}n{number}-{role}", process::id()) };
        run(Command::new("ip").args(["netns", "add", &space.name]));
        // Duplicate address detection would change the state of addresses at times of its own.
        let no_dad =
            "for key in all default; do echo 0 > /proc/sys/net/ipv6/conf/$key/accept_dad; done";
        space.run("sh", &["-c", no_dad]);
        space.ip("link set lo up");
        space
    }

    /// Two namespaces joined by a cable: `veth0` in both, with addresses ending in 1 and in 2 of
    /// `10.9.0.0/24` and `fd09::/64`.
    pub fn pair() -> (Self, Self) {
        let (left, right) = (Self::new("left"), Self::new("right"));
        left.ip(&format!("link add veth0 type veth peer name veth0 netns {}", right.name));
        for (space, host) in [(&left, 1), (&right, 2)] {
            space.ip("link set veth0 up");
            space.ip(&format!("address add 10.9.0.{host}/24 dev veth0"));
            space.ip(&format!("address add fd09::{host}/64 dev veth0 nodad"));
        }
        (left, right)
    }

    pub fn namespace(&self) -> Namespace {
        Namespace::new(&self.name)
    }

    /// Runs `ip <words>` in the namespace and answers what it prints.
    pub fn ip(&self, words: &str) -> String {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace()))
    }

    /// Runs a program in the namespace and answers what it prints.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        run(&mut self.command(program, arguments))
    }

    /// A program to run in the namespace.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).args(arguments);
        command
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // Nothing is left to do about a failure here.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// Runs a command that has to succeed.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("cannot run {command:?}: {error} (install iproute2, nftables and iputils-ping)")
    });
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?} failed (network namespaces need root): {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs `work` on a thread without the given capability.
pub fn without<T: Send>(capability: CapabilitySet, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let limited = scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(capability);
            sets.permitted.remove(capability);
            set_capabilities(None, sets).unwrap();
            work()
        });
        limited.join().unwrap()
    })
}

/// Waits until `descriptor` has something to read; false when nothing comes within `seconds`.
pub fn readable(descriptor: &impl AsFd, seconds: i64) -> bool {
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let mut descriptors = [PollFd::new(descriptor, PollFlags::IN)];
    poll(&mut descriptors, Some(&limit)).unwrap() == 1
}
