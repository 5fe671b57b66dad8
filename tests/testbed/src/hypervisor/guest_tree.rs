//! The device tree of a VM: what its guest finds, and what the hypervisor tells it (Devicetree Specification 0.4).

use alloc::{format, string::String, vec::Vec};
use core::ops::Range;

use dtoolkit::{
    ToPropertyValue,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};

use super::{distributor, pl011, redistributor, vcpu};

/// The handle by which other nodes name the interrupt controller.
const CONTROLLER: u32 = 1;
/// The handle of the clock of the serial line.
const CLOCK: u32 = 2;

// Cells of an interrupt (Linux: bindings/interrupt-controller/arm,gic-v3.yaml).
const SHARED: u32 = 0;
const PRIVATE: u32 = 1;
const LEVEL_HIGH: u32 = 4;

/// What the tree says about one VM.
#[derive(Clone, Debug)]
pub(crate) struct Description<'a> {
    /// How many vCPUs there are.
    pub(crate) vcpus: u32,
    /// Where the memory lies.
    pub(crate) memory: Range<u64>,
    /// Where the first file system lies; empty when there is none.
    pub(crate) initrd: Range<u64>,
    /// The kernel's command line.
    pub(crate) arguments: &'a str,
    /// From what the kernel takes where it runs, unless it is 0 or the command line has `nokaslr`.
    pub(crate) seed: u64,
}

impl Description<'_> {
    /// Writes the tree in the form in which a kernel gets it.
    pub(crate) fn flatten(&self) -> Vec<u8> {
        let mut tree = DeviceTree::new();
        let root = &mut tree.root;
        put(root, "#address-cells", 2_u32);
        put(root, "#size-cells", 2_u32);
        put(root, "compatible", "linux,dummy-virt");
        put(root, "model", "axebpf testbed");
        put(root, "interrupt-parent", CONTROLLER);
        root.add_child(self.chosen());
        root.add_child(self.memory());
        root.add_child(self.cpus());
        root.add_child(psci());
        root.add_child(self.controller());
        root.add_child(timer());
        root.add_child(clock());
        root.add_child(uart());
        tree.to_dtb()
    }

    fn chosen(&self) -> DeviceTreeNode {
        let mut node = new_node("chosen");
        put(&mut node, "bootargs", self.arguments);
        put(&mut node, "stdout-path", uart_name().as_str());
        put(&mut node, "kaslr-seed", self.seed);
        if !self.initrd.is_empty() {
            put(&mut node, "linux,initrd-start", self.initrd.start);
            put(&mut node, "linux,initrd-end", self.initrd.end);
        }
        node
    }

    fn memory(&self) -> DeviceTreeNode {
        let mut node = new_node(format!("memory@{:x}", self.memory.start));
        put(&mut node, "device_type", "memory");
        put(
            &mut node,
            "reg",
            places(core::slice::from_ref(&self.memory)),
        );
        node
    }

    fn cpus(&self) -> DeviceTreeNode {
        let mut cpus = new_node("cpus");
        put(&mut cpus, "#address-cells", 1_u32);
        put(&mut cpus, "#size-cells", 0_u32);
        for number in 0..self.vcpus {
            let mut cpu = new_node(format!("cpu@{number:x}"));
            put(&mut cpu, "device_type", "cpu");
            put(&mut cpu, "compatible", "arm,armv8");
            put(&mut cpu, "reg", number);
            put(&mut cpu, "enable-method", "psci");
            cpus.add_child(cpu);
        }
        cpus
    }

    fn controller(&self) -> DeviceTreeNode {
        let redistributors = redistributor::window(self.vcpus as usize);
        let mut node = new_node(format!("intc@{:x}", distributor::WINDOW.start));
        put(&mut node, "compatible", "arm,gic-v3");
        put(&mut node, "#interrupt-cells", 3_u32);
        put(&mut node, "interrupt-controller", Vec::<u8>::new());
        let reg = places(&[distributor::WINDOW, redistributors]);
        put(&mut node, "reg", reg);
        put(&mut node, "phandle", CONTROLLER);
        node
    }
}

fn psci() -> DeviceTreeNode {
    let mut node = new_node("psci");
    let versions = ["arm,psci-1.0", "arm,psci-0.2"];
    put(&mut node, "compatible", &versions[..]);
    put(&mut node, "method", "hvc");
    node
}

fn timer() -> DeviceTreeNode {
    let mut node = new_node("timer");
    put(&mut node, "compatible", "arm,armv8-timer");
    // Secure, physical, virtual, and the hypervisor's: the order that the binding asks for.
    let numbers = [13, 14, vcpu::TIMER_INTERRUPT - 16, 10];
    let cells: Vec<u32> = numbers
        .iter()
        .flat_map(|&number| [PRIVATE, number, LEVEL_HIGH])
        .collect();
    put(&mut node, "interrupts", cells);
    put(&mut node, "always-on", Vec::<u8>::new());
    node
}

fn clock() -> DeviceTreeNode {
    let mut node = new_node("apb-pclk");
    put(&mut node, "compatible", "fixed-clock");
    put(&mut node, "#clock-cells", 0_u32);
    put(&mut node, "clock-frequency", 24_000_000_u32);
    put(&mut node, "phandle", CLOCK);
    node
}

fn uart() -> DeviceTreeNode {
    let mut node = new_node(&uart_name()[1..]);
    let kinds = ["arm,pl011", "arm,primecell"];
    put(&mut node, "compatible", &kinds[..]);
    put(&mut node, "reg", places(&[pl011::WINDOW]));
    let number = pl011::INTERRUPT - distributor::FIRST_SHARED;
    put(&mut node, "interrupts", [SHARED, number, LEVEL_HIGH]);
    put(&mut node, "clocks", [CLOCK, CLOCK]);
    let clocks = ["uartclk", "apb_pclk"];
    put(&mut node, "clock-names", &clocks[..]);
    node
}

fn uart_name() -> String {
    format!("/pl011@{:x}", pl011::WINDOW.start)
}

fn new_node(name: impl Into<String>) -> DeviceTreeNode {
    // All names are the ones above, and follow the specification.
    DeviceTreeNode::new_unchecked(name)
}

fn put(node: &mut DeviceTreeNode, name: &str, value: impl ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

/// Returns address and length of each range, in two cells each.
fn places(ranges: &[Range<u64>]) -> Vec<u32> {
    ranges
        .iter()
        .flat_map(|range| [range.start, range.end - range.start])
        .flat_map(|value| [(value >> 32) as u32, value as u32])
        .collect()
}
