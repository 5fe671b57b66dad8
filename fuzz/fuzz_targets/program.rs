//! A program of random instructions ends, and changes nothing but its own memory.
#![no_main]

use std::sync::{Arc, OnceLock};

use axebpf_maps::{Map, MapKind, MapSpec};
use axebpf_platform::HostVirt;
use axebpf_platform::mock::MOCK;
use axebpf_vm::{Checks, Context, EngineKind, Helper, Insn, Program, RunEnv, RunError, StackStart};
use libfuzzer_sys::fuzz_target;

const GUARD: u8 = 0xa5;
const GUARD_LEN: usize = 64;
const MEMORY_LEN: usize = 32;

fn maps() -> &'static [Arc<Map>] {
    static MAPS: OnceLock<Vec<Arc<Map>>> = OnceLock::new();
    MAPS.get_or_init(|| {
        axebpf_hit::install(&MOCK).expect("the only platform");
        let specs = [
            MapSpec::new(MapKind::Array, 4, 12, 4),
            MapSpec::new(MapKind::Hash, 4, 8, 4),
            MapSpec::new(MapKind::PerCpuArray, 4, 16, 2),
            MapSpec::ring(4096),
        ];
        specs.iter().map(|spec| Arc::new(Map::create(spec, 64).expect("a possible map"))).collect()
    })
}

/// Makes an instruction of eight bytes, such that most are possible.
fn insn(bytes: [u8; 8]) -> [Option<Insn>; 2] {
    let raw = Insn::from_bytes(bytes);
    let (dst, src) = (raw.dst % 11, raw.src % 11);
    let x = raw.opcode & 8 != 0;
    let one = |insn| [Some(insn), None];
    let base = Insn { dst, src, ..raw };
    match raw.opcode & 7 {
        0 => {
            // A map, an address in one, or a number.
            let kind = [0, 5, 6][usize::from(raw.src) % 3];
            let imm = if kind == 0 { raw.imm } else { raw.imm.rem_euclid(maps().len() as i32) };
            let high = Insn { imm: raw.off.into(), ..Insn::default() };
            [Some(Insn { opcode: 0x18, dst, src: kind, off: 0, imm }), Some(high)]
        }
        4 | 7 if raw.opcode & 0xf0 == 0xd0 => {
            let imm = [16, 32, 64][raw.imm.rem_euclid(3) as usize];
            one(Insn { src: 0, off: 0, imm, ..base })
        }
        4 | 7 if x => one(Insn { imm: 0, off: [0, 0, 0, 1, 8][raw.off.rem_euclid(5) as usize], ..base }),
        4 | 7 => one(Insn { src: 0, off: 0, ..base }),
        5 if raw.opcode & 0xf0 == 0x80 => {
            let helper = Helper::ALL[raw.imm.rem_euclid(Helper::ALL.len() as i32) as usize];
            let local = raw.off & 1 == 1;
            let imm = if local { raw.imm % 16 } else { helper.id().into() };
            one(Insn { opcode: 0x85, dst: 0, src: u8::from(local), off: 0, imm })
        }
        5 | 6 if x => one(Insn { imm: 0, off: raw.off % 16, ..base }),
        5 | 6 => one(Insn { src: 0, off: raw.off % 16, ..base }),
        1 => one(Insn { imm: 0, ..base }),
        2 => one(Insn { src: 0, ..base }),
        _ if raw.opcode & 0xe0 == 0xc0 => one(base),
        _ => one(Insn { imm: 0, ..base }),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (slots, _) = bytes.as_chunks::<8>();
    let mut code: Vec<u8> = slots
        .iter()
        .flat_map(|slot| insn(*slot))
        .flatten()
        .flat_map(|insn| insn.to_bytes())
        .collect();
    code.extend(Insn { opcode: 0x95, ..Insn::default() }.to_bytes());
    // A length that is no whole number of instructions stands for the checks that ask for less.
    let checks = if bytes.len() % 8 == 0 { Checks::Structure } else { Checks::Instructions };
    let Ok(program) = Program::with_checks(checks, EngineKind::Interp, &code, maps()) else { return };
    program.set_budget(4096);

    let mut arena = [GUARD; GUARD_LEN + MEMORY_LEN + GUARD_LEN];
    let guard = axebpf_hit::enter().expect("no hit in a hit");
    let memory = &mut arena[GUARD_LEN..][..MEMORY_LEN];
    // The chain starts in what the program can write.
    let frame = memory.as_ptr().expose_provenance() as u64;
    let start = StackStart::new(HostVirt::new(1), HostVirt::new(frame));
    let env = RunEnv::new().with_stack(&start);
    let outcome = program.run(&guard, Context::writable(memory), &env);
    let fell_off = matches!(outcome, Err(RunError::FellOff { .. }));
    assert!(!fell_off || checks == Checks::Instructions, "{outcome:?}");
    assert_ne!(outcome, Err(RunError::Nested));
    let (before, rest) = arena.split_at(GUARD_LEN);
    let outside = before.iter().chain(&rest[MEMORY_LEN..]);
    assert!(outside.copied().all(|byte| byte == GUARD), "a write outside of the program's memory");
    drop(guard);
    maps()[3].ring().expect("a ring buffer").consume(|_| ()).expect("the only consumer");
});
