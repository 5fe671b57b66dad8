//! The helpers that steer the program; see [`flow`](crate::flow).

use super::Helper;
use super::call::{HelperFault, Helpers};
use crate::errno::{E2BIG, EINVAL, ENOENT};
use crate::flow::{Flow, MAX_TAIL_CALLS, Pending};
use crate::program::Program;

/// The largest number of iterations of `bpf_loop`, as in Linux (`BPF_MAX_LOOPS`).
const MAX_LOOPS: u64 = 8 << 20;

impl<'r> Helpers<'r> {
    /// Starts `helper`, for which [`Helper::steers`] holds, with the values of `r1` to `r5`.
    pub(crate) fn steer(
        &mut self,
        helper: Helper,
        args: [u64; 5],
    ) -> Result<Flow<'r>, HelperFault> {
        match helper {
            Helper::TailCall => self.tail_call(args),
            Helper::Loop => Ok(self.loop_start(args)),
            Helper::ForEachMapElem => self.each_start(args),
            // The other helpers steer nothing.
            _ => self.call(helper, args).map(Flow::Return),
        }
    }

    /// Goes on with a helper whose callback has returned `result`.
    pub(crate) fn resume(
        &mut self,
        pending: Pending,
        result: u64,
    ) -> Result<Flow<'r>, HelperFault> {
        Ok(match pending.helper {
            Helper::Loop => loop_next(pending, result),
            Helper::ForEachMapElem => return self.each_resume(&pending, result),
            _ => Flow::Return(result),
        })
    }

    /// `bpf_loop(nr_loops, callback, ctx, flags)`: returns the number of iterations.
    fn loop_start(&mut self, args: [u64; 5]) -> Flow<'r> {
        let [count, function, context, flags, _] = args;
        // Linux declares the number as u32, so the upper half of the register does not count.
        let count = u64::from(count as u32);
        let error = match (flags, count) {
            (0, 0) => return Flow::Return(0),
            (0, 1..=MAX_LOOPS) => {
                let pending = Pending {
                    helper: Helper::Loop,
                    function,
                    state: [0, count, context, 0],
                };
                return iteration(pending);
            }
            (0, _) => E2BIG,
            _ => EINVAL,
        };
        self.fail(error)
    }

    /// `bpf_tail_call(ctx, prog_array, index)`: returns only if there is no program to go on with.
    ///
    /// A record that the program holds is abandoned by the call.
    fn tail_call(&mut self, args: [u64; 5]) -> Result<Flow<'r>, HelperFault> {
        let [_, map, index, ..] = args;
        let map = self.map_index(2, map)?;
        // Linux declares the index as u32, so the upper half of the register does not count.
        let program = self.program_at(map, index as u32);
        let next = program.and_then(|program| Some((program, program.image()?)));
        let (program, image) = match next {
            Some(next) if self.tail_calls < MAX_TAIL_CALLS => next,
            _ => return Ok(self.fail(ENOENT)),
        };
        self.tail_calls += 1;
        self.discard_records();
        self.memory.switch_maps(program.bound_maps());
        Ok(Flow::Tail(image))
    }

    /// Returns the program in a slot of a program array.
    fn program_at(&self, map: usize, index: u32) -> Option<&'r Program> {
        let map = self.map_at(map)?;
        let program = map.program(self.guard, index).ok()??;
        program.downcast_ref::<Program>()
    }

    /// Counts an error and returns it to the program.
    pub(super) fn fail(&mut self, errno: i64) -> Flow<'r> {
        self.errors += 1;
        Flow::Return(errno as u64)
    }
}

/// Goes on with the next iteration of `bpf_loop`, unless the callback said that it was the last one.
fn loop_next<'r>(mut pending: Pending, result: u64) -> Flow<'r> {
    pending.state[0] += 1;
    let [done, count, ..] = pending.state;
    if result != 0 || done == count {
        Flow::Return(done)
    } else {
        iteration(pending)
    }
}

fn iteration<'r>(pending: Pending) -> Flow<'r> {
    let [done, _, context, _] = pending.state;
    Flow::Call {
        pending,
        args: [done, context, 0, 0, 0],
    }
}
