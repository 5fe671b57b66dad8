//! Guests that are open to probes: which there are, and what their symbols are.
#![cfg(all(feature = "guest-kprobe", feature = "runtime"))]

mod support;

use std::borrow::Cow;
use std::sync::Arc;

use axebpf::platform::mock::MockPlatform;
use axebpf::platform::{GuestPhys, VmId};
use axebpf::probe::kprobe::{
    Backing, GuestMachine, GuestMemory, GuestMemoryFault, GuestText, KickVcpus, PageAccess,
    ProbedGuest, Stage2, Stage2Error, View,
};
use axebpf::shell::upload::{begin_line, data_lines};
use axebpf::shell::{ObjectSource, Outcome, Shell, SourceEntry, SourceError};
use axebpf::symbols::{Encoder, KernelSymbols};
use axebpf::{Axebpf, Error, GuestError, GuestSetup, LinkOptions, LoadOptions, ProgramId};
use support::{SECTIONS, TestIo, root};

const KALLSYMS: &[u8] = b"ffff800008010000 T _stext\n\
    ffff800008011000 T vfs_read\n\
    ffff800008011200 t rw_verify_area\n\
    ffff800008011400 T vfs_write\n\
    ffff800008011500 D jiffies\n";

/// A VM whose guest has never run, with memory that is all zeroes.
struct Machine(VmId);

impl GuestMemory for Machine {
    fn read_guest(&self, _at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        bytes.fill(0);
        Ok(())
    }
}

impl GuestMachine for Machine {
    fn vm(&self) -> VmId {
        self.0
    }

    fn vcpu_limit(&self) -> u32 {
        1
    }

    fn guest_text(&self) -> Option<&dyn GuestText> {
        Some(self)
    }

    fn stage2(&self) -> Option<&dyn Stage2> {
        Some(self)
    }

    fn kick_vcpus(&self) -> Option<&dyn KickVcpus> {
        Some(self)
    }
}

impl GuestText for Machine {
    fn write_text(&self, at: GuestPhys, _word: u32) -> Result<(), GuestMemoryFault> {
        Err(GuestMemoryFault { at })
    }
}

impl Stage2 for Machine {
    fn map_page(
        &self,
        view: View,
        _: GuestPhys,
        _: Backing,
        _: PageAccess,
    ) -> Result<(), Stage2Error> {
        Err(Stage2Error::NoView { view })
    }
}

impl KickVcpus for Machine {
    fn kick_out(&self) {}
}

/// Has the symbols as a file.
struct File;

impl ObjectSource for File {
    fn list(&self) -> Vec<SourceEntry> {
        Vec::new()
    }

    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        match name {
            "kallsyms" => Ok(KALLSYMS.into()),
            "blob" => Ok(blob().into()),
            "cut" => Ok(blob()[..100].to_vec().into()),
            "vmlinux" => Ok(b"\x7fELF\x02\x01\x01\0".into()),
            "junk" => Ok(b"no such thing".into()),
            _ => Err(SourceError::NotFound { name: name.into() }),
        }
    }
}

/// Returns the symbols as a blob.
fn blob() -> Vec<u8> {
    let mut encoder = Encoder::new();
    for symbol in KernelSymbols::from_text(KALLSYMS).unwrap().iter() {
        encoder.push_kernel(&symbol).unwrap();
    }
    encoder.finish_file().unwrap()
}

fn open(root: &Axebpf<MockPlatform>, vm: u32) -> Result<(), Error> {
    let machine = Machine(VmId::new(vm));
    let memory = GuestPhys::new(0)..GuestPhys::new(0x10_0000);
    let probes = Arc::new(ProbedGuest::new(Arc::new(machine)));
    root.open_guest(GuestSetup::new(probes, memory))
}

fn program(root: &Axebpf<MockPlatform>) -> ProgramId {
    let object = root.load("sections", SECTIONS, &LoadOptions::default());
    root.object(object.unwrap()).unwrap().programs[0]
}

fn attach(root: &Axebpf<MockPlatform>, program: ProgramId, target: &str) -> Error {
    let target = target.parse().unwrap();
    root.attach_to(program, &target, &LinkOptions::default())
        .unwrap_err()
}

/// Attaches to a guest that has never run.
fn waits(root: &Axebpf<MockPlatform>, program: ProgramId, target: &str) {
    let link = root.attach_to(program, &target.parse().unwrap(), &LinkOptions::default());
    let guest = root.link(link.unwrap()).unwrap().guest.unwrap();
    assert_eq!(guest.waiting, Some(GuestError::NoKernel { vm: guest.vm }));
}

