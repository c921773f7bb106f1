//! A segment is lost or has a hole while the one behind it is intact: legal above W after a loss of power, and damage in every other case.

use std::path::Path;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::{Durability, FileOptions};
use baileys_cask::codec::segment::SEGMENT_HEADER_BYTES;

use crate::common::disk::{Disk, Image};
use crate::common::drive::{BOOT, FOLDER, flush, open, options, records, set, vanish};
use crate::common::faulty::OTHER_BOOT;
use crate::common::model::{Records, put};

/// What has become of segment N.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lost {
    /// Its name has not reached the disk.
    Name,
    /// Its length has not.
    Length,
    /// None of its pages has.
    Pages,
    /// Its first page has not: the header, and a part of the first frame.
    Header,
    /// A piece in the middle of a frame has not, of its first one or its last one.
    Hole { in_last_frame: bool },
    /// Its last frame has not.
    Tail,
}

const ALL_LOST: [Lost; 7] = [
    Lost::Name,
    Lost::Length,
    Lost::Pages,
    Lost::Header,
    Lost::Hole { in_last_frame: false },
    Lost::Hole { in_last_frame: true },
    Lost::Tail,
];

/// What on disk says that segment N is there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Claim {
    /// Nothing: it is above W.
    None,
    /// A frame of a later segment: it is below W, and the manifest does not know it.
    Frame,
    /// The header of a later segment, in which there is no frame.
    Header,
    /// The manifest.
    Manifest,
}

/// Batches that fit into a segment; each has a frame of this length.
const BATCHES: usize = 2;
const FRAME_BYTES: usize = (1024 - SEGMENT_HEADER_BYTES) / BATCHES / 8 * 8;
const VALUE_BYTES: usize = 320;

/// A log that was written under one boot, and its segment N.
struct Scene {
    image: Image,
    /// Records after each batch, from none on.
    states: Vec<Records>,
    /// Batches before segment N.
    before: usize,
    name: String,
}

fn segments(image: &Image) -> Vec<String> {
    image.keys().filter(|name| name.ends_with(".seg")).cloned().collect()
}

fn scene(level: Durability, claim: Claim) -> Scene {
    let disk = Disk::default();
    let mut backend = open(&disk, &options(level)).unwrap();
    let mut states = vec![Records::new()];
    let write = |backend: &dyn Backend, states: &mut Vec<Records>| {
        let number = states.len();
        set(backend, "a", &[put(&(number % 3).to_string(), vec![number as u8; VALUE_BYTES])]).unwrap();
        states.push(records(backend).unwrap());
    };
    (0..3 * BATCHES).for_each(|_| write(&*backend, &mut states));
    let names = segments(&disk.image());
    assert_eq!(names.len(), 3, "{names:?}");
    match claim {
        Claim::None => {}
        Claim::Frame => {
            flush(&*backend).unwrap();
            write(&*backend, &mut states);
        }
        Claim::Header => {
            // W is that of the sync, and the newest segment has nothing but its header.
            flush(&*backend).unwrap();
            write(&*backend, &mut states);
            let newest = segments(&disk.image()).pop().unwrap();
            disk.change(&newest, |bytes| bytes.truncate(SEGMENT_HEADER_BYTES));
            states.pop();
        }
        Claim::Manifest => {
            backend.close().unwrap();
            vanish(backend);
            backend = open(&disk, &options(level)).unwrap();
            write(&*backend, &mut states);
        }
    }
    vanish(backend);
    Scene { image: disk.image(), states, before: BATCHES, name: names[1].clone() }
}

impl Scene {
    /// The folder without what is lost of segment N.
    fn without(&self, lost: Lost) -> Image {
        let mut image = self.image.clone();
        let frame = |number: usize| SEGMENT_HEADER_BYTES + number * FRAME_BYTES;
        let bytes = image.get_mut(&self.name).unwrap();
        match lost {
            Lost::Name => drop(image.remove(&self.name)),
            Lost::Length => bytes.clear(),
            Lost::Pages => bytes.fill(0),
            Lost::Header => bytes[..512].fill(0),
            Lost::Hole { in_last_frame: false } => bytes[frame(0) + 100..frame(0) + 200].fill(0),
            Lost::Hole { in_last_frame: true } => bytes[frame(1) + 100..frame(1) + 200].fill(0),
            Lost::Tail => bytes.truncate(frame(1)),
        }
        image
    }

