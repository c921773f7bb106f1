//! The core of `baileys-cask`: where a WhatsApp gateway built on Baileys keeps its Signal keys.
//!
//! Dependencies point one way: `binding -> store -> {lock, backend} -> codec -> {record, error, stats}`. Only `binding` knows
//! Node.js; without the `node` feature the crate builds and tests without it. Nothing here knows what a value means:
//! values are opaque bytes, encoded and decoded in JavaScript.
//!
//! Only `binding` may hold unsafe code: what it shares with Node.js is lent for the length of one call.

#[forbid(unsafe_code)]
pub mod backend;
#[cfg(feature = "node")]
mod binding;
#[forbid(unsafe_code)]
pub mod codec;
#[forbid(unsafe_code)]
pub mod error;
#[forbid(unsafe_code)]
mod flat;
// Of the binding, and tested without it.
#[cfg(any(feature = "node", test))]
#[cfg_attr(not(feature = "node"), allow(dead_code))]
#[forbid(unsafe_code)]
mod handles;
#[forbid(unsafe_code)]
pub mod lock;
#[forbid(unsafe_code)]
pub mod record;
#[forbid(unsafe_code)]
pub mod secret;
#[forbid(unsafe_code)]
pub mod stats;
#[forbid(unsafe_code)]
pub mod store;
#[forbid(unsafe_code)]
mod sync;

pub use error::{Error, ErrorKind, Result};
