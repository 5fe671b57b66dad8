//! Loads and stores (ARM ARM C4.1.96).

use crate::class::{Execution, Refusal, Verdict, out_of_line_if};
use crate::insn::Insn;
use crate::operand::{Literal, Width};
use crate::vector_access;
use crate::word::Word;

/// Classifies a word of this group.
pub(crate) fn classify(word: Word) -> Verdict {
    if word.is(0x3b20_0c00, 0x1900_0400) {
        return Err(Refusal::MemoryOperation);
    }
    if word.bit(26) {
        return vector_access::classify(word);
    }
    match word.bits(29, 27) {
        0b001 if !word.bit(24) => ordered(word),
        // LDAPUR to STLUR.
        0b011 if word.is(0x0320_0c00, 0x0100_0000) => {
            out_of_line_if(transfer_is_allocated(word) && !is_prefetch(word))
        }
        0b011 if word.bits(25, 24) == 0 => literal(word),
        0b101 => pair(word),
        0b111 if word.bit(24) => out_of_line_if(transfer_is_allocated(word)),
        0b111 if word.bit(21) => indexed_or_atomic(word),
        0b111 => with_immediate(word),
        _ => Err(Refusal::Unknown),
    }
}

/// Classifies exclusives, compare-and-swap, and loads and stores with acquire and release.
fn ordered(word: Word) -> Verdict {
    let no_second = word.bits(14, 10) == 31;
    match (word.bit(23), word.bit(21)) {
        // CASP, for two sizes of registers, each an even number.
        (false, true) if !word.bit(31) => {
            let even = !word.bit(16) && !word.bit(0);
            out_of_line_if(no_second && even)
        }
        (false, _) => Err(Refusal::Exclusive),
        (true, false) => out_of_line_if(no_second && word.bits(20, 16) == 31),
        // CAS.
        (true, true) => out_of_line_if(no_second),
    }
}

/// Classifies and decodes loads of literals.
fn literal(word: Word) -> Verdict {
    let literal = match word.bits(31, 30) {
        0b00 => Literal::Word,
        0b01 => Literal::Doubleword,
        0b10 => Literal::SignedWord,
        // PRFM, which changes nothing.
        _ => return Ok(Execution::Simulate(Insn::Nop)),
    };
    Ok(Execution::Simulate(Insn::LoadLiteral {
        literal,
        dest: word.rd(),
        offset: word.signed(23, 5) << 2,
    }))
}

/// Classifies and decodes loads and stores of pairs.
fn pair(word: Word) -> Verdict {
    let (mode, is_load) = (word.bits(24, 23), word.bit(22));
    let (first, second, base) = (word.bits(4, 0), word.bits(14, 10), word.bits(9, 5));
    let width = match word.bits(31, 30) {
        0b00 => Width::W,
        0b10 => Width::X,
        // LDPSW, which has no variant without allocation.
        0b01 if is_load && mode != 0b00 => Width::W,
        _ => return Err(Refusal::Unknown),
    };
    let writes_base = matches!(mode, 0b01 | 0b11);
    if is_load && first == second || writes_base && base != 31 && (base == first || base == second)
    {
        return Err(Refusal::Unpredictable);
    }
    if is_load || mode != 0b11 {
        return Ok(Execution::OutOfLine);
    }
    let scale = match width {
        Width::W => 2,
        Width::X => 3,
    };
    Ok(Execution::Simulate(Insn::StorePairPre {
        first: word.rd(),
        second: crate::Reg::from_field(second),
        width,
        base: word.rn_sp(),
        offset: word.signed(21, 15) << scale,
    }))
}

/// Tells whether a load or store of one register has a valid size and kind, or is a prefetch.
fn transfer_is_allocated(word: Word) -> bool {
    !matches!((word.bits(31, 30), word.bits(23, 22)), (0b10 | 0b11, 0b11))
}

/// Tells whether a word that has the size and kind of a load or store is a prefetch.
fn is_prefetch(word: Word) -> bool {
    (word.bits(31, 30), word.bits(23, 22)) == (0b11, 0b10)
}

/// Classifies loads and stores of one register with an immediate of nine bits.
fn with_immediate(word: Word) -> Verdict {
    let mode = word.bits(11, 10);
    if !transfer_is_allocated(word) || is_prefetch(word) && mode != 0b00 {
        return Err(Refusal::Unknown);
    }
    let writes_base = mode & 1 == 1;
    let base = word.bits(9, 5);
    if writes_base && base != 31 && base == word.bits(4, 0) {
        return Err(Refusal::Unpredictable);
    }
    let width = match word.bits(31, 30) {
        0b10 => Width::W,
        0b11 => Width::X,
        _ => return Ok(Execution::OutOfLine),
    };
    let is_store = word.bits(23, 22) == 0;
    if mode != 0b11 || !is_store {
        return Ok(Execution::OutOfLine);
    }
    Ok(Execution::Simulate(Insn::StorePre {
        value: word.rd(),
        width,
        base: word.rn_sp(),
        offset: word.signed(20, 12),
    }))
}

/// Classifies loads and stores with a register as the offset, and atomics.
fn indexed_or_atomic(word: Word) -> Verdict {
    match word.bits(11, 10) {
        0b10 => out_of_line_if(word.bit(14) && transfer_is_allocated(word)),
        0b00 => out_of_line_if(atomic_is_allocated(word)),
        _ => authenticated(word),
    }
}

/// Classifies `LDRAA` and `LDRAB`.
fn authenticated(word: Word) -> Verdict {
    let base = word.bits(9, 5);
    if word.bits(31, 30) != 0b11 {
        return Err(Refusal::Unknown);
    }
    let writes_base = word.bit(11);
    if writes_base && base != 31 && base == word.bits(4, 0) {
        return Err(Refusal::Unpredictable);
    }
    Ok(Execution::OutOfLine)
}

/// Tells whether an atomic exists: `LDADD` to `LDUMIN`, `SWP`, `LDAPR`.
fn atomic_is_allocated(word: Word) -> bool {
    let acquires_only = word.bit(23) && !word.bit(22);
    match (word.bit(15), word.bits(14, 12)) {
        (false, _) | (true, 0b000) => true,
        (true, 0b100) => acquires_only && word.bits(20, 16) == 31,
        _ => false,
    }
}
