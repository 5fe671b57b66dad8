//! What views of one guest's memory mean for the TLBs of processors: why they share a VMID, and what a change of view
//! takes.
//!
//! The processors here do nothing but what it takes to hit a probe, and cache every translation for as long as the
//! architecture lets them. Views are changed by the engine, exits are handled by it.

use std::collections::HashMap;

use axebpf_guestprobe::{
    Backing, GuestDebug, GuestLinkId, GuestVcpu, Outcome, ProbeKind, ProbeMode, PtRegs, SingleStep,
    SwitchView, Syndrome, SystemRegister, VcpuRegisters, View,
};
use axebpf_platform::mock::set_mock_cpu_id;
use axebpf_platform::{Vcpu, VcpuId};

use crate::asm::{NOP, ldr};
use crate::machine::{Machine, Model, PAGE, VM, Wanted};
use crate::program::attach;
use crate::vcpu::EL1H;

/// Where the probed function is, which is mapped to itself.
const FUNCTION: u64 = 0x2000;
/// Its first instruction, which is stepped: `ldr x9, [x21]`.
const FIRST: fn() -> u32 = || ldr(9, 21, 0);
/// An address that the guest maps, and later maps to something else.
const REMAPPED: u64 = 0x7000_0000;
/// The guest-physical pages behind it, before and after.
const OLD: u64 = 0x8000;
const NEW: u64 = 0x9000;

/// What a hypervisor makes of views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// Each has a VMID of its own.
    VmidEach,
    /// All have one, and nothing else is done.
    OneVmid,
    /// All have one, and a processor that changes its view, or its vCPU, drops what it has cached under it.
    OneVmidAndFlush,
}

impl Policy {
    fn vmid(self, view: View) -> u16 {
        match (self, view) {
            (Self::VmidEach, View::Original) => 2,
            (Self::VmidEach, View::Window) => 3,
            _ => 1,
        }
    }
}

/// Translations of both stages, by VMID, page and what they allow: where the page is, and what is shown there.
type Tlb = HashMap<(u16, u64, u8), (u64, Backing)>;

/// A processor with the one vCPU that it runs.
struct Processor {
    id: u32,
    policy: Policy,
    regs: PtRegs,
    view: View,
    is_stepping: bool,
    debugs: bool,
    /// Nobody else uses what is in it: `VTTBR_EL2.CnP` is 0.
    tlb: Tlb,
}

impl Processor {
    /// Reads what is at the virtual address `at`, by way of the TLB if that has the translation.
    fn get(&mut self, guest: &Guest, at: u64, wanted: Wanted) -> Option<u64> {
        let page = at & !(PAGE - 1);
        let machine = &*guest.model.machine;
        let key = (self.policy.vmid(self.view), page, wanted as u8);
        let (phys, backing) = match self.tlb.get(&key) {
            Some(&cached) => cached,
            None => {
                let phys = guest.tables.get(&page).copied().unwrap_or(page);
                let walked = (phys, machine.access(self.view, phys, wanted)?);
                *self.tlb.entry(key).or_insert(walked)
            }
        };
        Some(load(machine, backing, phys + at % PAGE))
    }

    /// Executes `TLBI VAE1IS`: for one page, on all processors, under the VMID that is loaded here.
    fn invalidated(&self, page: u64) -> impl Fn(&mut Tlb) + use<> {
        let vmid = self.policy.vmid(self.view);
        move |tlb| tlb.retain(|key, _| (key.0, key.1) != (vmid, page))
    }

    /// Does what a hypervisor does that puts another vCPU of the VM on this processor.
    fn load_vcpu(&mut self, id: u32) {
        if self.id != id && self.policy == Policy::OneVmidAndFlush {
            self.flush();
        }
        self.id = id;
    }

    /// `TLBI VMALLS12E1`.
    fn flush(&mut self) {
        let vmid = self.policy.vmid(self.view);
        self.tlb.retain(|key, _| key.0 != vmid);
    }
}

fn load(machine: &Machine, backing: Backing, at: u64) -> u64 {
    let mut bytes = [0; 8];
    machine.load(backing, at, &mut bytes);
    u64::from_le_bytes(bytes)
}

