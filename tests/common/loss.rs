//! What a disk may show after a crash.
//!
//! A kill of the process loses nothing that was written. A loss of power keeps what was synced; of the rest it may keep
//! any part, in any order: whole writes, sectors of 512 bytes, names of the folder.

use std::collections::BTreeMap;

pub use super::chance::Chance;
use super::disk::{Event, FileId, Image, overwrite};

const SECTOR: usize = 512;

/// Which of the changes that were not synced survive.
#[derive(Debug, Clone)]
pub enum Loss {
    All,
    Nothing,
    DataOnly,
    NamesOnly,
    /// Each write and each change of a name by chance.
    Some(Chance),
    /// Each sector of each write and each change of a name by chance.
    Torn(Chance),
}

impl Loss {
    /// The states that are looked at for one cut.
    pub fn variety(seed: u64) -> Vec<Self> {
        vec![
            Self::All,
            Self::Nothing,
            Self::DataOnly,
            Self::NamesOnly,
            Self::Some(Chance(seed)),
            Self::Some(Chance(!seed)),
            Self::Torn(Chance(seed ^ 0x5555)),
            Self::Torn(Chance(seed ^ 0xAAAA)),
        ]
    }

    fn keeps_name(&mut self) -> bool {
        match self {
            Self::All | Self::NamesOnly => false,
            Self::Nothing | Self::DataOnly => true,
            Self::Some(chance) | Self::Torn(chance) => chance.flip(),
        }
    }

    fn keeps_change(&mut self) -> bool {
        match self {
            Self::All | Self::DataOnly => false,
            Self::Nothing | Self::NamesOnly => true,
            Self::Some(chance) | Self::Torn(chance) => chance.flip(),
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, std::sync::Arc<[u8]>),
    SetLen(usize),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => overwrite(file, *offset, bytes),
            Self::SetLen(len) => file.resize(*len, 0),
        }
    }

    fn apply_with_loss(&self, file: &mut Vec<u8>, loss: &mut Loss) {
        let Self::Write(offset, bytes) = self else {
            if loss.keeps_change() {
                self.apply(file);
            }
            return;
        };
        if !matches!(loss, Loss::Torn(_)) {
            if loss.keeps_change() {
                self.apply(file);
            }
            return;
        }
        let mut from = 0;
        while from < bytes.len() {
            let to = ((offset + from) / SECTOR * SECTOR + SECTOR - offset).min(bytes.len());
            if loss.keeps_change() {
                overwrite(file, offset + from, &bytes[from..to]);
            }
            from = to;
        }
    }
}

