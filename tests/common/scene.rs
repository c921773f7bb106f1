//! Demands of a folder that a process or the power has left, whatever it is that they left.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use baileys_cask::backend::file::sealing::check_secret;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::error::ErrorKind;
use baileys_cask::secret::Secret;

use super::disk::{Disk, Event, Image, Note};
use super::drive::{self, BOOT, options, records, set};
use super::loss::{Chance, Loss, after_power_loss};
use super::model::{Changes, Records, put};
use super::nonces::Nonces;
use super::workload::Run;

/// How many batches must and may be there.
pub type Range = RangeInclusive<usize>;

pub fn expected(events: &[Event], is_power_loss: bool) -> Range {
    let (mut issued, mut must) = (0, 0);
    for event in events {
        match event {
            Event::Note(Note::Issued(number)) => issued = *number,
            Event::Note(Note::Safe(number)) => must = must.max(*number),
            Event::Note(Note::Acknowledged(number)) if !is_power_loss => must = must.max(*number),
            _ => {}
        }
    }
    must..=issued
}

/// A folder at some moment: what is on disk, and what has happened since without being safe.
#[derive(Clone)]
pub struct Scene {
    base: Image,
    events: Vec<Event>,
    durability: Durability,
    /// What may seal the cask; none for a plain one.
    secrets: Vec<Secret>,
    nonces: Arc<Nonces>,
    boot: u8,
    /// States of the records that must be found one of, by number of batches.
    range: Range,
    /// The same, should the power go.
    range_without_power: Range,
    pub context: String,
}

impl Scene {
    fn options(&self) -> FileOptions {
        FileOptions { boot_id: [self.boot; 16], ..options(self.durability) }
    }

    /// The process is killed after these events.
    pub fn killed(&self, events: &[Event], what: &str) -> Self {
        Self { events: events.to_vec(), context: format!("{}, {what}", self.context), ..self.clone() }
    }

    /// The power goes after these events.
    pub fn without_power(&self, events: &[Event], loss: Loss, what: &str) -> Self {
        let context = format!("{}, {what}, {loss:?}", self.context);
        Self {
            base: after_power_loss(&self.base, events, loss),
            events: Vec::new(),
            boot: self.boot + 1,
            range: self.range_without_power.clone(),
            context,
            ..self.clone()
        }
    }