/// A guest on two processors, with a probe on a function that reads memory.
struct Guest {
    model: Model,
    /// The guest's own tables; what they do not have is mapped to itself.
    tables: HashMap<u64, u64>,
    link: GuestLinkId,
}

/// How a probed load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hit {
    /// It has loaded this.
    Loaded(u64),
    /// The step met this instruction instead of it.
    Stepped(u32),
}

impl Guest {
    fn new(policy: Policy, mode: ProbeMode) -> (Self, [Processor; 2]) {
        let model = Model::new(2, 5, 0);
        for (at, word) in [(FUNCTION, FIRST()), (FUNCTION + 4, NOP)] {
            model.machine.store(at, &word.to_le_bytes());
        }
        model.machine.store(OLD, &OLD.to_le_bytes());
        model.machine.store(NEW, &NEW.to_le_bytes());
        let (link, _) = attach(&model, FUNCTION, ProbeKind::Entry, mode).unwrap();
        let processors = [0, 1].map(|id| Processor {
            id,
            policy,
            regs: PtRegs {
                pstate: EL1H,
                ..PtRegs::default()
            },
            view: View::Main,
            is_stepping: false,
            debugs: false,
            tlb: Tlb::new(),
        });
        let tables = [(REMAPPED, OLD)].into();
        let guest = Self {
            model,
            tables,
            link,
        };
        (guest, processors)
    }

    /// Has the vCPU execute the first instruction of the function, which is probed.
    fn hit(&self, processor: &mut Processor) -> Hit {
        set_mock_cpu_id(processor.id + 1);
        processor.regs.pc = FUNCTION;
        processor.regs.regs[21] = REMAPPED;
        self.enter(processor);
        let trap = processor.get(self, FUNCTION, Wanted::Fetch).unwrap() as u32;
        assert_eq!(
            trap & 0xffe0_001f,
            0xd420_0000,
            "a BRK in {:?}",
            processor.view
        );
        self.leave(processor, 0x3c, u64::from(trap >> 5 & 0xffff));
        assert!(processor.is_stepping);
        let stepped = processor.get(self, FUNCTION, Wanted::Fetch).unwrap() as u32;
        if stepped != FIRST() {
            return Hit::Stepped(stepped);
        }
        let loaded = processor.get(self, REMAPPED, Wanted::Read).unwrap();
        processor.regs.pc += 4;
        self.leave(processor, 0x32, 0);
        assert_eq!(processor.view, View::Main);
        Hit::Loaded(loaded)
    }

    fn leave(&self, processor: &mut Processor, class: u64, iss: u64) {
        let syndrome = Syndrome {
            esr: class << 26 | 1 << 25 | iss,
            ..Syndrome::default()
        };
        let outcome = self.model.probes.handle_exit(processor, &syndrome);
        assert_eq!(outcome, Outcome::Handled);
        self.enter(processor);
    }

    fn enter(&self, processor: &mut Processor) {
        set_mock_cpu_id(processor.id + 1);
        self.model.probes.prepare_entry(processor);
    }

    /// Has `by` map the address to another page, as a kernel does that gives the first one to somebody else.
    fn remap(&mut self, by: usize, processors: &mut [Processor; 2]) {
        self.tables.insert(REMAPPED, NEW);
        let invalidate = processors[by].invalidated(REMAPPED);
        for processor in processors {
            invalidate(&mut processor.tlb);
        }
    }

    fn end(self) {
        set_mock_cpu_id(0);
        self.model.probes.detach(self.link).unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Before the machine is another test's, which wants the processors.
        set_mock_cpu_id(0);
    }
}

/// One processor steps a load, the other maps its page elsewhere, and the first steps it again.
fn remapped_between_steps(policy: Policy) -> Hit {
    let (mut guest, mut processors) = Guest::new(policy, ProbeMode::HiddenBrk);
    let before = guest.hit(&mut processors[0]);
    if before != Hit::Loaded(OLD) {
        return before;
    }
    guest.remap(1, &mut processors);
    let after = guest.hit(&mut processors[0]);
    guest.end();
    after
}

