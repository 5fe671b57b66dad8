//! One vCPU executes what is probed while the other one changes it, or what leads there.

use core::sync::atomic::{AtomicU64, Ordering};

use super::{
    arena::{self, ALIAS, DATA, MIXED, MOVING, OTHER_TEXT, TEXT, through},
    cases::frame,
    frame::End,
    rival::{self, Job},
    text::{self, piece},
};
use crate::{console::println, random::Random};

// Exception classes (ARM ARM D24.2.40).
const UNKNOWN: u64 = 0x00;
const SUPERVISOR_CALL: u64 = 0x15;
const FETCH_FAULT: u64 = 0x21;
const DATA_FAULT: u64 = 0x25;

/// Writes over the text in a loop.
pub(super) fn rewrite(times: u64) {
    const ADD_1: u32 = 0x9100_0400;
    const ADD_2: u32 = 0x9100_0800;
    const MOVE_3: u32 = 0xd280_0060;
    const SVC: u32 = 0xd400_0aa1;
    const UDF: u32 = 0;
    const LDXR: u32 = 0xc85f_7c20;
    let once = |_| {
        let mut frame = frame(TEXT, piece::REWRITTEN);
        frame.x[0] = 0;
        frame.x[1] = DATA + 0x500;
        let end = frame.run();
        match end.class() {
            UNKNOWN => true,
            SUPERVISOR_CALL => end.esr & 0xffff == 0x55,
            _ => end.is_brk(1) && end.x[0] <= 3,
        }
    };
    // Once as it is: after that, a trap that can be seen is gone.
    let is_first_right = once(0);
    let words = [ADD_1, ADD_2, SVC, MOVE_3, UDF, LDXR, ADD_1];
    let wrong = rival::with(Job { once, times }, |round| {
        let word = words[(round % words.len() as u64) as usize];
        let place = text::at(TEXT, piece::REWRITTEN);
        arena::write_instruction(place - TEXT + ALIAS, place, word);
        settle_mostly(round);
    });
    let wrong = wrong + u64::from(!is_first_right);
    text::restore(piece::REWRITTEN);
    println!("rewrite: {times} times, {wrong} wrong");
}

/// Gives what is there after `round` its time; but things also change in the midst of an execution.
fn settle_mostly(round: u64) {
    if !round.is_multiple_of(3) {
        rival::settle();
    }
}

/// Maps the text now here, now there.
pub(super) fn remap(times: u64) {
    let once = |_| {
        let mut frame = frame(MOVING, piece::ADD);
        frame.x[0] = 0;
        let end = frame.run();
        end.class() == FETCH_FAULT || end.is_brk(1) && matches!(end.x[0], 1 | 2)
    };
    let wrong = rival::with(Job { once, times }, |round| {
        arena::move_to([OTHER_TEXT, MOVING][(round % 2) as usize]);
        settle_mostly(round);
    });
    arena::move_to(MOVING);
    println!("remap: {times} times, {wrong} wrong");
}

/// Changes the tables of the upper half, through which both the text and its data are reached.
pub(super) fn storm(times: u64) {
    let once = |round| {
        let mut random = Random::new(round + 1);
        let inside = random.below(1 << 30) & !7;
        let upper = through(random.below(64), inside);
        let offset = TEXT - 0x4000_0000;
        let page = random.one_of(&[TEXT, through(3, offset), through(11, offset)]);
        let number = random.one_of(&[piece::LOAD, piece::PUSH, piece::ADD]);
        let mut frame = frame(page, number);
        frame.x[29] = upper;
        // Where a page of the guest's own tables or text may be, only loads are tried.
        frame.x[1] = upper;
        let end: &End = frame.run();
        matches!(end.class(), FETCH_FAULT | DATA_FAULT) || end.is_brk(1)
    };
    let mut random = Random::new(times);
    let wrong = rival::with(Job { once, times }, |_| {
        let index = random.below(64);
        arena::set_upper_like(index, random.below(8));
        arena::invalidate();
    });
    (0..64).for_each(|index| arena::set_upper_like(index, index));
    arena::invalidate();
    println!("storm: {times} times, {wrong} wrong");
}

/// Where in the page of text the counters are.
const PLAIN: u64 = MIXED + 0x400;
const SHARED: u64 = MIXED + 0x440;

/// Writes data that is in the same page as the text.
pub(super) fn share(times: u64) {
    arena::write(PLAIN, 0);
    arena::write(SHARED, 0);
    let once = |_| {
        let mut frame = frame(MIXED + 0x800, piece::ADD);
        frame.x[0] = 40;
        frame.x[1] = 2;
        let is_right = frame.run().x[0] == 42;
        add_one();
        is_right
    };
    let mut own = 0;
    let wrong = rival::with(Job { once, times }, |round| {
        arena::write(PLAIN, round + 1);
        own = round + 1;
        if arena::read(PLAIN) != round + 1 {
            own = u64::MAX;
        }
        add_one();
    });
    let lost = (times + own).wrapping_sub(arena::read(SHARED));
    println!("share: {times} times, {wrong} wrong, {lost} lost");
}

/// Adds one to the counter that both vCPUs have, with exclusives.
fn add_one() {
    let counter = SHARED as *const AtomicU64;
    // SAFETY: the place is aligned memory of the arena, which is accessed as this type alone while both vCPUs run.
    unsafe { &*counter }.fetch_add(1, Ordering::Relaxed);
}

/// Switches the second vCPU off and on in between.
pub(super) fn reset(times: u64) {
    const EACH: u64 = 10;
    let once = |_| {
        let mut frame = frame(TEXT, piece::ADD);
        frame.x[0] = 40;
        frame.x[1] = 2;
        frame.run().x[0] == 42
    };
    let mut wrong = 0;
    let mut done = 0;
    for _ in 0..times {
        wrong += rival::with(Job { once, times: EACH }, |_| core::hint::spin_loop());
        done += rival::done();
    }
    println!("reset: {done} times, {wrong} wrong");
}
