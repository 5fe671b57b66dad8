//! Translation tables of all kinds, about which the hypervisor compares its walker with the processor.
//!
//! The tables are pseudo-random: some tens of them, whose descriptors are of every kind, lead to each other and to
//! themselves, to devices, outside of the memory, and to pages and blocks with all combinations of attributes.
//! Registers choose granules, sizes and features. The hypervisor puts them into the processor for as long as it asks.

mod features;
mod kinds;
mod plan;
mod tables;

use crate::{
    console::println,
    hypercall::{self, TranslationTally},
    random::Random,
};
use features::Features;
use kinds::Kinds;
use plan::{Plan, Range};

/// How many translation regimes are tried.
const PLANS: u64 = 96;
/// How many addresses in each range of each.
const ADDRESSES: usize = 512;
/// Where the requests are, behind all tables.
const REQUEST: u64 = 0x40f0_0000;

/// A request, as the hypervisor reads it.
#[repr(C)]
struct Request {
    ttbr0: u64,
    ttbr1: u64,
    tcr: u64,
    sctlr: u64,
    addresses: [u64; ADDRESSES],
}

/// Tries all regimes, says what came of it, and switches the virtual machine off.
pub(crate) fn run() -> ! {
    let features = Features::read();
    println!("translation: features: {features:?}");
    let mut kinds = Kinds::default();
    for number in 0..PLANS {
        let mut random = Random::new(number + 1);
        let plan = Plan::new(number, &features, &mut random);
        let bases = tables::build(&plan, &mut random);
        let mut both = TranslationTally::default();
        for range in &plan.ranges {
            let tally = check(&plan, range, bases, &mut random);
            kinds.add(&plan, range, &tally);
            both.add(&tally);
        }
        if number % 8 == 0 || both.wrong != 0 {
            println!("translation: {number}: {plan:?}: {both}");
        }
    }
    kinds.tell();
    crate::start::switch_off()
}

/// Has the hypervisor check addresses of `range`, one of `plan`, whose tables are at `bases`.
fn check(
    plan: &Plan,
    range: &Range,
    [ttbr0, ttbr1]: [u64; 2],
    random: &mut Random,
) -> TranslationTally {
    let request = REQUEST as *mut Request;
    // SAFETY: the memory from `REQUEST` on belongs to the guest, is mapped, and is used by nothing else.
    let request = unsafe { &mut *request };
    request.ttbr0 = ttbr0;
    request.ttbr1 = ttbr1;
    request.tcr = plan.tcr();
    request.sctlr = plan.sctlr();
    for address in &mut request.addresses {
        *address = range.address(random);
    }
    hypercall::check_translation(REQUEST, ADDRESSES as u64)
}
