//! What is accepted, against LLVM's disassembler, and against the classes that are compared with a processor.

use axebpf_a64::{Execution, classify};
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

/// Asks LLVM about accepted words, and returns those that are no defined instruction.
fn undefined(llvm: &Disassembler, words: &[u32]) -> Vec<String> {
    let verdicts = llvm.verdicts(words).unwrap();
    let bad = words
        .iter()
        .zip(verdicts)
        .filter_map(|(word, verdict)| match verdict {
            Verdict::Nothing => Some(format!("{word:08x} is no instruction")),
            Verdict::Undefined(text) if !is_mistaken(&text) => {
                Some(format!("{word:08x} {text} is undefined"))
            }
            _ => None,
        });
    bad.collect()
}

#[test]
fn nothing_is_accepted_that_llvm_takes_for_undefined() {
    let settings = Settings::read().unwrap();
    let llvm = Disassembler::find().expect("llvm-mc (Debian's package llvm-22)");
    let mut random = Random::new(settings.seed);
    let mut left = settings.cases * 100;
    while left > 0 {
        let words = accepted(&mut random, left.min(BATCH));
        let bad = undefined(&llvm, &words);
        assert!(
            bad.is_empty(),
            "{} words:\n{}",
            bad.len(),
            bad[..bad.len().min(60)].join("\n")
        );
        left -= words.len();
    }
    let classes = [simulated(), out_of_line(), vectors()];
    for class in classes.into_iter().flatten() {
        let words: Vec<u32> = (0..settings.cases)
            .map(|_| random.word() & !class.mask | class.value)
            .filter(|&word| classify(word).is_ok())
            .collect();
        let bad = undefined(&llvm, &words);
        assert!(
            bad.is_empty(),
            "{}: {} words:\n{}",
            class.name,
            bad.len(),
            bad[..bad.len().min(60)].join("\n")
        );
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
