//! Which aborts can be those of a mapping.

use axebpf_guestprobe::{AccessKind, GuestExit, Syndrome};
use axebpf_platform::GuestPhys;

const FETCH: u64 = 0x20;
const DATA: u64 = 0x24;

fn exit(class: u64, status: u64) -> Option<GuestExit> {
    let syndrome = Syndrome {
        esr: class << 26 | 1 << 25 | status,
        far: 0x1234,
        hpfar: 0x55 << 4,
    };
    syndrome.exit()
}

#[test]
fn aborts_of_mappings_are_told_from_others() {
    for class in [FETCH, DATA] {
        for status in 0..64 {
            // Address size, translation, access flag and permission on levels 0 to 3; the first two on level -1.
            let is_ours = status < 0b01_0000 || matches!(status, 0b10_1001 | 0b10_1011);
            let exit = exit(class, status);
            assert_eq!(exit.is_some(), is_ours, "{status:#b}");
            let Some(GuestExit::Abort(abort)) = exit else {
                continue;
            };
            let kind = if class == FETCH {
                AccessKind::Fetch
            } else {
                AccessKind::Read
            };
            assert_eq!(abort.kind, kind);
            // A permission fault does not say the page.
            let page = (status >> 2 != 0b0011).then_some(GuestPhys::new(0x5_5000));
            assert_eq!(abort.page, page, "{status:#b}");
        }
    }
}
