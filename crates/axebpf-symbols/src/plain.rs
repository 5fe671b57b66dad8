//! The short form of the names of methods.

use alloc::string::String;

/// Writes the name of an inherent method the way one refers to it in a program, into `out`: `<a::T>::f`
/// becomes `a::T::f`.
///
/// Returns whether there is such a form; `out` is empty if not. A method of a trait, `<a::T as b::Trait>::f`,
/// has none, nor has one of a type that is no path, `<[a::T]>::f`.
pub(crate) fn write_plain(demangled: &str, out: &mut String) -> bool {
    out.clear();
    let Some(inner) = demangled.strip_prefix('<') else {
        return false;
    };
    let Some(end) = end_of_path(inner) else {
        return false;
    };
    // The end is where a `>` of one byte is.
    let (path, rest) = (&inner[..end], &inner[end + 1..]);
    if path.is_empty() || !rest.starts_with("::") {
        return false;
    }
    out.push_str(path);
    out.push_str(rest);
    true
}

/// Returns where the `>` is that ends the path at the start of `text`, if it is a path.
fn end_of_path(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // The end of an arrow, as in `fn() -> u8`, is none of a bracket.
            '>' if before == '-' => {}
            '>' if depth == 0 => return Some(at),
            '>' => depth -= 1,
            // Whatever else is possible within the brackets of arguments.
            _ if depth > 0 || c == '_' || c == ':' || c.is_alphanumeric() => {}
            _ => return None,
        }
        before = c;
    }
    None
}
