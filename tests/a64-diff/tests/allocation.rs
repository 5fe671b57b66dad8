//! What is accepted, against LLVM's disassembler, and against the classes that are compared with a processor.

use axebpf_a64::{BranchTargets, Execution, Memory, MemoryFault, PtRegs, classify, simulate};
use axebpf_a64_diff::{
    Class, Disassembler, Random, Settings, Verdict, out_of_line, simulated, vectors,
};

/// How many random words LLVM is asked about at once.
const BATCH: usize = 100_000;

fn accepted(random: &mut Random, count: usize) -> Vec<u32> {
    let mut words = std::iter::repeat_with(|| random.word());
    words
        .by_ref()
        .filter(|&word| classify(word).is_ok())
        .take(count)
        .collect()
}

/// Tells whether LLVM warns of `text` without reason: as if an unprivileged access wrote its base back.
fn is_mistaken(text: &str) -> bool {
    text.starts_with("ldtr") || text.starts_with("sttr")
}

/// Asks LLVM about accepted words, and fails if one is no defined instruction.
fn assert_defined(llvm: &Disassembler, words: &[u32]) {
    let verdicts = llvm.verdicts(words).unwrap();
    let bad: Vec<String> = words
        .iter()
        .zip(verdicts)
        .filter_map(|(word, verdict)| match verdict {
            Verdict::Nothing => Some(format!("{word:08x} is no instruction")),
            Verdict::Undefined(text) if !is_mistaken(&text) => {
                Some(format!("{word:08x} {text} is undefined"))
            }
            _ => None,
        })
        .collect();
    let few = &bad[..bad.len().min(40)];
    assert!(bad.is_empty(), "{} words:\n{}", bad.len(), few.join("\n"));
}

#[test]
fn nothing_is_accepted_that_llvm_takes_for_undefined() {
    let settings = Settings::read().unwrap();
    let llvm = Disassembler::find().expect("llvm-mc (Debian's package llvm-22)");
    let mut random = Random::new(settings.seed);
    let mut left = settings.cases * 20;
    while left > 0 {
        let words = accepted(&mut random, left.min(BATCH));
        assert_defined(&llvm, &words);
        left -= words.len();
    }
    // Some classes have few words.
    let classes = [simulated(), out_of_line(), vectors()];
    for class in classes.into_iter().flatten() {
        let words: Vec<u32> = (0..settings.cases)
            .map(|_| random.word() & !class.mask | class.value)
            .filter(|&word| classify(word).is_ok())
            .collect();
        assert_defined(&llvm, &words);
    }
}

#[test]
fn every_accepted_word_is_in_a_class_that_is_compared() {
    let settings = Settings::read().unwrap();
    let mut random = Random::new(settings.seed);
    for word in accepted(&mut random, settings.cases * 500) {
        let is_in = |classes: &[Class]| classes.iter().any(|class| class.has(word));
        let found = match classify(word) {
            Ok(Execution::Simulate(_)) => is_in(simulated()),
            _ => is_in(out_of_line()) || is_in(vectors()),
        };
        assert!(found, "{word:#010x}");
    }
}

/// Memory that is nowhere.
struct Nowhere;

impl Memory for Nowhere {
    fn read(&mut self, addr: u64, _: &mut [u8]) -> Result<(), MemoryFault> {
        Err(MemoryFault { addr })
    }

    fn write(&mut self, addr: u64, _: &[u8]) -> Result<(), MemoryFault> {
        Err(MemoryFault { addr })
    }
}

#[test]
fn every_word_is_classified_and_what_is_simulated_can_be() {
    let stride = Settings::read().unwrap().stride;
    let start = PtRegs {
        pc: 0xffff_8000_1234_5678,
        pstate: 0x9,
        ..PtRegs::default()
    };
    let mut counts = [0_u64; 3];
    for word in (0..=u32::MAX).step_by(stride) {
        let kind = match classify(word) {
            Ok(Execution::OutOfLine) => 0,
            Ok(Execution::Simulate(insn)) => {
                let mut regs = start;
                let result = simulate(insn, &mut regs, &mut Nowhere, BranchTargets::Guarded);
                // Only an exception leaves everything as it was; a branch may go where it is.
                let may_stay = result.is_err() || insn.branch_offset() == Some(0);
                assert!(regs.pc != start.pc || may_stay, "{word:#010x}");
                1
            }
            Err(_) => 2,
        };
        counts[kind] += 1;
    }
    println!("out of line, simulated, refused: {counts:?}");
    assert!(counts.iter().all(|&count| count > 0));
}
