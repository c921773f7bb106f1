//! An input as a folder: files with names, some of which get their checks and their references made right.
//!
//! ```text
//! input  u8 how the folder is opened, files
//! file   u8 name, u8 what is made right, u24 length, bytes
//! ```

use std::path::Path;
use std::time::Duration;

use baileys_cask::backend::file::{Durability, FileOptions};
use baileys_cask::codec::{put, read_id, read_u64};

use super::memory::Image;
use super::seal;

/// Where the folder is.
pub const FOLDER: &str = "/cask";
/// Names that are no numbers.
const NAMES: [&str; 11] = [
    "manifest",
    "manifest.tmp",
    "poisoned",
    "owner",
    "reserve",
    "lock",
    "junk",
    "00000000ffffffff.seg",
    "0000000100000000.seg",
    "ffffffffffffffff.seg",
    "00000000ffffffff.hint",
];
/// Below this code a name is one of [`NAMES`]; from there on it is a number of a segment, a hint or a draft, sixteen of each.
const NUMBERED: u8 = 16;

/// The checks of the file.
pub const CHECKS: u8 = 1;
/// Identity of the cask: that of the manifest.
pub const CASK: u8 = 2;
/// What refers to other files: the salts and ends of the segments that a manifest names, of a predecessor, of what a hint is of.
pub const REFERENCES: u8 = 4;
/// Sequence numbers of frames follow each other.
pub const SEQUENCE: u8 = 8;
/// The number in the file's header is that in its name.
pub const NUMBER: u8 = 16;

/// A folder, and how it is opened.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub how: u8,
    pub files: Vec<File>,
}

/// One file of the input.
#[derive(Debug, Clone)]
pub struct File {
    pub name: u8,
    pub right: u8,
    pub bytes: Vec<u8>,
}

/// The code of a file's name, where it has one.
pub fn code_of(name: &str) -> Option<u8> {
    (0..=u8::MAX).find(|code| name_of(*code) == name)
}

fn name_of(code: u8) -> String {
    let number = u64::from(code % 16);
    match code / NUMBERED {
        0 => NAMES[usize::from(code) % NAMES.len()].into(),
        1 => format!("{number:016x}.hint"),
        2 => format!("{number:016x}.new"),
        _ => format!("{number:016x}.seg"),
    }
}

impl Case {
    /// Reads an input. Where it ends early, so does the last file.
    pub fn decode(input: &[u8]) -> Self {
        let Some((&how, mut rest)) = input.split_first() else { return Self::default() };
        let mut files = Vec::new();
        while let [name, right, a, b, c, after @ ..] = rest {
            let len = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
            let (bytes, after) = after.split_at(len.min(after.len()));
            files.push(File { name: *name, right: *right, bytes: bytes.into() });
            rest = after;
        }
        Self { how, files }
    }

    /// The input that is read as this.
    pub fn encode(&self) -> Vec<u8> {
        let mut input = vec![self.how];
        for file in &self.files {
            input.extend_from_slice(&[file.name, file.right]);
            input.extend_from_slice(&(file.bytes.len() as u32).to_le_bytes()[..3]);
            input.extend_from_slice(&file.bytes);
        }
        input
    }

    /// The files, with everything made right that is to be.
    pub fn image(&self) -> Image {
        let mut image: Image = self.files.iter().map(|file| (name_of(file.name), file.bytes.clone())).collect();
        let right = |name: &str| self.files.iter().rev().find(|file| name_of(file.name) == name).map_or(0, |file| file.right);
        let cask_id = image.get("manifest").and_then(|bytes| read_id(bytes, 24));
        let names: Vec<String> = image.keys().cloned().collect();
        for name in names.iter().filter(|name| name.ends_with(".seg")) {
            let Some(mut bytes) = image.remove(name) else { continue };
            make_segment_right(&mut bytes, right(name), number_in(name), cask_id, &image);
            image.insert(name.clone(), bytes);
        }
        if let Some(mut bytes) = image.remove("manifest") {
            let wanted = right("manifest");
            if wanted & REFERENCES != 0 {
                refer(&mut bytes, &image);
            }
            if wanted & CHECKS != 0 {
                seal::manifest(&mut bytes);
            }
            image.insert("manifest".into(), bytes);
        }
        for name in names.iter().filter(|name| name.ends_with(".hint")) {
            let Some(mut bytes) = image.remove(name) else { continue };
            let wanted = right(name);
            if let Some(cask_id) = cask_id.filter(|_| wanted & CASK != 0) {
                put(&mut bytes, 24, &cask_id);
            }
            if wanted & NUMBER != 0 {
                put(&mut bytes, 40, &number_in(name).to_le_bytes());
            }
            if let Some((salt, length)) = named(&image, number_in(name)).filter(|_| wanted & REFERENCES != 0) {
                put(&mut bytes, 48, &salt);
                put(&mut bytes, 64, &length.to_le_bytes());
            }
            if wanted & CHECKS != 0 {
                seal::hint(&mut bytes);
            }
            image.insert(name.clone(), bytes);
        }
        image
    }

