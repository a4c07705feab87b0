//! The receiving half of an SA.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::Buf;
use isthmus_crypto::{CryptoError, EspCipher, EspJobResult, EspWay, Provider};

use crate::batch::{self, Admitted, RUN_FEW, RUN_MAX, Run};
use crate::params::Meter;
use crate::{
    Counters, DropReason, HEADER_LEN, InboundRecord, ReplayWindow, SaParams, SoftLimit,
    TRAILER_LEN, size,
};

/// Opens packets from a peer.
pub struct InboundSa {
    params: SaParams,
    cipher: Box<dyn EspCipher>,
    window: ReplayWindow,
    meter: Meter,
}

impl InboundSa {
    /// An SA that has seen nothing.
    ///
    /// # Errors
    /// [`CryptoError`] when the keys do not fit the suite.
    pub fn new(params: SaParams, provider: &dyn Provider) -> Result<Self, CryptoError> {
        let cipher = provider.esp_one_way(params.suite, &params.keys, EspWay::Open)?;
        let meter = Meter::new(Counters::default());
        Ok(Self { params, cipher, window: ReplayWindow::new(), meter })
    }

    /// An SA that counts everything up to the recorded number as seen. What the predecessor accepted
    /// after its record was made can be replayed, once.
    ///
    /// # Errors
    /// As [`InboundSa::new`].
    pub fn restore(record: InboundRecord, provider: &dyn Provider) -> Result<Self, CryptoError> {
        let mut sa = Self::new(record.params, provider)?;
        sa.window = ReplayWindow::resume(record.top);
        sa.meter = Meter::new(record.counters);
        Ok(sa)
    }

    /// What to store so that the SA can be rebuilt.
    pub fn record(&self) -> InboundRecord {
        InboundRecord {
            params: self.params.clone(),
            top: self.window.top(),
            counters: self.meter.counters,
        }
    }

