//! The engines, each with one program that is ready to run again and again.
//!
//! Each is set up as its users do for speed: the program is loaded once, and what a run needs is kept between runs.
//! Limits on what a program may execute are on wherever there are any.

use std::ptr::NonNull;
use std::sync::Arc;

use axebpf_hit::HitGuard;
use axebpf_platform::host::HOST;
use axebpf_platform::{Cpus, CurrentVcpu};
use axebpf_vm::{Context, Insn, Program, RunEnv};
use rbpf::EbpfVmRaw;
use solana_sbpf::aligned_memory::AlignedMemory;
use solana_sbpf::ebpf;
use solana_sbpf::elf::Executable;
use solana_sbpf::memory_region::{MemoryMapping, MemoryRegion};
use solana_sbpf::program::{BuiltinProgram, FunctionRegistry, SBPFVersion};
use solana_sbpf::vm::{CallFrame, Config, ContextObject, EbpfVm, ExecutionMode};

use crate::programs::MEMORY_BYTES;

/// How many instructions a run may execute.
const LIMIT: u32 = 1 << 24;

/// A program that is ready to run, and returns what is in `r0`.
pub(crate) type Run<'r> = Box<dyn FnMut() -> u64 + 'r>;

/// The memory of a program, aligned for every access.
pub(crate) fn memory() -> Vec<u64> {
    (0..MEMORY_BYTES as u64 / 8)
        .map(|word| word * 0x0101_0307_0509_0b0d)
        .collect()
}

fn as_bytes(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: every byte of a number is initialised, and every pattern of bits is one.
    let (_, bytes, _) = unsafe { words.align_to_mut() };
    bytes
}

fn to_bytes(insns: &[Insn]) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.to_bytes()).collect()
}

/// Prepares the interpreter of axebpf.
pub(crate) fn axebpf<'r>(insns: &[Insn], guard: &'r HitGuard) -> Run<'r> {
    let program = Program::from_insns(&to_bytes(insns), &[]).expect("a program that is allowed");
    program.set_budget(LIMIT);
    let mut memory = memory();
    Box::new(move || {
        let context = Context::writable(as_bytes(&mut memory));
        program
            .run(guard, context, &RunEnv::new())
            .expect("a run to the end")
    })
}

/// Prepares the interpreter of rbpf.
pub(crate) fn rbpf<'r>(insns: &[Insn]) -> Run<'r> {
    let code: &'static [u8] = to_bytes(insns).leak();
    let mut vm = EbpfVmRaw::new(Some(code)).expect("a program that rbpf allows");
    for (id, helper) in [(8, rbpf_cpu as rbpf::ebpf::Helper), (100, rbpf_vm_id)] {
        vm.register_helper(id, helper).expect("a helper for rbpf");
    }
    let mut memory = memory();
    Box::new(move || {
        vm.execute_program(as_bytes(&mut memory))
            .expect("a run to the end")
    })
}

fn rbpf_cpu(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    HOST.current_cpu().get().into()
}

fn rbpf_vm_id(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    HOST.current_vcpu()
        .map_or(u64::MAX, |vcpu| vcpu.vm.get().into())
}

/// What solana-sbpf calls a context: the budget, and the memory.
struct SbpfContext {
    remaining: u64,
    mapping: MemoryMapping,
}

impl ContextObject for SbpfContext {
    fn consume(&mut self, amount: u64) {
        self.remaining = self.remaining.saturating_sub(amount);
    }

    fn get_remaining(&self) -> u64 {
        self.remaining
    }

    fn active_mapping_ptr(&mut self) -> NonNull<MemoryMapping> {
        NonNull::from(&mut self.mapping)
    }
}

/// A program in solana-sbpf.
pub(crate) struct Sbpf {
    vm: EbpfVm<'static, SbpfContext>,
    executable: Executable<SbpfContext>,
    frames: Vec<CallFrame>,
    registers: [u64; 12],
}

impl Sbpf {
    /// Prepares the interpreter of solana-sbpf. What its memory consists of is leaked.
    pub(crate) fn new(insns: &[Insn]) -> Self {
        let code: &'static [u8] = to_bytes(insns).leak();
        let loader = Arc::new(BuiltinProgram::new_loader(Config::default()));
        let version = SBPFVersion::V0;
        let functions = FunctionRegistry::default();
        let executable = Executable::from_text_bytes(code, loader.clone(), version, functions)
            .expect("a program that solana-sbpf allows");
        let config = executable.get_config();
        let stack = vec![0u64; config.stack_size() / 8].leak();
        let heap = Box::leak(Box::new(
            AlignedMemory::<{ ebpf::HOST_ALIGN }>::with_capacity(0),
        ));
        let stack_bytes = as_bytes(stack);
        let stack_len = stack_bytes.len();
        let regions = vec![
            executable.get_ro_region(),
            MemoryRegion::new(&raw mut *stack_bytes, ebpf::MM_STACK_START),
            MemoryRegion::new(heap, ebpf::MM_HEAP_START),
            MemoryRegion::new(&raw mut *as_bytes(memory().leak()), ebpf::MM_INPUT_START),
        ];
        // SAFETY: what the regions point to is leaked, or belongs to the executable, which lives as long as the
        // mapping; it holds nothing but bytes.
        let mapping = unsafe { MemoryMapping::new(regions, config, version) };
        let mapping = mapping.expect("regions that do not overlap");
        let frames = vec![CallFrame::default(); config.max_call_depth];
        let context = Box::leak(Box::new(SbpfContext {
            remaining: 0,
            mapping,
        }));
        let vm = EbpfVm::new(loader, version, context, stack_len);
        let mut registers = vm.registers;
        registers[1] = ebpf::MM_INPUT_START;
        Self {
            vm,
            executable,
            frames,
            registers,
        }
    }

    /// Runs the program; returns how many instructions that took, and what is in `r0`.
    pub(crate) fn run(&mut self) -> (u64, u64) {
        self.vm.registers = self.registers;
        self.vm.context().remaining = LIMIT.into();
        let mut mode = ExecutionMode::Interpreted;
        let (count, result) =
            self.vm
                .execute_program(&self.executable, &mut mode, &mut self.frames);
        (count, Result::from(result).expect("a run to the end"))
    }
}
