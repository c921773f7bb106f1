//! Folders on the real file system: what is refused, who holds one, and what happens when it is removed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use baileys_cask::backend::file::BackupOptions;
use baileys_cask::backend::file::folder::Folder;
use baileys_cask::backend::file::fs::OsFs;
use baileys_cask::error::ErrorKind;
use baileys_cask::store::registry::{self, OpenRequest, Place};

use crate::common::disk::PATIENCE;
use crate::common::drive::{flush, get, records, set};
use crate::common::model::{put, session};
use crate::common::places::{at, backend, new_place, open, refusal, text};

/// Names, contents and modes.
fn listing(path: &Path) -> BTreeMap<String, (Vec<u8>, u32)> {
    fs::read_dir(path)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), (fs::read(entry.path()).unwrap_or_default(), mode(&entry.path())))
        })
        .collect()
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(_: &Path) -> u32 {
    0
}

#[test]
fn a_file_is_refused_and_unchanged() {
    let (_parent, path) = new_place();
    fs::write(&path, "mine").unwrap();
    let inside = path.join("deeper");
    for refused in [&path, &inside] {
        let error = refusal(refused);
        assert_eq!((error.kind(), text(&error, "argument")), (ErrorKind::InvalidArgument, Some("path")), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_folder_of_something_else_is_refused_and_unchanged() {
    let files: [&[&str]; 4] =
        [&["package.json"], &["notes.txt", "lock"], &["creds.json"], &["creds.json", "session-1.json", "lock"]];
    for names in files {
        let (_parent, path) = new_place();
        fs::create_dir(&path).unwrap();
        for name in names {
            fs::write(path.join(name), "mine").unwrap();
        }
        let before = listing(&path);
        let error = refusal(&path);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{names:?}: {error}");
        assert_eq!(error.message().contains("useMultiFileAuthState"), names.contains(&"creds.json"), "{error}");
        assert_eq!(listing(&path), before, "{names:?}");
    }
}

// The order in which a folder lists its names is the file system's own.
#[test]
fn a_cask_stays_a_cask_whatever_else_lies_in_its_folder() {
    let (_parent, path) = new_place();
    open(&path).close().unwrap();
    for name in ["creds.json", "zzz.json", "0", "a.json"] {
        fs::write(path.join(name), "mine").unwrap();
    }
    open(&path).close().unwrap();
    assert_eq!(fs::read(path.join("creds.json")).unwrap(), b"mine");
}

#[test]
fn a_cask_that_lost_its_manifest_is_damaged_and_not_foreign() {
    let (_parent, path) = new_place();
    let handle = open(&path);
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    handle.close().unwrap();
    fs::remove_file(path.join("manifest")).unwrap();
    assert_eq!(refusal(&path).kind(), ErrorKind::Corrupt);
}

#[test]
fn what_a_first_open_left_half_done_is_no_foreign_folder() {
    for names in [&["lock"][..], &["lock", "owner"], &["lock", "owner", "manifest.tmp"], &["lock", "poisoned"], &["lost+found"]] {
        let (_parent, path) = new_place();
        fs::create_dir(&path).unwrap();
        for name in names {
            fs::write(path.join(name), "").unwrap();
        }
        open(&path).close().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn folders_and_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (_parent, path) = new_place();
    let handle = open(&path.join("deeper"));
    assert!(handle.warnings.is_empty(), "{:?}", handle.warnings);
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    let folder = path.join("deeper");
    assert_eq!((mode(&path), mode(&folder)), (0o700, 0o700));
    let modes: Vec<(String, u32)> = listing(&folder).into_iter().map(|(name, (_, mode))| (name, mode)).collect();
    assert_eq!(modes.len(), 4, "{modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
    handle.close().unwrap();
    // A folder that was there keeps its mode, and its owner is told.
    let (_parent, path) = new_place();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let handle = open(&path);
    assert_eq!(handle.warnings.len(), 1, "{:?}", handle.warnings);
    assert_eq!(mode(&path), 0o755);
    handle.close().unwrap();
}

#[test]
fn a_second_hold_in_this_process_is_refused_and_says_so() {
    let (_parent, path) = new_place();
    let hold = Folder::prepare(&path).unwrap().hold().unwrap();
    let error = Folder::prepare(&path).unwrap().hold().map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(error.number("pid"), Some(u64::from(std::process::id())));
    assert!(error.message().contains("another copy"), "{error}");
    assert!(error.kind().is_retryable());
    // The registry of this copy did not open it either.
    assert_eq!(refusal(&path).kind(), ErrorKind::Locked);
    assert!(hold.is_in_place());
    hold.release(&OsFs);
    open(&path).close().unwrap();
}

#[test]
fn the_owner_file_says_who_holds_the_folder_and_goes_with_the_hold() {
    let (_parent, path) = new_place();
    let handle = open(&path);
    let owner: serde_json::Value = serde_json::from_slice(&fs::read(path.join("owner")).unwrap()).unwrap();
    assert_eq!(owner["pid"], std::process::id());
    assert_eq!(owner["version"], env!("CARGO_PKG_VERSION"));
    assert!(!owner["host"].as_str().unwrap().is_empty());
    assert_eq!(owner["bootId"].as_str().unwrap().len(), 32);
    assert!(owner.get("started").is_some());
    handle.close().unwrap();
    assert!(!path.join("owner").exists());
    assert!(path.join("lock").exists(), "the lock file stays for good");
}

#[test]
fn a_holder_is_named_only_where_it_can_be_the_one() {
    let (_parent, path) = new_place();
    let handle = open(&path);
    let owner: serde_json::Value = serde_json::from_slice(&fs::read(path.join("owner")).unwrap()).unwrap();
    handle.close().unwrap();
    let lock = fs::File::open(path.join("lock")).unwrap();
    lock.lock().unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = owner.clone();
        changed[key] = value;
        changed.to_string()
    };
    // A process that is gone, and one that has got the number of a process that is gone.
    let stale = [with("pid", 0x3F_FFFF.into()), with("started", 1.into()), String::new(), "{}".into(), "not json".into()];
    for owner in stale {
        fs::write(path.join("owner"), &owner).unwrap();
        let error = refusal(&path);
        assert_eq!((error.kind(), error.number("pid")), (ErrorKind::Locked, None), "{owner}");
        assert!(error.message().contains("unknown"), "{owner}: {error}");
    }
    // On another machine nobody can tell.
    fs::write(path.join("owner"), with("host", "elsewhere".into())).unwrap();
    assert_eq!(text(&refusal(&path), "host"), Some("elsewhere"));
    lock.unlock().unwrap();
    open(&path).close().unwrap();
}

/// Not a test: another process that holds a folder until it is killed.
#[test]
#[ignore = "run by a_folder_held_by_another_process_is_refused_until_that_one_is_gone"]
fn holder() {
    let Some(path) = std::env::var_os("CASK_FOLDER_TO_HOLD") else { return };
    let handle = open(Path::new(&path));
    set(backend(&handle), "a", &[put("k", "from the other process")]).unwrap();
    println!("\nholding");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_folder_held_by_another_process_is_refused_until_that_one_is_gone() {
    let (_parent, path) = new_place();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "folder::holder", "--ignored", "--nocapture"])
        .env("CASK_FOLDER_TO_HOLD", &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "holding"));
    let error = refusal(&path);
    assert_eq!((error.kind(), error.number("pid")), (ErrorKind::Locked, Some(u64::from(child.id()))), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    let handle = open(&path);
    assert_eq!(get(backend(&handle), "a", &session("k")).unwrap(), Some(b"from the other process".to_vec()));
    assert_eq!(handle.report.cut_bytes, 0);
    handle.close().unwrap();
}

#[test]
fn a_failed_open_lets_the_folder_go() {
    let (_parent, path) = new_place();
    open(&path).close().unwrap();
    let manifest = fs::read(path.join("manifest")).unwrap();
    fs::write(path.join("manifest"), "damaged").unwrap();
    for _ in 0..2 {
        let error = refusal(&path);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    assert_eq!(registry::attach(&Place::Folder(path.clone())).map(|_| ()).unwrap_err().kind(), ErrorKind::Closed);
    fs::write(path.join("manifest"), manifest).unwrap();
    open(&path).close().unwrap();
}

// A bot logs out: it removes the folder while the cask is open, and opens the same path again.
#[test]
fn a_removed_folder_opens_afresh_and_the_old_store_is_detached() {
    let (_parent, path) = new_place();
    let old = open(&path);
    let second = open(&path);
    set(backend(&old), "a", &[put("k", "old")]).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let new = open(&path);
    assert_ne!(new.store().uid(), old.store().uid());
    assert!(records(backend(&new)).unwrap().is_empty());
    for stale in [&old, &second] {
        let errors = [
            set(backend(stale), "a", &[put("k", "late")]).unwrap_err(),
            get(backend(stale), "a", &session("k")).unwrap_err(),
            crate::common::drive::flush(backend(stale)).unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), text(&error, "path")), (ErrorKind::Detached, path.to_str()), "{error}");
        }
    }
    set(backend(&new), "a", &[put("k", "new")]).unwrap();
    let before = listing(&path);
    old.close().unwrap();
    second.close().unwrap();
    assert_eq!(listing(&path), before, "the old store leaves the new folder alone");
    assert_eq!(get(backend(&new), "a", &session("k")).unwrap(), Some(b"new".to_vec()));
    assert_eq!(open(&path).store().uid(), new.store().uid(), "closing the old store did not close the new one");
    new.close().unwrap();
}

#[test]
fn a_replaced_folder_is_another_cask() {
    let (parent, path) = new_place();
    let other = parent.path().join("other");
    let handle = open(&other);
    set(backend(&handle), "a", &[put("k", "other")]).unwrap();
    handle.close().unwrap();
    let old = open(&path);
    set(backend(&old), "a", &[put("k", "old")]).unwrap();
    fs::rename(&path, parent.path().join("away")).unwrap();
    fs::rename(&other, &path).unwrap();
    let new = open(&path);
    assert_eq!(get(backend(&new), "a", &session("k")).unwrap(), Some(b"other".to_vec()));
    assert_eq!(get(backend(&old), "a", &session("k")).unwrap_err().kind(), ErrorKind::Detached);
    old.close().unwrap();
    new.close().unwrap();
}

// The calls that fail because the folder is gone say so, before any sync or open has looked.
#[test]
fn a_call_that_fails_in_a_removed_folder_says_why() {
    let (_parent, path) = new_place();
    for writes_first in [false, true] {
        let handle = registry::open(&OpenRequest { cache_bytes: Some(0), ..at(&path) }).unwrap();
        if writes_first {
            set(backend(&handle), "a", &[put("k", "v")]).unwrap();
        }
        fs::remove_dir_all(&path).unwrap();
        let error = match writes_first {
            // The folder's names cannot be synced.
            true => crate::common::drive::flush(backend(&handle)).unwrap_err(),
            // A segment cannot be made.
            false => set(backend(&handle), "a", &[put("k", "v")]).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Detached, "{error}");
        handle.close().unwrap();
    }
    let handle = open(&path);
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    handle.close().unwrap();
    let handle = registry::open(&OpenRequest { cache_bytes: Some(0), ..at(&path) }).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(get(backend(&handle), "a", &session("k")).unwrap_err().kind(), ErrorKind::Detached);
    handle.close().unwrap();
}

#[test]
fn the_regular_sync_notices_a_removed_folder() {
    let (_parent, path) = new_place();
    let handle = registry::open(&OpenRequest { sync_interval: Some(Duration::ZERO), ..at(&path) }).unwrap();
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "nobody noticed");
        if let Err(error) = set(backend(&handle), "a", &[put("k", "v")]) {
            break error;
        }
        std::thread::yield_now();
    };
    assert_eq!(error.kind(), ErrorKind::Detached, "{error}");
    assert!(!path.exists(), "nothing was made anew");
    handle.close().unwrap();
}

