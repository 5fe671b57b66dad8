//! Maps that carry records: ring buffers and perf event arrays.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use axebpf_maps::{Map, PERF_BUFFER_SIZE, PerfBuffers, RingBuf};

use super::Subject;
use crate::shell::{
    CommandResult, Session,
    complaint::{Complaint, counted},
    layout::Layout,
    stream::Pace,
};

/// Where records come from.
pub(super) enum Source<'a> {
    Ring(&'a RingBuf),
    Perf {
        buffers: &'a PerfBuffers,
        /// The buffer that is looked into first, so that a busy CPU does not hide the others.
        turn: usize,
    },
}

impl<'a> Source<'a> {
    /// Returns the records of `map`, if it carries any.
    pub(super) fn of(map: &'a Map) -> Option<Self> {
        match (map.ring(), map.perf()) {
            (Some(ring), _) => Some(Self::Ring(ring)),
            (None, Some(buffers)) => Some(Self::Perf { buffers, turn: 0 }),
            (None, None) => None,
        }
    }

    /// Takes the next record out, and says where it is from.
    fn take(&mut self) -> Result<Option<(String, Vec<u8>)>, Complaint> {
        let (buffers, turn) = match self {
            Self::Ring(ring) => return Ok(take_record(ring)?.map(|r| (String::new(), r))),
            Self::Perf { buffers, turn } => (*buffers, turn),
        };
        let count = buffers.rings().count();
        for (cpu, ring) in buffers
            .rings()
            .chain(buffers.rings())
            .skip(*turn)
            .take(count)
        {
            if let Some(record) = take_record(ring)? {
                *turn = (cpu.get() as usize + 1) % count;
                return Ok(Some((format!("cpu {}: ", cpu.get()), record)));
            }
        }
        Ok(None)
    }

    fn dropped(&self) -> u64 {
        match self {
            Self::Ring(ring) => ring.dropped(),
            Self::Perf { buffers, .. } => buffers.dropped(),
        }
    }

    fn abandoned(&self) -> u64 {
        match self {
            Self::Ring(ring) => ring.abandoned(),
            Self::Perf { buffers, .. } => buffers.rings().map(|(_, ring)| ring.abandoned()).sum(),
        }
    }
}

/// Takes one record out. Nobody is the consumer while the record is written to the console.
fn take_record(ring: &RingBuf) -> Result<Option<Vec<u8>>, Complaint> {
    let mut consumer = ring.consumer()?;
    Ok(consumer.next_record()?.map(<[u8]>::to_vec))
}

/// Shows how many bytes of records wait in a perf event array, of those that fit.
pub(super) fn waiting(map: &Map) -> Option<String> {
    let buffers = map.perf()?;
    let (mut waiting, mut fit) = (0, 0);
    for (_, ring) in buffers.rings() {
        let positions = ring.positions();
        waiting += positions.producer - positions.consumer;
        fit += u64::from(PERF_BUFFER_SIZE);
    }
    Some(format!("{waiting}/{fit}"))
}

/// Refuses what cannot be done with records; `hint` says what can.
pub(super) fn refuse(subject: &Subject, hint: &str) -> CommandResult {
    match Source::of(&subject.map) {
        None => Ok(()),
        Some(_) => Err(Complaint::new(format!(
            "{} is a {}: its records have no keys",
            subject.map.name(),
            subject.map.kind()
        ))
        .hint(hint)),
    }
}

/// Takes records out and shows them, as long as `pace` says.
pub(super) fn stream(
    session: &mut Session<'_>,
    source: &mut Source<'_>,
    value: Option<&str>,
    mut pace: Pace,
) -> CommandResult {
    let mut shown = 0u64;
    loop {
        let mut ended = false;
        while pace.admit() {
            let Some((origin, record)) = source.take()? else {
                pace.put_back();
                ended = true;
                break;
            };
            shown += 1;
            let layout = Layout::choose(value, record.len())?;
            writeln!(session.out(), "{origin}{}", layout.show(&record))?;
            if session.io.interrupted() {
                return Ok(());
            }
        }
        if !ended || !pace.is_limited() || !pace.go_on(session) {
            break;
        }
    }
    let (dropped, abandoned) = (source.dropped(), source.abandoned());
    writeln!(
        session.out(),
        "({}; {dropped} dropped and {abandoned} abandoned so far)",
        counted(shown, "record")
    )?;
    Ok(())
}
