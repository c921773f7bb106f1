//! Work on a folder that nobody has open, cancelled at every moment at which it asks whether it is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use baileys_cask::backend::file::fs::Fs;
use baileys_cask::backend::file::repair::{RepairOptions, repair};
use baileys_cask::backend::file::rewrite::{RewriteOptions, rewrite};
use baileys_cask::backend::file::verify::{VerifyOptions, verify};
use baileys_cask::backend::file::{Cancel, Durability};
use baileys_cask::error::{ErrorKind, Result};
use baileys_cask::secret::Secret;

use crate::common::disk::{Disk, Image};
use crate::common::drive::{BOOT, FOLDER, options};
use crate::common::workload::{Run, Step, everything};

const TARGET: &str = "/new";
const OTHER_BOOT: [u8; 16] = [2; 16];

/// A closed cask of several segments.
fn cask() -> Image {
    ended_by(Step::Close)
}

/// One whose manifest does not name its segments yet.
fn killed() -> Image {
    ended_by(Step::Vanish)
}

fn ended_by(end: Step) -> Image {
    let image = Run::new(options(Durability::Process)).steps(&[everything(), vec![end]].concat()).disk.image();
    let count = segments(&image).len();
    assert!(count > 3, "{count} segments");
    image
}

fn segments(image: &Image) -> Vec<&String> {
    image.keys().filter(|name| name.ends_with(".seg")).collect()
}

/// One with a batch missing in its second segment.
fn damaged() -> Image {
    let mut image = cask();
    let name = segments(&image)[1].clone();
    let bytes = image.get_mut(&name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    image
}

/// At which of its questions some work was cancelled: before anything was written, and while a new folder was.
#[derive(Debug, Default)]
struct Cancelled {
    before: usize,
    while_written: usize,
}

/// Cancels some work at its first question, at its second one, and so on, until it ends by itself.
fn at_every_question(image: &Image, work: impl Fn(&Arc<dyn Fs>, Cancel<'_>) -> Result<()>) -> Cancelled {
    let mut cancelled = Cancelled::default();
    for at in 0..10_000 {
        let disk = Disk::new(image);
        let fs: Arc<dyn Fs> = Arc::new(disk.clone());
        let (asked, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let is_cancelled = || {
            let is_now = asked.fetch_add(1, Ordering::AcqRel) >= at;
            if is_now {
                written.store(disk.folders().len(), Ordering::Release);
            }
            is_now
        };
        let outcome = work(&fs, Cancel(&is_cancelled));
        assert!(disk.image() == *image, "question {at}: the cask was changed");
        let Err(error) = outcome else {
            assert!(asked.into_inner() <= at, "question {at}: it went on");
            return cancelled;
        };
        assert_eq!(error.kind(), ErrorKind::Aborted, "question {at}: {error}");
        assert_eq!(asked.into_inner(), at + 1, "question {at}: it went on");
        assert!(disk.folders().is_empty(), "question {at}: {:?} is left", disk.folders());
        let part = if written.into_inner() > 0 { &mut cancelled.while_written } else { &mut cancelled.before };
        *part += 1;
    }
    panic!("it never ends");
}

#[test]
fn verifying_stops_between_segments() {
    let (closed, killed) = (cask(), killed());
    for boot in [BOOT, OTHER_BOOT] {
        // Each segment is read once where all is well.
        for (image, least) in
            [(&closed, segments(&closed).len()), (&killed, segments(&killed).len()), (&damaged(), segments(&closed).len() + 2)]
        {
            let cancelled = at_every_question(image, |fs, cancel| {
                verify(Path::new(FOLDER), fs, boot, &VerifyOptions { cancel, ..VerifyOptions::default() }).map(drop)
            });
            assert!(cancelled.before >= least && cancelled.while_written == 0, "{cancelled:?}, {least}");
        }
    }
}

#[test]
fn a_cancelled_repair_leaves_nothing_of_the_new_cask() {
    for image in [cask(), damaged()] {
        let cancelled = at_every_question(&image, |fs, cancel| {
            let options = RepairOptions { cancel, ..RepairOptions::default() };
            repair(Path::new(FOLDER), Path::new(TARGET), fs, BOOT, &options).map(drop)
        });
        assert!(cancelled.before > segments(&image).len() && cancelled.while_written > 20, "{cancelled:?}");
    }
}

#[test]
fn a_cancelled_rewrite_leaves_nothing_of_the_new_cask() {
    let image = cask();
    let secret = Secret::key(&[7; 32]).unwrap();
    for new_secret in [None, Some(&secret)] {
        let cancelled = at_every_question(&image, |fs, cancel| {
            let options = RewriteOptions { secret: None, new_secret, cancel };
            rewrite(Path::new(FOLDER), Path::new(TARGET), fs, BOOT, &options).map(drop)
        });
        assert!(cancelled.before > segments(&image).len() && cancelled.while_written > 20, "{cancelled:?}");
    }
}
