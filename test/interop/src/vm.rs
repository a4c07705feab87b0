//! A virtual machine of the lab: Debian's kernel under qemu, steered one step at a time.
//!
//! The guest's process 1 (`lab/guest-init`) opens a virtio port and says `ready`; the host then
//! names one step after the other (`run STEP`) and gets its exit code back (`done STEP EXIT`). A
//! step is a shell script of the scenario's folder, which the guest sees read-only; its output
//! streams into the results folder, which both see. /dev/kvm is not used: where tests run inside
//! virtual machines already, its guests hang.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{POLL, wait_for};
use crate::daemon::{Daemon, TAIL_LINES, tail};
use crate::error::LabError;
use crate::lab::Lab;
use crate::netns::Namespace;

/// A network card of a machine.
#[derive(Debug, Clone, Copy)]
pub struct Nic {
    /// The bridge of the machine's namespace that the card is plugged into.
    pub bridge: &'static str,
    /// The card's address, with 24 bits of prefix.
    pub address: Ipv4Addr,
}

/// What a machine is made of.
#[derive(Debug)]
pub struct VmSpec<'a> {
    /// Its host name; the files in `hosts/<name>` of the scenario are placed on its disk.
    pub name: &'a str,
    /// The namespace that its taps are in.
    pub namespace: &'a Namespace,
    /// Its cards, `eth0` first.
    pub nics: &'a [Nic],
    /// Its default route.
    pub router: Ipv4Addr,
    /// The scenario's folder.
    pub scenario: &'a Path,
}

/// A running machine. Dropping it ends it at once.
#[derive(Debug)]
pub struct Vm {
    name: String,
    qemu: Daemon,
    control: BufReader<UnixStream>,
    results: PathBuf,
}

impl Vm {
    /// Starts the machine and returns at once, so that two can boot side by side; see
    /// [`Vm::wait_ready`].
    pub fn start(lab: &Lab, spec: &VmSpec<'_>) -> Result<Self, LabError> {
        let evidence = lab.evidence();
        let results = evidence.subfolder(&format!("{}-results", spec.name))?;
        let socket = evidence.path(&format!("{}.control", spec.name));
        let listener = UnixListener::bind(&socket)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|source| LabError::io(&socket, source))?;
        let mut command = spec.namespace.command("qemu-system-x86_64");
        machine(&mut command, lab.image()?, spec, evidence.folder());
        shares(&mut command, &[("scenario", spec.scenario, true), ("results", &results, false)]);
        command.arg("-chardev").arg(format!("socket,id=control,path={}", socket.display()));
        command.args(["-device", "virtio-serial-pci"]);
        command.args(["-device", "virtserialport,chardev=control,name=isthmus.control"]);
        for (index, nic) in spec.nics.iter().enumerate() {
            card(&mut command, spec, index, nic)?;
        }
        evidence.note(&format!("{}: booting", spec.name));
        let log = evidence.path(&format!("{}-qemu.log", spec.name));
        let mut qemu = Daemon::start(spec.name, &command, &log)?;
        let stream = wait_for("qemu's start", BOOT_LIMIT, || accept(&listener, &mut qemu))?;
        stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(Some(POLL)))
            .map_err(|source| LabError::io(&socket, source))?;
        let control = BufReader::new(stream);
        Ok(Self { name: spec.name.to_owned(), qemu, control, results })
    }

    /// Waits until the machine has booted, its network is up and its files are placed.
    pub fn wait_ready(&mut self, lab: &Lab) -> Result<(), LabError> {
        let line = self.read_line("the boot", BOOT_LIMIT)?;
        if line != "ready" {
            return Err(LabError::unexpected(format!("{}: `{line}` for `ready`", self.name)));
        }
        lab.evidence().note(&format!("{}: up", self.name));
        Ok(())
    }

    /// Runs the script `step` of the scenario's folder and answers what it printed.
    ///
    /// # Errors
    /// It exits with something else than 0 or takes longer than `limit`; a machine whose step is
    /// late is of no more use.
    pub fn run(&mut self, lab: &Lab, step: &str, limit: Duration) -> Result<String, LabError> {
        let evidence = lab.evidence();
        evidence.note(&format!("{}: {step}", self.name));
        writeln!(self.control.get_mut(), "run {step}")
            .map_err(|source| LabError::Io { what: format!("{}'s control", self.name), source })?;
        let answer = self.read_line(step, limit);
        let log = self.result(&format!("{step}.log"))?;
        let late = |error| LabError::unexpected(format!("{error}; so far:\n{}", quoted(&log)));
        let answer = answer.map_err(late)?;
        let exit = answer
            .strip_prefix("done ")
            .and_then(|rest| rest.strip_prefix(step)?.trim().parse::<i32>().ok())
            .ok_or_else(|| LabError::unexpected(format!("{}: odd answer `{answer}`", self.name)))?;
        if exit == 0 {
            return Ok(log);
        }
        let (host, step) = (self.name.clone(), step.to_owned());
        Err(LabError::Step { host, step, exit, log: quoted(&log).to_owned() })
    }

    /// The content of a file that the machine wrote to its results folder.
    pub fn result(&self, name: &str) -> Result<String, LabError> {
        let path = self.results.join(name);
        std::fs::read(&path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|source| LabError::io(&path, source))
    }

    fn read_line(&mut self, what: &str, limit: Duration) -> Result<String, LabError> {
        let start = Instant::now();
        let mut line = String::new();
        while !line.ends_with('\n') {
            match self.control.read_line(&mut line) {
                Ok(0) => return Err(self.died(what)),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => self.qemu.alive()?,
                Err(source) => return Err(LabError::Io { what: what.to_owned(), source }),
            }
            if start.elapsed() > limit {
                let what = format!("{}: the end of {what}", self.name);
                return Err(LabError::Timeout { what, after: limit });
            }
        }
        Ok(line.trim().to_owned())
    }

    fn died(&self, what: &str) -> LabError {
        let log = self.qemu.log();
        LabError::unexpected(format!("{} died during {what}:\n{}", self.name, quoted(&log)))
    }
}

