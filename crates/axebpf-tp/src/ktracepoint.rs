//! Events that the host defines with the crate `ktracepoint`.
//!
//! `ktracepoint` hands each firing to a callback as bytes: Linux's common header, then the fields
//! as C lays them out. What it tells of the fields is their tracefs-style description, in Rust's
//! types, and a schema that looks each of them up by name; both together make our [`Field`]s.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;

use ktracepoint::tp_lexer::{FieldType as LexerType, Schema};
use ktracepoint::{KernelTraceOps, TraceCallbackType, TraceEventFunc, TracePoint, TracePointMap};
use spin::mutex::SpinMutex;

use crate::dispatch::dispatch;
use crate::duration::Duration;
use crate::error::TpError;
use crate::event::{Event, EventSpec};
use crate::field::{Field, FieldType, HEADER_LEN, MAX_RECORD_LEN, Radix};
use crate::key::{Key, Switch};
use crate::layout::padded_len;
use crate::lock::lock;

/// Makes the events that the host defines with `ktracepoint` events of this crate, and returns
/// them.
///
/// From [`init`](crate::init) on they are listed, found and subscribed to like all others: by their
/// group and name, with filters, statistics and the event buffer. Their first subscriber registers
/// a callback with `ktracepoint`, and the end of the last one unregisters it; what the host itself
/// has registered stays as it is. A record has our number for the event, the rest of the header as
/// `ktracepoint` filled it in, and the fields where `ktracepoint` puts them.
///
/// Integers of up to 8 bytes, `bool` and `[u8; N]`, which is taken as a string, become fields; other
/// fields are left out.
///
/// Call it after `ktracepoint::global_init_events`, once the host has stored the states that this
/// returns, and before [`init`](crate::init). What `ktracepoint` asks of callbacks holds for each
/// [`TraceHandler`](crate::TraceHandler): while it runs, the host may hold the lock of
/// `read_tracepoint_state`. Turning an event on and off writes the text of the program through the
/// host's `write_kernel_text`, with no fence but the host's.
///
/// # Errors
///
/// [`TpError::AlreadyInitialised`] after [`init`](crate::init), and [`TpError::RecordTooLong`] for
/// the first event whose fields do not fit into a record.
pub fn import_ktracepoints<K: KernelTraceOps>(
    tracepoints: &TracePointMap<K>,
) -> Result<Vec<&'static Event>, TpError> {
    let mut imports = lock(&IMPORTS)?;
    if imports.closed {
        return Err(TpError::AlreadyInitialised);
    }
    let specs = tracepoints
        .values()
        .map(|tracepoint| describe(tracepoint))
        .collect::<Result<Vec<_>, _>>()?;
    let events: Vec<_> = tracepoints
        .keys()
        .zip(specs)
        .map(|(id, spec)| adopt::<K>(*id, spec))
        .collect();
    imports.events.extend_from_slice(&events);
    Ok(events)
}

/// The events that were imported.
static IMPORTS: SpinMutex<Imports> = SpinMutex::new(Imports {
    events: Vec::new(),
    closed: false,
});

struct Imports {
    events: Vec<&'static Event>,
    /// Whether the registry has been made.
    closed: bool,
}

/// Returns what was imported, and lets nothing follow.
pub(crate) fn close() -> Result<Vec<&'static Event>, TpError> {
    let mut imports = lock(&IMPORTS)?;
    imports.closed = true;
    Ok(imports.events.clone())
}

/// What registers and unregisters our callback for one event.
struct Callback<K> {
    id: u32,
    callback: TraceCallbackType,
    host: PhantomData<fn() -> K>,
}

impl<K: KernelTraceOps> Switch for Callback<K> {
    fn set(&self, key: Key) {
        K::write_tracepoint_state(self.id, |state| match key {
            Key::On => state.register(self.callback.clone()),
            Key::Off => state.unregister(self.callback.clone()),
        });
    }
}

