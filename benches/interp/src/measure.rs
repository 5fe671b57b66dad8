//! Measuring: rounds in which the engines take turns, so that what disturbs the machine disturbs all of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::engines::Run;

/// How long each engine runs in each round, at least: short, so that on a busy machine some turns pass undisturbed.
const TURN: Duration = Duration::from_millis(2);

/// The times of one run of a program, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) min: f64,
    pub(crate) median: f64,
}

/// Measures `runs`, whose results must be equal, in `rounds` rounds.
pub(crate) fn measure(runs: &mut [Run<'_>], rounds: usize) -> Vec<Times> {
    let batches: Vec<u32> = runs.iter_mut().map(batch).collect();
    let mut samples = vec![Vec::with_capacity(rounds); runs.len()];
    for _ in 0..rounds {
        for ((run, batch), samples) in runs.iter_mut().zip(&batches).zip(&mut samples) {
            samples.push(time(run, *batch));
        }
    }
    samples.into_iter().map(times).collect()
}

/// Finds the number of runs that takes [`TURN`].
fn batch(run: &mut Run<'_>) -> u32 {
    let mut runs = 1;
    while runs < 1 << 24 {
        let taken = time(run, runs) * f64::from(runs);
        if taken >= TURN.as_nanos() as f64 {
            break;
        }
        runs *= 2;
    }
    runs
}

/// Returns the mean time of a run in a row of `runs`.
fn time(run: &mut Run<'_>, runs: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..runs {
        black_box(run());
    }
    start.elapsed().as_nanos() as f64 / f64::from(runs)
}

fn times(mut samples: Vec<f64>) -> Times {
    samples.sort_by(f64::total_cmp);
    Times {
        min: samples.first().copied().unwrap_or(f64::NAN),
        median: samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN),
    }
}
