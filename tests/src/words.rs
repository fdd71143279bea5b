//! Four-letter words, asked over a plain socket.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// What a server answers to a four-letter word.
///
/// # Errors
/// If it cannot be reached, or does not answer in five seconds.
pub fn ask(server: SocketAddr, word: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, LIMIT).context("connect")?;
    stream
        .set_read_timeout(Some(LIMIT))
        .context("limit reads")?;
    stream.write_all(word.as_bytes()).context("ask")?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("read the answer")?;
    Ok(answer)
}

/// The value behind `Mode: ` in `srvr`, if the server is serving.
#[must_use]
pub fn mode(server: SocketAddr) -> Option<String> {
    let answer = ask(server, "srvr").ok()?;
    answer
        .lines()
        .find_map(|line| line.strip_prefix("Mode: "))
        .map(str::to_owned)
}

/// All lines of `mntr`, by key.
///
/// # Errors
/// As [`ask`].
pub fn metrics(server: SocketAddr) -> anyhow::Result<BTreeMap<String, String>> {
    let answer = ask(server, "mntr")?;
    let pairs = answer.lines().filter_map(|line| line.split_once('\t'));
    Ok(pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}
