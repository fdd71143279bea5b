//! The integration tests: whole members, as processes, under real clients, and what is shipped.

mod access;
mod admin;
mod advisories;
mod chart;
mod fleet;
mod hostile;
mod kubernetes;
mod limits;
mod local_sessions;
mod members;
mod sessions;
mod storage;
mod watch_memory;
mod watches;
