//! The sending half of an SA.

use alloc::boxed::Box;
use alloc::vec::Vec;

use isthmus_core::{Buf, RngStream};
use isthmus_crypto::{CryptoError, EspCipher, EspJobResult, EspWay, Provider};

use crate::batch::{self, Admitted, RUN_FEW, RUN_MAX, Run, low};
use crate::params::Meter;
use crate::size::{self, padding_len};
use crate::{Counters, DropReason, HEADER_LEN, OutboundRecord, SaParams, SoftLimit, TRAILER_LEN};

/// Seals packets towards a peer.
pub struct OutboundSa {
    params: SaParams,
    cipher: Box<dyn EspCipher>,
    /// The number of the next packet; none after the last.
    next: Option<u64>,
    /// Numbers below this one may be used; none when nobody keeps records.
    reserved_until: Option<u64>,
    meter: Meter,
}

impl OutboundSa {
    /// An SA whose first packet has the number `first_seq`: 1 for fresh keys (RFC 4303 §3.3.3).
    ///
    /// # Errors
    /// [`CryptoError`] when the keys do not fit the suite.
    pub fn new(
        params: SaParams,
        first_seq: u64,
        provider: &dyn Provider,
    ) -> Result<Self, CryptoError> {
        let cipher = provider.esp_one_way(params.suite, &params.keys, EspWay::Seal)?;
        let next = Some(first_seq.max(1)).filter(|&next| next <= params.last_seq());
        let meter = Meter::new(Counters::default());
        Ok(Self { params, cipher, next, reserved_until: None, meter })
    }

    /// An SA that goes on behind every number its predecessor may have used. It sends nothing until
    /// a new record is stored and [`OutboundSa::reserve_until`] says so.
    ///
    /// # Errors
    /// As [`OutboundSa::new`].
    pub fn restore(record: OutboundRecord, provider: &dyn Provider) -> Result<Self, CryptoError> {
        let mut sa = Self::new(record.params, record.resume_at, provider)?;
        sa.reserved_until = Some(record.resume_at);
        sa.meter = Meter::new(record.counters);
        Ok(sa)
    }

    /// What to store *before* the next `block` numbers are used; when it is stored, call
    /// [`OutboundSa::reserve_until`] with its `resume_at`. An SA rebuilt from it uses none of the
    /// numbers that this one may use until then.
    pub fn record(&self, block: u64) -> OutboundRecord {
        let next = self.next.unwrap_or(u64::MAX);
        let used_until = next.max(self.reserved_until.unwrap_or(0));
        OutboundRecord {
            params: self.params.clone(),
            resume_at: used_until.saturating_add(block),
            counters: self.meter.counters,
        }
    }

    /// Allows the numbers below `end` and no others, because a record that resumes at `end` is stored.
    pub fn reserve_until(&mut self, end: u64) {
        self.reserved_until = Some(end);
    }

