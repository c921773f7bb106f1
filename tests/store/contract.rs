//! One suite over every backend: the same calls give the same answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};

use baileys_cask::ErrorKind;
use baileys_cask::backend::file::fs::OsFs;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::backend::memory::MemoryBackend;
use baileys_cask::backend::{Applied, Backend, Batch, Completion};
use baileys_cask::record::CREDS_KEY;

use crate::common::disk::{Disk, PATIENCE};
use crate::common::drive::{apply, flush, get, keys, options, records, set, start};
use crate::common::model::{Change, Changes, Records, creds, delete, named, put, session};

struct Subject {
    name: String,
    backend: Arc<dyn Backend>,
    _folder: Option<tempfile::TempDir>,
}

impl Subject {
    fn on_disk(name: &str, options: &FileOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = FileBackend::open(folder.path(), Arc::new(OsFs), options, None).unwrap();
        Self { name: name.into(), backend, _folder: Some(folder) }
    }
}

fn subjects() -> Vec<Subject> {
    let cached = |durability| FileOptions { durability, ..FileOptions::default() };
    let small = FileBackend::open(Path::new("/cask"), Arc::new(Disk::default()), &options(Durability::Process), None).unwrap();
    vec![
        Subject { name: "memory".into(), backend: Arc::new(MemoryBackend::default()), _folder: None },
        Subject::on_disk("file, process", &cached(Durability::Process)),
        Subject::on_disk("file, power", &cached(Durability::Power)),
        Subject::on_disk("file, process, small segments, no cache", &options(Durability::Process)),
        Subject::on_disk("file, power, small segments, no cache", &options(Durability::Power)),
        Subject { name: "file in memory".into(), backend: small, _folder: None },
    ]
}

fn on_all(suite: impl Fn(&str, &Arc<dyn Backend>)) {
    for subject in subjects() {
        suite(&subject.name, &subject.backend);
        subject.backend.close().unwrap();
    }
}

#[test]
fn what_was_set_is_read_and_what_was_deleted_is_not() {
    on_all(|name, backend| {
        set(&**backend, "a", &[put("x", "1"), put("y", ""), put("z", [0; 70_000])]).unwrap();
        assert_eq!(get(&**backend, "a", &session("x")).unwrap(), Some(b"1".to_vec()), "{name}");
        assert_eq!(get(&**backend, "a", &session("y")).unwrap(), Some(Vec::new()), "{name}: an empty value is a value");
        assert_eq!(get(&**backend, "a", &session("z")).unwrap(), Some(vec![0; 70_000]), "{name}");
        assert_eq!(get(&**backend, "a", &session("absent")).unwrap(), None, "{name}");
        assert_eq!(get(&**backend, "nobody", &session("x")).unwrap(), None, "{name}");
        set(&**backend, "a", &[delete("x"), delete("absent"), put("y", "2")]).unwrap();
        assert_eq!(get(&**backend, "a", &session("x")).unwrap(), None, "{name}");
        assert_eq!(get(&**backend, "a", &session("y")).unwrap(), Some(b"2".to_vec()), "{name}");
    });
}

#[test]
fn values_come_in_the_order_of_the_keys_and_repeats_are_answered() {
    on_all(|name, backend| {
        set(&**backend, "a", &(0..50).map(|n| put(&n.to_string(), n.to_string())).collect::<Vec<_>>()).unwrap();
        let asked: Vec<Vec<u8>> = [7, 3, 99, 3, 49, 0].iter().map(|n| session(&n.to_string())).collect();
        let borrowed: Vec<&[u8]> = asked.iter().map(Vec::as_slice).collect();
        for at_once in [false, true] {
            let mut found: Vec<Option<String>> = Vec::new();
            let sink: &mut dyn FnMut(Option<&[u8]>) =
                &mut |value| found.push(value.map(|value| String::from_utf8(value.to_vec()).unwrap()));
            if at_once {
                assert!(backend.get_at_once("a", &borrowed, sink).unwrap(), "{name}");
            } else {
                backend.get("a", &borrowed, sink).unwrap();
            }
            let expected = [Some("7"), Some("3"), None, Some("3"), Some("49"), Some("0")].map(|value| value.map(String::from));
            assert_eq!(found, expected, "{name}");
        }
        let mut asked_nothing = 0;
        backend.get("a", &[], &mut |_| asked_nothing += 1).unwrap();
        assert_eq!(asked_nothing, 0, "{name}");
    });
}

