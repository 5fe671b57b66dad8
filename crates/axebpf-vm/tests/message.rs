//! The helper for messages, and what a sink may do.

mod support;

use std::sync::Mutex;

use axebpf_hit::HitGuard;
use axebpf_maps::{MapKind, MapSpec, UpdateFlags};
use axebpf_vm::{Context, PrintkFull, PrintkRecord, PrintkSink, Program, RunEnv, RunError};
use support::{
    EXIT, add, call, insn, lddw, map, mov, mov_reg, program, program_with, run_in, store64_imm,
};

const EINVAL: u64 = -22i64 as u64;
const EBUSY: u64 = -16i64 as u64;

/// Keeps the messages as text.
#[derive(Default)]
struct Messages {
    texts: Mutex<Vec<String>>,
    full: bool,
}

impl PrintkSink for Messages {
    fn record(&self, _guard: &HitGuard, record: PrintkRecord<'_>) -> Result<(), PrintkFull> {
        if self.full {
            return Err(PrintkFull);
        }
        self.texts
            .lock()
            .expect("an unpoisoned lock")
            .push(record.to_string());
        Ok(())
    }
}

/// Prints `format`, which is in read-only data, with three values.
fn print(format: &[u8], values: [u64; 3], sink: &Messages) -> u64 {
    let spec = MapSpec::new(MapKind::Array, 4, format.len() as u32, 1);
    let data = map(&spec);
    data.write(&0u32.to_ne_bytes(), format, UpdateFlags::Any)
        .expect("a writable map");
    let mut insns = vec![
        insn(0x18, 1, 6, 0, 0),
        insn(0, 0, 0, 0, 0),
        mov(2, format.len() as i32),
    ];
    for (register, value) in (3..).zip(values) {
        insns.extend(lddw(register, value));
    }
    insns.extend([call(6), EXIT]);
    let program = program_with(&insns, std::slice::from_ref(&data));
    run_in(
        &program,
        Context::new(&[]),
        &RunEnv::new().with_printk(sink),
    )
    .expect("a run to the end")
}

#[test]
fn printk_records_messages() {
    let sink = Messages::default();
    let text = c"who is there";
    let address = text.as_ptr().expose_provenance() as u64;
    assert_eq!(
        print(b"%d %llx %s\0", [u64::MAX, 0x1234, address], &sink),
        11
    );
    assert_eq!(print(b"plain\0", [0; 3], &sink), 6);
    assert_eq!(print(b"%s|%s|%u\0", [address, 0, 3], &sink), 9);
    let texts = sink.texts.into_inner().expect("an unpoisoned lock");
    assert_eq!(texts, ["-1 1234 who is there", "plain", "who is there||3"]);
}

#[test]
fn printk_refuses_what_linux_refuses() {
    let sink = Messages::default();
    assert_eq!(
        print(b"%d %d %d %d\0", [0; 3], &sink),
        EINVAL,
        "four values"
    );
    assert_eq!(
        print(b"%y\0", [0; 3], &sink),
        EINVAL,
        "an unknown conversion"
    );
    assert_eq!(
        print(b"no end", [0; 3], &sink),
        EINVAL,
        "no terminating NUL"
    );
    assert_eq!(
        print(b"100%\0", [0; 3], &sink),
        EINVAL,
        "nothing after the percent sign"
    );
    let full = Messages {
        full: true,
        ..Messages::default()
    };
    assert_eq!(print(b"plain\0", [0; 3], &full), EBUSY);
    assert!(
        sink.texts
            .into_inner()
            .expect("an unpoisoned lock")
            .is_empty()
    );
}

#[test]
fn a_program_cannot_run_another_one_on_its_cpu() {
    struct Nested(Program);
    impl PrintkSink for Nested {
        fn record(&self, guard: &HitGuard, _: PrintkRecord<'_>) -> Result<(), PrintkFull> {
            let error = self.0.run(guard, Context::new(&[]), &RunEnv::new());
            assert_eq!(error, Err(RunError::Nested));
            Ok(())
        }
    }
    let inner = program(&[mov(0, 0), EXIT]).expect("an acceptable program");
    let sink = Nested(inner);
    let outer = [
        store64_imm(10, -8, 0x21),
        mov_reg(1, 10),
        add(1, -8),
        mov(2, 2),
        call(6),
        EXIT,
    ];
    let outer = program(&outer).expect("an acceptable program");
    assert_eq!(
        run_in(&outer, Context::new(&[]), &RunEnv::new().with_printk(&sink)),
        Ok(2)
    );
    assert_eq!(sink.0.stats().other_aborts, 1);
}
