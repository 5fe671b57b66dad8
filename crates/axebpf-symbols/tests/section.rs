//! The room that an image reserves for its table.

use axebpf_symbols::{
    AlignedBytes, Encoder, SECTION_NAME, Slide, SymbolError, SymbolSection, fill_section,
    reserve_symbol_section,
};

const CAPACITY: usize = 4096;
const HEADER: usize = 64;

reserve_symbol_section! {
    /// Stays empty: nothing fills the image of this test.
    static UNFILLED: CAPACITY;
}

fn table() -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.push("start", 0x8000_0000, 0x20, 'T').unwrap();
    encoder.finish().unwrap()
}

/// Returns the bytes of an unfilled section, as they lie in an image file.
fn unfilled() -> Vec<u8> {
    let mut bytes = vec![0; HEADER + CAPACITY];
    bytes[..8].copy_from_slice(b"axebKSYM");
    bytes[8] = 1;
    bytes[16..24].copy_from_slice(&(CAPACITY as u64).to_le_bytes());
    bytes
}

/// Puts the bytes of a section where a static of the image would be.
fn load(bytes: &[u8]) -> &'static SymbolSection<CAPACITY> {
    #[repr(align(64))]
    struct Memory([u8; HEADER + CAPACITY]);
    let memory = Box::leak(Box::new(Memory([0; HEADER + CAPACITY])));
    memory.0.copy_from_slice(bytes);
    // SAFETY: `Memory` has the size and the alignment of the section, whose fields are all bytes, and it is
    // never freed.
    unsafe { &*core::ptr::from_mut(memory).cast() }
}

#[test]
fn an_unfilled_section_says_so() {
    let expected = SymbolError::NotFilled {
        capacity: CAPACITY as u64,
    };
    assert_eq!(UNFILLED.open().unwrap_err(), expected);
    assert_eq!(UNFILLED.open_with_slide(Slide::ZERO).unwrap_err(), expected);
    assert_eq!(load(&unfilled()).open().unwrap_err(), expected);
    assert_eq!(size_of_val(&UNFILLED), HEADER + CAPACITY);
}

#[test]
fn a_filled_section_opens_with_its_own_slide() {
    let mut bytes = unfilled();
    fill_section(&mut bytes, 0x8000_1000, &table()).unwrap();
    let section = load(&bytes);
    let opened = section.open().unwrap();
    let here = core::ptr::from_ref(section).addr() as u64;
    assert_eq!(
        opened.lookup_name("start").unwrap().address(),
        here - 0x1000
    );
    let linked = section.open_with_slide(Slide::ZERO).unwrap();
    assert_eq!(linked.lookup_name("start").unwrap().address(), 0x8000_0000);
}

#[test]
fn filling_again_replaces_the_table() {
    let mut bytes = unfilled();
    fill_section(&mut bytes, 0, &vec![0xff; CAPACITY]).unwrap();
    assert!(load(&bytes).open().is_err());
    fill_section(&mut bytes, 0, &table()).unwrap();
    assert_eq!(load(&bytes).open().unwrap().len(), 1);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut bytes = unfilled();
    let error = fill_section(&mut bytes, 0, &vec![0; CAPACITY + 1]).unwrap_err();
    let (len, capacity) = (CAPACITY as u64 + 1, CAPACITY as u64);
    assert_eq!(error, SymbolError::TooLarge { len, capacity });
    assert_eq!(bytes, unfilled());
    for len in 0..HEADER {
        assert!(fill_section(&mut bytes[..len], 0, &table()).is_err());
    }
    assert!(fill_section(&mut bytes[..HEADER + 100], 0, &table()).is_err());
    assert!(fill_section(&mut vec![0; CAPACITY], 0, &table()).is_err());
    assert_eq!(bytes, unfilled());
}

#[test]
fn each_changed_byte_of_the_header_is_noticed() {
    let mut bytes = unfilled();
    fill_section(&mut bytes, 0x8000_0000, &table()).unwrap();
    for at in 0..HEADER {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(load(&damaged).open().is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn the_image_has_the_section() {
    use object::{Object, ObjectSection};
    assert!(UNFILLED.open().is_err());
    let image = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let image = AlignedBytes::copy_of(&image).unwrap();
    let file = object::File::parse(&*image).unwrap();
    let section = file.section_by_name(SECTION_NAME).unwrap();
    assert_eq!(section.data().unwrap(), unfilled());
}
