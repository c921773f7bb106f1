//! The bytes of a file that is longer than what should be in memory of it.

use std::io;

use super::fs::{FsFile, fill_at};

/// Bytes that are in memory at once, unless more are asked for in one piece.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// Memory of a larger piece is given back once it is not needed any more.
const MOST_KEPT_BYTES: usize = 4 * PIECE_BYTES;

/// A window on a file that moves along with what is asked for.
#[derive(Debug)]
pub(super) struct Pieces<'f> {
    file: &'f dyn FsFile,
    /// Bytes of the file that are looked at.
    len: u64,
    buffer: Vec<u8>,
    /// Offset in the file of the first byte in the buffer.
    from: u64,
}

impl<'f> Pieces<'f> {
    /// For the first `len` bytes of a file.
    pub(super) const fn new(file: &'f dyn FsFile, len: u64) -> Self {
        Self { file, len, buffer: Vec::new(), from: 0 }
    }

    /// Bytes of the file that are looked at.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// So many bytes from an offset on; `None` where there are fewer. Takes memory only for what the file may have.
    pub(super) fn get(&mut self, at: u64, count: usize) -> io::Result<Option<&[u8]>> {
        if self.len.checked_sub(at).is_none_or(|rest| rest < count as u64) {
            return Ok(None);
        }
        let start = match self.place(at, count) {
            Some(start) => start,
            None => {
                self.fill(at, count)?;
                0
            }
        };
        Ok(self.buffer.get(start..start + count))
    }

    /// Where bytes are in the buffer, if all of them are.
    fn place(&self, at: u64, count: usize) -> Option<usize> {
        let start = usize::try_from(at.checked_sub(self.from)?).ok()?;
        (start.checked_add(count)? <= self.buffer.len()).then_some(start)
    }

    /// Makes the buffer begin at an offset and hold so many bytes at least, where the file has them.
    fn fill(&mut self, at: u64, count: usize) -> io::Result<()> {
        let wanted = (count.max(PIECE_BYTES) as u64).min(self.len - at) as usize;
        let kept = self.place(at, 0).map_or(0, |start| {
            self.buffer.copy_within(start.., 0);
            self.buffer.len() - start
        });
        self.buffer.truncate(kept);
        if wanted <= MOST_KEPT_BYTES {
            self.buffer.shrink_to(MOST_KEPT_BYTES);
        }
        self.buffer.reserve_exact(wanted.saturating_sub(kept));
        self.from = at;
        self.buffer.resize(wanted, 0);
        let read = fill_at(self.file, self.buffer.get_mut(kept..).unwrap_or_default(), at + kept as u64);
        self.buffer.truncate(kept + read.as_ref().map_or(0, |count| *count));
        read.map(|_| ())
    }
}

