//! The device and its queues.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use isthmus_core::Buf;
use isthmus_net::in_namespace;
use isthmus_wire::coalesce::{Coalescer, Long};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType, netdevice};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::offload::{self, Cutter};
use crate::{TunConfig, TunError};

/// How far a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Packets that are done with: taken by the kernel, or refused and counted.
    pub done: usize,
    /// The device takes no more for now: the other packets were not tried.
    pub blocked: bool,
}

/// Where a device moves runs of packets rather than single ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunOffload {
    /// Out of the kernel.
    pub reads: bool,
    /// Into the kernel.
    pub writes: bool,
    /// Runs of UDP as well as of TCP.
    pub udp: bool,
}

/// Counters of one device since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunStats {
    /// Packets the kernel routed into the device.
    pub received: u64,
    /// Runs of packets that could not be cut apart, lost.
    pub uncut: u64,
    /// Packets the kernel took from us.
    pub sent: u64,
    /// Those of them that were joined to longer ones.
    pub joined: u64,
    /// The longer ones.
    pub long: u64,
    /// Packets the kernel refused as no IP packet (`EINVAL`).
    pub refused: u64,
    /// Packets lost because the interface was down (`EIO`).
    pub down: u64,
    /// Packets lost for another reason.
    pub send_failed: u64,
    /// Times the kernel took no more for now (`EAGAIN`, `ENOBUFS`).
    pub blocked: u64,
}

impl TunStats {
    /// Adds those of another queue.
    pub fn add(&mut self, more: &Self) {
        self.received += more.received;
        self.uncut += more.uncut;
        self.sent += more.sent;
        self.joined += more.joined;
        self.long += more.long;
        self.refused += more.refused;
        self.down += more.down;
        self.send_failed += more.send_failed;
        self.blocked += more.blocked;
    }
}

/// A queue of a TUN interface of this process; as a rule its only one. Dropping the last removes the
/// interface with its addresses and routes.
pub struct TunDevice {
    device: SyncDevice,
    name: String,
    index: u32,
    mtu: u16,
    /// A buffer that was got for a packet that did not come.
    spare: Option<Buf>,
    /// Whether the kernel hands out runs of packets, with a header before each.
    runs: bool,
    /// Joins packets for the kernel, where it takes them.
    coalescer: Option<Coalescer>,
    stats: TunStats,
}

