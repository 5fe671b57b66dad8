//! The event that the filters are about.

use axebpf_tp::{Str, define_event};

define_event! {
    /// What the filters are about.
    pub(crate) event test:subject as Subject {
        small: u8,
        flags: u32,
        big: u64,
        delta: i32,
        far: i64,
        on: bool,
        name: Str<8>,
    }
}

/// The fields of a record.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) small: u8,
    pub(crate) flags: u32,
    pub(crate) big: u64,
    pub(crate) delta: i32,
    pub(crate) far: i64,
    pub(crate) on: bool,
    pub(crate) name: String,
}

impl Values {
    /// Lays the fields out as the event does.
    pub(crate) fn record(&self) -> Vec<u8> {
        let mut record = vec![0; subject.record_len()];
        let mut put = |name: &str, bytes: &[u8]| {
            let at = subject.field(name).unwrap().offset();
            record[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put("small", &[self.small]);
        put("flags", &self.flags.to_ne_bytes());
        put("big", &self.big.to_ne_bytes());
        put("delta", &self.delta.to_ne_bytes());
        put("far", &self.far.to_ne_bytes());
        put("on", &[u8::from(self.on)]);
        put("name", self.name.as_bytes());
        record
    }

    pub(crate) fn number(&self, field: &str) -> i128 {
        match field {
            "small" => self.small.into(),
            "flags" => self.flags.into(),
            "big" => self.big.into(),
            "delta" => self.delta.into(),
            "far" => self.far.into(),
            "on" => self.on.into(),
            other => panic!("{other}"),
        }
    }
}
