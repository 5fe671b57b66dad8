//! What a ring buffer promises, one promise a test.
#![cfg(not(loom))]

mod support;

use axebpf_maps::{Map, MapError, MapSpec, RingBuf};
use support::{create, hit, load, store};

fn ring(map: &Map) -> &RingBuf {
    map.ring().expect("it is a ring buffer")
}

fn consumed(ring: &RingBuf) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    ring.consume(|record| records.push(record.to_vec()))
        .expect("nobody else consumes");
    records
}

#[test]
fn records_come_out_as_they_went_in() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    for len in [0, 1, 7, 8, 9, 100] {
        ring.output(&hit(), &vec![len as u8; len])
            .expect("there is room");
    }
    let expected: Vec<_> = [0, 1, 7, 8, 9, 100].map(|len| vec![len as u8; len]).into();
    assert_eq!(consumed(ring), expected);
    assert_eq!(consumed(ring), [[0_u8; 0]; 0]);
}

#[test]
fn a_record_that_is_reserved_holds_back_those_after_it() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    ring.output(&hit(), b"first").expect("there is room");
    let record = ring.reserve(&hit(), 6).expect("there is room");
    ring.output(&hit(), b"third").expect("there is room");
    assert_eq!(consumed(ring), [b"first"]);
    assert_eq!(consumed(ring), [[0_u8; 0]; 0]);
    store(record.ptr, 0, b"second");
    ring.submit(&hit(), record.ptr).expect("reserved");
    assert_eq!(consumed(ring), [b"second".as_slice(), b"third"]);
}

#[test]
fn discarded_and_abandoned_records_are_skipped() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    let discarded = ring.reserve(&hit(), 1000).expect("there is room");
    let abandoned = ring.reserve(&hit(), 1000).expect("there is room");
    ring.output(&hit(), b"kept").expect("there is room");
    ring.discard(&hit(), discarded.ptr).expect("reserved");
    ring.abandon(&hit(), abandoned.ptr).expect("reserved");
    assert_eq!(consumed(ring), [b"kept"]);
    assert_eq!((ring.abandoned(), ring.dropped()), (1, 0));
    assert_eq!(ring.positions().available(), 0);
}

#[test]
fn a_ring_buffer_that_nobody_reads_drops_and_counts() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    // Each takes 64 bytes with its header, so 64 of them fit, to the last byte.
    for number in 0..64_u8 {
        ring.output(&hit(), &[number; 56]).expect("there is room");
    }
    for _ in 0..10 {
        let full = ring.output(&hit(), &[0; 56]);
        assert_eq!(full, Err(MapError::RingFull { len: 56 }));
        assert_eq!(full.map_err(|error| error.errno()), Err(-11));
    }
    assert_eq!(ring.dropped(), 10);
    assert_eq!(
        map.stats().ring.map(|ring| ring.positions.available()),
        Some(4096)
    );
    assert_eq!(
        consumed(ring),
        (0..64).map(|number| [number; 56]).collect::<Vec<_>>()
    );
    ring.output(&hit(), &[0; 56]).expect("there is room again");
}

#[test]
fn the_largest_record_fits_at_every_position() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    for _ in 0..520 {
        // Moves on by 8 in each round.
        ring.output(&hit(), &[]).expect("there is room");
        assert_eq!(consumed(ring).len(), 1);
        let data: Vec<_> = (0..4088_u32).map(|index| index as u8).collect();
        let record = ring
            .reserve(&hit(), 4088)
            .expect("an empty ring buffer takes it");
        store(record.ptr, 0, &data);
        assert_eq!(load(record.ptr, 4088), data);
        ring.submit(&hit(), record.ptr).expect("reserved");
        assert_eq!(consumed(ring), [data]);
    }
    let error = MapError::RecordTooLarge {
        len: 4089,
        limit: 4088,
    };
    assert_eq!(ring.reserve(&hit(), 4089), Err(error));
    assert_eq!(error.errno(), -7);
    let error = MapError::RecordTooLarge {
        len: u64::MAX,
        limit: 4088,
    };
    assert_eq!(ring.reserve(&hit(), u64::MAX), Err(error));
    assert_eq!(ring.dropped(), 2);
}

#[test]
fn only_the_address_of_a_live_reservation_ends_it() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    let record = ring.reserve(&hit(), 64).expect("there is room");
    let addr = record.ptr.addr().get();
    // Also where the data looks like the header of a reserved record.
    for offset in 0..8 {
        store(record.ptr, offset * 8, &[0x80, 0, 0, 0x80, 0, 0, 0, 0x80]);
    }
    for wild in (addr - 64..addr + 128).filter(|&wild| wild != addr) {
        let ptr = record.ptr.map_addr(|_| wild.try_into().expect("not zero"));
        assert_eq!(
            ring.submit(&hit(), ptr),
            Err(MapError::NotReserved { addr: wild })
        );
    }
    let other = create(&MapSpec::ring(4096));
    let error = Err(MapError::NotReserved { addr });
    assert_eq!(
        other.ring().expect("it is one").submit(&hit(), record.ptr),
        error
    );
    ring.submit(&hit(), record.ptr).expect("reserved");
    assert_eq!(ring.discard(&hit(), record.ptr), error, "it is over");
    assert_eq!(consumed(ring).len(), 1);
}

#[test]
fn there_is_one_consumer_at_a_time() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    ring.output(&hit(), b"a").expect("there is room");
    ring.output(&hit(), b"b").expect("there is room");
    let mut consumer = ring.consumer().expect("nobody else consumes");
    assert_eq!(consumer.next_record(), Ok(Some(b"a".as_slice())));
    assert_eq!(ring.consume(|_| ()), Err(MapError::ConsumerBusy));
    assert!(ring.consumer().is_err());
    drop(consumer);
    assert_eq!(consumed(ring), [b"b"]);
    // A consumer may produce, since it holds nothing that a producer wants, and sees it in its next turn.
    ring.output(&hit(), b"c").expect("there is room");
    let turn = ring.consume(|record| ring.output(&hit(), record).expect("there is room"));
    assert_eq!(turn, Ok(1));
    assert_eq!(consumed(ring), [b"c"]);
}

#[test]
fn a_header_that_was_written_over_is_reported_and_harmless() {
    let map = create(&MapSpec::ring(4096));
    let ring = ring(&map);
    ring.output(&hit(), b"sound").expect("there is room");
    let record = ring.reserve(&hit(), 8).expect("there is room");
    ring.submit(&hit(), record.ptr).expect("reserved");
    let header = record
        .ptr
        .map_addr(|data| (data.get() - 8).try_into().expect("not zero"));
    store(header, 0, &[0xff, 0xff, 0xff, 0x3f]);
    assert_eq!(
        ring.consume(|record| assert_eq!(record, b"sound")),
        Err(MapError::RingCorrupt { position: 16 })
    );
    assert_eq!(
        ring.consume(|_| ()),
        Err(MapError::RingCorrupt { position: 16 })
    );
    ring.output(&hit(), b"still").expect("producers go on");
}
