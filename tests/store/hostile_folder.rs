//! Folders into which somebody else has put what no cask has.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use baileys_cask::backend::file::Cancel;
use baileys_cask::backend::file::repair::{Doubtful, RepairOptions};
use baileys_cask::backend::file::verify::VerifyOptions;
use baileys_cask::error::{Error, ErrorKind};
use baileys_cask::secret::Secret;
use baileys_cask::store::registry::{self, OpenRequest, StoreHandle};
use baileys_cask::store::upkeep;

use crate::common::disk::PATIENCE;
use crate::common::places::{at, new_place, open, refusal};

fn key(byte: u8) -> Secret {
    Secret::key(&[byte; 32]).unwrap()
}

fn sealed(path: &Path, secret: Secret) -> OpenRequest {
    OpenRequest { secret: Some(secret), ..at(path) }
}

#[test]
fn a_link_in_the_place_of_the_owner_file_leads_to_no_other_file() {
    let (parent, path) = new_place();
    open(&path).close().unwrap();
    let other = parent.path().join("other");
    fs::write(&other, "of somebody else").unwrap();
    symlink(&other, path.join("owner")).unwrap();
    open(&path).close().unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"of somebody else");
}

#[test]
fn a_link_in_the_place_of_the_lock_file_makes_no_file_elsewhere() {
    let (parent, path) = new_place();
    open(&path).close().unwrap();
    let other = parent.path().join("other");
    fs::remove_file(path.join("lock")).unwrap();
    symlink(&other, path.join("lock")).unwrap();
    assert_eq!(refusal(&path).kind(), ErrorKind::Io);
    assert!(!other.exists());
}

fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{what} never ended"))
}

/// What a cask is opened by, looked at, and rewritten.
fn look_at(path: &Path) -> [baileys_cask::Result<()>; 3] {
    let secret = key(1);
    let opened = registry::open(&sealed(path, secret.clone())).and_then(StoreHandle::close);
    let verified = upkeep::verify(path, &VerifyOptions { secret: Some(&secret), ..VerifyOptions::default() }).map(|_| ());
    let repaired = RepairOptions { doubtful: Doubtful::Omit, secret: Some(&secret), cancel: Cancel::default() };
    let repaired = upkeep::repair(path, &path.with_file_name("repaired"), &repaired).map(|_| ());
    [opened, verified, repaired]
}

const FILES: [&str; 12] = [
    "owner",
    "lock",
    "key",
    "key.tmp",
    "key.changes",
    "manifest",
    "manifest.tmp",
    "poisoned",
    "reserve",
    "0000000000000001.seg",
    "0000000000000001.hint",
    "0000000000000009.new",
];

#[test]
fn nobody_waits_for_the_other_end_of_a_pipe_in_the_place_of_a_file() {
    for name in FILES {
        let (_parent, path) = new_place();
        registry::open(&sealed(&path, key(1))).unwrap().close().unwrap();
        let _ = fs::remove_file(path.join(name));
        assert!(Command::new("mkfifo").arg(path.join(name)).status().unwrap().success());
        for outcome in ends(name, move || look_at(&path)) {
            let wanted = |error: &Error| matches!(error.kind(), ErrorKind::Io | ErrorKind::Corrupt);
            assert!(outcome.as_ref().err().is_none_or(wanted), "{name}: {outcome:?}");
        }
    }
}

#[test]
fn no_file_takes_memory_for_what_it_only_says_to_hold() {
    // A segment may be as long as it likes, and is read piece by piece.
    for name in FILES.iter().filter(|name| !name.ends_with(".seg")) {
        let (_parent, path) = new_place();
        registry::open(&sealed(&path, key(1))).unwrap().close().unwrap();
        let file = File::options().write(true).create(true).truncate(false).open(path.join(name)).unwrap();
        // Where more than any memory were asked for, this process would end.
        file.set_len(1 << 40).unwrap();
        for outcome in look_at(&path) {
            let wanted = |error: &Error| matches!(error.kind(), ErrorKind::Io | ErrorKind::Corrupt);
            assert!(outcome.as_ref().err().is_none_or(wanted), "{name}: {outcome:?}");
        }
    }
}
