//! Saying how cases ended.

use crate::{
    console::println,
    hostile::{
        arena::{self, ARENA, DATA, USER},
        frame::{End, Frame},
    },
};

/// Says how cases ended, each in a line.
#[derive(Default)]
pub(super) struct Teller {
    number: u64,
    all: u64,
}

impl Teller {
    /// Executes `frame` and says how it ended.
    pub(super) fn run(&mut self, mut frame: Frame) {
        let end = *frame.run();
        self.tell(&end);
    }

    /// Says how a case ended: what the exception says, and a digest of all registers and of all data.
    pub(super) fn tell(&mut self, end: &End) {
        let mut digest = 0xcbf2_9ce4_8422_2325;
        let rest = [
            end.sp_el1, end.sp_el0, end.esr, end.far, end.elr, end.spsr, end.vector,
        ];
        for value in end.x.iter().chain(&rest) {
            digest = mixed(digest, *value);
        }
        for at in (DATA..DATA + 0x1000).chain(USER..USER + 0x200).step_by(8) {
            digest = mixed(digest, arena::read(at));
        }
        for at in (ARENA + 0xb00..ARENA + 0xe00).step_by(64) {
            digest = mixed(digest, arena::read(at));
        }
        println!(
            "{} esr {:x} far {:x} elr {:x} spsr {:x} {digest:016x}",
            self.number, end.esr, end.far, end.elr, end.spsr
        );
        self.number += 1;
        self.all = mixed(self.all, digest);
    }

    /// Says how many `cases` there were, and how all of them ended.
    pub(super) fn sum_up(&self, cases: &str) {
        println!("{cases}: {} in all, {:016x}", self.number, self.all);
    }
}

fn mixed(digest: u64, value: u64) -> u64 {
    (digest ^ value ^ value >> 32)
        .wrapping_mul(0x100_0000_01b3)
        .rotate_left(29)
}
