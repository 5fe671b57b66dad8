//! Runs one program of bare instructions, given as hex, and prints what it leaves in `r0`.
//!
//! ```text
//! run_raw [MEMORY] [--engine NAME] [--checks LEVEL] [--repeat N] < PROGRAM
//! ```
//!
//! The program comes from standard input, as hex; so does `MEMORY`, the bytes that `r1` points to and that the program
//! may write; `r2` is their number. White space in either does not matter. `r0` goes to standard output, in hex.
//!
//! Every program that RFC 9669 defines runs: `--checks instructions`, the default, asks for valid instructions and
//! targets only, so that code that nothing reaches, registers that were never written (they are 0) and functions that
//! call themselves are all right. `--checks structure` and `--checks full` refuse what the library refuses of bare
//! instructions and of the programs of an object. `--repeat N` runs the program N times, each time on the same initial
//! memory, and prints the mean time of a run on standard error. `--help` says this in short.

use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use axebpf_platform::host::HOST;
use axebpf_vm::{Checks, Context, EngineKind, Program, RunEnv};

type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
Runs one program of bare eBPF instructions and prints what it leaves in r0, in hex.

usage: run_raw [MEMORY] [--engine NAME] [--checks LEVEL] [--repeat N] < PROGRAM

MEMORY and PROGRAM are hex. r1 points to the memory, which the program may write;
r2 is its length in bytes.

  --engine NAME   what runs the program; interp if not said
  --checks LEVEL  what is refused before the program runs:
                    instructions  what RFC 9669 does not define (if not said)
                    structure     also recursion, and jumps between functions
                    full          also what no program of an object may do, such as
                                  code that nothing reaches, or registers that are
                                  read before they are written
  --repeat N      runs the program N times, and prints the mean time of a run
  --help          shows this
";

struct Options {
    memory: Vec<u8>,
    engine: EngineKind,
    checks: Checks,
    repeat: u32,
    print_time: bool,
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(r0) => {
            println!("{r0:x}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("run_raw: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<u64, Failure> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let bytes = from_hex(&text).map_err(|what| format!("the program: {what}"))?;
    let program = Program::with_checks(options.checks, options.engine, &bytes, &[])?;
    // A program that is given on the command line may take its time.
    program.set_budget(u32::MAX);
    axebpf_hit::install(&HOST)?;

    let mut memory = Memory::new(&options.memory);
    let mut spent = Duration::ZERO;
    let mut r0 = 0;
    for _ in 0..options.repeat {
        memory.reset(&options.memory);
        let guard = axebpf_hit::enter()?;
        let start = Instant::now();
        r0 = program.run(&guard, Context::writable(memory.bytes()), &RunEnv::new())?;
        spent += start.elapsed();
    }
    if options.print_time {
        let mean = spent.as_nanos() as f64 / f64::from(options.repeat);
        eprintln!(
            "{mean:.1} ns per run, {} runs on engine {}",
            options.repeat,
            program.engine()
        );
    }
    Ok(r0)
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut args = args.peekable();
        let mut options = Self {
            memory: Vec::new(),
            engine: EngineKind::default(),
            checks: Checks::Instructions,
            repeat: 1,
            print_time: false,
        };
        let mut memory = None;
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_string())),
                _ => (arg.as_str(), None),
            };
            let mut value = || {
                let value = value.clone().or_else(|| args.next());
                value.ok_or_else(|| format!("{name} needs a value"))
            };
            match name {
                "--engine" => options.engine = engine(&value()?)?,
                "--checks" => options.checks = checks(&value()?)?,
                "--repeat" => {
                    options.repeat = value()?.parse()?;
                    options.print_time = true;
                }
                _ if name.starts_with("--") => return Err(format!("unknown option {name}").into()),
                _ if memory.is_some() => return Err(format!("unexpected argument {name}").into()),
                _ => memory = Some(from_hex(name).map_err(|what| format!("the memory: {what}"))?),
            }
        }
        if options.repeat == 0 {
            return Err("--repeat needs at least 1".into());
        }
        options.memory = memory.unwrap_or_default();
        Ok(options)
    }
}

fn engine(name: &str) -> Result<EngineKind, Failure> {
    EngineKind::by_name(name).ok_or_else(|| {
        let known: Vec<_> = EngineKind::ALL.iter().map(|engine| engine.name()).collect();
        format!("unknown engine {name}; this build has {}", known.join(", ")).into()
    })
}

fn checks(name: &str) -> Result<Checks, Failure> {
    match name {
        "instructions" => Ok(Checks::Instructions),
        "structure" => Ok(Checks::Structure),
        "full" => Ok(Checks::Full),
        _ => Err(format!("unknown level {name}; there are instructions, structure, full").into()),
    }
}

/// The program's memory, aligned for atomic operations.
struct Memory {
    words: Vec<u64>,
    len: usize,
}

impl Memory {
    fn new(initial: &[u8]) -> Self {
        Self {
            words: vec![0; initial.len().div_ceil(8)],
            len: initial.len(),
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        let words = self.words.as_mut_slice();
        // SAFETY: every pattern of bits is a `u64` and every byte of one is initialised.
        let (_, bytes, _) = unsafe { words.align_to_mut::<u8>() };
        &mut bytes[..self.len]
    }

    fn reset(&mut self, initial: &[u8]) {
        self.bytes().copy_from_slice(initial);
    }
}

/// Reads hex digits, two to a byte, with white space and a leading `0x` where they like.
fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let text = text.strip_prefix("0x").unwrap_or(&text);
    if !text.len().is_multiple_of(2) {
        return Err(format!(
            "{} hex digits are no whole number of bytes",
            text.len()
        ));
    }
    let digit = |byte: u8| {
        let value = char::from(byte).to_digit(16);
        value.ok_or_else(|| format!("{:?} is no hex digit", char::from(byte)))
    };
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}
