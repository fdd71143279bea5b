//! Znodes with what is below them: ls, deleteall, and walking down.

use wire::Stat;
use wire::client::{DeleteRequest, ErrorCode, GetChildren2Response, PathRequest, Request};

use super::{Context, checked, child, take};
use crate::tools::cli::failure::{Failure, Refused};
use crate::tools::cli::line::{flag, value};
use crate::tools::cli::output::Answer;

pub(super) const LIST_USAGE: &str = "[-s] [-w] [-R] path";
pub(super) const DELETE_ALL_USAGE: &str = "path [-b batch size]";

/// What `ls -?` says.
const LIST_HELP: &str = "usage: ls [options] path
 -?   help
 -R   recurse
 -s   stat
 -w   watch";

/// Deletes under way at once, unless said otherwise.
const BATCH: usize = 1000;

pub(super) fn list(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = [flag("?"), flag("s"), flag("w"), flag("R")];
    let sorted = take(words, &known, 0, LIST_USAGE)?;
    if sorted.has("?") {
        context.output.notice(LIST_HELP);
    }
    let words = take(words, &known, 1, LIST_USAGE)?;
    let path = &words.plain[0];
    let old_watch = words.plain.len() > 1;
    if old_watch {
        let remark = "'ls path [watch]' has been deprecated. Please use 'ls [-w] path' instead.";
        context.output.remark(remark);
    }
    checked(path)?;
    if words.has("R") {
        return walk(context, path, |path| {
            context.answer(&Answer::Path(path.to_owned()));
            Ok(())
        });
    }
    let (names, stat) = children(context, path, words.has("w") || old_watch)?;
    context.answer(&Answer::Children(names));
    if words.has("s") {
        context.answer(&Answer::Stat(stat));
    }
    Ok(())
}

/// The sorted names of the children.
fn children(
    context: &Context<'_>,
    path: &str,
    watch: bool,
) -> Result<(Vec<String>, Stat), Refused> {
    let path = path.to_owned();
    let request = Request::GetChildren2(PathRequest { path, watch });
    let mut found: GetChildren2Response = context.call(request)?;
    found.children.sort_unstable();
    Ok((found.children, found.stat))
}

/// Visits a znode and all below it, each before its children, siblings in order. Those that go
/// meanwhile are left out.
pub(super) fn walk(
    context: &Context<'_>,
    root: &str,
    mut visit: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut to_visit = vec![root.to_owned()];
    while let Some(path) = to_visit.pop() {
        let names = match children(context, &path, false) {
            Ok((names, _)) => names,
            Err(refused) if refused.is(ErrorCode::NoNode) && path != root => continue,
            Err(refused) => return Err(refused.into()),
        };
        visit(&path)?;
        to_visit.extend(names.iter().rev().map(|name| child(&path, name)));
    }
    Ok(())
}

pub(super) fn delete_all(context: &Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = take(words, &[value("b")], 1, DELETE_ALL_USAGE)?;
    let refused = |why: &str| Failure::Words(why.to_owned());
    let batch = match words.value("b") {
        None => BATCH,
        Some(text) => {
            let number = text.parse().ok().filter(|number| *number > 0);
            number.ok_or_else(|| refused("-b argument must be an int value"))?
        }
    };
    let root = &words.plain[0];
    checked(root)?;
    let mut all = Vec::new();
    walk(context, root, |path| {
        all.push(path.to_owned());
        Ok(())
    })?;
    // Children before parents; within a batch the server keeps the order.
    all.reverse();
    let mut whole = true;
    for paths in all.chunks(batch) {
        let deletes = paths.iter().map(|path| {
            Request::Delete(DeleteRequest {
                path: path.clone(),
                version: -1,
            })
        });
        let replies = context.session.call_all(deletes.collect());
        whole &= replies.iter().all(Result::is_ok);
    }
    if whole {
        Ok(())
    } else {
        Err(refused("Failed to delete some node(s) in the subtree!"))
    }
}