/// Offset after the last byte of the first `len` bytes of a file that is not zero.
pub(super) fn end_of_content(file: &dyn FsFile, len: u64) -> io::Result<u64> {
    let mut buffer = vec![0; PIECE_BYTES.min(usize::try_from(len).unwrap_or(PIECE_BYTES))];
    let mut end = len;
    while end > 0 {
        let from = end.saturating_sub(buffer.len() as u64);
        let piece = buffer.get_mut(..(end - from) as usize).unwrap_or_default();
        let filled = fill_at(file, piece, from)?;
        let last = piece.get(..filled).and_then(|piece| piece.iter().rposition(|byte| *byte != 0));
        if let Some(last) = last {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Bytes that tell where they are, of which a read gives at most so many.
    #[derive(Debug)]
    struct Numbers {
        len: u64,
        at_once: usize,
    }

    fn byte(at: u64) -> u8 {
        (at ^ (at >> 8) ^ (at >> 16)) as u8
    }

    impl FsFile for Numbers {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            let count = buf.len().min(self.at_once).min(usize::try_from(self.len.saturating_sub(offset)).unwrap());
            (offset..).zip(&mut buf[..count]).for_each(|(at, slot)| *slot = byte(at));
            Ok(count)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn sync_data(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn len(&self) -> io::Result<u64> {
            Ok(self.len)
        }
    }

    const PIECE: u64 = PIECE_BYTES as u64;

    #[test]
    fn bytes_are_those_of_their_place_forth_and_back() {
        let len = 6 * PIECE + 77;
        for at_once in [1 << 30, PIECE_BYTES, 4096 - 7] {
            let file = Numbers { len, at_once };
            let mut pieces = Pieces::new(&file, len);
            let mut at = 0;
            // Steps and lengths that meet the ends of pieces in all ways.
            for n in 0..4000_u64 {
                let count = [32, 1, 40_000, 8, PIECE_BYTES, PIECE_BYTES + 1, 3][n as usize % 7];
                let found = pieces.get(at, count).unwrap();
                assert_eq!(found.is_some(), at + count as u64 <= len, "{count} at {at}");
                if let Some(found) = found {
                    assert_eq!(found.len(), count);
                    assert!(found.iter().zip(at..).all(|(found, at)| *found == byte(at)), "{count} at {at}");
                }
                at = (at + [31, 9000, PIECE - 3, len - 1000, 1][n as usize % 5]) % (len + 10);
            }
        }
    }

    #[test]
    fn a_file_may_be_shorter_than_it_was_said_to_be() {
        let file = Numbers { len: PIECE + 10, at_once: 1000 };
        let mut pieces = Pieces::new(&file, 10 * PIECE);
        assert_eq!(pieces.get(PIECE, 10).unwrap().unwrap().len(), 10);
        assert!(pieces.get(PIECE, 11).unwrap().is_none());
        assert!(pieces.get(5 * PIECE, 1).unwrap().is_none());
        assert_eq!(pieces.get(0, 10).unwrap().unwrap()[9], byte(9));
    }

    #[test]
    fn memory_is_that_of_a_piece_and_what_a_long_one_took_is_given_back() {
        let len = 100 * PIECE;
        let file = Numbers { len, at_once: usize::MAX };
        let mut pieces = Pieces::new(&file, len);
        (0..50 * PIECE).step_by(1000).for_each(|at| assert!(pieces.get(at, 1000).unwrap().is_some()));
        assert!(pieces.buffer.capacity() <= PIECE_BYTES, "{}", pieces.buffer.capacity());
        assert!(pieces.get(len - 10, 1 << 40).unwrap().is_none());
        assert!(pieces.buffer.capacity() <= PIECE_BYTES, "memory was taken for what is not there");
        assert!(pieces.get(0, 40 * PIECE_BYTES).unwrap().is_some());
        assert!(pieces.buffer.capacity() <= 41 * PIECE_BYTES);
        assert!(pieces.get(40 * PIECE, 10).unwrap().is_some());
        assert!(pieces.buffer.capacity() <= MOST_KEPT_BYTES, "{}", pieces.buffer.capacity());
    }

    #[test]
    fn content_ends_after_its_last_byte() {
        #[derive(Debug)]
        struct One(Numbers, u64);
        impl FsFile for One {
            fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
                let count = self.0.read_at(buf, offset)?;
                (offset..).zip(&mut buf[..count]).for_each(|(at, slot)| *slot = u8::from(at == self.1));
                Ok(count)
            }
            fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
                self.0.write_at(bytes, offset)
            }
            fn sync_data(&self) -> io::Result<()> {
                self.0.sync_data()
            }
            fn set_len(&self, len: u64) -> io::Result<()> {
                self.0.set_len(len)
            }
            fn len(&self) -> io::Result<u64> {
                self.0.len()
            }
        }
        for len in [1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            for at in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 4] {
                let file = One(Numbers { len, at_once: 50_000 }, at);
                assert_eq!(end_of_content(&file, len).unwrap(), if at < len { at + 1 } else { 0 }, "{at} of {len}");
            }
        }
        assert_eq!(end_of_content(&One(Numbers { len: 0, at_once: 1 }, 0), 0).unwrap(), 0);
    }
}
