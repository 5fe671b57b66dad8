//! Before a platform is installed there are no hits. In a file of its own: a platform is installed for good.

use std::sync::Arc;

use axebpf_guestprobe::{
    GuestMachine, GuestMemory, GuestMemoryFault, GuestProbe, GuestProbeError, GuestProbeHandler,
    GuestProbeHit, ProbeKind, ProbeMode, ProbedGuest, Stage1,
};
use axebpf_platform::{GuestPhys, GuestVirt, VmId};

struct Nothing;

impl GuestMemory for Nothing {
    fn read_guest(&self, at: GuestPhys, _: &mut [u8]) -> Result<(), GuestMemoryFault> {
        Err(GuestMemoryFault { at })
    }
}

impl GuestMachine for Nothing {
    fn vm(&self) -> VmId {
        VmId::new(1)
    }

    fn vcpu_limit(&self) -> u32 {
        1
    }
}

impl GuestProbeHandler for Nothing {
    fn hit(&self, _: &GuestProbeHit<'_>) {}
}

#[test]
fn nothing_is_attached_where_nothing_can_be_hit() {
    let probes = ProbedGuest::new(Arc::new(Nothing));
    let attach = |vm| {
        let at = GuestVirt::new(0x1000);
        let probe = GuestProbe::new(VmId::new(vm), at, ProbeKind::Entry, ProbeMode::Brk)?;
        probes.attach(&Stage1::default(), &probe, Arc::new(Nothing))
    };
    assert_eq!(attach(1), Err(GuestProbeError::NotInstalled));
    let vm = VmId::new(2);
    assert_eq!(attach(2), Err(GuestProbeError::OtherVm { vm }));
}
