//! A task, as a Linux kernel has it: the current one in `SP_EL0`, and the type information that says what is where in
//! it (Linux: Documentation/bpf/btf.rst).

use aarch64_cpu::registers::{SP_EL0, Writeable};

/// The start of `struct task_struct`, as the type information describes it.
#[repr(C)]
struct Task {
    pid: u32,
    tgid: u32,
    name: [u8; 16],
}

static TASK: Task = Task {
    pid: 1,
    tgid: 1,
    name: *b"bench\0\0\0\0\0\0\0\0\0\0\0",
};

/// Where the type information is: in memory that the image leaves free.
const TYPES: u64 = 0x4080_0000;
/// How many bytes of types there are. A kernel has no fewer; here, all but the first one are empty.
const TYPES_LEN: u32 = 64 << 10;
const HEADER_LEN: u32 = 24;

const STRINGS: &[u8] = b"\0task_struct\0pid\0tgid\0comm\0\0";
/// The header, one structure, and its members: where their names are, and where they are themselves, in bits.
const START: [[u32; 3]; 6] = [
    [0x1_eb9f, HEADER_LEN, 0],
    [TYPES_LEN, TYPES_LEN, STRINGS.len() as u32],
    [1, 4 << 24 | 3, size_of::<Task>() as u32],
    [13, 0, 0],
    [17, 0, 32],
    [22, 0, 64],
];

/// Makes it the current task, and says what tasks look like.
pub(super) fn install() {
    SP_EL0.set(&raw const TASK as u64);
    let start = START.map(|words| words.map(u32::to_le_bytes));
    let start = start.as_flattened().as_flattened();
    let strings = (HEADER_LEN + TYPES_LEN) as usize;
    let len = strings + STRINGS.len();
    // SAFETY: the memory is mapped, and neither the image nor anything else of this guest lies there.
    let room = unsafe { core::slice::from_raw_parts_mut(TYPES as *mut u8, len) };
    // All of it is touched: the hypervisor has no memory where the guest has not been.
    room.fill(0);
    room[..start.len()].copy_from_slice(start);
    room[strings..].copy_from_slice(STRINGS);
}
