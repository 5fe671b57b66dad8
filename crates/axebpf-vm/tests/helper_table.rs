//! The table of helpers in the documentation says what the code does.

use axebpf_hit as _;
use axebpf_vm::{Helper, RefusedHelper};

const TABLE: &str = include_str!("../../../docs/helpers.md");

/// A row: number, name, whether the helper is here, and the remark.
fn rows() -> Vec<[&'static str; 4]> {
    let cells = |row: &'static str| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        std::array::from_fn(|_| cells.next().expect("four cells"))
    };
    let rows = TABLE.lines().filter(|line| line.starts_with("| "));
    rows.skip(1).map(cells).collect()
}

#[test]
fn the_table_and_the_code_agree() {
    let here = Helper::ALL
        .iter()
        .map(|helper| (helper.id(), helper.name(), "yes", None));
    let refused = RefusedHelper::ALL
        .iter()
        .map(|helper| (helper.id, helper.name, "no", Some(helper.reason)));
    let mut expected: Vec<_> = here.chain(refused).collect();
    expected.sort_unstable();
    let rows = rows();
    for (row, (id, name, here, reason)) in rows.iter().zip(&expected) {
        assert_eq!(row[0], id.to_string());
        assert_eq!(row[1], format!("`{name}`"));
        assert_eq!(row[2], *here, "{name}");
        assert!(!row[3].is_empty(), "{name}");
        assert!(reason.is_none_or(|reason| reason == row[3]), "{name}");
    }
    assert_eq!(rows.len(), expected.len());
}

#[test]
fn no_helper_is_both_here_and_refused() {
    let refused: Vec<_> = RefusedHelper::ALL.iter().map(|helper| helper.id).collect();
    assert!(refused.is_sorted_by(|left, right| left < right));
    let both = Helper::ALL
        .iter()
        .find(|helper| refused.contains(&helper.id()));
    assert_eq!(both, None);
}
