//! Casks and accounts: what is open in this process, and what callers may do with it.

mod account;
mod activity;
mod inspect;
mod live;
mod lock_name;
mod naming;
mod plain;
pub mod registry;
mod stats;
mod transaction;
pub mod upkeep;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use dashmap::DashMap;

use crate::backend::file::index::ACCOUNT_TABLE_SHARDS;
use crate::backend::{Applied, Backend, Batch, Completion, ValueSink};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::LockManager;
use crate::record::{MAX_ACCOUNT_BYTES, Op, check_key};

pub use self::account::{Account, AccountId};
pub use self::activity::{Activity, ActivitySnapshot};
pub use self::inspect::{LockInfo, Party};
pub use self::live::Live;
pub use self::lock_name::{LockKind, LockName, ReadLocks};
pub use self::plain::Accepted;
pub use self::stats::{AccountStats, Totals};
pub use self::transaction::{Begun, Granted, Settings, Start, Transaction};

/// One open cask: its records, its accounts and its locks. Shared by all handles, in all threads.
#[derive(Debug)]
pub struct Store {
    uid: u64,
    path: Option<PathBuf>,
    backend: Arc<dyn Backend>,
    accounts: DashMap<Arc<str>, Arc<Account>>,
    locks: LockManager<LockName>,
    live: Live,
    /// What accounts have done that were dropped. Held while counts go there, so that who sums up meets them in one place.
    dropped: Mutex<Activity>,
}

/// A number that JavaScript holds exactly, with room to count on.
fn random_start() -> u64 {
    let mut bytes = [0; 8];
    // Without a random source the numbers start at 0, which matters to nobody who has loaded one copy.
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes) >> 12
}

impl Store {
    /// A store over a backend.
    #[must_use]
    pub fn new(path: Option<PathBuf>, backend: Arc<dyn Backend>) -> Self {
        // One sequence for all threads, from a random start: a store's number tells it from every other store of this process,
        // those of a second copy of the addon included.
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(random_start()));
        let uid = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            uid,
            path,
            backend,
            accounts: DashMap::with_shard_amount(ACCOUNT_TABLE_SHARDS),
            locks: LockManager::default(),
            live: Live::default(),
            dropped: Mutex::default(),
        }
    }

    /// A number no other store of this process has had.
    #[must_use]
    pub const fn uid(&self) -> u64 {
        self.uid
    }

    /// Folder of the cask; `None` in memory.
    #[must_use]
    pub const fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// Where the records live.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Its locks.
    #[must_use]
    pub const fn lock_manager(&self) -> &LockManager<LockName> {
        &self.locks
    }

    /// Its transactions that have not ended.
    #[must_use]
    pub const fn live(&self) -> &Live {
        &self.live
    }

    /// A handle to an account. Nothing is stored before its first write.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is empty or too long.
    pub fn account(&self, name: &str) -> Result<Arc<Account>> {
        if name.is_empty() || name.len() > MAX_ACCOUNT_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("an account's name has {} bytes and must have 1 to {MAX_ACCOUNT_BYTES}", name.len()),
            )
            .with_text("argument", "name"));
        }
        if let Some(account) = self.accounts.get(name) {
            return Ok(Arc::clone(&account));
        }
        let name: Arc<str> = name.into();
        let entry = self.accounts.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(Account::new(name)));
        Ok(Arc::clone(&entry))
    }

    /// Reads committed values, all as of one instant.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad id, `Dropped`, and those of [`Backend::get`].
    pub fn get(&self, account: &Account, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        account.check()?;
        keys.iter().try_for_each(|key| check_key(key))?;
        self.backend.get(account.name(), keys, sink)
    }

    /// Like [`Self::get`], but gives `false` where it would have to wait for a disk; what `sink` has received does not count.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub fn get_at_once(&self, account: &Account, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<bool> {
        account.check()?;
        keys.iter().try_for_each(|key| check_key(key))?;
        self.backend.get_at_once(account.name(), keys, sink)
    }

    /// Keys that start with `prefix`.
    ///
    /// # Errors
    /// `Dropped`, and those of [`Backend::keys`].
    pub fn keys(&self, account: &Account, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        account.check()?;
        self.backend.keys(account.name(), prefix, sink)
    }

    /// Removes an account's creds and records. Its handles are refused and its transactions doomed from now on, those made later
    /// are not.
    pub fn drop_account(self: &Arc<Self>, account: &Arc<Account>, completion: &mut dyn FnMut() -> Completion) -> Applied {
        let mut ops = Vec::with_capacity(1);
        Op::Drop.pack(&mut ops);
        // Marked first: what is written through an old handle must not follow the drop in the log.
        if !account.mark_dropped(true) {
            return Applied::Now(account.check());
        }
        Transaction::doom_all(self, &self.live.of_account(account), &account.dropped_error());
        let (store, kept) = (Arc::downgrade(self), Arc::clone(account));
        let undo = move |outcome: &Result<()>| {
            if outcome.is_err()
                && let Some(store) = store.upgrade()
            {
                // Not beside one that was made since: the two would know nothing of each other's locks.
                let current = store.accounts.entry(Arc::clone(kept.name())).or_insert_with(|| Arc::clone(&kept));
                if Arc::ptr_eq(&current, &kept) {
                    kept.mark_dropped(false);
                }
            }
        };
        let mut undo_later = Some(undo);
        let applied = self.backend.apply(Batch { account: account.name(), ops: &ops, fence: 0 }, &mut || {
            let (inner, undo) = (completion(), undo_later.take());
            Box::new(move |outcome| {
                if let Some(undo) = undo {
                    undo(&outcome);
                }
                inner(outcome);
            })
        });
        if let (Applied::Now(outcome), Some(undo)) = (&applied, undo_later) {
            undo(outcome);
        }
        // Only now may a new handle write: before, the drop would have followed it in the log. A drop that has failed by now
        // has taken its mark back.
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        if self
            .accounts
            .remove_if(account.name(), |_, current| Arc::ptr_eq(current, account) && current.check().is_err())
            .is_some()
        {
            dropped.take_over(account.activity());
        }
        drop(dropped);
        applied
    }
}
