//! Reads: from the cache, from what the operating system has in memory, and from the disk where that is allowed.

use std::time::Instant;

use super::FileBackend;
use super::segments::{ChunkMemo, Read, Wait};
use crate::backend::ValueSink;
use crate::error::{Error, Result};

impl FileBackend {
    /// Reads values; gives `false` where it would have to wait for the disk and `wait` does not let it.
    pub(super) fn read(&self, account: &str, keys: &[&[u8]], wait: Wait, sink: ValueSink<'_>) -> Result<bool> {
        if wait == Wait::Refused || keys.len() <= 1 {
            // Where a segment is gone, no value of the only key was given; and who may not wait asks again.
            for _ in 0..MOST_LOOKS {
                match self.read_once(account, keys, wait, sink)? {
                    Outcome::Done => return Ok(true),
                    Outcome::Gone if wait == Wait::Allowed => {}
                    Outcome::Gone | Outcome::WouldWait => return Ok(false),
                }
            }
            return Err(Error::internal("the index names a segment that is not there"));
        }
        // All values are as of one instant, so none is given before the last one is there.
        let mut values: Vec<Option<Vec<u8>>> = Vec::with_capacity(keys.len());
        for _ in 0..MOST_LOOKS {
            values.clear();
            if self.read_once(account, keys, wait, &mut |value| values.push(value.map(<[u8]>::to_vec)))? == Outcome::Done {
                values.iter().for_each(|value| sink(value.as_deref()));
                return Ok(true);
            }
        }
        Err(Error::internal("the index names a segment that is not there"))
    }

    fn read_once(&self, account: &str, keys: &[&[u8]], wait: Wait, sink: ValueSink<'_>) -> Result<Outcome> {
        self.check_readable()?;
        let Some(records) = self.index.account(account) else {
            keys.iter().for_each(|_| sink(None));
            return Ok(Outcome::Done);
        };
        if let [key] = keys
            && let Some(value) = records.find(key).and_then(|found| self.cache.get(found))
        {
            records.reads.cached.count();
            sink(Some(&value));
            return Ok(Outcome::Done);
        }
        let mut all = Vec::with_capacity(keys.len());
        records.find_all(keys, &mut all);
        let mut memo = ChunkMemo::default();
        let (mut cached, mut from_log, mut absent) = (0, 0, 0);
        for (key, found) in keys.iter().zip(all) {
            let Some(found) = found else {
                absent += 1;
                sink(None);
                continue;
            };
            if let Some(value) = self.cache.get(found) {
                cached += 1;
                sink(Some(&value));
                continue;
            }
            let began = Instant::now();
            let read = self.log.segments.read(account, key, found.location, wait, &mut memo);
            match read.map_err(|error| self.heed(error))? {
                Read::Value(value) => {
                    self.counts.reads.add_duration(began.elapsed());
                    from_log += 1;
                    self.cache.insert(found, value);
                    sink(Some(value));
                }
                Read::WouldWait => return Ok(Outcome::WouldWait),
                Read::Gone => return Ok(Outcome::Gone),
            }
        }
        // Only now: who may not wait, or meets a segment that is gone, begins anew.
        for (counter, count) in [(&records.reads.cached, cached), (&records.reads.log, from_log), (&records.reads.absent, absent)]
        {
            if count > 0 {
                counter.add(count);
            }
        }
        Ok(Outcome::Done)
    }
}

/// A segment is replaced now and then, and not as often as this while one value is read.
const MOST_LOOKS: usize = 1000;

/// What one attempt to read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    WouldWait,
    /// A segment was replaced by a copy meanwhile.
    Gone,
}
