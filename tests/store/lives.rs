//! Several lives of one cask: random work, random faults, random crashes, another level at each opening, against a model.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::fs::Fs;
use baileys_cask::backend::file::verify::{VerifyOptions, VerifyReport, verify};
use baileys_cask::backend::file::{BackupOptions, Durability, FileBackend, FileOptions};
use baileys_cask::secret::Secret;

use crate::common::disk::{Disk, EIO, EMFILE, ENOSPC, Event, Fault, Image, Kind};
use crate::common::drive::{self, FOLDER, NEVER, flush, options, records, start, vanish};
use crate::common::loss::{Chance, Loss, after_power_loss};
use crate::common::model::{Change, Changes, Records, creds, delete, put};

/// What is known after so many events.
#[derive(Debug, Clone)]
struct Mark {
    at: usize,
    /// Records after each number of batches that were handed over.
    states: Arc<Vec<Records>>,
    acked: usize,
    safe: usize,
}

struct Life {
    chance: Chance,
    base: Image,
    disk: Disk,
    /// All that was found is on disk.
    is_on_disk: bool,
    marks: Vec<Mark>,
    boot: u8,
    secret: Option<Secret>,
    story: Vec<String>,
}

fn batch(chance: &mut Chance) -> Changes {
    let account = ["a", "b", "c"][chance.below(3)];
    match chance.below(24) {
        0 => return Changes::new(account, [Change::Clear]),
        1 => return Changes::new(account, [Change::Drop]),
        2 => return Changes::new(account, [put("x", "before"), Change::Clear, put("after", chance.next().to_le_bytes())]),
        3 => return Changes::new(account, [Change::Drop, creds("new"), put("1", "after drop")]),
        4 => {
            let n = 60 + chance.below(20);
            let v = chance.next() as u8;
            return Changes::new(account, (0..n).map(|i| put(&format!("m{i}"), [v; 3])).collect::<Vec<_>>());
        }
        5 => return Changes::new(account, [put("big", vec![chance.next() as u8; 16200 + chance.below(400)]), put("1", "b")]),
        6 => return Changes::new(account, [Change::Put(b"\x02".to_vec(), vec![]), put("empty", "")]),
        _ => {}
    }
    let count = 1 + chance.below(4);
    let changes: Vec<Change> = (0..count)
        .map(|_| {
            let id = chance.below(7).to_string();
            match chance.below(6) {
                0 | 1 => delete(&id),
                2 => creds(chance.next().to_le_bytes()),
                3 => put(&id, vec![chance.next() as u8; chance.below(900)]),
                _ => put(&id, chance.next().to_le_bytes()),
            }
        })
        .collect();
    Changes::new(account, changes)
}

impl Mark {
    fn issued(&self) -> usize {
        self.states.len() - 1
    }

