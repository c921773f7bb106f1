//! Writes the seeds of all targets: from folders that released versions have written, and from a few made here.
//!
//! `cargo run --example seeds` in `fuzz/`. Identities and salts are random, so each run writes others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use baileys_cask::backend::Backend;
use baileys_cask::backend::file::FileBackend;
use baileys_cask::record::{CREDS_KEY, Op};
use baileys_cask_fuzz::folder::{CASK, CHECKS, Case, File, NUMBER, REFERENCES, SEQUENCE, code_of, path};
use baileys_cask_fuzz::memory::{Image, MemoryFs};
use baileys_cask_fuzz::targets::frame::PREFIX_BYTES;
use baileys_cask_fuzz::targets::state::write;

fn main() {
    let mut seeds = Seeds { made: 0 };
    for name in ["v1-plain", "v1-compacted"] {
        seeds.add_folder(&read_folder(&Path::new("../__test__/fixtures").join(name)));
    }
    for stop in 1..=5 {
        seeds.add_folder(&made(stop));
    }
    seeds.add("owner", br#"{"pid":4711,"host":"gateway-3","started":123456,"bootId":"00","version":"0.1.0"}"#);
    seeds.add("owner", br#"{"pid":99999999999,"host":null}"#);
    for name in ["v1-sealed", "v1-sealed-passphrase"] {
        let slot = fs::read(Path::new("../__test__/fixtures").join(name).join("key")).unwrap();
        for how in [0, 1] {
            seeds.add("key_slot", &[&[how], &slot[..]].concat());
        }
    }
    let state = br#"{"version":1,"casks":{"0102030405060708090a0b0c0d0e0f10":{"generation":3,"synced":70}}}"#;
    seeds.add("rollback_state", state);
    seeds.add("rollback_state", br#"{"version":2,"casks":[]}"#);
}

struct Seeds {
    made: usize,
}

impl Seeds {
    fn add(&mut self, target: &str, input: &[u8]) {
        let folder = Path::new("seeds").join(target);
        fs::create_dir_all(&folder).unwrap();
        self.made += 1;
        fs::write(folder.join(format!("{:02}", self.made)), input).unwrap();
    }

    fn add_folder(&mut self, image: &Image) {
        let all = CHECKS | CASK | REFERENCES | SEQUENCE | NUMBER;
        let segments = |name: &str| if name.ends_with(".seg") { CHECKS } else { 0 };
        let ways: [(u8, &dyn Fn(&str) -> u8); 4] = [(4, &|_| 0), (15, &|_| all), (4, &|_| CHECKS), (14, &segments)];
        for (how, right) in ways {
            let files = image.iter().filter(|(name, _)| code_of(name).is_some()).map(|(name, bytes)| File {
                name: code_of(name).unwrap(),
                right: right(name),
                bytes: bytes.clone(),
            });
            let input = Case { how, files: files.collect() }.encode();
            self.add("recovery", &input);
            self.add("repair", &input);
        }
        for (name, bytes) in image {
            let sealed = [&[1], bytes.as_slice()].concat();
            match name.rsplit_once('.').map_or(name.as_str(), |(_, end)| end) {
                "manifest" => self.add("manifest", &sealed),
                "hint" => {
                    self.add("hint", &sealed);
                    self.add("hint", &[&[2], bytes.as_slice()].concat());
                }
                "seg" => {
                    self.add("segment", &sealed[..257]);
                    let mut prefix = vec![0; PREFIX_BYTES];
                    prefix[1] = 32;
                    prefix[3..].copy_from_slice(&bytes[48..64]);
                    self.add("frame", &[&prefix, &bytes[256..bytes.len().min(1024)]].concat());
                    prefix[0] = 1;
                    self.add("frame", &[&prefix, &bytes[256..bytes.len().min(1024)]].concat());
                    self.add("frame", &[&prefix[..], &bytes[256 + 32 + 8 + 8..bytes.len().min(512)]].concat());
                }
                _ => {}
            }
        }
    }
}

fn read_folder(folder: &Path) -> Image {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// A cask with every kind of operation, hints and several segments, left at some point of its life.
fn made(stop: usize) -> Image {
    let fs = MemoryFs::new(path(), &Image::new());
    let case = Case { how: 4, files: Vec::new() };
    let open = || FileBackend::open(path(), Arc::new(fs.clone()), &case.options(), None).unwrap();
    let mut backend = open();
    for round in 0..stop as u8 {
        write(&backend, "a", b"\x021", &[round; 150]).unwrap();
        write(&backend, "a", CREDS_KEY, &[round; 20]).unwrap();
        write(&backend, "b", b"\x071", &[round; 60]).unwrap();
        apply(&backend, "b", &[Op::Delete { key: b"\x071" }, Op::Put { key: b"\x00\x02xyid", value: b"own" }]);
        if round == 1 {
            apply(&backend, "b", &[Op::Clear]);
            backend.close().unwrap();
            backend = open();
        }
        if round == 3 {
            apply(&backend, "b", &[Op::Drop]);
            backend.compact_all().unwrap();
        }
    }
    if stop % 2 == 0 {
        backend.close().unwrap();
    }
    fs.image(path())
}

fn apply(backend: &FileBackend, account: &str, ops: &[Op<'_>]) {
    let mut packed = Vec::new();
    ops.iter().for_each(|op| op.pack(&mut packed));
    backend.apply_at_once(baileys_cask::backend::Batch { account, ops: &packed, fence: 0 }).unwrap().unwrap();
}
