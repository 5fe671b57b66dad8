//! How a guest's kernel keeps its tasks, and the task at a hit.

use axebpf_guestprobe::GuestContext;
use axebpf_platform::GuestVirt;
use axebpf_vm::{GuestTask, GuestUnreadable, TASK_NAME_BYTES};

/// Where a Linux kernel has what programs ask about in its `struct task_struct`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskLayout {
    pid: u32,
    tgid: u32,
    comm: u32,
}

impl TaskLayout {
    /// Reads the layout out of the kernel's type information; `None` if that does not have it.
    pub(crate) fn from_btf(btf: &[u8]) -> Option<Self> {
        let types = Types::read(btf)?;
        let (first, len) = types.members_of("task_struct")?;
        let offset = |name: &str| types.offset_of(first, len, name);
        Some(Self {
            pid: offset("pid")?,
            tgid: offset("tgid")?,
            comm: offset("comm")?,
        })
    }
}

/// The guest's memory and task at a hit, as helpers see them.
pub(crate) struct TaskView<'h> {
    pub(crate) guest: &'h GuestContext<'h>,
    pub(crate) layout: Option<TaskLayout>,
}

impl TaskView<'_> {
    /// Returns the address of a member of the task.
    fn member(&self, offset: impl Fn(&TaskLayout) -> u32) -> Option<GuestVirt> {
        let offset = offset(self.layout.as_ref()?);
        let at = self.task()?.get().checked_add(offset.into())?;
        Some(GuestVirt::new(at))
    }

    /// Returns a member that is a number, in the byte order of the guest's kernel.
    fn number(&self, offset: impl Fn(&TaskLayout) -> u32) -> Option<u32> {
        self.guest.read_u32(self.member(offset)?).ok()
    }
}

impl GuestTask for TaskView<'_> {
    fn read(&self, at: GuestVirt, bytes: &mut [u8]) -> Result<(), GuestUnreadable> {
        self.guest
            .read(at, bytes)
            .map_err(|_| GuestUnreadable { at })
    }

    fn task(&self) -> Option<GuestVirt> {
        kernel_task(self.guest.task())
    }

    fn pid_tgid(&self) -> Option<u64> {
        let pid = self.number(|layout| layout.pid)?;
        let tgid = self.number(|layout| layout.tgid)?;
        // What Linux calls pid is the thread.
        Some(u64::from(tgid) << 32 | u64::from(pid))
    }

    fn name(&self) -> Option<[u8; TASK_NAME_BYTES]> {
        let mut name = [0; TASK_NAME_BYTES];
        self.guest
            .read(self.member(|layout| layout.comm)?, &mut name)
            .ok()?;
        Some(name)
    }
}

/// Returns the task that `SP_EL0` points to; `None` if it points to a program's half of the addresses.
///
/// A kernel has its task there as soon as it has saved what the program had (Linux: `kernel_entry`). A probe before
/// that sees the program's stack pointer, and would take its memory for a task. Bit 55 selects the half.
fn kernel_task(sp_el0: GuestVirt) -> Option<GuestVirt> {
    (sp_el0.get() >> 55 & 1 == 1).then_some(sp_el0)
}

/// Type information (Linux: Documentation/bpf/btf.rst), of which nothing is kept: a kernel has 100,000 types.
struct Types<'b> {
    types: &'b [u8],
    strings: &'b [u8],
}

/// The bytes of the head of a type, and of a member.
const ENTRY: usize = 12;
const STRUCT: u32 = 4;

impl<'b> Types<'b> {
    fn read(btf: &'b [u8]) -> Option<Self> {
        let header_len = word(btf, 4)? as usize;
        let part = |at: usize| {
            let start = header_len.checked_add(word(btf, at)? as usize)?;
            let end = start.checked_add(word(btf, at + 4)? as usize)?;
            btf.get(start..end)
        };
        Some(Self {
            types: part(8)?,
            strings: part(16)?,
        })
    }

    /// Returns where the members of the structure `name` start, and how many they are.
    fn members_of(&self, name: &str) -> Option<(usize, usize)> {
        let mut at = 0;
        while at < self.types.len() {
            let info = word(self.types, at + 4)?;
            let (kind, len) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            if kind == STRUCT && len > 0 && self.is_called(word(self.types, at)?, name) {
                return Some((at + ENTRY, len));
            }
            at += ENTRY + extra(kind, len)?;
        }
        None
    }

    /// Returns where the member `name` starts, in bytes.
    fn offset_of(&self, first: usize, len: usize, name: &str) -> Option<u32> {
        let mut members = (0..len).map(|index| first + ENTRY * index);
        let member = members
            .find(|at| word(self.types, *at).is_some_and(|called| self.is_called(called, name)))?;
        // The upper 8 bits are the size of a bit field, if the structure has any.
        Some((word(self.types, member + 8)? & 0xff_ffff) / 8)
    }

    fn is_called(&self, at: u32, name: &str) -> bool {
        let text = self.strings.get(at as usize..).unwrap_or(&[]);
        text.get(..name.len()) == Some(name.as_bytes()) && text.get(name.len()) == Some(&0)
    }
}

/// Returns how many bytes follow the head of a type.
fn extra(kind: u32, len: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        2 | 7..=12 | 16 | 18 => 0,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * len,
        6 | 13 => 8 * len,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// An integer, another structure, and `task_struct`, of which one member is a bit field.
    fn btf() -> Vec<u8> {
        let strings = b"\0int\0task\0task_struct\0pid\0tgid\0comm\0";
        let of = |name: &[u8]| {
            let found = strings.windows(name.len()).position(|part| part == name);
            found.unwrap() as u32 + 1
        };
        let flag = 1 << 31;
        let types = [
            [of(b"\0int\0"), 1 << 24, 4].as_slice(),
            &[32],
            &[of(b"\0task\0"), 4 << 24 | 1, 4],
            &[of(b"\0pid\0"), 1, 0],
            &[of(b"\0task_struct\0"), flag | 4 << 24 | 3, 64],
            &[of(b"\0tgid\0"), 1, 8 * 0x1004],
            &[of(b"\0pid\0"), 1, 8 * 0x1000],
            &[of(b"\0comm\0"), 1, (3 << 24) | (8 * 0x2010)],
        ]
        .concat();
        let len = 4 * types.len() as u32;
        let mut bytes = Vec::from(0xeb9fu32.to_le_bytes());
        for number in [24, 0, len, len, strings.len() as u32].iter().chain(&types) {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn offsets_are_those_of_the_structure_of_that_name() {
        let layout = TaskLayout {
            pid: 0x1000,
            tgid: 0x1004,
            comm: 0x2010,
        };
        assert_eq!(TaskLayout::from_btf(&btf()), Some(layout));
    }

    #[test]
    fn what_a_program_points_to_is_no_task() {
        for at in [0, 0xffff_ffff_f000, 0xff00_ffff_ffff_f000, 0xff7f << 48] {
            assert_eq!(kernel_task(GuestVirt::new(at)), None, "{at:#x}");
        }
        // With 48 bits, with 52, and with a tag.
        for at in [0xffff_0000_0123_4000, 0xfff0 << 48, 0x3cff_8000_0800_0000] {
            let task = GuestVirt::new(at);
            assert_eq!(kernel_task(task), Some(task), "{at:#x}");
        }
    }

    #[test]
    fn damaged_types_are_none() {
        let btf = btf();
        for len in 0..btf.len() {
            assert_eq!(TaskLayout::from_btf(&btf[..len]), None, "{len}");
        }
    }
}
