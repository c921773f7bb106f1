//! The making of a cask, cut short: what is found of it is not taken for safe.

use baileys_cask::backend::file::{Durability, FileOptions};
use baileys_cask::secret::Secret;

use crate::common::disk::{Disk, EIO, Event, Fault, Image, Kind};
use crate::common::drive::{open, options, records, set, vanish};
use crate::common::faulty::{LEVELS, after_reboot};
use crate::common::loss::{Loss, after_power_loss};
use crate::common::model::put;

#[test]
fn a_cask_whose_making_was_cut_before_its_manifest_was_on_disk_opens_after_a_loss_of_power() {
    for level in LEVELS {
        let first = Disk::default();
        vanish(open(&first, &options(level)).unwrap());
        let events = first.events();
        let renamed = events.iter().position(|event| matches!(event, Event::Rename { to, .. } if to == "manifest")).unwrap();
        // Killed before the folder was synced.
        let disk = Disk::resume(&Image::new(), &events[..=renamed]);
        let backend = open(&disk, &options(level)).unwrap();
        set(&*backend, "a", &[put("k", "v")]).unwrap();
        vanish(backend);
        let events = disk.events();
        for cut in renamed + 1..=events.len() {
            for loss in (0..8).flat_map(Loss::variety) {
                let image = after_power_loss(&Image::new(), &events[..cut], loss.clone());
                if let Err(error) = open(&Disk::new(&image), &after_reboot(level)) {
                    panic!("{level:?}, cut at {cut}, {loss:?}, {:?}: {error}", image.keys());
                }
            }
        }
    }
}

/// From the first sync of the folder on, names can neither be synced nor removed.
fn names_stay(disk: &Disk) {
    let mut failed = false;
    disk.fail(move |call| {
        failed |= call.kind == Kind::SyncFolder;
        (failed && matches!(call.kind, Kind::SyncFolder | Kind::Remove)).then_some(Fault::Errno(EIO))
    });
}

#[test]
fn a_making_whose_last_sync_failed_does_not_leave_a_manifest_or_a_key_slot_that_passes_for_safe() {
    for secret in [None, Some(Secret::key(&[1; 32]).unwrap())] {
        let with = |options: FileOptions| FileOptions { secret: secret.clone(), ..options };
        let disk = Disk::default();
        names_stay(&disk);
        open(&disk, &with(options(Durability::Power))).unwrap_err();
        disk.heal();
        let backend = open(&disk, &with(options(Durability::Power))).unwrap();
        set(&*backend, "a", &[put("k", "v")]).unwrap();
        let promised = records(&*backend).unwrap();
        vanish(backend);
        let image = after_power_loss(&Image::new(), &disk.events(), Loss::All);
        let backend = open(&Disk::new(&image), &with(after_reboot(Durability::Power)))
            .unwrap_or_else(|error| panic!("sealed {}, {:?}: {error}", secret.is_some(), image.keys()));
        assert_eq!(records(&*backend).unwrap(), promised);
    }
}
