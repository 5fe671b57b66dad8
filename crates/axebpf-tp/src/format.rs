//! The tracefs-style description of an event, and the text form of its records.

use core::fmt;

use crate::event::Event;
use crate::field::{Field, FieldType};

/// The fields of the common header, as tracefs describes them: C declaration, offset, size, sign.
const COMMON: [(&str, usize, usize, u8); 4] = [
    ("unsigned short common_type", 0, 2, 0),
    ("unsigned char common_flags", 2, 1, 0),
    ("unsigned char common_preempt_count", 3, 1, 0),
    ("int common_pid", 4, 4, 1),
];

impl Event {
    /// Writes the description that `/sys/kernel/tracing/events/*/*/format` would hold on Linux.
    ///
    /// Existing parsers read it (`tep_parse_event` of libtraceevent, bpftrace, perf). `init` has to
    /// have given the event its number.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub fn format(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "name: {}\nID: {}\nformat:", self.name(), self.id())?;
        for (declaration, offset, size, signed) in COMMON {
            writeln!(
                out,
                "\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};"
            )?;
        }
        writeln!(out)?;
        for field in self.fields() {
            writeln!(
                out,
                "\tfield:{};\toffset:{};\tsize:{};\tsigned:{};",
                Declaration(field),
                field.offset(),
                field.size(),
                u8::from(field.is_signed())
            )?;
        }
        writeln!(out)?;
        self.print_format(out)
    }

    /// Writes the `print fmt:` line.
    fn print_format(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str("print fmt: \"")?;
        for (i, field) in self.fields().iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(out, "{space}{}={}", field.name(), field.ty().conversion())?;
        }
        out.write_char('"')?;
        for field in self.fields() {
            write!(out, ", REC->{}", field.name())?;
        }
        writeln!(out)
    }

    /// Writes what the event and its fields mean, one line each: the doc comments of the
    /// definition.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub fn describe(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        writeln!(out, "{}", self.full_name())?;
        for line in self.help().lines() {
            writeln!(out, "  {}", line.trim())?;
        }
        let width = self
            .fields()
            .iter()
            .map(|field| field.name().len())
            .max()
            .unwrap_or(0);
        for field in self.fields() {
            write!(out, "  {:width$}  {}", field.name(), field.ty())?;
            for line in field
                .help()
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
            {
                write!(out, "  {line}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// Writes the fields of `record` as the print format says: `vm_id=1 vcpu_id=0 pc=0x40080000`.
    ///
    /// # Errors
    ///
    /// What `out` returns.
    pub fn print(&self, record: &[u8], out: &mut dyn fmt::Write) -> fmt::Result {
        for (i, field) in self.fields().iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(out, "{space}{}=", field.name())?;
            field.print(record, out)?;
        }
        Ok(())
    }
}

/// Displays a field as a C declaration.
struct Declaration<'a>(&'a Field);

impl fmt::Display for Declaration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ty = self.0.ty();
        write!(f, "{} {}", ty.c_type(), self.0.name())?;
        match ty {
            FieldType::Chars { len } => write!(f, "[{len}]"),
            _ => Ok(()),
        }
    }
}
