//! The interpreter of the crate `rbpf`, for programs that it runs as RFC 9669 says.
//!
//! What is refused, and why (rbpf 0.4.1): maps and helpers, since it knows none of ours; backward jumps and local
//! calls, since it has no budget; atomics, `movsx`, `ldsx`, `bswap`, `gotol` and signed division, which it does not
//! know or runs as something else; 64-bit jumps on a negative immediate, which it does not sign-extend; the 32-bit
//! remainder by a register or by zero, which keeps the upper half; 64-bit negation, which overflows where overflow is
//! checked.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rbpf::EbpfVmRaw;

use super::{Engine, EngineKind};
use crate::check::{self, Checks};
use crate::check_error::CheckError;
use crate::context::Context;
use crate::decode;
use crate::insn::{self, Insn, class};
use crate::op::Code;
use crate::program::Run;
use crate::run_error::RunError;
use crate::verify::{Facts, verify};

/// rbpf panics beyond this many instructions.
const MAX_RBPF_INSNS: usize = 32_000;

#[derive(Debug)]
pub(super) struct Rbpf {
    code: Box<[u8]>,
    stores: bool,
}

impl Rbpf {
    pub(super) fn prepare(
        insns: &[Insn],
        checks: Checks,
        facts: &Facts<'_>,
    ) -> Result<Self, CheckError> {
        if insns.len() > MAX_RBPF_INSNS {
            return Err(CheckError::TooLong {
                len: insns.len(),
                limit: MAX_RBPF_INSNS,
            });
        }
        let ops = decode::decode(insns, &facts.maps)?;
        let layout = check::check(&ops, Checks::Structure)?;
        if checks == Checks::Full {
            verify(&ops, &layout, facts)?;
        }
        for (index, (insn, op)) in insns.iter().zip(&ops).enumerate() {
            let backward = (Code::Ja as u8..=Code::Jsle32X as u8).contains(&(op.code as u8))
                && op.target() <= index;
            if op.code != Code::Hole && (backward || !is_right(*insn)) {
                let engine = EngineKind::Rbpf.name();
                return Err(CheckError::EngineLimit {
                    insn: index,
                    opcode: insn.opcode,
                    engine,
                });
            }
        }
        let stores = insns
            .iter()
            .any(|insn| matches!(insn.class(), class::ST | class::STX));
        let code: Vec<u8> = insns.iter().flat_map(|insn| insn.to_bytes()).collect();
        Ok(Self {
            code: code.into(),
            stores,
        })
    }
}

/// Tells whether rbpf runs a single instruction as RFC 9669 says.
fn is_right(insn: Insn) -> bool {
    const MOD32_X: u8 = 0x9c;
    const MOD32_K: u8 = 0x94;
    const NEG64: u8 = 0x87;
    match insn.class() {
        class::ALU => {
            insn.off == 0 && insn.opcode != MOD32_X && (insn.opcode != MOD32_K || insn.imm != 0)
        }
        class::ALU64 => insn.off == 0 && insn.opcode != NEG64 && insn.opcode & 0xf0 != 0xd0,
        class::JMP => {
            let compares_imm = insn.opcode & 0x08 == 0;
            let calls = matches!(insn.opcode, insn::CALL | insn::CALLX);
            !calls && (!compares_imm || insn.imm >= 0)
        }
        class::JMP32 => insn.opcode != insn::GOTOL,
        class::LD => insn.is_wide() && insn.src == insn::lddw::IMM64,
        // Plain loads and stores: mode MEM.
        _ => insn.opcode & 0xe0 == 0x60,
    }
}

impl Engine for Rbpf {
    fn name(&self) -> &'static str {
        EngineKind::Rbpf.name()
    }

    fn run(&self, _run: &Run<'_>, mut context: Context<'_>) -> Result<u64, RunError> {
        const SET_R2: u8 = 0xb7;
        let failed = RunError::Engine {
            engine: self.name(),
        };
        let len = i32::try_from(context.len()).map_err(|_| failed)?;
        // rbpf leaves r2 zero, so that the program sets it itself. Jumps are relative and stay right.
        let set_r2 = Insn {
            opcode: SET_R2,
            dst: 2,
            src: 0,
            off: 0,
            imm: len,
        };
        let code = [&set_r2.to_bytes()[..], &self.code].concat();
        let vm = EbpfVmRaw::new(Some(&code)).map_err(|_| failed)?;
        let result = match context.bytes_mut() {
            Some(bytes) => vm.execute_program(bytes),
            // rbpf would let the program write a context that is read-only.
            None if self.stores => return Err(failed),
            None => vm.execute_program(&mut context.copy()),
        };
        result.map_err(|_| failed)
    }
}
