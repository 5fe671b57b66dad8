//! Filters on registers.

use core::mem::offset_of;

use axebpf_hprobe::{HprobeHit, ProbeKind, PtRegs};
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
}

/// What the numbers of a VM and a vCPU are when none is loaded.
const NOBODY: u32 = u32::MAX;

/// A condition on the registers at a hit, compiled.
pub(super) struct RegisterFilter(FieldFilter);

impl RegisterFilter {
    /// Compiles `text` for probes of this kind.
    pub(super) fn compile(text: &str, kind: ProbeKind) -> Result<Self, FilterError> {
        let fields: &'static [Field] = match kind {
            ProbeKind::Entry => &ENTRY,
            ProbeKind::Return => &RETURN,
        };
        FieldFilter::compile(text, fields).map(Self)
    }

    /// Tells whether a hit passes.
    pub(super) fn passes(&self, hit: &HprobeHit<'_>, duration_ns: Option<u64>) -> bool {
        let vcpu = hit.guard.platform().current_vcpu();
        let record = Record {
            regs: *hit.regs,
            vm_id: vcpu.map_or(NOBODY, |vcpu| vcpu.vm.get()),
            vcpu_id: vcpu.map_or(NOBODY, |vcpu| vcpu.vcpu.get()),
            cpu: hit.guard.cpu().get(),
            padding: 0,
            duration_ns: duration_ns.unwrap_or(0),
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

/// What a filter can name at a return, where the arguments are gone.
static RETURN: [Field; 39] = fields![
    register("ret", 0),
    Field::new(
        "duration_ns",
        "how long the call took",
        FieldType::Unsigned {
            size: 8,
            radix: Radix::Decimal,
        },
        offset_of!(Record, duration_ns),
    )
];