    /// Opens packets in place and in order: each holds a whole ESP packet before and, when its entry
    /// in `results` is its next header, the payload afterwards. `results` is emptied first. A dropped
    /// packet's content is unspecified.
    pub fn open_batch<'a>(
        &mut self,
        batch: impl IntoIterator<Item = &'a mut Buf>,
        results: &mut Vec<Result<u8, DropReason>>,
    ) {
        results.clear();
        batch::runs(batch, |run| {
            let each = |result| results.push(result);
            if run.len() <= RUN_FEW {
                self.open_run::<RUN_FEW>(run, each);
            } else {
                self.open_run::<RUN_MAX>(run, each);
            }
        });
    }

    /// Opens one packet and returns its next header.
    ///
    /// # Errors
    /// Why it was dropped; its content is unspecified.
    pub fn open(&mut self, buf: &mut Buf) -> Result<u8, DropReason> {
        let mut result = Err(DropReason::BadLength);
        self.open_run::<1>(&mut [Some(buf)], |opened| result = opened);
        result
    }

    /// A limit that came near since the last call; each SA says so once.
    pub fn poll_soft_limit(&mut self) -> Option<SoftLimit> {
        self.meter.poll()
    }

    /// Our name of the SA.
    pub fn spi(&self) -> u32 {
        self.params.spi
    }

    /// What was agreed.
    pub fn params(&self) -> &SaParams {
        &self.params
    }

    /// What was carried.
    pub fn counters(&self) -> Counters {
        self.meter.counters
    }

    /// Which numbers were seen.
    pub fn window(&self) -> &ReplayWindow {
        &self.window
    }

    /// Opens one run of at most `N` packets and tells the result of each packet in order.
    fn open_run<const N: usize>(
        &mut self,
        run: &mut Run<'_>,
        mut each: impl FnMut(Result<u8, DropReason>),
    ) {
        let mut admitted: Admitted<N> = [Err(DropReason::Truncated); N];
        for (buf, admitted) in run.iter().flatten().zip(&mut admitted) {
            *admitted = self.admit(buf);
        }
        let mut outcomes =
            batch::transform(run, &admitted, self.params.esn, |jobs| self.cipher.open(jobs));
        for (buf, admitted) in run.iter_mut().flatten().zip(admitted) {
            each(admitted.and_then(|seq| match outcomes.next() {
                Some(EspJobResult::Done) => self.commit(buf, seq),
                Some(EspJobResult::NotAuthentic) => Err(DropReason::NotAuthentic),
                Some(EspJobResult::BadLength | EspJobResult::Pending) | None => {
                    Err(DropReason::BadLength)
                }
            }));
        }
    }

    /// The number of a packet worth decrypting. Everything here is unauthenticated, so nothing changes.
    fn admit(&self, packet: &[u8]) -> Result<u64, DropReason> {
        let header = packet.first_chunk::<HEADER_LEN>().ok_or(DropReason::Truncated)?;
        let [s0, s1, s2, s3, n0, n1, n2, n3] = *header;
        if u32::from_be_bytes([s0, s1, s2, s3]) != self.params.spi {
            return Err(DropReason::WrongSpi);
        }
        let low = u32::from_be_bytes([n0, n1, n2, n3]);
        let seq = if self.params.esn { self.window.infer(low) } else { Some(u64::from(low)) };
        let seq = seq.ok_or(DropReason::TooOld)?;
        self.window.check(seq)?;
        if !self.meter.allows(&self.params, self.body_len(packet.len())?) {
            return Err(DropReason::LifetimeOver);
        }
        Ok(seq)
    }

    /// Takes note of an authentic packet and strips it to its payload. Numbers are checked again,
    /// because a batch may hold the same packet twice.
    fn commit(&mut self, buf: &mut Buf, seq: u64) -> Result<u8, DropReason> {
        let body_len = self.body_len(buf.len())?;
        if !self.meter.allows(&self.params, body_len) {
            return Err(DropReason::LifetimeOver);
        }
        self.window.commit(seq)?;
        self.meter.add(&self.params, seq, body_len);
        let suite = self.params.suite;
        let stripped = buf.trim_front(size::headroom(suite)) && buf.trim_back(suite.icv_len());
        if !stripped {
            return Err(DropReason::BadLength);
        }
        let (next_header, behind) = read_trailer(buf).ok_or(DropReason::BadPadding)?;
        if next_header == NO_NEXT_HEADER {
            return Err(DropReason::Dummy);
        }
        if !buf.trim_back(behind) {
            return Err(DropReason::BadPadding);
        }
        Ok(next_header)
    }

    /// Length between IV and ICV, checked to be whole blocks.
    fn body_len(&self, packet_len: usize) -> Result<u64, DropReason> {
        let suite = self.params.suite;
        packet_len
            .checked_sub(size::headroom(suite) + suite.icv_len())
            .filter(|&body| body > 0 && body.is_multiple_of(suite.block_len()))
            .map(|body| body as u64)
            .ok_or(DropReason::BadLength)
    }
}

impl core::fmt::Debug for InboundSa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("InboundSa")
            .field("params", &self.params)
            .field("top", &self.window.top())
            .finish_non_exhaustive()
    }
}

/// The next header and the length of padding and trailer; none when the padding is not 1, 2, 3 and so
/// on (RFC 4303 §2.4).
fn read_trailer(body: &[u8]) -> Option<(u8, usize)> {
    let (rest, [pad_len, next_header]) = body.split_last_chunk::<TRAILER_LEN>()?;
    let pad_len = usize::from(*pad_len);
    let (_, padding) = rest.split_at_checked(rest.len().checked_sub(pad_len)?)?;
    let counts = padding.iter().zip(1..=u8::MAX).all(|(&byte, count)| byte == count);
    counts.then_some((*next_header, pad_len + TRAILER_LEN))
}

/// "No next header": a dummy packet (RFC 4303 §2.6).
const NO_NEXT_HEADER: u8 = 59;
