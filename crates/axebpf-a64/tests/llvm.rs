//! The decoder against an independent one: instruction words with what the disassembler of LLVM 22 says
//! about them.
//!
//! `data/llvm-22.txt` has one word and its disassembly on each line (`llvm-mc-22 --disassemble
//! --triple=aarch64 --mattr=+all`), up to four of each mnemonic, chosen from a million random words. A `?`
//! stands for words that are no instruction; a `!` goes before those whose effect LLVM takes for undefined.

use axebpf_a64::{Execution, Insn, Refusal, classify};

const LINES: &str = include_str!("data/llvm-22.txt");

/// One line of the file.
struct Line<'a> {
    word: u32,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn mnemonic(&self) -> &'a str {
        self.text.split(' ').next().unwrap()
    }

    fn operands(&self) -> Vec<&'a str> {
        let separators = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '#' | '-'));
        self.text
            .split(separators)
            .skip(1)
            .filter(|s| !s.is_empty())
            .collect()
    }

    /// Tells whether an operand is a vector, a predicate, a matrix or a floating-point register.
    fn has_vectors(&self) -> bool {
        self.operands().iter().any(|operand| {
            let number = operand
                .strip_prefix(|c| "bhsdqvzp".contains(c))
                .unwrap_or_default();
            number.parse::<u8>().is_ok() || operand.starts_with("za")
        })
    }

    /// Tells whether memory is accessed through a register, not by a literal.
    fn has_base(&self) -> bool {
        self.text.contains('[')
    }
}

fn lines() -> impl Iterator<Item = Line<'static>> {
    LINES.lines().map(|line| {
        let (word, text) = line.split_once(' ').unwrap();
        let word = u32::from_str_radix(word, 16).unwrap();
        Line { word, text }
    })
}

fn matches_any(mnemonic: &str, list: &str) -> bool {
    list.split_whitespace()
        .any(|entry| match entry.strip_suffix('*') {
            Some(start) => mnemonic.starts_with(start),
            None => mnemonic == entry,
        })
}

#[test]
fn nothing_is_accepted_that_is_no_defined_instruction() {
    // LLVM warns of unprivileged accesses whose base is also their operand, as if they wrote the base back,
    // which they never do.
    let no_writeback = "ldtr* sttr*";
    for line in lines().filter(|l| l.text.starts_with(['?', '!'])) {
        let name = line.text.split(' ').nth(1).unwrap_or_default();
        if !matches_any(name, no_writeback) {
            let class = classify(line.word);
            assert!(class.is_err(), "{:08x} {}", line.word, line.text);
        }
    }
}

#[test]
fn what_depends_on_its_place_or_on_not_being_trapped_never_goes_out_of_line() {
    let everywhere = "b b.* bc.* bl blr* br* ret* cb* tb* adr adrp brk hlt hvc smc svc udf dcps* eret* drps \
        ldx* ldax* stx* stlx* ldtx* sttx* ldatx* stltx* sys* tlbi* dc ic at cfp dvp cpp plbi gic bti nop tchange*";
    let literals = "ldr ldrsw prfm";
    for line in lines() {
        let mnemonic = line.mnemonic();
        if matches_any(mnemonic, everywhere) || matches_any(mnemonic, literals) && !line.has_base()
        {
            assert_ne!(
                classify(line.word),
                Ok(Execution::OutOfLine),
                "{:08x} {}",
                line.word,
                line.text
            );
        }
    }
}