#[test]
fn operations_of_a_batch_apply_in_order() {
    on_all(|name, backend| {
        set(&**backend, "a", &[put("x", "1"), put("x", "2"), delete("x"), put("x", "3"), put("y", "4"), delete("y")]).unwrap();
        assert_eq!(keys(&**backend, "a", b"").unwrap(), [session("x")], "{name}");
        assert_eq!(get(&**backend, "a", &session("x")).unwrap(), Some(b"3".to_vec()), "{name}");
        set(&**backend, "a", &[put("before", "1"), Change::Clear, put("after", "2")]).unwrap();
        assert_eq!(keys(&**backend, "a", b"").unwrap(), [session("after")], "{name}");
        set(&**backend, "a", &[put("before", "1"), creds("c"), Change::Drop, put("after", "2")]).unwrap();
        assert_eq!(keys(&**backend, "a", b"").unwrap(), [session("after")], "{name}");
    });
}

// Ids that a layout of files or a separator would confuse.
#[test]
fn keys_that_look_alike_stay_apart() {
    on_all(|name, backend| {
        let ids = ["a/b", "a__b", "a:b", "a-b", "A-B", "__proto__", "a", "a\u{0}b", "\u{1F600}", &"x".repeat(4096)];
        let mut model = Records::new();
        let mut changes: Vec<Change> = ids.iter().map(|id| put(id, id)).collect();
        changes.extend(ids.iter().map(|id| Change::Put(named("session", id), format!("named {id}").into_bytes())));
        changes.extend(ids.iter().map(|id| Change::Put([b"\x03", id.as_bytes()].concat(), format!("3 {id}").into_bytes())));
        changes.push(Change::Put(named("fa", "mily"), b"1".to_vec()));
        changes.push(Change::Put(named("family", "x"), b"2".to_vec()));
        let batch = Changes::new("a", changes);
        batch.apply(&mut model);
        apply(&**backend, &batch).unwrap();
        assert_eq!(records(&**backend).unwrap(), model, "{name}");
    });
}

#[test]
fn accounts_do_not_see_each_other() {
    on_all(|name, backend| {
        let long = "n".repeat(255);
        for account in ["a", "b", "a/b", &long] {
            set(&**backend, account, &[put("x", account), creds(account)]).unwrap();
        }
        assert_eq!(backend.accounts().unwrap(), ["a", "a/b", "b", &long], "{name}: sorted by name");
        set(&**backend, "a", &[Change::Clear]).unwrap();
        assert_eq!(get(&**backend, "a", &session("x")).unwrap(), None, "{name}");
        assert_eq!(get(&**backend, "a", CREDS_KEY).unwrap(), Some(b"a".to_vec()), "{name}: creds survive a clear");
        set(&**backend, "b", &[Change::Drop]).unwrap();
        assert_eq!(get(&**backend, "b", CREDS_KEY).unwrap(), None, "{name}");
        assert_eq!(backend.accounts().unwrap(), ["a", "a/b", &long], "{name}: a dropped account is gone");
        assert_eq!(get(&**backend, "a/b", &session("x")).unwrap(), Some(b"a/b".to_vec()), "{name}");
        set(&**backend, "a", &[Change::Delete(CREDS_KEY.to_vec())]).unwrap();
        assert_eq!(backend.accounts().unwrap(), ["a/b", &long], "{name}: an account without records is none");
    });
}

#[test]
fn keys_are_listed_by_prefix() {
    on_all(|name, backend| {
        // The name of a family may begin with the name of another.
        let all = [session("1"), session("10"), named("sender", "1"), named("sender-key", "1"), vec![3, b'1']];
        let changes: Vec<Change> = all.iter().map(|key| Change::Put(key.clone(), b"v".to_vec())).collect();
        set(&**backend, "a", &changes).unwrap();
        assert_eq!(keys(&**backend, "a", b"\x02").unwrap(), [session("1"), session("10")], "{name}");
        assert_eq!(keys(&**backend, "a", b"\x021").unwrap(), [session("1"), session("10")], "{name}");
        assert_eq!(keys(&**backend, "a", &named("sender", "")).unwrap(), [named("sender", "1")], "{name}");
        assert_eq!(keys(&**backend, "a", b"\x04").unwrap(), Vec::<Vec<u8>>::new(), "{name}");
        assert_eq!(keys(&**backend, "nobody", b"").unwrap(), Vec::<Vec<u8>>::new(), "{name}");
        assert_eq!(keys(&**backend, "a", b"").unwrap().len(), all.len(), "{name}");
    });
}

