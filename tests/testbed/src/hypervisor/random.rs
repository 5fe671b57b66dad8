//! Numbers for guests that place themselves at random.
//!
//! This is a testbed, so that they need not be secrets, only other ones each time. They are made of what there is: what
//! QEMU says in the device tree of the machine, which is random but the same until the machine is started anew; `RNDR`,
//! which few processors have (`-cpu max` does, Cortex-A72 does not); and the counter, which anybody can read, but which
//! has another value each time.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{CNTPCT_EL0, Readable};
use dtoolkit::{Node, Property, fdt::Fdt};

use super::id_registers;

/// What the numbers so far and the machine's own have been mixed to.
static STATE: AtomicU64 = AtomicU64::new(0);

/// Takes the random number in the description of the machine, if there is one.
pub(crate) fn init(machine: &Fdt<'_>) {
    let chosen = machine.find_node("/chosen");
    let seed = chosen.and_then(|chosen| chosen.property("kaslr-seed")?.value_as::<u64>().ok());
    STATE.store(seed.unwrap_or_default(), Ordering::Relaxed);
}

/// Returns another number each time, and never 0.
pub(crate) fn number() -> u64 {
    let fresh = CNTPCT_EL0.get() ^ from_processor().unwrap_or_default();
    let number = mix(STATE.load(Ordering::Relaxed).wrapping_add(fresh));
    STATE.fetch_xor(number, Ordering::Relaxed);
    number.max(1)
}

/// Spreads each bit of `value` over all others: the last step of SplitMix64 (Steele, Lea, Flood: Fast Splittable
/// Pseudorandom Number Generators, 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Returns a random number of the processor, if it has some (ARM ARM, `RNDR`).
fn from_processor() -> Option<u64> {
    if !id_registers::has_random_numbers() {
        return None;
    }
    let (number, is_there): (u64, u64);
    // SAFETY: the processor has the register, which gives 0 and sets Z when it has no number within a reasonable time.
    unsafe {
        asm!(
            "mrs {number}, s3_3_c2_c4_0",
            "cset {is_there}, ne",
            number = out(reg) number,
            is_there = out(reg) is_there,
            options(nomem, nostack)
        )
    };
    (is_there != 0).then_some(number)
}
