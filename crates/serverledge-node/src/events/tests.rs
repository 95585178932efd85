//! Tests of the ring of events.

use proptest::prelude::*;
use serverledge_wire::events::{LoadEvent, PeerEvent};

use super::*;

fn bus() -> Arc<EventBus> {
    Arc::default()
}

fn publish(bus: &EventBus, at: u64) {
    bus.publish_of_node(|| {
        EventBody::Load(LoadEvent {
            unix_ms: at,
            ..LoadEvent::default()
        })
    });
}

fn times(read: &Read) -> Vec<u64> {
    let times = read.events.iter().map(|event| match &event.body {
        EventBody::Load(load) => load.unix_ms,
        other => panic!("{other:?}"),
    });
    times.collect()
}

#[tokio::test]
async fn readers_get_what_comes_in_its_order() {
    let bus = bus();
    publish(&bus, 1);
    let mut reader = bus.read(None);
    (2..5).for_each(|at| publish(&bus, at));
    assert_eq!(times(&reader.next(2).await), [2, 3]);
    assert_eq!(times(&reader.next(2).await), [4]);
}

#[tokio::test]
async fn a_reader_that_waits_is_woken() {
    let bus = bus();
    let mut reader = bus.read(None);
    let later = Arc::clone(&bus);
    let (read, ()) = tokio::join!(reader.next(1), async move { publish(&later, 7) });
    assert_eq!(times(&read), [7]);
}

#[tokio::test]
async fn a_reader_resumes_behind_its_last_event() {
    let bus = bus();
    let mut first = bus.read(None);
    (1..4).for_each(|at| publish(&bus, at));
    let seen = first.next(1).await.events[0].seq;
    drop(first);
    publish(&bus, 4);
    let mut again = bus.read(Some(seen));
    let read = again.next(10).await;
    assert_eq!((read.missed, times(&read)), (0, vec![2, 3, 4]));
    let mut of_the_future = bus.read(Some(seen + 1000));
    publish(&bus, 5);
    assert_eq!(times(&of_the_future.next(10).await), [5]);
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed() {
    let bus = bus();
    let mut slow = bus.read(None);
    let all = COUNT_MAX as u64 + 10;
    (0..all).for_each(|at| publish(&bus, at));
    let read = slow.next(1).await;
    assert_eq!((read.missed, times(&read)), (10, vec![10]));
    assert_eq!(slow.next(1).await.missed, 0, "it is told once");
}

#[tokio::test]
async fn nothing_is_kept_while_nobody_listens() {
    let bus = bus();
    bus.publish_of_node(|| panic!("nobody listens"));
    assert!(!bus.has_readers());
    let reader = bus.read(None);
    assert!(bus.has_readers());
    drop(reader);
    assert!(!bus.has_readers() && bus.is_heard(), "it may come back");
    bus.heard_until.store(1, Ordering::Relaxed);
    bus.publish_of_node(|| panic!("it stayed away"));
    let mut again = bus.read(Some(0));
    publish(&bus, 9);
    let read = again.next(10).await;
    assert_eq!(times(&read), [9]);
    assert!(read.missed > 0, "it is told that it missed something");
}

#[test]
fn long_texts_take_the_room_of_others() {
    let bus = bus();
    let _reader = bus.read(None);
    let text = Bytes::from(vec![b'x'; 100_000]);
    let (space, name) = (SpaceId::default_space(), FunctionName::parse("f").unwrap());
    for _ in 0..100 {
        bus.publish(&space, &name, || EventBody::Log {
            unix_ms: 0,
            invocation: None,
            text: text.clone(),
        });
    }
    let kept = bus.kept.lock();
    assert!(kept.bytes <= BYTES_MAX && kept.events.len() < 30);
}

proptest! {
    /// Whatever is published and read in between: a reader gets each event once and in order, or is told that it missed it.
    #[test]
    fn no_event_is_lost_without_a_word(steps in prop::collection::vec((0_u64..3000, 1_usize..2000), 1..12)) {
        let bus = bus();
        let mut reader = bus.read(None);
        let (mut published, mut accounted) = (0, 0);
        for (count, read) in steps {
            for _ in 0..count {
                publish(&bus, published);
                published += 1;
            }
            let read = reader.read(read);
            accounted += read.missed;
            for at in times(&read) {
                prop_assert_eq!(at, accounted);
                accounted += 1;
            }
            prop_assert!(accounted <= published);
        }
        loop {
            let read = reader.read(500);
            accounted += read.missed + read.events.len() as u64;
            if read.events.is_empty() {
                break;
            }
        }
        prop_assert_eq!(accounted, published);
    }
}

#[test]
fn kinds_have_the_names_of_the_api() {
    let peer = PeerEvent {
        unix_ms: 0,
        node: "A/b".to_owned(),
        action: "joined".to_owned(),
    };
    assert_eq!(EventBody::Peer(peer).kind(), kind::PEER);
}