#[test]
fn batches_of_one_thread_apply_in_the_order_they_were_handed_over() {
    on_all(|name, backend| {
        let started: Vec<_> = (0..200_u32)
            .map(|n| start(&**backend, &Changes::new("a", [put("last", n.to_le_bytes()), put(&n.to_string(), "x")])))
            .collect();
        for started in started {
            started.wait().unwrap();
        }
        assert_eq!(get(&**backend, "a", &session("last")).unwrap(), Some(199_u32.to_le_bytes().to_vec()), "{name}");
        assert_eq!(keys(&**backend, "a", b"").unwrap().len(), 201, "{name}");
    });
}

// Writers race, and readers look on: a batch is there whole or not at all.
#[test]
fn a_batch_is_seen_whole_by_other_threads() {
    on_all(|name, backend| {
        const WRITERS: u8 = 3;
        let gate = Barrier::new(usize::from(WRITERS) + 1);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let gate = &gate;
                scope.spawn(move || {
                    gate.wait();
                    for round in 0..40_u8 {
                        set(&**backend, "a", &[put("x", [writer, round]), put("y", [writer, round])]).unwrap();
                    }
                });
            }
            gate.wait();
            let (x, y) = (session("x"), session("y"));
            for _ in 0..400 {
                let mut seen = Vec::new();
                backend.get("a", &[&x, &y], &mut |value| seen.push(value.map(<[u8]>::to_vec))).unwrap();
                assert_eq!(seen[0], seen[1], "{name}");
            }
        });
        let last = get(&**backend, "a", &session("x")).unwrap().unwrap();
        assert_eq!(last[1], 39, "{name}: the last batch is some writer's last");
    });
}

#[test]
fn a_completion_is_asked_for_only_where_a_batch_waits_and_is_called_once() {
    on_all(|name, backend| {
        let (asked, called) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (sender, receiver) = channel();
        let mut later = 0;
        for n in 0..100 {
            let ops = Changes::new("a", [put(&n.to_string(), "v")]).pack();
            let applied = backend.apply(Batch { account: "a", ops: &ops, fence: 0 }, &mut || -> Completion {
                asked.fetch_add(1, Ordering::SeqCst);
                let (called, sender) = (Arc::clone(&called), sender.clone());
                Box::new(move |outcome| {
                    called.fetch_add(1, Ordering::SeqCst);
                    sender.send(outcome).unwrap();
                })
            });
            match applied {
                Applied::Now(outcome) => outcome.unwrap(),
                Applied::Later => later += 1,
            }
        }
        for _ in 0..later {
            receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        }
        flush(&**backend).unwrap();
        backend.close().unwrap();
        assert_eq!((asked.load(Ordering::SeqCst), called.load(Ordering::SeqCst)), (later, later), "{name}");
    });
}

#[test]
fn what_is_queued_ends_before_a_close_returns() {
    on_all(|name, backend| {
        let started: Vec<_> = (0..50).map(|n| start(&**backend, &Changes::new("a", [put(&n.to_string(), [1; 200])]))).collect();
        backend.close().unwrap();
        for started in started {
            assert!(started.now().is_some_and(|outcome| outcome.is_ok()), "{name}");
        }
    });
}

