//! A run allocates nothing: a counting allocator stands by.
#![allow(unsafe_code, reason = "an allocator is unsafe to implement")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axebpf_hit::HitGuard;
use axebpf_maps::{Map, MapKind, MapSpec, UpdateFlags};
use axebpf_platform::mock::MOCK;
use axebpf_platform::{GuestVirt, HostVirt};
use axebpf_vm::{
    ArgKind, Context, GuestTask, GuestUnreadable, Helper, LoadOptions, ObjectFile, PrintkFull,
    PrintkRecord, PrintkSink, Program, RunEnv, StackStart, TASK_NAME_BYTES,
};

thread_local! {
    static COUNTED: Cell<Option<u64>> = const { Cell::new(None) };
}

struct Counting;

fn count() {
    COUNTED.with(|counted| counted.set(counted.get().map(|count| count + 1)));
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is the one that is needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise is the one that is needed.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts allocations and deallocations of this thread during `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    COUNTED.set(Some(0));
    work();
    COUNTED.replace(None).expect("still counting")
}

#[derive(Default)]
struct Ignore(AtomicU64);

impl PrintkSink for Ignore {
    fn record(&self, _guard: &HitGuard, _record: PrintkRecord<'_>) -> Result<(), PrintkFull> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 2);
}

#[test]
fn runs_do_not_allocate() {
    const OBJECTS: [&[u8]; 4] = [
        include_bytes!("objects/counters.o"),
        include_bytes!("objects/calls.o"),
        include_bytes!("objects/ring.o"),
        include_bytes!("objects/legacy.o"),
    ];
    axebpf_hit::install(&MOCK).expect("the only platform");
    let context = [7u8; 64];
    let sink = Ignore::default();
    let env = RunEnv::new().with_printk(&sink);
    for object in OBJECTS {
        let file = ObjectFile::parse(object).expect("a readable object");
        let object = file
            .load(&LoadOptions::new())
            .expect("an acceptable object");
        for program in object.programs() {
            for _ in 0..3 {
                let guard = axebpf_hit::enter().expect("no hit in a hit");
                let mut result = Ok(0);
                let allocated =
                    allocations(|| result = program.run(&guard, Context::new(&context), &env));
                assert_eq!(allocated, 0, "{} allocated", program.name());
                result.expect("a run to the end");
            }
        }
    }
    assert_eq!(sink.0.load(Ordering::Relaxed), 3);
}

/// Returns the numbers of the helpers that a program calls.
fn calls(program: &Program) -> impl Iterator<Item = i32> {
    const CALL: u8 = 0x85;
    let calls = program
        .insns()
        .iter()
        .filter(|insn| insn.opcode == CALL && insn.src == 0);
    calls.map(|insn| insn.imm)
}

/// The helpers that are only for guests.
const IN_GUESTS: [i32; 5] = [35, 112, 114, 0x1001, 0x1002];

/// A guest all of whose memory is zero.
struct Zeroes;

impl GuestTask for Zeroes {
    fn read(&self, _at: GuestVirt, bytes: &mut [u8]) -> Result<(), GuestUnreadable> {
        bytes.fill(0);
        Ok(())
    }

    fn task(&self) -> Option<GuestVirt> {
        Some(GuestVirt::new(8))
    }

    fn pid_tgid(&self) -> Option<u64> {
        Some(1)
    }

    fn name(&self) -> Option<[u8; TASK_NAME_BYTES]> {
        Some([b'a'; TASK_NAME_BYTES])
    }
}

#[test]
fn no_helper_of_guests_allocates() {
    axebpf_hit::install(&MOCK).expect("the only platform");
    let env = RunEnv::new().with_guest(&Zeroes);
    for id in IN_GUESTS.into_iter().chain([4, 14, 16, 45, 113, 115]) {
        // The kernel's half is the upper one.
        let from = if [113, 115, 0x1001].contains(&id) {
            -64
        } else {
            64
        };
        let insns = [
            support::mov(2, 8),
            support::mov(3, from),
            support::call(id),
            support::EXIT,
        ];
        let program = support::program(&insns).expect("an acceptable program");
        let mut memory = [0; 8];
        let guard = axebpf_hit::enter().expect("no hit in a hit");
        let mut result = Ok(0);
        let context = Context::writable(&mut memory);
        let allocated = allocations(|| result = program.run(&guard, context, &env));
        assert_eq!(allocated, 0, "{id}");
        result.expect("a run to the end");
        assert_eq!(program.stats().helper_errors, 0, "{id}");
    }
}

#[test]
fn no_helper_allocates() {
    axebpf_hit::install(&MOCK).expect("the only platform");
    let file = ObjectFile::parse(include_bytes!("objects/every.o")).expect("a readable object");
    let object = file
        .load(&LoadOptions::new())
        .expect("an acceptable object");
    let target = support::program(&[support::mov(0, 0), support::EXIT]);
    let programs = object.map("programs").expect("the map");
    programs
        .write_program(0, Arc::new(target.expect("an acceptable program")))
        .expect("an empty array of programs");

    let stack = [0u64, 0x4000_1000, 0, 0];
    let frame = HostVirt::new(stack.as_ptr().expose_provenance() as u64);
    let sink = Ignore::default();
    let start = StackStart::new(HostVirt::new(1), frame);
    let env = RunEnv::new().with_printk(&sink).with_stack(&start);
    let mut called: Vec<i32> = object
        .programs()
        .iter()
        .flat_map(|program| calls(program))
        .chain(IN_GUESTS)
        .collect();
    called.sort_unstable();
    called.dedup();
    let all: Vec<i32> = Helper::ALL
        .iter()
        .map(|helper| helper.id().into())
        .collect();
    assert_eq!(called, all, "every helper is called");
    for program in object.programs() {
        let guard = axebpf_hit::enter().expect("no hit in a hit");
        let mut result = Ok(0);
        let allocated =
            allocations(|| result = program.run(&guard, Context::new(b"some text\0......"), &env));
        assert_eq!(allocated, 0, "{} allocated", program.name());
        result.expect("a run to the end");
        assert_eq!(program.stats().helper_errors, 0, "{}", program.name());
    }
    assert_eq!(sink.0.load(Ordering::Relaxed), 2);
}

/// Makes a program that calls `helper` on map 0, with an argument of the right kind in each place, and ends.
fn calls_on_map(helper: Helper, map: &Arc<Map>) -> Program {
    // Where the arguments' memory is on the stack: a key or value, and a number of bytes of it.
    const MEMORY: i32 = -256;
    const LEN: i32 = 64;
    let mut insns = vec![support::mov_reg(6, 1)];
    let mut functions = Vec::new();
    for (register, kind) in (1..).zip(helper.args()) {
        match kind {
            ArgKind::Map => insns.extend(support::ld_map(register, 0)),
            ArgKind::Function => {
                functions.push(insns.len());
                insns.extend(support::lddw(register, 0));
            }
            ArgKind::Context => insns.push(support::mov_reg(register, 6)),
            ArgKind::Length => insns.push(support::mov(register, LEN)),
            ArgKind::Number | ArgKind::Optional => insns.push(support::mov(register, 0)),
            // The rest are addresses, and that of the stack is good for all of them.
            _ => insns.extend([
                support::mov_reg(register, 10),
                support::add(register, MEMORY),
            ]),
        }
    }
    insns.extend([
        support::call(helper.id().into()),
        support::mov(0, 0),
        support::EXIT,
    ]);
    for at in functions {
        const FUNCTION: u8 = 4;
        let distance = (insns.len() - at - 1) as i32;
        insns[at] = support::insn(0x18, insns[at].dst, FUNCTION, 0, distance);
    }
    insns.extend([support::mov(0, 0), support::EXIT]);
    support::program_with(&insns, std::slice::from_ref(map))
}

/// Makes a map of the kind, with something in it where the management side can put it there.
fn map_of(kind: MapKind) -> Arc<Map> {
    let spec = match kind {
        MapKind::RingBuf => MapSpec::ring(4096),
        MapKind::PerfEventArray => MapSpec::new(kind, 4, 4, 0),
        MapKind::ProgArray => MapSpec::new(kind, 4, 4, 4),
        MapKind::StackTrace => MapSpec::new(kind, 4, 64, 4),
        MapKind::Queue | MapKind::Stack | MapKind::BloomFilter => MapSpec::new(kind, 0, 8, 4),
        kind if kind.holds_maps() => {
            MapSpec::new(kind, 4, 4, 4).with_inner(MapSpec::new(MapKind::Array, 4, 8, 1))
        }
        kind => MapSpec::new(kind, 4, 8, 4),
    };
    let map = Map::create(&spec, 64).expect("a possible map");
    let key = &[0; 4][..spec.key_size as usize];
    let _ = map.write(key, &[0; 8], UpdateFlags::Any);
    Arc::new(map)
}

#[test]
fn no_helper_allocates_on_a_map_of_any_kind() {
    axebpf_hit::install(&MOCK).expect("the only platform");
    let stack = [0u64, 0x4000_1000];
    let frame = HostVirt::new(stack.as_ptr().expose_provenance() as u64);
    let start = StackStart::new(HostVirt::new(1), frame);
    let env = RunEnv::new().with_stack(&start);
    let takes_map = |helper: &&Helper| helper.args().contains(&ArgKind::Map);
    let mut tried = 0;
    for kind in (0..256).filter_map(|number| MapKind::try_from(number).ok()) {
        for helper in Helper::ALL.iter().filter(takes_map) {
            let program = calls_on_map(*helper, &map_of(kind));
            // What is there changes what happens.
            for _ in 0..6 {
                let guard = axebpf_hit::enter().expect("no hit in a hit");
                let allocated = allocations(|| {
                    let _ = program.run(&guard, Context::new(&[0; 64]), &env);
                });
                assert_eq!(allocated, 0, "{} on {kind} allocated", helper.name());
            }
            tried += 1;
        }
    }
    assert!(tried >= 15 * 14, "{tried} pairs of a helper and a kind");
}

#[test]
fn stopped_runs_do_not_allocate() {
    axebpf_hit::install(&MOCK).expect("the only platform");
    let program = support::program(&[support::load64(0, 1, 0), support::EXIT]);
    let program = program.expect("an acceptable program");
    let guard = axebpf_hit::enter().expect("no hit in a hit");
    let allocated = allocations(|| {
        assert!(
            program
                .run(&guard, Context::new(&[]), &RunEnv::new())
                .is_err()
        );
    });
    assert_eq!(allocated, 0);
}