#[derive(Debug, Default)]
struct Contents {
    safe: Vec<u8>,
    pending: Vec<Change>,
    /// Pages that a failed sync marked clean: no later sync writes them.
    forgotten: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Naming {
    Link(String, FileId),
    Unlink(String),
    Move(String, String, FileId),
}

impl Naming {
    fn name(&self) -> &str {
        match self {
            Self::Link(name, _) | Self::Unlink(name) | Self::Move(_, name, _) => name,
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, FileId>) {
        match self {
            Self::Link(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Unlink(name) => {
                names.remove(name);
            }
            Self::Move(from, to, file) => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
        }
    }
}

/// The folder after a loss of power that came after these events.
pub fn after_power_loss(base: &Image, events: &[Event], mut loss: Loss) -> Image {
    let mut safe_names: BTreeMap<String, FileId> = base.keys().cloned().zip(0..).collect();
    let mut live_names = safe_names.clone();
    // With each, whether a failed sync has made the kernel forget it.
    let mut namings: Vec<(Naming, bool)> = Vec::new();
    let mut files: BTreeMap<FileId, Contents> =
        base.values().enumerate().map(|(file, bytes)| (file, Contents { safe: bytes.clone(), ..Contents::default() })).collect();
    for event in events {
        match event {
            Event::Create { file, name } => namings.push((Naming::Link(name.clone(), *file), false)),
            Event::Remove { name } => namings.push((Naming::Unlink(name.clone()), false)),
            Event::Rename { from, to } => namings.push((Naming::Move(from.clone(), to.clone(), live_names[from]), false)),
            Event::Link { file, name } => namings.push((Naming::Link(name.clone(), *file), false)),
            Event::SyncFolder => sync_names(&mut namings, &mut safe_names, |name| !name.contains('/')),
            Event::SyncOther { label } => {
                let prefix = format!("{label}/");
                sync_names(&mut namings, &mut safe_names, |name| name.starts_with(&prefix));
            }
            Event::SyncFolderFailed => {
                let own = namings.iter_mut().filter(|(naming, _)| !naming.name().contains('/'));
                own.for_each(|(_, forgotten)| *forgotten = true);
            }
            Event::CreateFolder { .. } | Event::RemoveFolder { .. } | Event::RenameFolder { .. } => {}
            Event::Write { file, offset, bytes } => {
                files.entry(*file).or_default().pending.push(Change::Write(*offset, bytes.clone()));
            }
            Event::SetLen { file, len } => files.entry(*file).or_default().pending.push(Change::SetLen(*len)),
            Event::Sync { file } => {
                let contents = files.entry(*file).or_default();
                let Contents { safe, pending, .. } = contents;
                pending.drain(..).for_each(|change| change.apply(safe));
            }
            Event::SyncFailed { file } => {
                let Contents { pending, forgotten, .. } = files.entry(*file).or_default();
                forgotten.append(pending);
            }
            Event::Note(_) => {}
        }
        match event {
            Event::Create { file, name } | Event::Link { file, name } => Naming::Link(name.clone(), *file).apply(&mut live_names),
            Event::Remove { name } => Naming::Unlink(name.clone()).apply(&mut live_names),
            Event::Rename { from, to } => Naming::Move(from.clone(), to.clone(), live_names[from]).apply(&mut live_names),
            _ => {}
        }
    }
    for (naming, _) in namings {
        if loss.keeps_name() {
            naming.apply(&mut safe_names);
        }
    }
    for contents in files.values_mut() {
        let Contents { safe, pending, forgotten } = contents;
        for change in forgotten.iter().chain(&*pending) {
            change.apply_with_loss(safe, &mut loss);
        }
    }
    // A file may have two names.
    let safe = |file| files.get(&file).map(|contents| contents.safe.clone()).unwrap_or_default();
    safe_names.into_iter().map(|(name, file)| (name, safe(file))).collect()
}

/// Labels of the other folders after a loss of power that came after these events, by name. A rename of a folder survives or not,
/// and never half of it.
pub fn folders_after_power_loss(events: &[Event], mut loss: Loss) -> BTreeMap<String, String> {
    let mut safe = BTreeMap::new();
    let mut pending: Vec<&Event> = Vec::new();
    for event in events {
        match event {
            Event::CreateFolder { .. } | Event::RemoveFolder { .. } | Event::RenameFolder { .. } => pending.push(event),
            Event::SyncOther { label } if label.is_empty() => pending.drain(..).for_each(|event| rename(&mut safe, event)),
            _ => {}
        }
    }
    // File systems bring changes of one folder to disk in their order.
    pending.into_iter().take_while(|_| loss.keeps_name()).for_each(|event| rename(&mut safe, event));
    safe
}

fn rename(folders: &mut BTreeMap<String, String>, event: &Event) {
    match event {
        Event::CreateFolder { name, label } => drop(folders.insert(name.clone(), label.clone())),
        Event::RemoveFolder { name } => drop(folders.remove(name)),
        Event::RenameFolder { from, to } => {
            if let Some(label) = folders.remove(from) {
                folders.insert(to.clone(), label);
            }
        }
        _ => {}
    }
}

/// Brings changes of the names that fit to disk.
fn sync_names(namings: &mut Vec<(Naming, bool)>, safe: &mut BTreeMap<String, FileId>, fits: impl Fn(&str) -> bool) {
    let is_synced = |(naming, forgotten): &(Naming, bool)| !forgotten && fits(naming.name());
    // A block of names is written as it is by then: no older change of a name comes to lie over a newer one.
    let renewed: Vec<String> =
        namings.iter().filter(|naming| is_synced(naming)).map(|(naming, _)| naming.name().to_string()).collect();
    namings.retain(|(naming, forgotten)| !(*forgotten && renewed.iter().any(|name| name == naming.name())));
    namings.iter().filter(|naming| is_synced(naming)).for_each(|(naming, _)| naming.apply(safe));
    namings.retain(|naming| !is_synced(naming));
}

/// The folder after a kill of the process that came after these events.
pub fn after_kill(base: &Image, events: &[Event]) -> Image {
    after_power_loss(base, events, Loss::Nothing)
}