// Gateways keep one folder per account, a thousand times.
#[cfg(target_os = "linux")]
#[test]
fn an_open_cask_costs_three_descriptors_at_most() {
    let (_parent, path) = new_place();
    for round in 0..3_u8 {
        let handle = open(&path);
        set(backend(&handle), "a", &[put(&round.to_string(), [round; 100])]).unwrap();
        crate::common::drive::flush(backend(&handle)).unwrap();
        let idle = descriptors_in(&path);
        assert!(idle <= 3, "round {round}: {idle}");
        assert_eq!(records(backend(&handle)).unwrap()["a"].len(), usize::from(round) + 1);
        handle.close().unwrap();
        assert_eq!(descriptors_in(&path), 0, "a closed cask keeps nothing open");
    }
}

#[cfg(target_os = "linux")]
fn descriptors_in(folder: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links.filter(|target| target.starts_with(folder)).count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_can_be_held_where_there_is_no_room_to_say_who_does() {
    let (_parent, path) = new_place();
    open(&path).close().unwrap();
    // As on a full disk, it cannot be written: not through a link.
    std::os::unix::fs::symlink("/dev/full", path.join("owner")).unwrap();
    let handle = open(&path);
    assert!(!path.join("owner").exists(), "it would name somebody else");
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    handle.close().unwrap();
}

#[test]
fn a_backup_that_was_never_opened_is_not_opened_while_it_is_looked_at() {
    let (parent, path) = new_place();
    let handle = open(&path);
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    let backup = parent.path().join("backup");
    handle.file().unwrap().backup(&backup, &BackupOptions::default()).unwrap();
    handle.close().unwrap();
    let looks = Folder::hold_shared(&backup).unwrap();
    assert_eq!(refusal(&backup).kind(), ErrorKind::Locked);
    drop(looks);
    open(&backup).close().unwrap();
}

#[test]
fn a_cask_that_must_be_there_is_not_made_and_a_damaged_one_is_none_that_is_missing() {
    let (_parent, path) = new_place();
    let there = OpenRequest { creates: false, ..at(&path) };
    for is_mount_point in [false, true] {
        if is_mount_point {
            fs::create_dir(&path).unwrap();
        }
        let error = registry::open(&there).map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), text(&error, "argument")), (ErrorKind::InvalidArgument, Some("path")), "{error}");
        assert_eq!(path.exists(), is_mount_point);
        assert!(!is_mount_point || listing(&path).is_empty());
    }
    let handle = open(&path);
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    handle.close().unwrap();
    let handle = registry::open(&there).unwrap();
    assert_eq!(get(backend(&handle), "a", &session("k")).unwrap(), Some(b"v".to_vec()));
    handle.close().unwrap();
    fs::remove_file(path.join("manifest")).unwrap();
    assert_eq!(registry::open(&there).map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Runs in a process of its own: it takes all descriptors.
#[cfg(unix)]
#[test]
#[ignore = "part of another test"]
fn without_descriptors() {
    let (_parent, path) = new_place();
    let handle = open(&path);
    set(backend(&handle), "a", &[put("k", "v")]).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        taken.push(file);
    }
    flush(backend(&handle)).unwrap();
    set(backend(&handle), "a", &[put("k", "w")]).unwrap();
    drop(taken);
    handle.close().unwrap();
    println!("done without a descriptor");
}

#[cfg(unix)]
#[test]
fn no_free_descriptor_is_no_failed_sync() {
    let program = std::env::current_exe().unwrap();
    let script = "ulimit -n 64 && exec \"$0\" --exact folder::without_descriptors --ignored --nocapture";
    let output = Command::new("sh").arg("-c").arg(script).arg(program).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("done without a descriptor"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}