#[test]
fn the_base_instruction_set_is_accepted() {
    let list = "adc adcs add adds adr adrp and ands asr b b.* bfi bfxil bic bics bl blr br bti cas casa casal casl \
        casb casab casalb caslb cash casah casalh caslh casp caspa caspal caspl cbnz cbz ccmn ccmp cinc cinv clrex cls clz \
        cmn cmp cneg crc32* csdb csel csinc csinv csneg dmb eon eor extr isb ldadd ldadda ldaddal ldaddl ldaddb ldclr* ldeor* \
        ldset* ldsmax* ldsmin* ldumax* ldumin* ldapr ldaprb ldaprh ldnp ldp ldpsw ldr ldrb ldrh ldrsb ldrsh ldrsw ldtr* ldur* \
        lsl lsr madd mneg mov movk msub mul mvn neg negs nop orn orr paciasp pacibsp autiasp autibsp prfm prfum rbit ret rev \
        rev16 rev32 ror sb sbc sbcs sbfiz sbfx sdiv sev sevl smaddl smnegl smsubl smulh smull stadd* stclr* steor* stset* stsmax* \
        stsmin* stumax* stumin* stnp stp str strb strh sttr* stur* sub subs swp swpa swpal swpl swpb swph sxtb sxth tbnz tbz \
        tst ubfiz ubfx udiv umaddl umnegl umsubl umulh umull uxtb wfe wfi xpaclri yield";
    // Pairs of 128 bits (`FEAT_LSE128`).
    let newer = "ldclrp* ldsetp*";
    let mut seen = 0;
    for line in lines().filter(|l| !l.has_vectors()) {
        let mnemonic = line.mnemonic();
        if matches_any(mnemonic, list) && !matches_any(mnemonic, newer) {
            let class = classify(line.word);
            let is_accepted = class.is_ok();
            assert!(is_accepted, "{:08x} {}: {class:?}", line.word, line.text);
            seen += 1;
        }
    }
    assert!(seen > 600, "{seen} words");
}

#[test]
fn exclusives_and_exceptions_are_called_what_they_are() {
    for line in lines().filter(|l| !l.text.starts_with('!')) {
        let expected = match line.mnemonic() {
            m if matches_any(m, "ldx* ldax* stx* stlx*") => Refusal::Exclusive,
            m if matches_any(m, "svc hvc smc brk hlt dcps* udf") => Refusal::Exception,
            m if matches_any(m, "eret eretaa eretab drps") => Refusal::ExceptionReturn,
            m if matches_any(m, "braa* brab* blraa* blrab*") => Refusal::AuthenticatedBranch,
            m if matches_any(m, "dc ic at tlbi sys sysl cfp") => Refusal::SystemInstruction,
            _ => continue,
        };
        assert_eq!(classify(line.word), Err(expected), "{}", line.text);
    }
}

/// Returns the distance that an instruction adds to its own address or to its base.
fn offset(insn: Insn) -> Option<i64> {
    match insn {
        Insn::Branch { offset }
        | Insn::BranchLink { offset }
        | Insn::BranchCond { offset, .. }
        | Insn::CompareBranch { offset, .. }
        | Insn::TestBranch { offset, .. }
        | Insn::Adr { offset, .. }
        | Insn::Adrp { offset, .. }
        | Insn::LoadLiteral { offset, .. }
        | Insn::StorePre { offset, .. }
        | Insn::StorePairPre { offset, .. } => Some(offset),
        _ => None,
    }
}

/// Returns the numbers of the general registers in the order in which they are written.
fn registers(insn: Insn) -> Option<Vec<usize>> {
    Some(match insn {
        Insn::CompareBranch { reg, .. } | Insn::TestBranch { reg, .. } => vec![reg.index()],
        Insn::BranchReg { target } | Insn::BranchLinkReg { target } => vec![target.index()],
        Insn::Adr { dest, .. } | Insn::Adrp { dest, .. } | Insn::LoadLiteral { dest, .. } => {
            vec![dest.index()]
        }
        Insn::Move { dest, source, .. } => vec![dest.index(), source.index()],
        Insn::StorePre { value, base, .. } => vec![value.index(), base.index()],
        Insn::StorePairPre {
            first,
            second,
            base,
            ..
        } => vec![first.index(), second.index(), base.index()],
        _ => return None,
    })
}

/// Returns the numbers of the general registers that a line writes.
fn written_registers(line: &Line<'_>) -> Vec<usize> {
    let number = |operand: &str| match operand {
        "sp" | "wsp" | "xzr" | "wzr" => Some(31),
        _ => operand.strip_prefix(['x', 'w'])?.parse().ok(),
    };
    line.operands().into_iter().filter_map(number).collect()
}

#[test]
fn offsets_and_registers_agree() {
    let mut seen = 0;
    for line in lines() {
        let Ok(Execution::Simulate(insn)) = classify(line.word) else {
            continue;
        };
        if let Some(offset) = offset(insn) {
            let last = line
                .operands()
                .into_iter()
                .rev()
                .find_map(|o| o.strip_prefix('#'));
            let expected: i64 = last.map_or(0, |text| text.parse().unwrap());
            assert_eq!(offset, expected, "{}", line.text);
            seen += 1;
        }
        if let Some(registers) = registers(insn) {
            assert_eq!(registers, written_registers(&line), "{}", line.text);
        }
    }
    assert!(seen > 60, "{seen} words");
}
