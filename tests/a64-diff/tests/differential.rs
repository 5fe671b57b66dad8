//! Accepted instructions, on the processor and through the simulator, or at two places.

use axebpf_a64_diff::{
    Class, Native, Random, Settings, check, check_signing, out_of_line, simulated, vectors,
};

/// Compares the cases of all `classes`, and prints how many there were of each.
fn compare(classes: &[Class]) {
    let settings = Settings::read().unwrap();
    let mut failures = Vec::new();
    for class in classes.iter().filter(|class| class.native == Native::Runs) {
        let mut random = Random::new(settings.seed ^ u64::from(class.value));
        match check(class, settings.cases, &settings.oracle, &mut random) {
            Ok(report) => println!(
                "{:<40} {:>7} cases, {:>6} exceptions",
                class.name, report.cases, report.faults
            ),
            Err(error) => failures.push(format!("{}: {error:#}", class.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn simulated_instructions_do_what_the_processor_does() {
    compare(simulated());
}

#[test]
fn displaced_instructions_do_the_same_elsewhere() {
    compare(out_of_line());
}

#[test]
fn displaced_vector_instructions_do_the_same_elsewhere() {
    compare(vectors());
}

#[test]
fn return_addresses_are_signed_as_the_processor_signs_them() {
    let settings = Settings::read().unwrap();
    let mut random = Random::new(settings.seed);
    check_signing(settings.cases, &settings.oracle, &mut random).unwrap();
}