/// Makes the event of a description, for good.
fn adopt<K: KernelTraceOps>(id: u32, spec: EventSpec) -> &'static Event {
    let event: &'static Event = Box::leak(Box::new(Event::new(spec)));
    let function = TraceEventFunc::new(
        Box::new(move |entry, _data| fire(event, entry)),
        Box::new(()),
    );
    function.set_perf_enable(true);
    event.switch.call_once(|| {
        Box::leak(Box::new(Callback::<K> {
            id,
            callback: TraceCallbackType::Event(Arc::new(function)),
            host: PhantomData,
        }))
    });
    event
}

/// A record, aligned as handlers may expect.
#[repr(align(8))]
struct Record([u8; MAX_RECORD_LEN]);

/// Tells the subscribers of `event`. Copies only the fields: what lies between them was never
/// written.
fn fire(event: &'static Event, entry: &[u8]) {
    let mut record = Record([0; MAX_RECORD_LEN]);
    let fields = event
        .fields()
        .iter()
        .map(|field| field.offset()..field.offset() + field.size());
    for range in core::iter::once(0..HEADER_LEN).chain(fields) {
        match (entry.get(range.clone()), record.0.get_mut(range)) {
            (Some(from), Some(to)) => to.copy_from_slice(from),
            _ => return event.count_missed(),
        }
    }
    if let Some(record) = record.0.get_mut(..event.record_len()) {
        dispatch(event, record, None);
    }
}

/// Describes the event of a tracepoint in our terms.
fn describe<K: KernelTraceOps>(tracepoint: &TracePoint<K>) -> Result<EventSpec, TpError> {
    let full_name = leak(format!("{}:{}", tracepoint.system(), tracepoint.name()));
    let fields: Vec<_> = tracepoint
        .print_fmt()
        .lines()
        .take_while(|line| !line.starts_with("print fmt:"))
        .filter_map(|line| field(line, tracepoint.schema()))
        .collect();
    let len = padded_len(&fields);
    if len > MAX_RECORD_LEN {
        return Err(TpError::RecordTooLong {
            event: full_name,
            len,
            limit: MAX_RECORD_LEN,
        });
    }
    Ok(EventSpec {
        system: tracepoint.system(),
        name: tracepoint.name(),
        full_name,
        help: "An event of the host's.\n",
        fields: Vec::leak(fields),
        duration: Duration::None,
    })
}

/// Reads one line of a description, such as `field: u32 vm_id offset: 8; size: 4; signed: 0;`.
///
/// A type may contain spaces and semicolons (`[u8; 4]`), a name contains neither. The fields of the
/// header are not ours to describe.
fn field(line: &str, schema: &Schema) -> Option<Field> {
    let (declaration, place) = line
        .trim()
        .strip_prefix("field: ")?
        .split_once(" offset: ")?;
    let (rust_type, name) = declaration.trim_end_matches(';').rsplit_once(' ')?;
    let (ty, offset, size) = schema.get(name)?;
    if offset < HEADER_LEN {
        return None;
    }
    let ty = match (ty, size) {
        // `Option<u32>` is an integer to the schema, too.
        _ if rust_type.contains('<') => return None,
        (LexerType::Integer(_), 1) if rust_type == "bool" => FieldType::Bool,
        (LexerType::Integer(_), 1 | 2 | 4 | 8) if place.ends_with("signed: 1;") => {
            FieldType::Signed { size }
        }
        (LexerType::Integer(_), 1 | 2 | 4 | 8) => FieldType::Unsigned {
            size,
            radix: Radix::Decimal,
        },
        (LexerType::Bytes, 1..) if rust_type.starts_with("[u8;") => FieldType::Chars { len: size },
        _ => return None,
    };
    Some(Field::declare(leak(String::from(name)), "", ty).at(offset))
}

/// Makes a string for good.
fn leak(text: String) -> &'static str {
    text.leak()
}