/// A vCPU whose guest debugs itself runs in the view without traps. It maps a page elsewhere that another one uses.
fn remapped_by_a_debugged_vcpu(policy: Policy) -> u64 {
    let (mut guest, mut processors) = Guest::new(policy, ProbeMode::HiddenBrk);
    let [debugged, other] = &mut processors;
    debugged.debugs = true;
    guest.enter(debugged);
    assert_eq!(debugged.view, View::Original);
    assert_eq!(other.get(&guest, REMAPPED, Wanted::Read), Some(OLD));
    guest.remap(0, &mut processors);
    let seen = processors[1].get(&guest, REMAPPED, Wanted::Read).unwrap();
    guest.end();
    seen
}

/// Two vCPUs take turns on one processor. The second has other tables under the same ASID.
fn other_vcpu_on_the_processor(policy: Policy) -> u64 {
    let (mut guest, [mut processor, _]) = Guest::new(policy, ProbeMode::HiddenBrk);
    guest.enter(&mut processor);
    assert_eq!(processor.get(&guest, REMAPPED, Wanted::Read), Some(OLD));
    processor.load_vcpu(1);
    guest.enter(&mut processor);
    guest.tables.insert(REMAPPED, NEW);
    let seen = processor.get(&guest, REMAPPED, Wanted::Read).unwrap();
    guest.end();
    seen
}

#[test]
fn a_vmid_for_each_view_loses_what_the_guest_invalidates() {
    assert_eq!(remapped_between_steps(Policy::VmidEach), Hit::Loaded(OLD));
    assert_eq!(remapped_by_a_debugged_vcpu(Policy::VmidEach), OLD);
    assert_eq!(other_vcpu_on_the_processor(Policy::VmidEach), OLD);
}

#[test]
fn one_vmid_without_a_flush_keeps_the_trap_in_the_step() {
    let hit = remapped_between_steps(Policy::OneVmid);
    assert!(matches!(hit, Hit::Stepped(word) if word & 0xffe0_001f == 0xd420_0000));
    assert_eq!(other_vcpu_on_the_processor(Policy::OneVmid), OLD);
}

#[test]
fn one_vmid_and_a_flush_at_each_change_is_right() {
    let policy = Policy::OneVmidAndFlush;
    assert_eq!(remapped_between_steps(policy), Hit::Loaded(NEW));
    assert_eq!(remapped_by_a_debugged_vcpu(policy), NEW);
    assert_eq!(other_vcpu_on_the_processor(policy), NEW);
}

impl VcpuRegisters for Processor {
    fn name(&self) -> Vcpu {
        let vcpu = VcpuId::new(self.id);
        Vcpu { vm: VM, vcpu }
    }

    fn regs(&self) -> PtRegs {
        self.regs
    }

    fn set_regs(&mut self, regs: &PtRegs) {
        self.regs = *regs;
    }

    fn system_register(&self, register: SystemRegister) -> u64 {
        match register {
            SystemRegister::TcrEl1 => 16 << 16 | 16,
            _ => 0,
        }
    }

    fn set_system_register(&mut self, register: SystemRegister, value: u64) {
        panic!("{register:?} is set to {value:#x}");
    }
}

impl SwitchView for Processor {
    fn set_view(&mut self, view: View) {
        if self.view != view && self.policy == Policy::OneVmidAndFlush {
            self.flush();
        }
        self.view = view;
    }
}

impl SingleStep for Processor {
    fn begin_step(&mut self) {
        self.is_stepping = true;
    }

    fn end_step(&mut self) {
        self.is_stepping = false;
    }
}

impl GuestDebug for Processor {
    fn debugs_itself(&self) -> bool {
        self.debugs
    }
}

impl GuestVcpu for Processor {
    fn single_step(&mut self) -> Option<&mut dyn SingleStep> {
        Some(self)
    }

    fn switch_view(&mut self) -> Option<&mut dyn SwitchView> {
        Some(self)
    }

    fn guest_debug(&self) -> Option<&dyn GuestDebug> {
        Some(self)
    }
}
