//! Links to the functions of a guest that starts, runs programs, and is started anew elsewhere.
#![cfg(all(feature = "guest-kprobe", feature = "runtime"))]

mod chains;
mod kernel;
mod lifecycle;
mod machine;
mod names;
mod placement;
mod refused;
mod shell;
mod tasks;
mod types;

use std::sync::{Mutex, MutexGuard, PoisonError};

use axebpf::platform::mock::{MOCK, MockPlatform};
use axebpf::platform::{GuestPhys, VmId};
use axebpf::{Axebpf, GuestSetup, LinkId, LinkInfo, LinkOptions, LoadOptions, ProgramId};

use crate::machine::{Guest, RAM, VM};

pub(crate) const CALLS: &[u8] = include_bytes!("../objects/guest_calls.bpf.o");

/// A root with one guest and the object that counts calls. Tests take turns: they share the CPUs of the platform.
pub(crate) struct Bench {
    pub(crate) root: Axebpf<MockPlatform>,
    pub(crate) guest: Guest,
    pub(crate) entered: ProgramId,
    pub(crate) returned: ProgramId,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let root = Axebpf::new(&MOCK).unwrap();
        let guest = Guest::new(VM);
        let memory = GuestPhys::new(RAM)..GuestPhys::new(RAM + 0x20_0000);
        root.open_guest(GuestSetup::new(guest.probes.clone(), memory))
            .unwrap();
        let object = root.load("calls", CALLS, &LoadOptions::default()).unwrap();
        let programs = root.object(object).unwrap().programs;
        Self {
            root,
            guest,
            entered: programs[0],
            returned: programs[1],
            _turn: turn,
        }
    }

    /// Starts the guest, as a hypervisor does, up to its boot loader.
    pub(crate) fn boot(&mut self, slide: u64) {
        self.root.guest_restarted(VM).unwrap();
        self.guest.load(slide);
    }

    pub(crate) fn attach(&self, program: ProgramId, target: &str) -> LinkId {
        let options = LinkOptions::default();
        self.try_attach(program, target, &options).unwrap()
    }

    pub(crate) fn try_attach(
        &self,
        program: ProgramId,
        target: &str,
        options: &LinkOptions<'_>,
    ) -> Result<LinkId, axebpf::Error> {
        self.root
            .attach_to(program, &target.parse().unwrap(), options)
    }

    pub(crate) fn link(&self, link: LinkId) -> LinkInfo {
        self.root.link(link).unwrap()
    }

    /// Returns what a link waits for.
    pub(crate) fn waits_for(&self, link: LinkId) -> Option<axebpf::GuestError> {
        let guest = self.link(link).guest.unwrap();
        assert_eq!(guest.vm, VmId::new(1));
        guest.waiting
    }

    /// Returns slot `key` of the map `name`.
    pub(crate) fn value(&self, name: &str, key: u32) -> u64 {
        let maps = self.root.maps().unwrap();
        let info = maps.into_iter().find(|info| info.map.name() == name);
        let map = info.unwrap().map;
        let value = map.read(&key.to_ne_bytes()).unwrap().unwrap();
        u64::from_le_bytes(value.try_into().unwrap())
    }
}
