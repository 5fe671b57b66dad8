//! The types that an event's fields can have, and how their values travel from the tracepoint to
//! the record.

#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::with_exposed_provenance;

use crate::field::{FieldType, Radix};

/// A type that an event's field can have.
///
/// Implemented for `u8` to `u64`, `i8` to `i64`, `bool`, [`Hex`] and [`Str`].
pub trait TraceField {
    /// What `trace!` takes for the field.
    type Arg<'a>: Copy;

    /// How the field is stored and printed.
    const TYPE: FieldType;

    /// What the first register holds in which the argument travels to the report.
    #[doc(hidden)]
    type Word: Copy;

    /// Returns what the first register holds.
    #[doc(hidden)]
    fn low(arg: Self::Arg<'_>) -> Self::Word;

    /// Returns what the second register holds; zero where one is enough.
    #[doc(hidden)]
    #[inline(always)]
    fn high(_arg: Self::Arg<'_>) -> u64 {
        0
    }

    /// Returns what both registers hold. The bits of the first one that are beyond
    /// [`Word`](Self::Word) do not matter.
    #[doc(hidden)]
    fn words(arg: Self::Arg<'_>) -> [u64; 2];

    /// Makes the argument of what the registers held.
    ///
    /// # Safety
    ///
    /// The words come from an argument of this type that is borrowed for `'a`, except for the bits
    /// of the first one that are beyond [`Word`](Self::Word).
    #[doc(hidden)]
    unsafe fn from_words<'a>(words: [u64; 2]) -> Self::Arg<'a>;

    /// Writes `arg` to `to`, which has [`FieldType::size`] bytes and is all zeroes.
    #[doc(hidden)]
    fn store(arg: Self::Arg<'_>, to: &mut [u8]);
}

macro_rules! integer_field {
    ($($ty:ident => $kind:expr),* $(,)?) => {$(
        impl TraceField for $ty {
            type Arg<'a> = $ty;
            const TYPE: FieldType = $kind;
            type Word = $ty;

            #[inline(always)]
            fn low(arg: $ty) -> $ty {
                arg
            }

            fn words(arg: $ty) -> [u64; 2] {
                [arg as u64, 0]
            }

            unsafe fn from_words<'a>(words: [u64; 2]) -> Self::Arg<'a> {
                words[0] as $ty
            }

            fn store(arg: $ty, to: &mut [u8]) {
                if let Some(to) = to.first_chunk_mut() {
                    *to = arg.to_ne_bytes();
                }
            }
        }
    )*};
}

integer_field! {
    u8 => FieldType::Unsigned { size: 1, radix: Radix::Decimal },
    u16 => FieldType::Unsigned { size: 2, radix: Radix::Decimal },
    u32 => FieldType::Unsigned { size: 4, radix: Radix::Decimal },
    u64 => FieldType::Unsigned { size: 8, radix: Radix::Decimal },
    i8 => FieldType::Signed { size: 1 },
    i16 => FieldType::Signed { size: 2 },
    i32 => FieldType::Signed { size: 4 },
    i64 => FieldType::Signed { size: 8 },
}

impl TraceField for bool {
    type Arg<'a> = bool;
    const TYPE: FieldType = FieldType::Bool;
    type Word = u8;

    #[inline(always)]
    fn low(arg: bool) -> u8 {
        u8::from(arg)
    }

    fn words(arg: bool) -> [u64; 2] {
        [u64::from(arg), 0]
    }

    unsafe fn from_words<'a>(words: [u64; 2]) -> Self::Arg<'a> {
        words[0] as u8 != 0
    }

    fn store(arg: bool, to: &mut [u8]) {
        u8::store(u8::from(arg), to);
    }
}

/// Declares an unsigned field that is printed in hexadecimal: an address, a register, a mask.
///
/// `trace!` takes the plain integer for it, so `pc: Hex<u64>` is given a `u64`.
#[derive(Clone, Copy, Debug)]
pub struct Hex<T>(PhantomData<T>);

macro_rules! hex_field {
    ($($ty:ident),*) => {$(
        impl TraceField for Hex<$ty> {
            type Arg<'a> = $ty;
            const TYPE: FieldType =
                FieldType::Unsigned { size: size_of::<$ty>(), radix: Radix::Hex };
            type Word = $ty;

            #[inline(always)]
            fn low(arg: $ty) -> $ty {
                arg
            }

            fn words(arg: $ty) -> [u64; 2] {
                [arg as u64, 0]
            }

            unsafe fn from_words<'a>(words: [u64; 2]) -> Self::Arg<'a> {
                words[0] as $ty
            }

            fn store(arg: $ty, to: &mut [u8]) {
                $ty::store(arg, to);
            }
        }
    )*};
}

hex_field!(u8, u16, u32, u64);

/// Declares a string field: a NUL-terminated `char name[N]` in the record.
///
/// `trace!` takes a `&str` for it. What is longer than `N - 1` bytes is cut at a character
/// boundary.
#[derive(Clone, Copy, Debug)]
pub struct Str<const N: usize>(());

impl<const N: usize> TraceField for Str<N> {
    type Arg<'a> = &'a str;
    const TYPE: FieldType = {
        assert!(N >= 1, "a string field needs room for its NUL");
        FieldType::Chars { len: N }
    };
    type Word = u64;

    #[inline(always)]
    fn low(arg: &str) -> u64 {
        arg.as_ptr().expose_provenance() as u64
    }

    #[inline(always)]
    fn high(arg: &str) -> u64 {
        arg.len() as u64
    }

    fn words(arg: &str) -> [u64; 2] {
        [Self::low(arg), Self::high(arg)]
    }

    unsafe fn from_words<'a>([start, len]: [u64; 2]) -> Self::Arg<'a> {
        let start = with_exposed_provenance(start as usize);
        // SAFETY: The caller says that these are the address and the length of a string borrowed
        // for `'a`.
        let bytes = unsafe { core::slice::from_raw_parts(start, len as usize) };
        // SAFETY: As above, so they are UTF-8.
        unsafe { core::str::from_utf8_unchecked(bytes) }
    }

    fn store(arg: &str, to: &mut [u8]) {
        let kept = &arg.as_bytes()[..arg.floor_char_boundary(N - 1)];
        to.iter_mut().zip(kept).for_each(|(to, from)| *to = *from);
    }
}