    /// Seals packets in place and in order: each holds a payload before and a whole ESP packet
    /// afterwards. IVs of CBC come from `ivs`: they must be unpredictable (RFC 3602 §3). `results` is emptied and gets one entry a packet; a dropped packet keeps its payload.
    pub fn seal_batch<'a>(
        &mut self,
        batch: impl IntoIterator<Item = &'a mut Buf>,
        next_header: u8,
        ivs: &mut RngStream,
        results: &mut Vec<Result<(), DropReason>>,
    ) {
        results.clear();
        batch::runs(batch, |run| {
            let each = |result| results.push(result);
            if run.len() <= RUN_FEW {
                self.seal_run::<RUN_FEW>(run, next_header, ivs, each);
            } else {
                self.seal_run::<RUN_MAX>(run, next_header, ivs, each);
            }
        });
    }

    /// Seals one packet.
    ///
    /// # Errors
    /// Why it was dropped; it keeps its payload.
    pub fn seal(
        &mut self,
        buf: &mut Buf,
        next_header: u8,
        ivs: &mut RngStream,
    ) -> Result<(), DropReason> {
        let mut result = Err(DropReason::BadLength);
        self.seal_run::<1>(&mut [Some(buf)], next_header, ivs, |sealed| result = sealed);
        result
    }

    /// A limit that came near since the last call; each SA says so once.
    pub fn poll_soft_limit(&mut self) -> Option<SoftLimit> {
        self.meter.poll()
    }

    /// The SA's name at the peer.
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

    /// The number of the next packet; none when all are used.
    pub fn next_seq(&self) -> Option<u64> {
        self.next
    }

    /// How many numbers may be used before more must be reserved; none when nobody keeps records.
    pub fn reserved_left(&self) -> Option<u64> {
        let next = self.next.unwrap_or(u64::MAX);
        self.reserved_until.map(|end| end.saturating_sub(next))
    }

    /// Seals one run of at most `N` packets and tells the result of each packet in order.
    fn seal_run<const N: usize>(
        &mut self,
        run: &mut Run<'_>,
        next_header: u8,
        ivs: &mut RngStream,
        mut each: impl FnMut(Result<(), DropReason>),
    ) {
        let mut framed: Admitted<N> = [Err(DropReason::NoRoom); N];
        for (buf, framed) in run.iter_mut().flatten().zip(&mut framed) {
            *framed = self.frame(buf, next_header, ivs);
        }
        let mut outcomes =
            batch::transform(run, &framed, self.params.esn, |jobs| self.cipher.seal(jobs));
        for (_, framed) in run.iter().zip(framed) {
            each(framed.and_then(|_| match outcomes.next() {
                Some(EspJobResult::Done) => Ok(()),
                // The frame was built here, so the transform has nothing to refuse.
                Some(
                    EspJobResult::Pending | EspJobResult::BadLength | EspJobResult::NotAuthentic,
                )
                | None => Err(DropReason::BadLength),
            }));
        }
    }

    /// Puts header, IV, padding and trailer around a payload, leaves room for the ICV and uses up a
    /// sequence number; or changes nothing.
    fn frame(
        &mut self,
        buf: &mut Buf,
        next_header: u8,
        ivs: &mut RngStream,
    ) -> Result<u64, DropReason> {
        let suite = self.params.suite;
        let padding = padding_len(suite, buf.len());
        let behind = padding + TRAILER_LEN + suite.icv_len();
        let body_len = (buf.len() + padding + TRAILER_LEN) as u64;
        let seq = self.admit(body_len)?;
        if buf.headroom() < size::headroom(suite) {
            return Err(DropReason::NoRoom);
        }
        let tail = buf.push_back(behind).ok_or(DropReason::NoRoom)?;
        write_trailer(tail, padding, next_header);
        let head = buf.push_front(size::headroom(suite)).ok_or(DropReason::NoRoom)?;
        self.write_header(head, seq, ivs);
        self.next = seq.checked_add(1).filter(|&next| next <= self.params.last_seq());
        self.meter.add(&self.params, seq, body_len);
        Ok(seq)
    }

    /// The number of the next packet, when there may be one.
    fn admit(&self, body_len: u64) -> Result<u64, DropReason> {
        let seq = self.next.ok_or(DropReason::SequenceExhausted)?;
        if self.reserved_until.is_some_and(|end| seq >= end) {
            return Err(DropReason::SequenceUnreserved);
        }
        if !self.meter.allows(&self.params, body_len) {
            return Err(DropReason::LifetimeOver);
        }
        Ok(seq)
    }

    /// Writes SPI, sequence number and IV.
    fn write_header(&self, head: &mut [u8], seq: u64, ivs: &mut RngStream) {
        let Some((header, iv)) = head.split_first_chunk_mut::<HEADER_LEN>() else { return };
        let number = u64::from(self.params.spi) << 32 | u64::from(low(seq));
        *header = number.to_be_bytes();
        if self.params.suite.is_aead() {
            // RFC 4106 §3.1: the IV must never repeat under a key; a counter does not.
            iv.copy_from_slice(&seq.to_be_bytes());
        } else {
            ivs.fill(iv);
        }
    }
}

impl core::fmt::Debug for OutboundSa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OutboundSa")
            .field("params", &self.params)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Writes padding 1, 2, 3 and so on, its length and the next header (RFC 4303 §2.4-2.6).
fn write_trailer(tail: &mut [u8], padding: usize, next_header: u8) {
    let mut count = 0u8;
    for byte in tail.iter_mut().take(padding) {
        count = count.wrapping_add(1);
        *byte = count;
    }
    for (byte, value) in tail.iter_mut().skip(padding).zip([count, next_header]) {
        *byte = value;
    }
}