    /// What is there of the log before what is lost.
    fn prefix(&self, lost: Lost) -> &Records {
        let kept_frames = usize::from(matches!(lost, Lost::Hole { in_last_frame: true } | Lost::Tail));
        &self.states[self.before + kept_frames]
    }
}

fn demand_damage(image: &Image, options: &FileOptions, context: &str) {
    let disk = Disk::new(image);
    let error = open(&disk, options).map(|_| ()).expect_err(context);
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{context}: {error}");
    let path = error.text("path").unwrap_or_else(|| panic!("{context}: {error}"));
    assert!(
        Path::new(path).starts_with(FOLDER) && path.ends_with(".seg") && error.number("offset").is_some(),
        "{context}: {error}"
    );
    assert!(
        disk.image()
            .iter()
            .filter(|(name, _)| name.ends_with(".seg") || *name == "manifest")
            .eq(image.iter().filter(|(name, _)| name.ends_with(".seg") || *name == "manifest")),
        "{context}: something was changed"
    );
}

fn demand_prefix(image: &Image, options: &FileOptions, wanted: &Records, behind: &str, context: &str) {
    let disk = Disk::new(image);
    let backend = open(&disk, options).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(records(&*backend).unwrap() == *wanted, "{context}: other records");
    assert!(backend.report().cut_frames >= BATCHES as u64, "{context}: {:?}", backend.report());
    assert!(!disk.image().contains_key(behind), "{context}: the segment behind is still there");
    set(&*backend, "a", &[put("after", "x")]).unwrap();
    let with_new = records(&*backend).unwrap();
    vanish(backend);
    let again = open(&disk, options).unwrap_or_else(|error| panic!("{context}, once more: {error}"));
    assert!(records(&*again).unwrap() == with_new, "{context}: other records once more");
    assert_eq!(again.report().cut_bytes, 0, "{context}: cut once more");
}

#[test]
fn the_scenes_are_what_they_are_said_to_be() {
    for claim in [Claim::None, Claim::Frame, Claim::Header, Claim::Manifest] {
        let scene = scene(Durability::Process, claim);
        assert!(scene.image[&scene.name].len() == SEGMENT_HEADER_BYTES + BATCHES * FRAME_BYTES, "{claim:?}");
        let disk = Disk::new(&scene.image);
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        assert!(records(&*backend).unwrap() == *scene.states.last().unwrap(), "{claim:?}");
        // With nothing lost, another boot changes nothing.
        let backend =
            open(&Disk::new(&scene.image), &FileOptions { boot_id: OTHER_BOOT, ..options(Durability::Process) }).unwrap();
        assert!(records(&*backend).unwrap() == *scene.states.last().unwrap(), "{claim:?}");
    }
}

#[test]
fn segment_n_is_lost_or_holed_above_w_while_segment_n_plus_1_is_intact_and_after_a_loss_of_power_the_log_ends_before_it() {
    let scene = scene(Durability::Process, Claim::None);
    let behind = segments(&scene.image).pop().unwrap();
    for lost in ALL_LOST {
        for boot_id in [OTHER_BOOT, [0; 16]] {
            let options = FileOptions { boot_id, ..options(Durability::Process) };
            demand_prefix(&scene.without(lost), &options, scene.prefix(lost), &behind, &format!("{lost:?}, boot {boot_id:?}"));
        }
    }
}

#[test]
fn segment_n_is_lost_or_holed_above_w_while_segment_n_plus_1_is_intact_and_under_the_same_boot_that_is_damage() {
    let scene = scene(Durability::Process, Claim::None);
    for lost in ALL_LOST {
        demand_damage(&scene.without(lost), &options(Durability::Process), &format!("{lost:?}"));
    }
}

#[test]
fn segment_n_is_lost_or_holed_below_w_while_segment_n_plus_1_is_intact_and_that_is_damage_under_every_boot() {
    for level in [Durability::Process, Durability::Power] {
        for claim in [Claim::Frame, Claim::Header, Claim::Manifest] {
            let scene = scene(level, claim);
            for lost in ALL_LOST {
                for boot_id in [BOOT, OTHER_BOOT, [0; 16]] {
                    let options = FileOptions { boot_id, ..options(level) };
                    demand_damage(&scene.without(lost), &options, &format!("{level:?}, {claim:?}, {lost:?}, boot {boot_id:?}"));
                }
            }
        }
    }
}
