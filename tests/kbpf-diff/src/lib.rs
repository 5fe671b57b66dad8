//! What `kbpf-basic` needs to make a map of its own: a kernel that is never asked anything.
//!
//! The tests are in `tests/`. They need a nightly compiler: `cargo +nightly test` in this directory.

use kbpf_basic::map::{BpfMapMeta, PerCpuVariants, PerCpuVariantsOps, UnifiedMap, bpf_map_create};
use kbpf_basic::preprocessor::EbpfInst;
use kbpf_basic::{BpfError, BpfResult, KernelAuxiliaryOps};

/// Makes the map of `kbpf-basic` that `meta` describes.
///
/// # Errors
///
/// What `kbpf-basic` refuses; per-CPU kinds always.
pub fn create(meta: BpfMapMeta) -> BpfResult<UnifiedMap> {
    bpf_map_create::<NoKernel, NoCpus>(meta, None)
}

/// A kernel without anything: hash kinds, arrays, queues and stacks never ask.
#[derive(Debug)]
struct NoKernel;

#[derive(Clone, Debug)]
struct NoInsn;

impl EbpfInst for NoInsn {
    fn opc(&self) -> u8 {
        0
    }

    fn imm(&self) -> i32 {
        0
    }

    fn src(&self) -> u8 {
        0
    }

    fn set_imm(&mut self, _imm: i32) {}

    fn to_array(&self) -> [u8; 8] {
        [0; 8]
    }
}

#[derive(Debug)]
struct NoCpus;

impl PerCpuVariantsOps for NoCpus {
    fn create<T: Clone + Sync + Send + 'static>(_value: T) -> Option<Box<dyn PerCpuVariants<T>>> {
        None
    }

    fn num_cpus() -> u32 {
        1
    }
}

impl KernelAuxiliaryOps for NoKernel {
    fn get_unified_map_from_ptr<F, R>(_ptr: *const u8, _func: F) -> BpfResult<R>
    where
        F: FnOnce(&mut UnifiedMap) -> BpfResult<R>,
    {
        Err(BpfError::EPERM)
    }

    fn get_unified_map_from_fd<F, R>(_map_fd: u32, _func: F) -> BpfResult<R>
    where
        F: FnOnce(&mut UnifiedMap) -> BpfResult<R>,
    {
        Err(BpfError::EPERM)
    }

    fn get_unified_map_ptr_from_fd(_map_fd: u32) -> BpfResult<*const u8> {
        Err(BpfError::EPERM)
    }

    fn translate_instruction(_instruction: Vec<u8>) -> BpfResult<Vec<impl EbpfInst>> {
        Err::<Vec<NoInsn>, _>(BpfError::EPERM)
    }

    fn copy_from_user(_src: *const u8, _size: usize, _dst: &mut [u8]) -> BpfResult<()> {
        Err(BpfError::EPERM)
    }

    fn copy_to_user(_dest: *mut u8, _size: usize, _src: &[u8]) -> BpfResult<()> {
        Err(BpfError::EPERM)
    }

    fn current_cpu_id() -> u32 {
        0
    }

    fn perf_event_output(
        _ctx: *mut core::ffi::c_void,
        _fd: u32,
        _flags: u32,
        _data: &[u8],
    ) -> BpfResult<()> {
        Err(BpfError::EPERM)
    }

    fn string_from_user_cstr(_ptr: *const u8) -> BpfResult<String> {
        Err(BpfError::EPERM)
    }

    fn ebpf_write_str(_str: &str) -> BpfResult<()> {
        Err(BpfError::EPERM)
    }

    fn ebpf_time_ns() -> BpfResult<u64> {
        Err(BpfError::EPERM)
    }

    fn alloc_page() -> BpfResult<usize> {
        Err(BpfError::EPERM)
    }

    fn free_page(_phys_addr: usize) {}

    fn vmap(_phys_addrs: &[usize]) -> BpfResult<usize> {
        Err(BpfError::EPERM)
    }

    fn unmap(_vaddr: usize) {}
}
