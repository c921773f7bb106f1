//! Frames, chunks and packed operations.
//!
//! Input: `u8` whether checks are made right, `u16` offset in units of eight, salt, bytes.

use baileys_cask::codec::check::Salt;
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::frame::{
    Form, FrameHeader, FrameKind, body_of_checked, chunks, encode_batch, finish, is_chunk, open, open_chunk, unfinish,
};
use baileys_cask::codec::{read_id, read_u16};
use baileys_cask::record::{OpReader, check_batch};

use super::super::seal;

const PLAIN: Cipher = Cipher::Plain;
/// Bytes before the frame.
pub const PREFIX_BYTES: usize = 19;

/// Decodes a frame, and encodes what may be a batch.
pub fn run(input: &[u8]) {
    let Some((prefix, bytes)) = input.split_at_checked(PREFIX_BYTES) else { return };
    let salt: Salt = read_id(prefix, 3).unwrap();
    let offset = u64::from(read_u16(prefix, 1).unwrap()) * 8;
    let mut bytes = bytes.to_vec();
    if prefix[0] & 1 == 1 {
        seal::frames(&mut bytes, 0, &salt, offset, None);
    }
    whole_frame(&bytes, &salt, offset);
    let before = bytes.clone();
    if let Some(len) = open_chunk(&mut bytes, &salt, offset, &PLAIN) {
        let body = body_of_checked(&bytes).expect("a chunk that was checked has a body");
        assert!(len <= bytes.len() && body.ops.len() < len);
        for at in 0..body.ops.len() + body.ops_at + 2 {
            let _ = body.op_at(at);
        }
    }
    assert!(bytes == before, "nothing of a plain chunk is decrypted");
    if is_chunk(&bytes, &salt, offset, &PLAIN) {
        assert!(body_of_checked(&bytes).is_some());
    }
    for chunk in chunks(&bytes) {
        assert!(chunk.at + chunk.len <= bytes.len(), "a chunk is in its frame");
    }
    batch(&bytes, &salt, offset);
}

fn is_whole(frame: &[u8], header: &FrameHeader, salt: &Salt, offset: u64) -> bool {
    open(frame, header, salt, offset, &PLAIN, &mut Vec::new()).is_some()
}

fn whole_frame(bytes: &[u8], salt: &Salt, offset: u64) {
    let Some(header) = FrameHeader::decode(bytes, salt, offset, &PLAIN) else { return };
    let len = usize::try_from(header.frame_len()).unwrap();
    if !is_whole(bytes, &header, salt, offset) {
        return;
    }
    let frame = &bytes[..len];
    let ops: usize = chunks(frame).map(|chunk| OpReader::new(chunk.body.ops).map(Result::unwrap).count()).sum();
    assert_eq!(header.kind == FrameKind::Batch, chunks(frame).count() > 0, "{ops} operations");
    // What compaction does: the frame goes to another place, and could come back.
    let mut moved = frame.to_vec();
    unfinish(&mut moved);
    finish(&mut moved, 77, 5, &[3; 16], 4096, &PLAIN);
    let there = FrameHeader::decode(&moved, &[3; 16], 4096, &PLAIN).unwrap();
    assert!(there.seq == 77 && there.synced == 5 && is_whole(&moved, &there, &[3; 16], 4096), "it is whole in another place");
    unfinish(&mut moved);
    finish(&mut moved, header.seq, header.synced, salt, offset, &PLAIN);
    let again = FrameHeader::decode(&moved, salt, offset, &PLAIN).unwrap();
    assert!(again == header && is_whole(&moved, &again, salt, offset) && moved[32..] == frame[32..], "it is the same again");
}

fn batch(ops: &[u8], salt: &Salt, offset: u64) {
    if check_batch(ops).is_err() || ops.is_empty() {
        return;
    }
    let mut frame = Vec::new();
    assert!(encode_batch(&mut frame, "account", ops, Form::Plain), "what has passed its check can be encoded");
    finish(&mut frame, 9, 8, salt, offset, &PLAIN);
    let header = FrameHeader::decode(&frame, salt, offset, &PLAIN).unwrap();
    assert!(is_whole(&frame, &header, salt, offset));
    let read: Vec<u8> = chunks(&frame).flat_map(|chunk| chunk.body.ops.to_vec()).collect();
    assert!(read == ops, "the operations are those that were written");
}
