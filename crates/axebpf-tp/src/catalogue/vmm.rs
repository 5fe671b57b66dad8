//! The events of the virtual machine monitor.
//!
//! `vm_id` and `vcpu_id` are the numbers that the hypervisor itself uses; a `vcpu_id` counts from 0
//! within its VM. Addresses named `gpa` are guest-physical, `gva` guest-virtual and `hpa`
//! host-physical. Sizes are in bytes.

mod boot;
mod interrupt;
mod memory;
mod schedule;
mod vcpu;
mod vm;

pub use boot::{
    ConfigLoad, ImageLoad, VhalInit, VmmInit, config_load, image_load, vhal_init, vmm_init,
};
pub use interrupt::{
    ExternalInterrupt, IpiSend, IrqHandle, IrqInject, TimerEvent, TimerTick, external_interrupt,
    ipi_send, irq_handle, irq_inject, timer_event, timer_tick,
};
pub use memory::{
    DeviceAccess, MemoryMap, MemoryUnmap, PageFault, device_access, memory_map, memory_unmap,
    page_fault,
};
pub use schedule::{CpuUp, TaskSwitch, cpu_up, task_switch};
pub use vcpu::{
    Hypercall, VcpuCreate, VcpuDestroy, VcpuHalt, VcpuRunEnter, VcpuRunExit, VcpuStateChange,
    hypercall, vcpu_create, vcpu_destroy, vcpu_halt, vcpu_run_enter, vcpu_run_exit,
    vcpu_state_change,
};
pub use vm::{
    VmBoot, VmCreate, VmDestroy, VmShutdown, vm_boot, vm_create, vm_destroy, vm_shutdown,
};
