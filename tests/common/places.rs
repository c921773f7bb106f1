//! Folders on the real file system, opened through the registry.

use std::fs;
use std::path::{Path, PathBuf};

use baileys_cask::backend::Backend;
use baileys_cask::error::{Error, Fact};
use baileys_cask::store::registry::{self, OpenRequest, Place, StoreHandle};

/// A request that leaves all options to their defaults.
pub fn request(place: Place) -> OpenRequest {
    OpenRequest {
        place,
        durability: None,
        sync_interval: None,
        cache_bytes: None,
        rollback_guard: None,
        creates: true,
        secret: None,
    }
}

pub fn at(path: &Path) -> OpenRequest {
    request(Place::Folder(path.into()))
}

pub fn open(path: &Path) -> StoreHandle {
    registry::open(&at(path)).unwrap()
}

pub fn backend(handle: &StoreHandle) -> &dyn Backend {
    handle.store().backend()
}

pub fn refusal(path: &Path) -> Error {
    registry::open(&at(path)).map(|_| ()).unwrap_err()
}

pub fn text<'a>(error: &'a Error, key: &str) -> Option<&'a str> {
    error.facts().iter().find_map(|(name, fact)| match fact {
        Fact::Text(text) if *name == key => Some(text.as_str()),
        _ => None,
    })
}

/// A folder that does not exist yet, in one that goes away with the test.
pub fn new_place() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(parent.path()).unwrap().join("cask");
    (parent, path)
}
