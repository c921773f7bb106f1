//! What is done with an input, and what has to hold.

pub mod frame;
pub mod hint;
pub mod key_slot;
pub mod manifest;
pub mod owner;
pub mod recovery;
pub mod repair;
pub mod rollback_state;
pub mod segment;
pub mod state;