#[test]
fn a_target_means_the_guest_that_it_names_or_the_only_one() {
    let root = root();
    let program = program(&root);
    let guest_error = |target: &str| match attach(&root, program, target) {
        Error::Guest(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(
        guest_error("kprobe:vfs_read"),
        GuestError::NoGuests
    ));
    open(&root, 3).unwrap();
    for target in ["kprobe:vfs_read", "kretprobe:vm3:vfs_read"] {
        waits(&root, program, target);
    }
    assert!(matches!(
        guest_error("kprobe:vm4:vfs_read"),
        GuestError::NoGuest { .. }
    ));
    open(&root, 4).unwrap();
    assert!(matches!(
        guest_error("kprobe:vfs_read"),
        GuestError::WhichGuest { guests } if guests.len() == 2
    ));
    root.close_guest(VmId::new(4)).unwrap();
    waits(&root, program, "kprobe:vfs_read");
    root.close_guest(VmId::new(3)).unwrap();
    assert!(root.links().unwrap().is_empty());
}

#[test]
fn a_guest_is_open_once() {
    let root = root();
    open(&root, 1).unwrap();
    let error = open(&root, 1).unwrap_err();
    assert!(matches!(error, Error::Guest(GuestError::Open { .. })));
    root.close_guest(VmId::new(1)).unwrap();
    let error = root.close_guest(VmId::new(1)).unwrap_err();
    assert!(matches!(error, Error::Guest(GuestError::NoGuest { .. })));
    open(&root, 1).unwrap();
}

/// Runs a line and returns how it ended and what it wrote, blanks and line ends aside.
fn run(root: &Axebpf<MockPlatform>, line: &str) -> (Outcome, String) {
    let shell = Shell::new(root, &File);
    let mut io = TestIo::default();
    let outcome = shell.run_line(&mut io, line);
    assert!(io.output.lines().all(|line| line.len() <= 80));
    let words: Vec<_> = io.output.split_whitespace().collect();
    (outcome, words.join(" "))
}

#[test]
fn symbols_come_from_a_file_where_memory_has_none() {
    let root = root();
    open(&root, 1).unwrap();
    let fails = |line: &str, part: &str| {
        let (outcome, said) = run(&root, line);
        assert_eq!(outcome, Outcome::Failed, "{line}: {said}");
        assert!(said.contains(part), "{line}: {said}");
    };
    let shows = |line: &str, part: &str| {
        let (outcome, said) = run(&root, line);
        assert_eq!(outcome, Outcome::Done, "{line}: {said}");
        assert!(said.contains(part), "{line}: {said}");
    };
    fails("vm syms 2 kallsyms", "VM 2 is not open to probes");
    fails("vm syms first", "`first` is no VM");
    fails("gsym 1 vfs_read", "the symbols of VM 1 are not found");
    fails("vm syms 1 nothing", "no object named `nothing`");
    shows("vm list", "1 - - -");
    let later = "moved to where the kernel runs as soon as it does";
    shows("vm syms 1 kallsyms", "vm 1: 5 symbols");
    shows("vm syms 1 kallsyms", later);
    shows("vm list", "1 - - 5");
    shows(
        "vm syms 1 blob --slide 0x1000",
        "programs see no tasks moved by 0x1000 from where the file says",
    );
    shows("gsym 1 vfs_read", "0xffff800008012000 512 T vfs_read");
    fails("vm syms 1 kallsyms --slide far", "`far` is no distance");
    shows(
        "vm syms 1 blob --slide -0x20",
        "moved by -0x20 from where the file says",
    );
    fails("vm syms 1 cut", "the blob is damaged: section header:");
    fails("vm syms 1 vmlinux", "makes a blob of the symbols in it");
    fails("vm syms 1 junk", "take /proc/kallsyms, a System.map, or");
    shows("vm syms 1 kallsyms --slide -0x0", "where the file says");
    shows("gsym vm1 vfs_read", "0xffff800008011000 512 T vfs_read");
    shows("gsym 1 0xffff800008011010", "vfs_read+0x10/0x200");
    shows("gsym 1 vfs_* --limit 1", "(more; the first 1 are shown");
    fails("gsym 1 vfs_raed", "did you mean `vfs_read`");
    fails("gsym 1 nothing*", "no symbol matches");
    fails("gsym 1 0x10", "no symbol of the guest covers 0x10");
}

#[test]
fn a_mode_is_one_of_four() {
    let root = root();
    open(&root, 1).unwrap();
    program(&root);
    let (outcome, said) = run(&root, "link attach 1 kprobe:vm1:vfs_read --mode magic");
    assert_eq!(outcome, Outcome::Failed);
    assert!(said.contains("there are auto, hidden-brk, brk, hvc and stage2"));
    for mode in ["hidden-brk", "brk", "hvc", "stage2"] {
        let line = format!("link attach 1 kprobe:vm1:vfs_read --mode {mode}");
        let said = run(&root, &line).1;
        let expected = match mode {
            "hvc" => "waiting: the kernel of VM 1 does not run yet",
            _ => "probes need what this hypervisor does not offer",
        };
        assert!(said.contains(expected), "{mode}: {said}");
    }
}

#[test]
fn symbols_that_come_over_the_console_may_be_as_many_as_a_kernel_has() {
    let root = root();
    open(&root, 1).unwrap();
    let lines = (0..60_000_u64).map(|number| {
        let address = 0xffff_8000_0800_0000 + 64 * number;
        format!("{address:016x} t some_function_of_a_kernel_{number}\n")
    });
    let text: String = lines.collect();
    assert!(text.len() > axebpf::shell::upload::MAX_OBJECT);
    let mut io = TestIo::default();
    let first = std::iter::once(begin_line(text.as_bytes()));
    for line in first.chain(data_lines(text.as_bytes())) {
        io.input.extend(line.bytes());
        io.input.push_back(b'\n');
    }
    let outcome = Shell::new(&root, &File).run_line(&mut io, "vm syms 1 --upload");
    assert_eq!(outcome, Outcome::Done);
    assert!(io.output.contains("vm 1: 60000 symbols"));
    let (_, said) = run(&root, "gsym 1 some_function_of_a_kernel_59999");
    assert!(said.contains("0xffff8000083a97c0"), "{said}");
    // What is more than the limit is refused before it comes.
    let mut io = TestIo::default();
    let line = format!(
        "begin {} 00000000\n",
        axebpf::shell::upload::MAX_SYMBOLS + 1
    );
    io.input.extend(line.bytes());
    let outcome = Shell::new(&root, &File).run_line(&mut io, "vm syms 1 --upload");
    assert_eq!(outcome, Outcome::Failed);
}