    fn newest(&self) -> Records {
        self.states.last().unwrap().clone()
    }
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        chance.next();
        let secret = (seed % 4 == 3).then(|| Secret::key(&[1; 32]).unwrap());
        Self {
            chance,
            base: Image::new(),
            disk: Disk::default(),
            is_on_disk: false,
            marks: vec![Mark { at: 0, states: Arc::new(vec![Records::new()]), acked: 0, safe: 0 }],
            boot: 1,
            secret,
            story: vec![format!("seed {seed}")],
        }
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.story.push(what.into());
    }

    fn last(&self) -> Mark {
        self.marks.last().unwrap().clone()
    }

    fn mark(&mut self, change: impl FnOnce(&mut Mark)) {
        let mut mark = self.last();
        mark.at = self.disk.events().len();
        change(&mut mark);
        self.marks.push(mark);
    }

    fn opts(&mut self) -> FileOptions {
        let durability = if self.chance.flip() { Durability::Power } else { Durability::Process };
        let chance = &mut self.chance;
        let busy = chance.below(4) == 0;
        FileOptions {
            sync_interval: if chance.below(4) == 0 { Duration::ZERO } else { NEVER },
            segment_bytes: [600, 1024, 2048, 8192][chance.below(4)],
            hint_from: if chance.flip() { 0 } else { u64::MAX },
            compacts: busy,
            preallocates: busy && chance.flip(),
            cache_bytes: if chance.flip() { Some(0) } else { None },
            boot_id: [self.boot; 16],
            secret: self.secret.clone(),
            ..options(durability)
        }
    }

    fn check_verify(&self, image: &Image) -> Option<VerifyReport> {
        if !image.contains_key("manifest") {
            return None;
        }
        let disk = Disk::new(image);
        let fs: Arc<dyn Fs> = Arc::new(disk.clone());
        let report = verify(
            Path::new(FOLDER),
            &fs,
            [self.boot; 16],
            &VerifyOptions { secret: self.secret.as_ref(), ..VerifyOptions::default() },
        )
        .unwrap_or_else(|error| panic!("verify: {error}\n{}", self.story.join("\n")));
        assert!(report.damages.is_empty(), "verify says damaged: {:?}\n{}", report.damages, self.story.join("\n"));
        assert!(disk.events().is_empty());
        Some(report)
    }

    /// Opens, perhaps with faults on the way.
    fn open(&mut self) -> (Arc<FileBackend>, FileOptions) {
        let opts = self.opts();
        self.tell(format!(
            "open {:?} seg {} hints {} compacts {} prealloc {} interval {:?} boot {}",
            opts.durability,
            opts.segment_bytes,
            opts.hint_from == 0,
            opts.compacts,
            opts.preallocates,
            opts.sync_interval,
            self.boot
        ));
        self.check_verify(&self.disk.image());
        while self.chance.below(4) == 0 {
            let from = self.disk.calls().len() + self.chance.below(60);
            let once = self.chance.below(3) > 0;
            let errno = [EIO, ENOSPC, EMFILE][self.chance.below(3)];
            self.tell(format!(
                "  fault in open at call +{} once {once} errno {errno}",
                from as i64 - self.disk.calls().len() as i64
            ));
            self.disk.fail(move |call| {
                let hit = if once { call.number == from } else { call.number >= from };
                (hit && !(call.name == "poisoned" && call.kind == Kind::Create)
                    && (errno != EMFILE || matches!(call.kind, Kind::Open | Kind::Create | Kind::List)))
                .then_some(Fault::Errno(errno))
            });
            let opened = drive::open(
                &self.disk,
                &FileOptions { compacts: false, preallocates: false, sync_interval: NEVER, ..opts.clone() },
            );
            self.disk.heal();
            match opened {
                Ok(backend) => {
                    self.tell("  opened all the same");
                    if self.chance.flip() {
                        self.check_found(&backend);
                        return (backend, opts);
                    }
                    vanish(backend);
                }
                Err(error) => {
                    self.tell(format!("  {error}"));
                    let kinds = [ErrorKind::Io, ErrorKind::Poisoned];
                    assert!(kinds.contains(&error.kind()), "{error}\n{}", self.story.join("\n"));
                }
            }
            self.check_verify(&self.disk.image());
        }
        let before = self.check_verify(&self.disk.image());
        let backend =
            drive::open(&self.disk, &opts).unwrap_or_else(|error| panic!("does not open: {error}\n{}", self.story.join("\n")));
        let found = self.check_found(&backend);
        if let Some(before) = before {
            let counts: Vec<(String, u64)> = before
                .accounts
                .iter()
                .map(|(name, count)| (name.clone(), count.records + u64::from(count.has_creds)))
                .filter(|(_, n)| *n > 0)
                .collect();
            let wanted: Vec<(String, u64)> = found.iter().map(|(name, records)| (name.clone(), records.len() as u64)).collect();
            assert_eq!(counts, wanted, "verify counts others\n{}", self.story.join("\n"));
            assert_eq!(
                (before.torn_bytes, before.torn_frames),
                (backend.report().cut_bytes, backend.report().cut_frames),
                "verify and recovery\n{}",
                self.story.join("\n")
            );
        }
        (backend, opts)
    }

    /// Finds which state it is, and forgets about later ones.
    fn check_found(&mut self, backend: &Arc<FileBackend>) -> Records {
        let found = records(&**backend).unwrap_or_else(|error| panic!("{error}\n{}", self.story.join("\n")));
        let Mark { states, acked, safe, .. } = self.last();
        let issued = states.len() - 1;
        let at = (acked..=issued).rev().find(|number| states[*number] == found);
        let Some(at) = at else {
            let is = states.iter().position(|state| *state == found);
            panic!(
                "wanted {acked}..={issued} (safe {safe}), found state {is:?}\nfound {}\nwanted {}\n{}",
                show(&found),
                show(&states[acked]),
                self.story.join("\n")
            );
        };
        self.tell(format!("  found {at} of {acked}..={issued}, safe {safe}"));
        // Another one of the same contents may be the true one.
        let lowest = (acked..=issued).find(|number| states[*number] == found).unwrap();
        let is_on_disk = std::mem::take(&mut self.is_on_disk);
        self.mark(|mark| {
            mark.states = Arc::new(states[..=at].to_vec());
            mark.acked = lowest.min(at);
            if is_on_disk {
                mark.safe = mark.acked;
            }
        });
        found
    }

    fn apply(&mut self, backend: &Arc<FileBackend>, level: Durability) {
        let change = batch(&mut self.chance);
        let mut next = self.last().newest();
        change.apply(&mut next);
        self.mark(|mark| Arc::make_mut(&mut mark.states).push(next));
        let at = self.disk.events().len();
        let outcome = start(&**backend, &change).wait();
        self.tell(format!(
            "batch {} at {at}: {} ops {:?}",
            self.last().issued(),
            change.changes.len(),
            outcome.as_ref().map_err(|e| e.kind())
        ));
        match outcome {
            Ok(()) => self.mark(|mark| {
                mark.acked = mark.issued();
                if level == Durability::Power {
                    mark.safe = mark.issued();
                }
            }),
            Err(error) if error.kind() == ErrorKind::Poisoned => {}
            Err(_) => {
                // Absent for good.
                self.mark(|mark| drop(Arc::make_mut(&mut mark.states).pop()));
            }
        }
    }

    fn at_once(&mut self, backend: &Arc<FileBackend>, level: Durability) {
        let mut started = Vec::new();
        for _ in 0..4 {
            let change = batch(&mut self.chance);
            let mut next = self.last().newest();
            change.apply(&mut next);
            self.mark(|mark| Arc::make_mut(&mut mark.states).push(next));
            started.push(start(&**backend, &change));
        }
        let issued = self.last().issued();
        for (position, one) in started.into_iter().enumerate() {
            one.wait().unwrap();
            self.mark(|mark| {
                mark.acked = issued - 3 + position;
                if level == Durability::Power {
                    mark.safe = mark.acked;
                }
            });
        }
        self.tell("four at once");
    }

    fn backup(&mut self, backend: &Arc<FileBackend>) {
        let name = format!("b{}", self.disk.events().len());
        let hard_links = self.chance.flip();
        let report = backend.backup(Path::new(&format!("/{name}")), &BackupOptions { hard_links, ..BackupOptions::default() });
        report.unwrap_or_else(|error| panic!("backup: {error}\n{}", self.story.join("\n")));
        let safe = self.last().issued();
        self.mark(|mark| mark.safe = safe);
        let image = self.disk.image_of(&name).unwrap();
        let before = self.check_verify(&image);
        let other = Disk::new(&image);
        let opts = self.opts();
        let opts = FileOptions { compacts: false, preallocates: false, sync_interval: NEVER, ..opts };
        let copy = drive::open(&other, &opts).unwrap_or_else(|error| panic!("backup: {error}\n{}", self.story.join("\n")));
        let mut wanted = self.last().newest();
        assert!(records(&*copy).unwrap() == wanted, "backup\n{}", self.story.join("\n"));
        assert_eq!(before.unwrap().torn_bytes, copy.report().cut_bytes);
        for _ in 0..3 {
            let change = batch(&mut self.chance);
            change.apply(&mut wanted);
            drive::apply(&*copy, &change).unwrap();
            while copy.compact_once().unwrap().is_some() {}
        }
        vanish(copy);
        let copy = drive::open(&other, &opts).unwrap();
        assert!(records(&*copy).unwrap() == wanted, "backup after a kill\n{}", self.story.join("\n"));
        copy.compact_all().unwrap();
        assert!(records(&*copy).unwrap() == wanted, "backup compacted\n{}", self.story.join("\n"));
        self.tell(format!("backup links {hard_links}"));
    }

    /// One opening, until it ends in one way or another.
    fn live(&mut self, with_faults: bool) {
        let born = self.disk.events().len();
        let (backend, opts) = self.open();
        let level = opts.durability;
        let steps = self.chance.below(14);
        let mut faulty = false;
        let mut ended_by_close = false;
        for _ in 0..steps {
            if with_faults && !faulty && self.chance.below(8) == 0 {
                faulty = true;
                let from = self.disk.calls().len() + self.chance.below(12);
                let len = 1 + self.chance.below(3);
                let errno = if self.chance.flip() { EIO } else { ENOSPC };
                let torn = self.chance.flip().then(|| self.chance.below(400));
                self.tell(format!(
                    "faults from +{} len {len} errno {errno} torn {torn:?}",
                    from as i64 - self.disk.calls().len() as i64
                ));
                self.disk.fail(move |call| {
                    let hit = call.number >= from && call.number < from + len;
                    (hit && call.name != "poisoned").then_some(match (call.kind, torn) {
                        (Kind::Write, Some(bytes)) => Fault::TornWrite(bytes, errno),
                        _ => Fault::Errno(errno),
                    })
                });
            }
            match self.chance.below(22) {
                0 | 1 => {
                    let number = self.last().issued();
                    let outcome = flush(&*backend);
                    self.tell(format!("flush {:?}", outcome.as_ref().map_err(|e| e.kind())));
                    if outcome.is_ok() {
                        self.mark(|mark| mark.safe = number);
                    } else {
                        assert!(faulty, "{outcome:?}\n{}", self.story.join("\n"));
                    }
                }
                2 | 3 => {
                    let outcome = backend.compact_all();
                    self.tell(format!("compact all {:?}", outcome.as_ref().map_err(|e| e.kind())));
                    assert!(faulty || outcome.is_ok(), "{outcome:?}\n{}", self.story.join("\n"));
                }
                4..=6 => loop {
                    match backend.compact_once() {
                        Ok(None) => break,
                        Ok(Some(one)) => {
                            self.tell(format!("compact {one:?}"));
                        }
                        Err(error) => {
                            self.tell(format!("compact {error}"));
                            assert!(faulty, "{error}\n{}", self.story.join("\n"));
                            break;
                        }
                    }
                },
                7 => backend.preallocate(),
                8 if !faulty => self.backup(&backend),
                9 | 10 if !faulty => self.at_once(&backend, level),
                11 if faulty => {
                    self.disk.heal();
                    self.tell("heal");
                }
                _ => self.apply(&backend, level),
            }
            // Reads are right at any moment.
            if self.chance.below(4) == 0 && !faulty {
                let found = records(&*backend).unwrap();
                let last = self.last();
                assert!(found == last.states[last.acked], "reads\n{}", self.story.join("\n"));
            }
        }
        self.disk.heal();
        if self.chance.below(5) == 0 {
            let number = self.last().issued();
            let acked = self.last().acked;
            let outcome = backend.close();
            self.tell(format!("close {:?}", outcome.as_ref().map_err(|e| e.kind())));
            let is_poisoned = self.disk.image().contains_key("poisoned");
            if outcome.is_ok() && number == acked && !is_poisoned {
                self.mark(|mark| mark.safe = number);
            }
            ended_by_close = true;
        }
        vanish(backend);
        let events = self.disk.events();
        match self.chance.below(5) {
            // Killed where it is.
            0 => self.tell("killed at the end"),
            1 | 2 => {
                let cut = if ended_by_close && self.chance.flip() {
                    events.len()
                } else {
                    born + self.chance.below(events.len() - born + 1)
                };
                let cut = behind_markers(&events, cut);
                self.tell(format!("killed at {cut} of {born}..{}", events.len()));
                self.cut(cut);
                let mut kept = events[..cut].to_vec();
                if let Some(Event::Write { file, offset, bytes }) = events.get(cut) {
                    let part = self.chance.below(bytes.len() + 1);
                    kept.push(Event::Write { file: *file, offset: *offset, bytes: bytes[..part].into() });
                }
                self.disk = Disk::resume(&self.base, &kept);
            }
            _ => {
                let cut = if self.chance.flip() { events.len() } else { born + self.chance.below(events.len() - born + 1) };
                let cut = behind_markers(&events, cut);
                let variety = Loss::variety(self.chance.next());
                let loss = variety[self.chance.below(variety.len())].clone();
                self.tell(format!("power lost at {cut} of {born}..{}: {loss:?}", events.len()));
                if std::env::var("ATTACK_SINGLE").is_ok() {
                    for (at, event) in events.iter().enumerate() {
                        let text = format!("{event:?}");
                        println!("   {at} {}", &text[..text.len().min(330)]);
                    }
                    println!("----- cut {cut}");
                }
                self.cut(cut);
                let mut image = after_power_loss(&self.base, &events[..cut], loss);
                image.retain(|name, _| !name.contains('/'));
                self.base = image;
                self.disk = Disk::new(&self.base);
                self.boot += 1;
                let Mark { states, safe, .. } = self.last();
                // What the disk shows now it will show again.
                self.is_on_disk = true;
                self.marks = vec![Mark { at: 0, states, acked: safe, safe }];
            }
        }
    }

    /// What is known after so many events.
    fn cut(&mut self, cut: usize) {
        self.marks.retain(|mark| mark.at <= cut);
        assert!(!self.marks.is_empty());
    }
}