    /// Opens the folder. Of a sealed cask, exactly one of the secrets does, and the others leave everything as it was.
    fn open(&self, disk: &Disk) -> baileys_cask::Result<Arc<FileBackend>> {
        let Some((first, others)) = self.secrets.split_first() else { return drive::open(disk, &self.options()) };
        let with = |secret: &Secret| FileOptions { secret: Some(secret.clone()), ..self.options() };
        let image = disk.image();
        if !image.contains_key("key") {
            return drive::open(disk, &with(first));
        }
        let mut fitting = Vec::new();
        for secret in [first].into_iter().chain(others) {
            let other = Disk::new(&image);
            match check_secret(&other, Path::new(drive::FOLDER), secret) {
                Ok(()) => fitting.push(secret),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Key, "{}: {error}", self.context),
            }
            assert!(other.events().is_empty(), "{}: {:?}", self.context, other.events());
        }
        let [secret] = fitting[..] else { panic!("{}: {} secrets open the cask", self.context, fitting.len()) };
        drive::open(disk, &with(secret))
    }

    /// Opens the folder and demands one of the states; then writes, goes away, and demands that too. Gives the events of
    /// the folder up to when it was open.
    pub fn demand(&self, states: &[Records]) -> Vec<Event> {
        let context = &self.context;
        let disk = Disk::resume(&self.base, &self.events);
        let backend = self.open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
        let opened = disk.events();
        let found = records(&*backend).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert!(
            self.range.clone().any(|number| states[number] == found),
            "{context}: wanted one of the states {:?}, found {:?}",
            self.range,
            states.iter().position(|state| *state == found).ok_or(&found)
        );
        if self.is_compacted_at_once() {
            self.demand_after_compacting_at_once(states);
        }
        let mut with_marker = found;
        let marker = Changes::new("marker", [put("written", "after the crash")]);
        marker.apply(&mut with_marker);
        set(&*backend, "marker", &marker.changes).unwrap_or_else(|error| panic!("{context}: {error}"));
        drive::vanish(backend);
        let after = disk.events();
        if !self.secrets.is_empty() {
            self.nonces.take(&after[self.events.len()..], context);
        }
        let mut again = vec![self.killed(&after, "killed after a write")];
        if self.durability == Durability::Power {
            again.push(self.without_power(&after, Loss::All, "power loss after a write"));
        }
        for scene in again {
            let disk = Disk::resume(&scene.base, &scene.events);
            let backend = scene.open(&disk).unwrap_or_else(|error| panic!("{}: {error}", scene.context));
            assert!(records(&*backend).unwrap() == with_marker, "{}: not what was there before", scene.context);
            backend.compact_all().unwrap_or_else(|error| panic!("{}: {error}", scene.context));
            assert!(records(&*backend).unwrap() == with_marker, "{}: not what was there before compacting", scene.context);
        }
        opened
    }

    /// One in some scenes, by its length.
    fn is_compacted_at_once(&self) -> bool {
        self.events.len().is_multiple_of(3)
    }

    /// Compacts before anything is synced, as the background does when a cask has been opened, and then the power goes.
    fn demand_after_compacting_at_once(&self, states: &[Records]) {
        let disk = Disk::resume(&self.base, &self.events);
        let backend = self.open(&disk).unwrap_or_else(|error| panic!("{}: {error}", self.context));
        while backend.compact_once().unwrap_or_else(|error| panic!("{}: {error}", self.context)).is_some() {}
        drive::vanish(backend);
        let after = disk.events();
        if !self.secrets.is_empty() {
            self.nonces.take(&after[self.events.len()..], &self.context);
        }
        let scene = self.without_power(&after, Loss::All, "power loss after compacting at once");
        let backend =
            scene.open(&Disk::resume(&scene.base, &scene.events)).unwrap_or_else(|error| panic!("{}: {error}", scene.context));
        let found = records(&*backend).unwrap_or_else(|error| panic!("{}: {error}", scene.context));
        assert!(
            scene.range.clone().any(|number| states[number] == found),
            "{}: none of the states {:?}",
            scene.context,
            scene.range
        );
    }

    /// Demands the same of what is left when opening is cut short.
    pub fn demand_with_cut_recovery(&self, states: &[Records], seed: u64) {
        let opened = self.demand(states);
        for cut in self.events.len()..=opened.len() {
            self.killed(&opened[..cut], &format!("recovery killed at {cut}")).demand(states);
            for loss in [Loss::All, Loss::Some(Chance(seed ^ cut as u64)), Loss::Torn(Chance(seed ^ cut as u64))] {
                self.without_power(&opened[..cut], loss, &format!("recovery without power at {cut}")).demand(states);
            }
        }
    }
}

/// The positions before each change, and the end.
pub fn cuts(events: &[Event]) -> impl Iterator<Item = usize> {
    (0..=events.len()).filter(|at| !matches!(events.get(*at), Some(Event::Note(_))))
}

pub fn scene(run: &Run, cut: usize, what: &str) -> Scene {
    let events = run.disk.events()[..cut].to_vec();
    Scene {
        base: Image::new(),
        durability: run.options.durability,
        secrets: run.secrets.clone(),
        nonces: Arc::clone(&run.nonces),
        boot: BOOT[0],
        range: expected(&events, false),
        range_without_power: expected(&events, true),
        context: format!("{what}, {:?}, cut at {cut}", run.options.durability),
        events,
    }
}

pub fn demand_after_power_loss(run: &Run, what: &str, seed: u64, with_recovery: bool) {
    for cut in cuts(&run.disk.events()) {
        let scene = scene(run, cut, what);
        for loss in Loss::variety(seed ^ ((cut as u64) << 8)) {
            let lost = scene.without_power(&scene.events, loss, "power loss");
            if with_recovery {
                lost.demand_with_cut_recovery(&run.states, seed);
            } else {
                lost.demand(&run.states);
            }
        }
    }
}

pub fn demand_after_kill(run: &Run, what: &str, seed: u64, with_recovery: bool) {
    let events = run.disk.events();
    let mut chance = Chance(seed);
    for cut in cuts(&events) {
        let mut scene = scene(run, cut, what);
        // A kill may also come in the middle of a write.
        if let Some(Event::Write { file, offset, bytes }) = events.get(cut) {
            let part = chance.below(bytes.len() + 1);
            scene.events.push(Event::Write { file: *file, offset: *offset, bytes: bytes[..part].into() });
        }
        if with_recovery {
            scene.demand_with_cut_recovery(&run.states, seed);
        } else {
            scene.demand(&run.states);
        }
    }
}
