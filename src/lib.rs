//! The core of `baileys-cask`: where a WhatsApp gateway built on Baileys keeps its Signal keys.
//!
//! Dependencies point one way: `binding -> store -> {lock, backend} -> codec -> {record, error}`. Only `binding` knows
//! Node.js; without the `node` feature the crate builds and tests without it. Nothing here knows what a value means:
//! values are opaque bytes, encoded and decoded in JavaScript.

pub mod backend;
#[cfg(feature = "node")]
mod binding;
pub mod codec;
pub mod error;
mod flat;
pub mod lock;
pub mod record;
pub mod secret;
pub mod store;

pub use error::{Error, ErrorKind, Result};
