//! By how far a kernel runs from where it was linked, from two tables of its symbols.

use axebpf_symbols::{KernelSymbolError, KernelSymbols, Slide};
use proptest::prelude::*;

const LINKED: u64 = 0xffff_8000_0801_0000;

fn kernel(functions: &[(&str, u64)]) -> KernelSymbols {
    let lines = functions
        .iter()
        .map(|(name, at)| format!("{at:016x} t {name}\n"));
    KernelSymbols::from_text(lines.collect::<String>().as_bytes()).unwrap()
}

/// Returns `count` functions from `start` on.
fn functions(count: u64, start: u64) -> Vec<(String, u64)> {
    (0..count)
        .map(|n| (format!("function_{n}"), start.wrapping_add(0x40 * n)))
        .collect()
}

fn borrowed(functions: &[(String, u64)]) -> Vec<(&str, u64)> {
    functions.iter().map(|(name, at)| (&**name, *at)).collect()
}

fn of(functions: &[(String, u64)]) -> KernelSymbols {
    kernel(&borrowed(functions))
}

#[test]
fn symbols_that_say_where_the_kernel_runs_are_not_moved() {
    let running = of(&functions(1000, LINKED + 0x1220_0000));
    assert_eq!(running.slide_to(&running), Ok(Slide::ZERO));
}

#[test]
fn names_of_several_functions_and_of_modules_say_nothing() {
    let linked = functions(500, LINKED);
    let mut running = functions(500, LINKED + 0x40_0000);
    // A static function of the same name elsewhere, in either table.
    running.push(("function_0".into(), LINKED + 0x90_0000));
    assert_eq!(
        of(&linked).slide_to(&of(&running)),
        Ok(Slide::new(0x40_0000))
    );
    assert_eq!(
        of(&running).slide_to(&of(&linked)),
        Ok(Slide::new(-0x40_0000))
    );
    // A module is wherever it was loaded.
    let mut text: String = linked
        .iter()
        .map(|(name, at)| format!("{at:x} t {name}\n"))
        .collect();
    text.push_str("ffff800001000000 t function_8\t[module]\n");
    let with_module = KernelSymbols::from_text(text.as_bytes()).unwrap();
    assert_eq!(
        with_module.slide_to(&of(&running)),
        Ok(Slide::new(0x40_0000))
    );
    assert_eq!(
        of(&running).slide_to(&with_module),
        Ok(Slide::new(-0x40_0000))
    );
}

#[test]
fn another_kernel_is_told_by_functions_that_lie_differently() {
    let linked = functions(500, LINKED);
    let mut running = functions(500, LINKED + 0x40_0000);
    for (_, at) in running.iter_mut().skip(250) {
        *at += 0x10;
    }
    let error = of(&linked).slide_to(&of(&running)).unwrap_err();
    let expected = KernelSymbolError::Differs {
        one: Slide::new(0x40_0000),
        other: Slide::new(0x40_0010),
    };
    assert_eq!(error, expected);
}

#[test]
fn too_few_functions_are_not_enough() {
    let running = of(&functions(500, LINKED));
    let few = of(&functions(3, LINKED));
    let expected = KernelSymbolError::Strangers {
        found: 3,
        sought: 3,
        need: 4,
    };
    assert_eq!(few.slide_to(&running), Err(expected));
    let strange = kernel(&[("a", 0x1000), ("b", 0x2000), ("c", 0x3000), ("d", 0x4000)]);
    let expected = KernelSymbolError::Strangers {
        found: 0,
        sought: 4,
        need: 4,
    };
    assert_eq!(strange.slide_to(&running), Err(expected));
    let data: String = (0..100).map(|n| format!("{n:x}00 d value_{n}\n")).collect();
    let data = KernelSymbols::from_text(data.as_bytes()).unwrap();
    assert!(matches!(
        data.slide_to(&running),
        Err(KernelSymbolError::Strangers { sought: 0, .. })
    ));
}

#[test]
fn a_slide_that_no_kernel_can_have_is_refused() {
    let linked = of(&functions(100, LINKED));
    let running = of(&functions(100, LINKED + 0x1000));
    let expected = KernelSymbolError::BadSlide {
        slide: Slide::new(0x1000),
        align: 0x1_0000,
    };
    assert_eq!(linked.slide_to(&running), Err(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_slide_is_found(steps in -0x7fff_ffff_i64..0x7fff_ffff, count in 4_u64..400) {
        let slide = steps << 16;
        let linked = of(&functions(count, LINKED));
        let running = of(&functions(count, LINKED.wrapping_add_signed(slide)));
        prop_assert_eq!(linked.slide_to(&running), Ok(Slide::new(slide)));
        // What is moved so fits.
        let moved = linked.with_slide(Slide::new(slide));
        prop_assert_eq!(moved.slide_to(&running), Ok(Slide::ZERO));
    }
}