impl TunDevice {
    /// Makes the device and sets it up.
    ///
    /// # Errors
    ///
    /// When the configuration is no good or the system refuses, with what to do about it.
    pub fn create(config: &TunConfig) -> Result<Self, TunError> {
        let mut queues = Self::create_queues(config, 1)?;
        queues.pop().ok_or_else(|| TunError::Create {
            name: config.name.clone(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Makes the device with several queues, of which each may be used on a thread of its own. The
    /// kernel reads a flow's packets out of the queue that the flow's packets were last written to.
    ///
    /// # Errors
    ///
    /// As [`TunDevice::create`].
    pub fn create_queues(config: &TunConfig, count: usize) -> Result<Vec<Self>, TunError> {
        config.check()?;
        let open = || Self::open(config, count);
        let opened = match &config.namespace {
            Some(namespace) => in_namespace(namespace, open)?,
            None => open(),
        };
        opened.map_err(|source| TunError::Create { name: config.name.clone(), source })
    }

    fn open(config: &TunConfig, count: usize) -> io::Result<Vec<Self>> {
        // A device left by somebody else would be taken over, and would stay when we go.
        let lookup = net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        if netdevice::name_to_index(&lookup, &config.name).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let several = count > 1;
        let first = match Self::build(config, several, config.offload) {
            Err(error) if config.offload && refuses_offload(&error) => {
                Self::build(config, several, false)?
            }
            built => built?,
        };
        let others = (1..count).map(|_| first.try_clone()).collect::<io::Result<Vec<_>>>()?;
        std::iter::once(first).chain(others).map(|queue| Self::queue(queue, config)).collect()
    }

    fn queue(device: SyncDevice, config: &TunConfig) -> io::Result<Self> {
        device.set_nonblocking(true)?;
        let (name, index) = (device.name()?, device.if_index()?);
        let runs = device.tcp_gso();
        let coalescer = runs.then(|| Coalescer::new(device.udp_gso()));
        let (mtu, stats) = (config.mtu, TunStats::default());
        Ok(Self { device, name, index, mtu, spare: None, runs, coalescer, stats })
    }

    fn build(config: &TunConfig, several: bool, offload: bool) -> io::Result<SyncDevice> {
        let builder = DeviceBuilder::new().name(&config.name).mtu(config.mtu).enable(true);
        builder.multi_queue(several).offload(offload).build_sync()
    }

    /// The name it got.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface index in its namespace.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The MTU it was made with.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Adds what another device counted that is gone.
    pub fn inherit(&mut self, stats: &TunStats) {
        self.stats.add(stats);
    }

    /// What it counted since it was made, and what it inherited.
    pub fn stats(&self) -> TunStats {
        self.stats
    }

    /// Appends the IP packets that are there, in buffers from `alloc`, and answers how many; 0 when there
    /// are none. It stops at [`TunDevice::BATCH_MAX`], or with offload after the run that reaches it.
    ///
    /// A buffer with less room than the MTU is replaced by a larger one. Any `cutter` will do, from call to call.
    ///
    /// # Errors
    ///
    /// Only when the device is gone.
    pub fn recv_batch(
        &mut self,
        cutter: &mut Cutter,
        alloc: &mut dyn FnMut() -> Buf,
        out: &mut Vec<Buf>,
    ) -> io::Result<usize> {
        let before = out.len();
        while out.len() - before < Self::BATCH_MAX {
            let Err(error) = self.recv(cutter, alloc, out) else { continue };
            match Errno::from_io_error(&error) {
                Some(Errno::AGAIN) => break,
                Some(Errno::INTR) => {}
                // Not the system's: a run that makes no sense.
                None => self.stats.uncut += 1,
                Some(_) => return Err(error),
            }
        }
        let received = out.len() - before;
        self.stats.received += received as u64;
        Ok(received)
    }

    /// Receives one packet, or one run of packets.
    fn recv(
        &mut self,
        cutter: &mut Cutter,
        alloc: &mut dyn FnMut() -> Buf,
        out: &mut Vec<Buf>,
    ) -> io::Result<()> {
        let room = room(self.mtu);
        if self.runs {
            return cutter.receive((&self.device, room), alloc, out).map(drop);
        }
        let mut buf = self.spare.take().unwrap_or_else(alloc);
        if buf.spare().len() < usize::from(room) {
            buf = Buf::with_capacity(room.into());
        }
        match self.device.recv(buf.spare()) {
            Ok(length) => {
                buf.set_len(length);
                out.push(buf);
                Ok(())
            }
            Err(error) => {
                self.spare = Some(buf);
                Err(error)
            }
        }
    }

    /// What the kernel does for the device.
    pub fn offload(&self) -> TunOffload {
        let reads = self.runs;
        TunOffload { reads, writes: self.coalescer.is_some(), udp: reads && self.device.udp_gso() }
    }

    /// Hands IP packets to the kernel, those of one flow in order and with offload in as few calls as
    /// possible. What it refuses is counted and skipped. `bytes` shows a packet of the batch.
    ///
    /// # Errors
    ///
    /// Only when the device is gone.
    pub fn send_batch<T>(
        &mut self,
        packets: &[T],
        bytes: impl Fn(&T) -> &[u8],
    ) -> io::Result<Sent> {
        let packet = |index: usize| packets.get(index).map(&bytes).unwrap_or_default();
        let mut sent = Sent { done: 0, blocked: false };
        let Some(mut coalescer) = self.coalescer.take() else {
            self.send_each(0..packets.len(), packet, &mut sent)?;
            return Ok(sent);
        };
        coalescer.plan(packets.len(), packet);
        let mut works = true;
        for run in coalescer.runs() {
            if works && let Some(long) = run.long(packet) {
                let payload = |index| packet(index).get(long.header().len()..).unwrap_or_default();
                let payloads = coalescer.members(run).map(payload);
                works = self.send_long(&long, payloads, run.count(), &mut sent)?;
            }
            if !works || run.count() == 1 {
                self.send_each(coalescer.members(run), packet, &mut sent)?;
            }
            if sent.blocked {
                break;
            }
        }
        self.coalescer = works.then_some(coalescer);
        Ok(sent)
    }

    /// Hands over a run in one piece; false when the kernel takes no such thing.
    fn send_long<'a>(
        &mut self,
        long: &Long,
        payloads: impl Iterator<Item = &'a [u8]>,
        count: usize,
        sent: &mut Sent,
    ) -> io::Result<bool> {
        let before = self.stats;
        let written = offload::send_long(&self.device, long, payloads);
        if written.as_ref().err().and_then(Errno::from_io_error) == Some(Errno::INVAL) {
            // Some kernels take no long packets (Linux 6.11.10 and 6.12.0 had the fault); what works
            // for every packet alone is left on for good.
            return Ok(false);
        }
        if !self.outcome(written, count)? {
            sent.blocked = true;
            return Ok(true);
        }
        if self.stats.sent != before.sent {
            self.stats.long += 1;
            self.stats.joined += count as u64;
        }
        sent.done += count;
        Ok(true)
    }

    /// Hands over packets one by one.
    fn send_each<'a>(
        &mut self,
        indexes: impl Iterator<Item = usize>,
        packet: impl Fn(usize) -> &'a [u8],
        sent: &mut Sent,
    ) -> io::Result<()> {
        for index in indexes {
            let bytes = packet(index);
            let written = if self.runs {
                offload::send(&self.device, bytes)
            } else {
                offload::uninterrupted(|| self.device.send(bytes))
            };
            if !self.outcome(written, 1)? {
                sent.blocked = true;
                return Ok(());
            }
            sent.done += 1;
        }
        Ok(())
    }

    /// Counts what became of `count` packets; false when the device takes no more for now.
    fn outcome(&mut self, written: io::Result<usize>, count: usize) -> io::Result<bool> {
        let counter = match written {
            Ok(_) => &mut self.stats.sent,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::AGAIN | Errno::NOBUFS) => {
                    self.stats.blocked += 1;
                    return Ok(false);
                }
                Some(Errno::BADF | Errno::BADFD) | None => return Err(error),
                Some(Errno::INVAL) => &mut self.stats.refused,
                Some(Errno::IO) => &mut self.stats.down,
                Some(_) => &mut self.stats.send_failed,
            },
        };
        *counter += count as u64;
        Ok(true)
    }

    /// The most packets one call of [`TunDevice::recv_batch`] answers, so that a busy device cannot
    /// starve the others.
    pub const BATCH_MAX: usize = 128;
}

/// How much room a packet gets, so that the MTU of a device which is open may be raised to that of an
/// Ethernet.
fn room(mtu: u16) -> u16 {
    mtu.max(ETHERNET_MTU)
}

const ETHERNET_MTU: u16 = 1500;

/// Whether the kernel knows nothing of vnet headers or of the offloads asked for.
fn refuses_offload(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

impl AsFd for TunDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl std::fmt::Debug for TunDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunDevice")
            .field("name", &self.name)
            .field("index", &self.index)
            .field("mtu", &self.mtu)
            .finish_non_exhaustive()
    }
}
