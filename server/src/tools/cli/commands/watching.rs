//! Watches: addWatch, removewatches.

use wire::client::{AddWatchRequest, ErrorResponse, Request, WatchesRequest};

use super::{Context, checked, take};
use crate::tools::cli::failure::Failure;
use crate::tools::cli::line::{flag, value};

pub(super) const ADD_USAGE: &str = "[-m mode] path # optional mode is one of [PERSISTENT, \
    PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE";
pub(super) const REMOVE_USAGE: &str = "path [-c|-d|-a] [-l]";

pub(super) fn add_watch(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let name = words[0].clone();
    let words = take(words, &[value("m")], 1, ADD_USAGE)?;
    let mode = words.value("m").map(str::to_ascii_uppercase);
    let mode = match mode.as_deref() {
        Some("PERSISTENT") => 0,
        Some("PERSISTENT_RECURSIVE") | None => 1,
        Some(_) => return Err(Failure::Usage(format!("{name} {ADD_USAGE}"))),
    };
    let path = words.plain[0].clone();
    checked(&path)?;
    context.call::<ErrorResponse>(Request::AddWatch(AddWatchRequest { path, mode }))?;
    Ok(())
}

/// `-l` makes no difference: a session without a connection ends with the cli.
pub(super) fn remove_watches(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = ["c", "d", "p", "r", "a", "l"].map(flag);
    let words = take(words, &known, 1, REMOVE_USAGE)?;
    let path = words.plain[0].clone();
    checked(&path)?;
    let kinds = [("c", 1), ("d", 2), ("p", 4), ("r", 5)];
    let chosen = kinds.iter().find(|(name, _)| words.has(name));
    let kind = chosen.map_or(3, |(_, kind)| *kind);
    context.call::<()>(Request::RemoveWatches(WatchesRequest { path, kind }))?;
    Ok(())
}
