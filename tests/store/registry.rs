//! What is open in this process: handles that share a store, in all threads.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use baileys_cask::ErrorKind;
use baileys_cask::backend::file::Durability;
use baileys_cask::store::registry::{self, OpenRequest, Place};

use crate::common::drive::{get, records, set};
use crate::common::model::{put, session};
use crate::common::places::{self, at, backend, new_place, open, text};

#[test]
fn handles_share_one_store_that_closes_with_the_last_of_them() {
    let (parent, path) = new_place();
    let first = open(&path);
    let link = parent.path().join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&path, &link).unwrap();
    #[cfg(not(unix))]
    let link = path.clone();
    let roundabout = path.join("..").join("cask");
    let others = [open(&link), open(&roundabout), registry::attach(&Place::Folder(path.clone())).unwrap()];
    let store = Arc::clone(first.store());
    for other in others {
        assert_eq!(other.store().uid(), store.uid());
        other.close().unwrap();
        set(store.backend(), "a", &[put("k", "still open")]).unwrap();
    }
    first.close().unwrap();
    assert_eq!(set(store.backend(), "a", &[put("k", "v")]).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(registry::attach(&Place::Folder(path.clone())).map(|_| ()).unwrap_err().kind(), ErrorKind::Closed);
    let again = open(&path);
    assert_ne!(again.store().uid(), store.uid());
    again.close().unwrap();
}

fn rounds_of_threads(place: &Place, rounds: usize) {
    const THREADS: usize = 8;
    let request = places::request(place.clone());
    for round in 0..rounds {
        let (opened, may_close) = (Barrier::new(THREADS), Barrier::new(THREADS));
        let uids: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (request, opened, may_close) = (&request, &opened, &may_close);
                    scope.spawn(move || {
                        opened.wait();
                        let handle = registry::open(request).unwrap();
                        set(backend(&handle), "a", &[put(&format!("{round} {thread}"), "v")]).unwrap();
                        may_close.wait();
                        let uid = handle.store().uid();
                        handle.close().unwrap();
                        uid
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(uids.iter().all(|uid| *uid == uids[0]), "{uids:?}");
        assert_eq!(registry::attach(place).map(|_| ()).unwrap_err().kind(), ErrorKind::Closed, "round {round}");
    }
}

#[test]
fn threads_that_open_at_once_share_one_store() {
    let (_parent, path) = new_place();
    rounds_of_threads(&Place::Folder(path.clone()), 10);
    let handle = open(&path);
    assert_eq!(records(backend(&handle)).unwrap()["a"].len(), 80);
    handle.close().unwrap();
    rounds_of_threads(&Place::Named("threads".into()), 10);
}

// Opens and closes overlap in every way: each handle works from its open to its close.
#[test]
fn threads_that_open_and_close_without_order_never_meet_a_closed_store() {
    let (_parent, path) = new_place();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..25 {
                    let handle = open(path);
                    let id = format!("{thread} {round}");
                    set(backend(&handle), "a", &[put(&id, "v")]).unwrap();
                    assert_eq!(get(backend(&handle), "a", &session(&id)).unwrap(), Some(b"v".to_vec()));
                    handle.close().unwrap();
                }
            });
        }
    });
    let handle = open(&path);
    assert_eq!(records(backend(&handle)).unwrap()["a"].len(), 100);
    handle.close().unwrap();
}

// An attach that meets another call in the registry must not take the open store for a closed one.
#[test]
fn threads_that_attach_at_once_all_find_the_open_store() {
    let place = Place::Named("attached".into());
    let request = places::request(place.clone());
    let first = registry::open(&request).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    registry::attach(&place).unwrap().close().unwrap();
                }
            });
        }
    });
    assert!(backend(&first).accounts().is_ok());
    first.close().unwrap();
}

#[test]
fn options_that_contradict_the_open_store_are_refused_and_take_no_handle() {
    let (_parent, path) = new_place();
    let request = OpenRequest {
        durability: Some(Durability::Power),
        sync_interval: Some(Duration::from_millis(500)),
        cache_bytes: Some(1 << 20),
        ..at(&path)
    };
    let first = registry::open(&request).unwrap();
    let contradictions = [
        ("durability", OpenRequest { durability: Some(Durability::Process), ..at(&path) }),
        ("syncIntervalMs", OpenRequest { sync_interval: Some(Duration::from_secs(1)), ..at(&path) }),
        ("cacheBytes", OpenRequest { cache_bytes: Some(2 << 20), ..at(&path) }),
    ];
    for (option, request) in &contradictions {
        let error = registry::open(request).map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), text(&error, "argument")), (ErrorKind::InvalidArgument, Some(*option)), "{error}");
    }
    let same = registry::open(&request).unwrap();
    let silent = open(&path);
    assert_eq!((same.store().uid(), silent.store().uid()), (first.store().uid(), first.store().uid()));
    same.close().unwrap();
    silent.close().unwrap();
    first.close().unwrap();
    // Nobody is left: the path opens with other options.
    registry::open(&contradictions[0].1).unwrap().close().unwrap();
}

#[test]
fn named_casks_in_memory_are_shared_and_private_ones_are_not() {
    let named = OpenRequest { place: Place::Named("one".into()), ..at(Path::new("")) };
    let (one, same) = (registry::open(&named).unwrap(), registry::open(&named).unwrap());
    let other = registry::open(&OpenRequest { place: Place::Named("two".into()), ..at(Path::new("")) }).unwrap();
    let private = OpenRequest { place: Place::Private, ..at(Path::new("")) };
    let (mine, yours) = (registry::open(&private).unwrap(), registry::open(&private).unwrap());
    set(backend(&one), "a", &[put("k", "v")]).unwrap();
    assert_eq!(get(backend(&same), "a", &session("k")).unwrap(), Some(b"v".to_vec()));
    for apart in [&other, &mine, &yours] {
        assert_eq!(get(backend(apart), "a", &session("k")).unwrap(), None);
    }
    assert_ne!(mine.store().uid(), yours.store().uid());
    one.close().unwrap();
    assert_eq!(get(backend(&same), "a", &session("k")).unwrap(), Some(b"v".to_vec()));
    same.close().unwrap();
    let fresh = registry::open(&named).unwrap();
    assert!(backend(&fresh).accounts().unwrap().is_empty(), "a cask in memory ends with its last handle");
    for handle in [fresh, other, mine, yours] {
        handle.close().unwrap();
    }
}
