//! What a backend shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use baileys_cask::backend::file::FileBackend;
use baileys_cask::backend::{Applied, Backend, Batch};
use baileys_cask::record::Op;
use baileys_cask::{ErrorKind, Result};

use super::super::folder::{Case, path};
use super::super::memory::{Image, MemoryFs};

/// Account and key with what reading them gives.
pub type State = BTreeMap<(String, Vec<u8>), std::result::Result<Vec<u8>, ErrorKind>>;

/// Opens the folder.
pub fn open(fs: &MemoryFs, case: &Case) -> Result<Arc<FileBackend>> {
    FileBackend::open(path(), Arc::new(fs.clone()), &case.options(), None)
}

/// Reads everything, value by value: damage in one may be met when it is read, and is no other value then.
pub fn state_of(backend: &FileBackend) -> State {
    let mut state = State::new();
    for account in backend.accounts().expect("an open cask says which accounts it has") {
        let mut keys = Vec::new();
        backend.keys(&account, b"", &mut |key| keys.push(key.to_vec())).expect("an open cask says which keys it has");
        for key in keys {
            let mut value = None;
            let read = backend.get(&account, &[&key], &mut |found| value = found.map(<[u8]>::to_vec));
            let outcome = match read {
                Ok(()) => Ok(value.expect("a listed key has a value")),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    Err(error.kind())
                }
            };
            state.insert((account.clone(), key), outcome);
        }
    }
    state
}

/// Values that are shown stand in a segment, whole and with their keys.
pub fn assert_is_in(state: &State, image: &Image) {
    let segments: Vec<&Vec<u8>> = image.iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, bytes)| bytes).collect();
    for ((account, key), value) in state {
        let Ok(value) = value else { continue };
        let mut packed = Vec::new();
        Op::Put { key, value }.pack(&mut packed);
        let is_there = segments.iter().any(|bytes| bytes.windows(packed.len()).any(|window| window == packed));
        assert!(is_there, "a value of {} bytes of account {account:?} stands nowhere in the folder", value.len());
    }
}

/// Writes one record and waits for it.
pub fn write(backend: &FileBackend, account: &str, key: &[u8], value: &[u8]) -> Result<()> {
    let mut ops = Vec::new();
    Op::Put { key, value }.pack(&mut ops);
    let (sender, receiver) = channel();
    let applied = backend.apply(Batch { account, ops: &ops, fence: 0 }, &mut || {
        let sender = sender.clone();
        Box::new(move |outcome| drop(sender.send(outcome)))
    });
    match applied {
        Applied::Now(outcome) => outcome,
        Applied::Later => receiver.recv_timeout(Duration::from_secs(20)).expect("a completion never came"),
    }
}

/// Two states are the same.
pub fn assert_same(found: &State, wanted: &State, what: &str) {
    let wrong: Vec<_> = found.keys().chain(wanted.keys()).filter(|key| found.get(key) != wanted.get(key)).collect();
    if let Some(key) = wrong.first() {
        panic!("{what}: {} records differ; {key:?} is {:?} and should be {:?}", wrong.len(), found.get(key), wanted.get(key));
    }
}
