//! What is written to disk is what a program in another language makes of `docs/format.md`: `__test__/known-answers/vectors.json`.

use std::path::Path;
use std::sync::Arc;

use baileys_cask::codec::check::{bind, digest};
use baileys_cask::codec::cipher::{Cipher, Key, SealKeys};
use baileys_cask::codec::frame::{self, Form, FrameHeader, FrameKind};
use baileys_cask::codec::hint::{self, HintOf, HintOp, HintWriter};
use baileys_cask::codec::key_slot::{Argon2Cost, Kdf, KeySlot};
use baileys_cask::codec::manifest::{Manifest, ManifestEntry};
use baileys_cask::codec::segment::{Link, SegmentHeader};
use baileys_cask::codec::{envelope, put};
use baileys_cask::record::Op;
use baileys_cask::secret::Secret;
use serde_json::Value;
use zeroize::Zeroizing;

/// The vectors of a kind; there is at least one.
fn vectors(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../__test__/known-answers/vectors.json")).unwrap();
    let of_kind = all[kind].as_array().unwrap().clone();
    assert!(!of_kind.is_empty(), "{kind}");
    of_kind
}

/// The one vector of a kind.
fn vector(kind: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../../__test__/known-answers/vectors.json")).unwrap();
    all[kind].clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_else(|| panic!("{value} is not hexadecimal"));
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn key(value: &Value) -> Key {
    Zeroizing::new(array(value))
}

fn sealed() -> Cipher {
    let derived = vector("derivedKeys");
    Cipher::Sealed(Arc::new(SealKeys::new(key(&derived["dataKey"]), number(&derived["number"]) as u32)))
}

/// How the bytes of a vector are kept.
fn cipher(vector: &Value) -> Cipher {
    if vector["sealed"].as_bool().unwrap() { sealed() } else { Cipher::Plain }
}

/// So many bytes that count up.
fn counted(value: &Value) -> Vec<u8> {
    (0..number(&value[1])).map(|n| (number(&value[0]) + n) as u8).collect()
}

fn link(value: &Value) -> Option<Link> {
    let field = |at: usize| number(&value[at]);
    value.as_array().map(|_| Link { id: field(0), salt: array(&value[1]), end: field(2), last_seq: field(3) })
}

/// Compares without showing 16 KiB of numbers.
fn assert_same(made: &[u8], expected: &[u8], what: &str) {
    let first = made.iter().zip(expected).position(|(a, b)| a != b);
    assert!(made == expected, "{what}: {} and {} bytes, the first that differs is at {first:?}", made.len(), expected.len());
}

#[test]
fn digests_and_checks_are_those_of_the_page() {
    for vector in vectors("digests") {
        assert_eq!(digest(&bytes(&vector["bytes"])).to_le_bytes(), array(&vector["digest"]));
    }
    let plain = vectors("checks").into_iter().find(|vector| vector["sealed"] == false).unwrap();
    let check = bind(digest(&bytes(&plain["bytes"])), &array(&plain["salt"]), number(&plain["offset"]));
    assert_eq!(check.to_le_bytes(), array(&plain["check"]));
}

#[test]
fn key_slots_are_written_byte_by_byte_and_give_their_data_key() {
    let mut kinds = Vec::new();
    for vector in vectors("keySlots") {
        let number = |field: &str| number(&vector[field]) as u32;
        let words = bytes(&vector["secret"]);
        let (secret, kdf) = match vector["kind"].as_str().unwrap() {
            "key" => (Secret::key(&words).unwrap(), Kdf::Raw),
            kind => {
                assert_eq!(kind, "passphrase");
                let cost = Argon2Cost { memory: number("memoryKib"), passes: number("passes"), lanes: number("lanes") };
                (Secret::passphrase(Zeroizing::new(words)).unwrap(), Kdf::Argon2id(cost))
            }
        };
        let slot = KeySlot { cask_id: array(&vector["cask"]), key_id: 1, kdf, salt: array(&vector["salt"]) };
        let wrapping = secret.wrapping_key(kdf, &slot.salt).unwrap().unwrap();
        assert_eq!(*wrapping, array(&vector["wrappingKey"]));
        let expected = bytes(&vector["slot"]);
        let written = slot.encode(&key(&vector["dataKey"]), &wrapping, &array(&vector["nonce"])).unwrap();
        assert_same(&written, &expected, "a key slot");
        assert_eq!(KeySlot::decode(&expected, Path::new("key")).unwrap(), slot);
        assert_eq!(KeySlot::unwrap(&expected, &wrapping).unwrap(), key(&vector["dataKey"]));
        kinds.push(kdf);
    }
    assert_eq!((kinds[0], kinds.last().unwrap()), (Kdf::Raw, &Kdf::Argon2id(Argon2Cost::DEFAULT)));
}

#[test]
fn segment_headers_are_written_byte_by_byte() {
    for vector in vectors("segmentHeaders") {
        let cipher = cipher(&vector);
        let header = SegmentHeader {
            cask_id: array(&vector["cask"]),
            id: number(&vector["number"]),
            salt: array(&vector["salt"]),
            epoch: number(&vector["epoch"]),
            boot_id: array(&vector["boot"]),
            is_copy: vector["copy"].as_bool().unwrap(),
            first_seq: number(&vector["first"]),
            synced: number(&vector["synced"]),
            predecessor: link(&vector["predecessor"]),
            preallocated: number(&vector["preallocated"]),
        };
        let expected = bytes(&vector["header"]);
        assert_same(&header.encode(&cipher), &expected, "a segment's header");
        assert_eq!(SegmentHeader::decode(&expected, Path::new("segment"), &cipher).unwrap(), Some(header));
    }
}

#[test]
fn a_sealed_chunk_opens_in_its_place_alone() {
    let vector = vector("chunk");
    let (salt, offset, body) = (array(&vector["salt"]), number(&vector["offset"]), bytes(&vector["body"]));
    let whole = bytes(&vector["chunk"]);
    let mut opened = whole.clone();
    assert_eq!(frame::open_chunk(&mut opened, &salt, offset, &sealed()), Some(whole.len()));
    assert_eq!(opened[32..32 + body.len()], body);
    assert_eq!(frame::open_chunk(&mut whole.clone(), &salt, offset + 8, &sealed()), None);
}

/// The operations of a vector's chunks, packed.
fn operations(vector: &Value) -> Vec<u8> {
    let mut ops = Vec::new();
    for one in vector["chunks"].as_array().unwrap().iter().flat_map(|chunk| chunk.as_array().unwrap()) {
        let key = one.get(1).map(bytes).unwrap_or_default();
        match number(&one[0]) {
            1 => Op::Put { key: &key, value: &counted(&one[2]) }.pack(&mut ops),
            2 => Op::Delete { key: &key }.pack(&mut ops),
            3 => Op::Clear.pack(&mut ops),
            opcode => {
                assert_eq!(opcode, 4);
                Op::Drop.pack(&mut ops);
            }
        }
    }
    ops
}

#[test]
fn frames_are_written_byte_by_byte() {
    for vector in vectors("frames") {
        let cipher = cipher(&vector);
        let (salt, offset) = (array(&vector["salt"]), number(&vector["offset"]));
        let (seq, synced) = (number(&vector["sequence"]), number(&vector["synced"]));
        let kind = [FrameKind::Batch, FrameKind::Mark, FrameKind::End][number(&vector["kind"]) as usize - 1];
        let expected = bytes(&vector["frame"]);
        let mut clear = Vec::new();
        if kind == FrameKind::Batch {
            let account = vector["account"].as_str().unwrap();
            assert!(frame::encode_batch(&mut clear, account, &operations(&vector), Form::of(&cipher)));
        } else {
            frame::encode_empty(&mut clear, kind, Form::of(&cipher));
        }
        let count = vector["chunks"].as_array().unwrap().len();
        assert_eq!(frame::chunks(&clear).count(), count, "how operations are put into chunks");

        let header = FrameHeader::decode(&expected, &salt, offset, &cipher).unwrap();
        assert_eq!((header.kind, header.seq, header.synced), (kind, seq, synced));
        let mut copy = Vec::new();
        let opened = frame::open(&expected, &header, &salt, offset, &cipher, &mut copy).unwrap().to_vec();
        let bodies = |frame: &[u8]| -> Vec<(usize, usize, String, Vec<u8>)> {
            let shown =
                frame::chunks(frame).map(|chunk| (chunk.at, chunk.len, chunk.body.account.to_owned(), chunk.body.ops.to_vec()));
            shown.collect()
        };
        assert_eq!(bodies(&opened), bodies(&clear));

        // What is sealed is the vector's, since its nonce is; all that depends on its place is made anew.
        let mut written = if cipher.is_sealed() { without_place(&expected, &clear) } else { clear };
        frame::finish(&mut written, seq, synced, &salt, offset, &cipher);
        assert_same(&written, &expected, "a frame");
    }
}

/// A sealed frame with nothing where its sequence numbers and checks belong. `clear` has the same shape.
fn without_place(sealed: &[u8], clear: &[u8]) -> Vec<u8> {
    let mut frame = sealed.to_vec();
    put(&mut frame, 8, &[0; 24]);
    for chunk in frame::chunks(clear) {
        put(&mut frame, chunk.at + chunk.len - 8, &[0; 8]);
    }
    frame
}

#[test]
fn what_seals_a_frame_numbers_its_chunks_under_one_nonce() {
    let vector = vectors("frames").into_iter().find(|vector| vector["sealed"] == true && vector["kind"] == 1).unwrap();
    let cipher = sealed();
    let mut clear = Vec::new();
    assert!(frame::encode_batch(&mut clear, vector["account"].as_str().unwrap(), &operations(&vector), Form::Sealed));
    let mut written = Vec::new();
    frame::seal(&clear, cipher.keys().unwrap(), &mut written).unwrap();
    let nonces = |frame: &[u8]| -> Vec<[u8; 24]> {
        frame::chunks(&clear).map(|chunk| frame[chunk.at + 8..chunk.at + 32].try_into().unwrap()).collect()
    };
    let (made, expected) = (nonces(&written), nonces(&bytes(&vector["frame"])));
    assert_eq!(expected.len(), 3);
    for (made_one, expected_one) in made.iter().zip(&expected) {
        assert_eq!(made_one[20..], expected_one[20..]);
        assert_eq!((&made_one[..20], &expected_one[..20]), (&made[0][..20], &expected[0][..20]));
    }
}

#[test]
fn an_envelope_opens_behind_its_header_alone() {
    let (vector, cipher) = (vector("envelope"), sealed());
    let keys = cipher.keys().unwrap();
    let before = bytes(&vector["before"]);
    let whole = [before.clone(), bytes(&vector["envelope"])].concat();
    assert_eq!(envelope::open(&whole, before.len(), keys).unwrap(), bytes(&vector["content"]));
    let mut moved = whole;
    moved[0] ^= 1;
    assert!(envelope::open(&moved, before.len(), keys).is_none());
}

#[test]
fn manifests_are_written_byte_by_byte() {
    for vector in vectors("manifests") {
        let cipher = cipher(&vector);
        let entry = |one: &Value| ManifestEntry {
            id: number(&one["number"]),
            salt: array(&one["salt"]),
            length: number(&one["end"]),
            last_seq: number(&one["last"]),
            first_seq: number(&one["first"]),
            decided_seq: number(&one["decided"]),
            is_copy: one["copy"].as_bool().unwrap(),
        };
        let manifest = Manifest {
            cask_id: array(&vector["cask"]),
            generation: number(&vector["generation"]),
            synced: number(&vector["synced"]),
            segments: vector["named"].as_array().unwrap().iter().map(entry).collect(),
            through: link(&vector["through"]),
            next_id: number(&vector["numbersBelow"]),
            epoch: number(&vector["epoch"]),
        };
        let expected = bytes(&vector["manifest"]);
        assert_eq!(Manifest::decode(&expected, Path::new("manifest"), &cipher).unwrap(), manifest);
        let written = manifest.encode(&cipher).unwrap();
        if cipher.is_sealed() {
            // The nonce is random. What is not sealed is the same, and the rest is read back.
            assert_same(&written[..48], &expected[..48], "the readable part of a sealed manifest");
            assert_eq!(written.len(), expected.len());
        } else {
            assert_same(&written, &expected, "a manifest");
        }
    }
}

#[test]
fn hints_are_written_byte_by_byte() {
    for vector in vectors("hints") {
        let cipher = cipher(&vector);
        let of = HintOf {
            cask_id: array(&vector["cask"]),
            id: number(&vector["number"]),
            salt: array(&vector["salt"]),
            length: number(&vector["end"]),
        };
        let mut writer = HintWriter::new(&of);
        let groups = vector["groups"].as_array().unwrap();
        for group in groups {
            writer.begin(group["account"].as_str().unwrap());
            for one in group["operations"].as_array().unwrap() {
                let key = one.get(1).filter(|field| field.is_string()).map(bytes).unwrap_or_default();
                let field = |at: usize| number(&one[at]);
                writer.push(&match field(0) {
                    1 => HintOp::Put {
                        key: &key,
                        chunk: field(2) as u32,
                        chunk_len: field(3) as u32,
                        op: field(4) as u32,
                        size: field(5),
                    },
                    2 => HintOp::Delete { key: &key, size: field(2) },
                    3 => HintOp::Clear { size: field(1) },
                    opcode => {
                        assert_eq!(opcode, 4);
                        HintOp::Drop { size: field(1) }
                    }
                });
            }
        }
        let (written, expected) = (writer.finish(&cipher).unwrap(), bytes(&vector["hint"]));
        if cipher.is_sealed() {
            assert_same(&written[..96], &expected[..96], "the readable part of a sealed hint");
        } else {
            assert_same(&written, &expected, "a hint");
        }
        // What both say: the groups in the clear, byte by byte.
        let opened = hint::open(expected, &of, &cipher).unwrap();
        assert_same(&opened, &hint::open(written, &of, &cipher).unwrap(), "the groups of a hint");
        let read = hint::groups(&opened).unwrap();
        assert_eq!(read.len(), groups.len());
        for (group, expected) in read.iter().zip(groups) {
            assert_eq!(group.account, expected["account"].as_str().unwrap());
            assert_eq!(group.ops().filter(Option::is_some).count(), expected["operations"].as_array().unwrap().len());
        }
    }
}
