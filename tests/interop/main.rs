//! The interop suite.
fn main() {}