// A batch that may be written at once must not overtake one of the same thread that waits for the writer thread.
#[test]
fn a_small_batch_does_not_overtake_a_large_one() {
    let open = |disk: &Disk| {
        let options = FileOptions { segment_bytes: 1 << 20, ..options(Durability::Process) };
        FileBackend::open(Path::new("/cask"), Arc::new(disk.clone()), &options, None).unwrap()
    };
    let (busy, disk) = (Disk::default(), Disk::default());
    let (other, backend) = (open(&busy), open(&disk));
    set(&*other, "a", &[put("x", "1")]).unwrap();
    // One thread writes for all casks: here it waits for the disk of the other one.
    busy.close_gate();
    let (sender, receiver) = channel();
    other.flush(Box::new(move |outcome| sender.send(outcome).unwrap()));
    busy.wait_at_gate();
    let large = start(&*backend, &Changes::new("a", [put("x", vec![1; 2 << 20])]));
    let small = start(&*backend, &Changes::new("a", [put("x", "small")]));
    busy.open_gate();
    receiver.recv_timeout(PATIENCE).unwrap().unwrap();
    large.wait().unwrap();
    small.wait().unwrap();
    assert_eq!(get(&*backend, "a", &session("x")).unwrap(), Some(b"small".to_vec()));
}

#[test]
fn every_call_after_a_close_is_refused_and_closing_again_is_not() {
    on_all(|name, backend| {
        set(&**backend, "a", &[put("x", "1")]).unwrap();
        backend.close().unwrap();
        backend.close().unwrap();
        let kinds = [
            set(&**backend, "a", &[put("x", "2")]).unwrap_err().kind(),
            get(&**backend, "a", &session("x")).unwrap_err().kind(),
            backend.get_at_once("a", &[&session("x")], &mut |_| ()).unwrap_err().kind(),
            keys(&**backend, "a", b"").unwrap_err().kind(),
            backend.accounts().unwrap_err().kind(),
            flush(&**backend).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Closed; 6], "{name}");
    });
}

// Threads write while another one closes: each batch is either there and acknowledged, or refused.
#[test]
fn a_close_in_the_middle_of_writes_refuses_or_acknowledges_each() {
    for level in [Durability::Process, Durability::Power] {
        let disk = Disk::default();
        let open = || FileBackend::open(Path::new("/cask"), Arc::new(disk.clone()), &options(level), None).unwrap();
        let backend = open();
        let acknowledged: BTreeSet<Vec<u8>> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let backend = &backend;
                    scope.spawn(move || {
                        let mut done = Vec::new();
                        for n in 0.. {
                            let id = format!("{writer} {n}");
                            match set(&**backend, "a", &[put(&id, [5; 40])]) {
                                Ok(()) => done.push(session(&id)),
                                Err(error) => {
                                    assert_eq!(error.kind(), ErrorKind::Closed);
                                    break;
                                }
                            }
                        }
                        done
                    })
                })
                .collect();
            while backend.accounts().unwrap().is_empty() {
                std::thread::yield_now();
            }
            backend.close().unwrap();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let found: BTreeSet<Vec<u8>> = keys(&*open(), "a", b"").unwrap().into_iter().collect();
        assert_eq!(found, acknowledged, "{level:?}");
    }
}

#[test]
fn bytes_that_are_no_operations_change_nothing() {
    on_all(|name, backend| {
        set(&**backend, "a", &[put("x", "1")]).unwrap();
        let mut ops = Changes::new("a", [put("x", "2"), put("y", "3")]).pack();
        for broken in [ops.len() - 1, ops.len() - 4] {
            ops.truncate(broken);
            let applied = backend.apply(Batch { account: "a", ops: &ops, fence: 0 }, &mut || panic!("it waits for nothing"));
            let Applied::Now(Err(error)) = applied else { panic!("{name}: {applied:?}") };
            assert_eq!(error.kind(), ErrorKind::Internal, "{name}");
        }
        assert_eq!(keys(&**backend, "a", b"").unwrap(), [session("x")], "{name}");
        assert_eq!(get(&**backend, "a", &session("x")).unwrap(), Some(b"1".to_vec()), "{name}");
    });
}

// A batch may be larger than a segment, and a value larger than what is written on the calling thread.
#[test]
fn large_batches_and_values_come_back() {
    on_all(|name, backend| {
        let mut model = Records::new();
        let many: Vec<Change> = (0..3000_u32).map(|n| put(&n.to_string(), vec![n as u8; 100])).collect();
        let large = Changes::new("a", [put("large", vec![7; 5 << 20]), put("small", "s")]);
        for batch in [Changes::new("a", many), large, Changes::new("b", [put("large", vec![8; 300_000])])] {
            batch.apply(&mut model);
            apply(&**backend, &batch).unwrap();
        }
        assert!(records(&**backend).unwrap() == model, "{name}");
        flush(&**backend).unwrap();
    });
}