/// The value of the line `<key> <value>` in a step's log.
///
/// # Errors
/// The step printed no such line.
pub fn fact<'a>(log: &'a str, key: &str) -> Result<&'a str, LabError> {
    log.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .ok_or_else(|| LabError::unexpected(format!("no line `{key} ..` in:\n{log}")))
}

fn accept(listener: &UnixListener, qemu: &mut Daemon) -> Result<Option<UnixStream>, LabError> {
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => qemu.alive().map(|()| None),
        Err(source) => Err(LabError::Io { what: "qemu's control socket".to_owned(), source }),
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The machine itself: processor, memory, kernel and disk.
fn machine(command: &mut Command, image: &Path, spec: &VmSpec<'_>, evidence: &Path) {
    let file = |name: &str| image.join(name).display().to_string();
    let serial = evidence.join(format!("{}-serial.log", spec.name));
    let mut append =
        format!("{KERNEL_ARGUMENTS} lab.name={} lab.router={}", spec.name, spec.router);
    for (index, nic) in spec.nics.iter().enumerate() {
        let _ = write!(append, " lab.eth{index}={}/24", nic.address);
    }
    command.args(["-accel", "tcg", "-machine", "q35,smm=off,hpet=off", "-cpu", "max"]);
    command.args(["-smp", "1", "-m", "384", "-nodefaults", "-no-user-config", "-no-reboot"]);
    command.args(["-display", "none", "-monitor", "none", "-serial"]);
    command.arg(format!("file:{}", serial.display()));
    command.args(["-kernel", &file("vmlinux"), "-initrd", &file("initramfs")]);
    command.args(["-append", &append, "-drive"]);
    command.arg(format!("file={},format=raw,if=virtio,snapshot=on", file("root.ext4")));
    command.args(["-object", "rng-random,id=rng,filename=/dev/urandom"]);
    command.args(["-device", "virtio-rng-pci,rng=rng"]);
}

/// The folders that guest and host share: name, path, whether the guest may only read.
fn shares(command: &mut Command, shares: &[(&str, &Path, bool)]) {
    for (name, path, read_only) in shares {
        let read_only = if *read_only { "on" } else { "off" };
        command.arg("-virtfs").arg(format!(
            "local,path={},mount_tag={name},security_model=none,readonly={read_only}",
            path.display()
        ));
    }
}

/// Makes the tap of card `index` on its bridge and gives it to the machine.
fn card(command: &mut Command, spec: &VmSpec<'_>, index: usize, nic: &Nic) -> Result<(), LabError> {
    let tap = format!("{}{index}", spec.name);
    spec.namespace.ip(&format!("tuntap add {tap} mode tap"))?;
    spec.namespace.ip(&format!("link set {tap} master {} up", nic.bridge))?;
    let [a, b, c, d] = nic.address.octets();
    command.arg("-netdev").arg(format!("tap,id={tap},ifname={tap},script=no,downscript=no"));
    command.arg("-device").arg(format!(
        "virtio-net-pci,netdev={tap},romfile=,mac=52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}"
    ));
    Ok(())
}

fn quoted(log: &str) -> &str {
    tail(log, TAIL_LINES)
}

/// Without self-tests, auditing and mitigations, which an emulator pays for dearly.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet mitigations=off nokaslr audit=0 \
    cryptomgr.notests tsc=reliable no_timer_check rcupdate.rcu_expedited=1 net.ifnames=0";
/// How long a boot may take: 3 s are usual, the rest is for a busy machine.
const BOOT_LIMIT: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_the_rest_of_its_line() {
        let log = "noise\naddress 10.64.0.5\nsha256 ab cd\n";
        assert_eq!(fact(log, "address").ok(), Some("10.64.0.5"));
        assert_eq!(fact(log, "sha256").ok(), Some("ab cd"));
        assert!(fact(log, "addr").is_err());
        assert!(fact(log, "missing").is_err());
    }
}
