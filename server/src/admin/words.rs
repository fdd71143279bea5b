//! Four-letter words on the client port: which there are, and who gets an answer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use member::SessionDeadlines;

use super::{listings, monitor, texts};
use crate::clients::mailbox::{Mail, Mailbox};
use crate::inbox::Work;
use crate::shared::Shared;

/// What becomes of a connection's first bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// They are a frame's.
    NotAWord,
    /// They are not all there.
    More,
    /// This, and then the end.
    Now(String),
    /// It comes as [`Mail::Text`].
    Later,
}

/// The answer to a word that came by this connection.
pub(crate) fn answer(bytes: &[u8], shared: &Arc<Shared>, by: &Arc<Mailbox>) -> Reply {
    let Some((word, rest)) = bytes.split_first_chunk::<4>() else {
        return Reply::More;
    };
    let Ok(word) = str::from_utf8(word) else {
        return Reply::NotAWord;
    };
    let Some((_, answer)) = WORDS.iter().find(|(name, _)| *name == word) else {
        return Reply::NotAWord;
    };
    let is_allowed = shared.config.access.words.allow(word);
    let mask = rest.first_chunk().copied().map(i64::from_be_bytes);
    if matches!(answer, Answer::SetMask) && is_allowed && mask.is_none() {
        return Reply::More;
    }
    shared.metrics.packets_received.inc();
    by.counters.received(1);
    if !is_allowed {
        let refusal = format!("{word} is not executed because it is not in the whitelist.\n");
        return Reply::Now(refusal);
    }
    let is_serving = shared.serving().shows_tree();
    match answer {
        Answer::Always(text) => Reply::Now(text(shared)),
        Answer::WhileServing(_) | Answer::Dump if !is_serving => Reply::Now(NOT_SERVING.to_owned()),
        Answer::WhileServing(text) => Reply::Now(text(shared)),
        Answer::SetMask => {
            let mask = mask.unwrap_or_default();
            shared.trace_mask.store(mask, Relaxed);
            Reply::Now(mask.to_string())
        }
        Answer::Dump => {
            dump(shared.clone(), by.clone());
            Reply::Later
        }
    }
}

/// Asks the member thread, who alone knows when sessions end.
fn dump(shared: Arc<Shared>, by: Arc<Mailbox>) {
    let inbox = shared.inbox.clone();
    let tell = move |deadlines: SessionDeadlines| {
        let text = listings::dump(&shared, &deadlines);
        by.post_now(Mail::Text(text));
    };
    inbox.push(Work::Deadlines(Box::new(tell)), 0);
}

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

#[derive(Clone, Copy)]
enum Answer {
    /// Whether or not clients are served.
    Always(fn(&Shared) -> String),
    /// Only while clients are served.
    WhileServing(fn(&Shared) -> String),
    /// The trace mask follows the word.
    SetMask,
    /// Sessions and ephemerals.
    Dump,
}

const WORDS: &[(&str, Answer)] = &[
    ("conf", Answer::WhileServing(texts::conf)),
    ("cons", Answer::WhileServing(listings::cons)),
    ("crst", Answer::WhileServing(listings::crst)),
    ("dirs", Answer::WhileServing(texts::dirs)),
    ("dump", Answer::Dump),
    ("envi", Answer::Always(texts::envi)),
    ("gtmk", Answer::Always(texts::gtmk)),
    (
        "hash",
        Answer::WhileServing(|shared| shared.digests.lock().text()),
    ),
    ("isro", Answer::Always(texts::isro)),
    ("mntr", Answer::WhileServing(monitor::mntr)),
    ("ruok", Answer::Always(|_| "imok".to_owned())),
    ("srst", Answer::WhileServing(texts::srst)),
    ("srvr", Answer::WhileServing(texts::srvr)),
    ("stat", Answer::WhileServing(texts::stat)),
    ("stmk", Answer::SetMask),
    ("wchc", Answer::WhileServing(listings::wchc)),
    ("wchp", Answer::WhileServing(listings::wchp)),
    ("wchs", Answer::WhileServing(listings::wchs)),
];
