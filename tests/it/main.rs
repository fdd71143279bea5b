//! The integration tests: whole members, as processes, under real clients.

mod hostile;
mod members;
mod sessions;
mod storage;
mod watches;
