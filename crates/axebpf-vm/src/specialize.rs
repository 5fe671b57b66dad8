//! Narrower forms of operations, for what is known of them at load.
//!
//! An access at a fixed, aligned place in the frame needs no check at run time: `r10` is the frame's end, since nothing
//! writes it, so that the place is known, and [`frame_use`] sees to it that the place is ready. A helper that only
//! states a fact takes no arguments and cannot fail. This comes after all checks, which see the general operations.

use crate::helper::Helper;
use crate::memory::{FRAME_BYTES, FrameUse};
use crate::op::{Code, Op, Reg};

/// Replaces operations by narrower ones where there are some.
pub(crate) fn specialize(ops: &mut [Op]) {
    for op in ops {
        if op.code == Code::CallHelper {
            if Helper::ALL
                .get(op.imm as usize)
                .is_some_and(|helper| helper.is_fact())
            {
                op.code = Code::CallFact;
            }
        } else if let Some((code, offset)) = frame_access(op) {
            (op.code, op.off) = (code, offset);
        }
    }
}

/// Estimates how much of a frame the program uses: how far below `r10` it accesses memory, or points to.
///
/// What [`specialize`] leaves unchecked is among it.
pub(crate) fn frame_use(ops: &[Op]) -> FrameUse {
    let lowest = ops.windows(2).map(|pair| {
        let [op, next] = pair else { return 0 };
        let code = op.code as u8;
        match op.code {
            Code::Mov64X if op.src == Reg::R10 && next.code == Code::Add64K => next.imm as i64,
            _ if op.src == Reg::R10
                && (Code::Load8 as u8..=Code::LoadSx32 as u8).contains(&code) =>
            {
                op.off.into()
            }
            _ if op.dst == Reg::R10 && code >= Code::StoreK8 as u8 => op.off.into(),
            _ => 0,
        }
    });
    let depths = lowest.map(|offset| offset.unsigned_abs() as usize * usize::from(offset < 0));
    FrameUse::new(
        depths
            .filter(|depth| *depth <= FRAME_BYTES)
            .max()
            .unwrap_or(0),
    )
}

/// Returns the form of a load or store for a place in the frame, and the place from the frame's lowest byte on.
fn frame_access(op: &Op) -> Option<(Code, i32)> {
    let (base, code, len) = match op.code {
        Code::Load8 => (op.src, Code::LoadFrame8, 1),
        Code::Load16 => (op.src, Code::LoadFrame16, 2),
        Code::Load32 => (op.src, Code::LoadFrame32, 4),
        Code::Load64 => (op.src, Code::LoadFrame64, 8),
        Code::StoreK8 => (op.dst, Code::StoreFrameK8, 1),
        Code::StoreK16 => (op.dst, Code::StoreFrameK16, 2),
        Code::StoreK32 => (op.dst, Code::StoreFrameK32, 4),
        Code::StoreK64 => (op.dst, Code::StoreFrameK64, 8),
        Code::StoreX8 => (op.dst, Code::StoreFrameX8, 1),
        Code::StoreX16 => (op.dst, Code::StoreFrameX16, 2),
        Code::StoreX32 => (op.dst, Code::StoreFrameX32, 4),
        Code::StoreX64 => (op.dst, Code::StoreFrameX64, 8),
        _ => return None,
    };
    let offset = op.off + FRAME_BYTES as i32;
    let fits = 0 <= offset && offset <= FRAME_BYTES as i32 - len && offset % len == 0;
    (base == Reg::R10 && fits).then_some((code, offset))
}