/// Nobody is killed between a failed sync and the marker that tells of it.
fn behind_markers(events: &[Event], cut: usize) -> usize {
    let mut cut = cut;
    for (at, event) in events.iter().enumerate() {
        if at < cut && matches!(event, Event::SyncFailed { .. } | Event::SyncFolderFailed) {
            let is_marker = |event: &Event| matches!(event, Event::Create { name, .. } if name == "poisoned");
            if let Some(marker) = events[at..].iter().take(5).position(is_marker) {
                cut = cut.max(at + marker + 1);
            }
        }
    }
    cut
}

fn show(records: &Records) -> String {
    let mut all = String::new();
    for (account, records) in records {
        for (key, value) in records {
            all += &format!(" {account}/{}={}:{:?}", String::from_utf8_lossy(key), value.len(), &value[..value.len().min(4)]);
        }
    }
    all
}

/// Ten openings each, with faults in every other life. `CASK_LIVES=n` makes it n lives, `CASK_LIFE=seed` one.
#[test]
fn whatever_happens_in_ten_openings_nothing_that_was_safe_is_lost() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = number("CASK_LIFE").map_or_else(|| 0..number("CASK_LIVES").unwrap_or(600), |seed| seed..seed + 1);
    for seed in seeds {
        let mut life = Life::new(seed);
        for _ in 0..10 {
            life.live(seed % 2 == 1);
        }
        life.open();
    }
}
