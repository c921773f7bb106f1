//! Sets the linker flags a Node.js addon needs; does nothing for the pure core.

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