    /// How it is opened.
    pub fn options(&self) -> FileOptions {
        FileOptions {
            durability: if self.how & 1 == 0 { Durability::Process } else { Durability::Power },
            sync_interval: Duration::from_secs(1 << 20),
            cache_bytes: Some(0),
            segment_bytes: 1024,
            boot_id: self.boot_id(),
            compacts: false,
            hint_from: if self.how & 4 == 0 { u64::MAX } else { 0 },
            preallocates: false,
            secret: None,
        }
    }

    /// The run of the operating system in which it is opened: that of the newest segment, or another one.
    pub fn boot_id(&self) -> [u8; 16] {
        let newest = self.files.iter().filter(|file| name_of(file.name).ends_with(".seg")).max_by_key(|file| file.name);
        let same = newest.and_then(|file| read_id(&file.bytes, 72)).filter(|_| self.how & 2 != 0);
        same.unwrap_or([1; 16])
    }

    /// Whether a hint or the manifest may say what is not so of the segments, under a right digest. What is read then is what stands in the
    /// segments, or an error; but what compaction may leave out is decided on account of them.
    pub fn forges_knowledge(&self) -> bool {
        let has_hints = self.files.iter().any(|file| name_of(file.name).ends_with(".hint"));
        self.files.iter().any(|file| file.right != 0 && (has_hints || name_of(file.name) == "manifest"))
    }

    /// Whether it is compacted as well.
    pub const fn compacts(&self) -> bool {
        self.how & 8 != 0
    }
}

fn number_in(name: &str) -> u64 {
    name.split('.').next().and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

fn make_segment_right(bytes: &mut Vec<u8>, right: u8, number: u64, cask_id: Option<[u8; 16]>, others: &Image) {
    if let Some(cask_id) = cask_id.filter(|_| right & CASK != 0) {
        put(bytes, 24, &cask_id);
    }
    if right & NUMBER != 0 {
        put(bytes, 40, &number.to_le_bytes());
    }
    if let Some(id) = read_u64(bytes, 112).filter(|id| *id != 0 && right & REFERENCES != 0)
        && let Some(before) = others.get(&format!("{id:016x}.seg"))
        && let Some(salt) = read_id(before, 48)
    {
        put(bytes, 120, &salt);
    }
    let first_seq = read_u64(bytes, 96).filter(|_| right & SEQUENCE != 0);
    if right & CHECKS != 0 {
        seal::segment(bytes, first_seq);
    }
}

/// Makes a manifest's entries name the segments that there are.
fn refer(bytes: &mut [u8], image: &Image) {
    let from = 120;
    for at in (from..bytes.len().saturating_sub(64 + 8 - 1)).step_by(64) {
        let segment = read_u64(bytes, at).and_then(|id| image.get(&format!("{id:016x}.seg")));
        if let Some(segment) = segment
            && let Some(salt) = read_id(segment, 48)
        {
            put(bytes, at + 8, &salt);
            put(bytes, at + 24, &(segment.len() as u64).to_le_bytes());
        }
    }
    let through = read_u64(bytes, 64).and_then(|id| image.get(&format!("{id:016x}.seg")));
    if let Some(salt) = through.and_then(|segment| read_id(segment, 48)) {
        put(bytes, 72, &salt);
    }
}

/// Salt and length of a segment as the manifest gives them.
fn named(image: &Image, number: u64) -> Option<([u8; 16], u64)> {
    let manifest = image.get("manifest")?;
    let at = (120..manifest.len()).step_by(64).find(|at| read_u64(manifest, *at) == Some(number))?;
    Some((read_id(manifest, at + 8)?, read_u64(manifest, at + 24)?))
}

/// The folder's path.
pub fn path() -> &'static Path {
    Path::new(FOLDER)
}
