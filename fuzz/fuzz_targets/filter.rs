//! Any text is a filter or an error, and a filter takes any record.
#![no_main]

use axebpf_tp::{Filter, vmm};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (text, record) = match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let Ok(text) = core::str::from_utf8(text) else { return };
    if let Ok(filter) = Filter::compile(text, &vmm::vcpu_run_exit) {
        let _ = filter.eval(record);
        let again = Filter::compile(filter.as_str(), &vmm::vcpu_run_exit);
        assert!(again.is_ok(), "a filter's own text does not compile");
    }
});
