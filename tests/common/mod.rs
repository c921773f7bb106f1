//! What the integration tests share: a disk that can lose what was not synced, a model, and short ways to drive a backend.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod chance;
pub mod disk;
pub mod drive;
pub mod faulty;
pub mod loss;
pub mod model;
pub mod nonces;
pub mod places;
pub mod scene;
pub mod workload;
