//! Filters on registers.

use core::mem::offset_of;

use axebpf_hit::HitGuard;
use axebpf_hprobe::PtRegs;
use axebpf_platform::Vcpu;
use axebpf_tp::{Field, FieldFilter, FieldType, FilterError, Radix};
use zerocopy::{Immutable, IntoBytes};

/// What a filter looks at.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Record {
    regs: PtRegs,
    vm_id: u32,
    vcpu_id: u32,
    cpu: u32,
    padding: u32,
    duration_ns: u64,
    arguments: [u64; 8],
}

/// What the numbers of a VM and a vCPU are when none is loaded.
const NOBODY: u32 = u32::MAX;

/// What the place of a probe lets a filter name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    /// The registers, of which the first are arguments.
    Entry,
    /// The registers, of which the first is the result, and how long the call took.
    Return,
    /// The same, and the arguments that the call had.
    #[cfg(feature = "guest-kprobe")]
    ReturnWithArguments,
}

/// What is known of the call that returns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Call {
    /// How long it took.
    pub(super) duration_ns: u64,
    /// The registers x0 to x7 at its entry, where the engine keeps them.
    pub(super) arguments: [u64; 8],
}

/// A hit, as a filter sees it.
pub(super) struct FilteredHit<'h> {
    pub(super) guard: &'h HitGuard,
    /// The vCPU that is loaded.
    pub(super) vcpu: Option<Vcpu>,
    pub(super) regs: &'h PtRegs,
    pub(super) call: Option<Call>,
}

/// A condition on the registers at a hit, compiled.
pub(super) struct RegisterFilter(FieldFilter);

impl RegisterFilter {
    /// Compiles `text` for probes at such a place.
    pub(super) fn compile(text: &str, fields: Fields) -> Result<Self, FilterError> {
        let fields: &'static [Field] = match fields {
            Fields::Entry => &ENTRY,
            Fields::Return => &RETURN,
            #[cfg(feature = "guest-kprobe")]
            Fields::ReturnWithArguments => &RETURN_WITH_ARGUMENTS,
        };
        FieldFilter::compile(text, fields).map(Self)
    }

    /// Tells whether a hit passes.
    pub(super) fn passes(&self, hit: &FilteredHit<'_>) -> bool {
        let call = hit.call.unwrap_or_default();
        let record = Record {
            regs: *hit.regs,
            vm_id: hit.vcpu.map_or(NOBODY, |vcpu| vcpu.vm.get()),
            vcpu_id: hit.vcpu.map_or(NOBODY, |vcpu| vcpu.vcpu.get()),
            cpu: hit.guard.cpu().get(),
            padding: 0,
            duration_ns: call.duration_ns,
            arguments: call.arguments,
        };
        self.0.eval(record.as_bytes())
    }
}

const fn register(name: &'static str, number: usize) -> Field {
    const U64: FieldType = FieldType::Unsigned {
        size: 8,
        radix: Radix::Hex,
    };
    Field::new(name, "", U64, 8 * number)
}

const fn word(name: &'static str, help: &'static str, offset: usize) -> Field {
    const U32: FieldType = FieldType::Unsigned {
        size: 4,
        radix: Radix::Decimal,
    };
    Field::new(name, help, U32, offset)
}

/// The fields of both kinds, then those that `last` names.
macro_rules! fields {
    ($($last:expr),*) => {
        [
            word("vm_id", "the VM that is loaded", offset_of!(Record, vm_id)),
            word("vcpu_id", "its vCPU", offset_of!(Record, vcpu_id)),
            word("cpu", "the CPU", offset_of!(Record, cpu)),
            register("x0", 0), register("x1", 1), register("x2", 2), register("x3", 3),
            register("x4", 4), register("x5", 5), register("x6", 6), register("x7", 7),
            register("x8", 8), register("x9", 9), register("x10", 10), register("x11", 11),
            register("x12", 12), register("x13", 13), register("x14", 14), register("x15", 15),
            register("x16", 16), register("x17", 17), register("x18", 18), register("x19", 19),
            register("x20", 20), register("x21", 21), register("x22", 22), register("x23", 23),
            register("x24", 24), register("x25", 25), register("x26", 26), register("x27", 27),
            register("x28", 28), register("x29", 29), register("x30", 30),
            register("sp", 31), register("pc", 32), register("pstate", 33),
            $($last),*
        ]
    };
}

/// What a filter can name at an instruction.
static ENTRY: [Field; 45] = fields![
    register("arg0", 0),
    register("arg1", 1),
    register("arg2", 2),
    register("arg3", 3),
    register("arg4", 4),
    register("arg5", 5),
    register("arg6", 6),
    register("arg7", 7)
];

/// How long the call took.
const DURATION: Field = Field::new(
    "duration_ns",
    "how long the call took",
    FieldType::Unsigned {
        size: 8,
        radix: Radix::Decimal,
    },
    offset_of!(Record, duration_ns),
);

/// What a filter can name at a return, where the arguments are gone.
static RETURN: [Field; 39] = fields![register("ret", 0), DURATION];

/// The number of the first argument among the registers, as far as the place in the record goes.
#[cfg(feature = "guest-kprobe")]
const ARGUMENTS: usize = offset_of!(Record, arguments) / 8;

/// What a filter can name at a return whose entry has kept the arguments.
#[cfg(feature = "guest-kprobe")]
static RETURN_WITH_ARGUMENTS: [Field; 47] = fields![
    register("ret", 0),
    DURATION,
    register("arg0", ARGUMENTS),
    register("arg1", ARGUMENTS + 1),
    register("arg2", ARGUMENTS + 2),
    register("arg3", ARGUMENTS + 3),
    register("arg4", ARGUMENTS + 4),
    register("arg5", ARGUMENTS + 5),
    register("arg6", ARGUMENTS + 6),
    register("arg7", ARGUMENTS + 7)
];
