//! Hints.
//!
//! Input: `u8` what is done, bytes. With bit 0 set, the checks are made right; with bit 1, the bytes say which operations are written.

use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::hint::{HintOf, HintOp, HintWriter, groups, open};
use baileys_cask::codec::{read_id, read_u64};

use super::super::mutate::Chance;
use super::super::seal;

/// Reads a hint, or writes one and reads it.
pub fn run(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    if how & 2 != 0 {
        return written_hint_is_read(bytes);
    }
    let mut bytes = bytes.to_vec();
    if how & 1 != 0 {
        seal::hint(&mut bytes);
    }
    let Some(of) = of(&bytes) else { return };
    let Some(once) = rewritten(&bytes, &of) else { return };
    // Not every spelling is the writer's own; its own stays as it is.
    assert!(rewritten(&once, &of).is_some_and(|twice| twice == once), "what is written is read as it was");
}

fn of(bytes: &[u8]) -> Option<HintOf> {
    Some(HintOf {
        cask_id: read_id(bytes, 24)?,
        id: read_u64(bytes, 40)?,
        salt: read_id(bytes, 48)?,
        length: read_u64(bytes, 64)?,
    })
}

fn rewritten(bytes: &[u8], of: &HintOf) -> Option<Vec<u8>> {
    let mut writer = HintWriter::new(of);
    let opened = open(bytes.to_vec(), of, &Cipher::Plain)?;
    for group in groups(&opened)? {
        writer.begin(group.account);
        let (mut puts, mut key_bytes) = (0, 0);
        for op in group.ops() {
            let op = op.expect("what is counted on later was checked");
            if let HintOp::Put { key, chunk, chunk_len, .. } = op {
                puts += 1;
                key_bytes += key.len();
                let end = u64::from(chunk) + u64::from(chunk_len);
                assert!(end <= of.length, "a chunk of {chunk_len} bytes at {chunk} lies behind the end at {}", of.length);
            }
            writer.push(&op);
        }
        assert_eq!((puts, key_bytes), (group.puts, group.key_bytes));
    }
    writer.finish(&Cipher::Plain).ok()
}

fn written_hint_is_read(bytes: &[u8]) {
    let of = HintOf { cask_id: [1; 16], id: 7, salt: [2; 16], length: u64::from(u32::MAX) };
    let mut chance = Chance(bytes.len() as u64);
    let mut writer = HintWriter::new(&of);
    let mut written: Vec<(String, Vec<HintOp<'_>>)> = Vec::new();
    let mut chunk = 0;
    for piece in bytes.chunks(6) {
        if piece[0] % 8 == 0 || written.is_empty() {
            let name = format!("account{}", written.len());
            writer.begin(&name);
            written.push((name, Vec::new()));
            chunk = 0;
        }
        let number = piece.iter().fold(chance.next() & 0xFFFF, |sum, byte| sum.wrapping_mul(257) + u64::from(*byte));
        let (key, size) = (piece, (number % of.length) >> (number % 31));
        let op = match piece[0] % 4 {
            0 => HintOp::Clear { size },
            1 => HintOp::Delete { key, size },
            2 => HintOp::Drop { size },
            _ => {
                chunk += (number % 4096) as u32;
                let chunk_len = chunk % 97 + 16;
                HintOp::Put { key, chunk, chunk_len, op: number as u32 % chunk_len, size }
            }
        };
        writer.push(&op);
        written.last_mut().unwrap().1.push(op);
    }
    let hint = writer.finish(&Cipher::Plain).unwrap();
    let opened = open(hint, &of, &Cipher::Plain).expect("a hint that was written is whole");
    let groups = groups(&opened).expect("and what is in it too");
    let found: Vec<(String, Vec<HintOp<'_>>)> =
        groups.iter().map(|group| (group.account.to_string(), group.ops().map(Option::unwrap).collect())).collect();
    assert!(found == written, "the operations are those that were written");
}
