//! Putting two operations into one step of the interpreter.
//!
//! Where two operations that often follow each other do so, the first one's code becomes one that does both. The second
//! operation stays where it is, for jumps to it, and the first one keeps its fields; so indices, budget and
//! errors are the same as without. This comes after all checks, which see the plain operations.

use crate::op::{Code, Op};

/// Replaces the codes of operations that are done in one step with the next one.
pub(crate) fn fuse(ops: &mut [Op]) {
    for index in 1..ops.len() {
        // The second one still has its own code, since this goes upwards.
        if let Some(code) = pair(ops[index - 1].code, ops[index].code) {
            ops[index - 1].code = code;
        }
    }
}

#[rustfmt::skip]
fn pair(first: Code, second: Code) -> Option<Code> {
    use Code::*;
    Some(match (first, second) {
        (Mov64X, Add64K) => Mov64XAdd64K,
        (Mov64X, Lsh64K) => Mov64XLsh64K,
        (Mov64X, And64K) => Mov64XAnd64K,
        (Mov64X, Mov64X) => Mov64XMov64X,
        (Load64, Load64) => Load64Load64,
        (Load64, Add64X) => Load64Add64X,
        (Load32, Load32) => Load32Load32,
        (Load8, Add64X) => Load8Add64X,
        (StoreX64, StoreX64) => StoreX64StoreX64,
        (Add64X, Load64) => Add64XLoad64,
        (Add64X, StoreX64) => Add64XStoreX64,
        (Add64K, Jne64X) => Add64KJne64X,
        (Add64K, StoreX64) => Add64KStoreX64,
        (Sub64K, Jne64K) => Sub64KJne64K,
        (And64K, Jeq64K) => And64KJeq64K,
        (Xor64X, And64K) => Xor64XAnd64K,
        (Or64X, StoreX64) => Or64XStoreX64,
        (Rsh64K, Add64X) => Rsh64KAdd64X,
        (LoadFrame64, LoadFrame64) => LoadFrame64LoadFrame64,
        (LoadFrame64, Add64X) => LoadFrame64Add64X,
        (StoreFrameX64, StoreFrameX64) => StoreFrameX64StoreFrameX64,
        (Add64X, StoreFrameX64) => Add64XStoreFrameX64,
        (Or64X, StoreFrameX64) => Or64XStoreFrameX64,
        (Add64K, StoreFrameX64) => Add64KStoreFrameX64,
        _ => return None,
    })
}
