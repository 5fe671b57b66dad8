//! Signing return addresses, which the simulator cannot do alone.

use std::path::Path;

use anyhow::{Result, ensure};
use axebpf_a64::{SigningKey, sign_return};

use crate::check::{expect, targets};
use crate::random::Random;
use crate::state::State;
use crate::{Aim, Class, Native, generate, oracle};

/// `PACIASP` and `PACIBSP`.
const SIGNING: Class = Class {
    name: "PACIASP, PACIBSP",
    mask: 0xffff_ffbf,
    value: 0xd503_233f,
    aim: Aim::Anything,
    native: Native::Runs,
};

/// Compares `cases` signatures of return addresses with what the processor makes of them.
///
/// The signature itself comes from `PACIA1716` or `PACIB1716` on the same processor.
///
/// # Errors
///
/// When one differs, or the oracle fails.
pub fn check_signing(cases: usize, oracle: &Path, random: &mut Random) -> Result<()> {
    let before: Vec<[State; 2]> = (0..cases).map(|_| pair(random)).collect();
    let after = oracle::execute(oracle, before.as_flattened())?;
    for ([before, _], [native, signed]) in before.iter().zip(after.as_chunks::<2>().0) {
        let key = SigningKey::of(before.word as u32);
        ensure!(key.is_some(), "{:#x} signs nothing", before.word);
        let mut after = *before;
        // It is in registers that it does something.
        after.memory = native.memory;
        let result = key.map_or(Ok(()), |key| {
            let sign = |_, _, _| signed.regs.regs[17];
            sign_return(key, &mut after.regs, targets(before), sign)
        });
        expect(before, result.map(|()| after), native)?;
    }
    Ok(())
}

/// Makes up a case, and one that signs the same in other registers.
fn pair(random: &mut Random) -> [State; 2] {
    let here = generate::case(&SIGNING, random);
    let mut there = generate::elsewhere(&here, random);
    // The same key, but X17 for X30 and X16 for SP.
    there.word = 0xd503_211f | here.word & 0x40;
    (there.regs.regs[17], there.regs.regs[16]) = (here.regs.regs[30], here.regs.sp);
    [here, there]
}
