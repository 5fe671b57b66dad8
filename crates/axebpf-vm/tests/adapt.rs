//! Objects adapted to the types of their target. The types are in `tests/objects/core_target.c`.

mod support;

use axebpf_platform::mock::MOCK;
use axebpf_vm::{Context, LoadError, LoadOptions, Object, ObjectFile, ProgramDefinition, RunError};
use support::run_on;

const CORE: &[u8] = include_bytes!("objects/core.o");
const TARGET: &[u8] = include_bytes!("objects/core_target.btf");

fn load() -> Object {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let file = ObjectFile::parse_for(CORE, TARGET).expect("an object that fits the target");
    file.load(&LoadOptions::new())
        .expect("an acceptable object")
}

/// Runs a program on a `struct vcpu` of the target, each byte of which is its offset; returns the answers.
fn run(name: &str, change: impl FnOnce(&mut [u8])) -> (Result<u64, RunError>, Vec<u64>) {
    let object = load();
    let mut memory = [0u8; 320];
    for (offset, byte) in (0..).zip(&mut memory[..128]) {
        *byte = offset;
    }
    change(&mut memory);
    let program = object.program(name).expect("a program of this name");
    let result = run_on(program, Context::writable(&mut memory));
    let words = memory[160..].as_chunks().0.iter();
    (
        result,
        words.map(|word| u64::from_le_bytes(*word)).collect(),
    )
}

/// Returns the little-endian number of bytes that are their own offsets.
fn at(offset: u8, len: u8) -> u64 {
    (0..len).fold(0, |value, byte| {
        value | u64::from(offset + byte) << (byte * 8)
    })
}

#[test]
fn fields_are_where_the_target_has_them() {
    let (result, answers) = run("fields", |_| {});
    assert_eq!(result, Ok(0));
    assert_eq!(answers[0], at(96, 4), "in a struct without a name");
    assert_eq!(answers[1], at(52, 4), "in an element of an array");
    assert_eq!(answers[2], at(112, 8), "grown");
    assert_eq!(answers[3], at(88, 4), "in a union in a struct");
}

#[test]
fn fields_are_described() {
    let (_, answers) = run("fields", |_| {});
    assert_eq!(answers[4..7], [1, 0, 0], "whether they exist");
    assert_eq!(answers[7], 80, "how long they are");
    assert_eq!(answers[8..10], [1, 0], "whether they have a sign");
    assert_eq!(answers[10], 96, "where they are");
    assert_eq!(answers[11], 0, "in a type that does not exist");
}

#[test]
fn bit_fields_are_read() {
    let (result, answers) = run("bits", |memory| {
        memory[122..124].copy_from_slice(&(0b101_1001 << 5 | 0x1f_u16).to_le_bytes());
    });
    assert_eq!((result, answers[0]), (Ok(0), 0b101_1001));
}

#[test]
fn types_and_enumerations_are_described() {
    let (result, answers) = run("types", |_| {});
    assert_eq!(result, Ok(0));
    assert_eq!(answers[..2], [1, 0], "whether they exist");
    assert_eq!(answers[2], 128, "how long they are");
    assert_eq!(answers[3..5], [1, 0], "whether they have the same members");
    assert_ne!(answers[5], 0, "their number");
    assert_eq!(answers[6..9], [1, 0, 9], "values of enumerations");
}

#[test]
fn what_is_missing_stops_only_who_goes_there() {
    assert_eq!(
        run("guarded", |_| {}),
        (Ok(0), {
            let mut answers = vec![0; 20];
            answers[0] = 7;
            answers
        })
    );
    assert_eq!(run("sometimes", |_| {}).0, Ok(0));
    let (result, _) = run("sometimes", |memory| memory[0] = 1);
    let error = result.expect_err("the field is missing");
    assert!(matches!(error, RunError::MissingInTarget { .. }), "{error}");
    let object = load();
    let program = object.program("sometimes").expect("the program");
    let insn = error.insn().expect("an instruction");
    assert_eq!(program.missing_in_target(insn), Some("vcpu.missing"));
    assert_eq!(program.missing_in_target(insn + 1), None);
    let line = program.source_line(insn).expect("the object has lines");
    assert!(line.file().ends_with("core.bpf.c"), "{line}");
    assert_eq!(line.text(), "ask(20, vcpu->missing);");
    assert!(line.line() > 100 && line.column() > 0, "{line}");
}

#[test]
fn what_is_missing_in_any_case_is_refused() {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let file = ObjectFile::parse_for(CORE, TARGET).expect("an object that fits the target");
    let options = LoadOptions::new();
    let unguarded = |program: &ProgramDefinition| program.name() == "unguarded";
    let error = file
        .load(&options.with_programs(&unguarded))
        .expect_err("the field is missing");
    let text = error.to_string();
    assert!(
        text.contains("types have no vcpu.missing") && text.contains("core.bpf.c"),
        "{text}"
    );
    assert!(matches!(error, LoadError::MissingInTarget { .. }), "{text}");
}

#[test]
fn an_object_that_needs_types_is_refused_without() {
    let error = ObjectFile::parse(CORE).expect_err("there is no target");
    assert!(
        matches!(&error, LoadError::NoTargetTypes { section, .. } if section.starts_with("tracepoint/")),
        "{error}"
    );
}

#[test]
fn broken_types_are_refused() {
    for len in 0..TARGET.len() {
        let result = ObjectFile::parse_for(CORE, &TARGET[..len]);
        assert!(matches!(result, Err(LoadError::BadBtf { .. })), "{len}");
    }
    // Whatever a byte is changed to, the answer is an object or an error.
    for at in 0..TARGET.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut types = TARGET.to_vec();
            types[at] = value;
            let _ = ObjectFile::parse_for(CORE, &types);
        }
    }
}
