//! Four-letter words on the client port: which there are, and who gets an answer.

use super::{monitor, texts};
use crate::shared::{Serving, Shared};

/// The answer to a word, `None` if these four bytes are none: they are a frame's length then.
pub(crate) fn answer(word: [u8; 4], shared: &Shared) -> Option<Vec<u8>> {
    let word = str::from_utf8(&word).ok()?;
    let (_, answer) = WORDS.iter().find(|(name, _)| *name == word)?;
    if !shared.config.access.words.allow(word) {
        let refusal = format!("{word} is not executed because it is not in the whitelist.\n");
        return Some(refusal.into_bytes());
    }
    let is_serving = shared.serving() == Serving::Yes;
    let text = match answer {
        Answer::Always(text) => text(shared),
        Answer::WhileServing(text) if is_serving => text(shared),
        Answer::WhileServing(_) => NOT_SERVING.to_owned(),
    };
    Some(text.into_bytes())
}

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";

#[derive(Clone, Copy)]
enum Answer {
    /// Whether or not clients are served.
    Always(fn(&Shared) -> String),
    /// Only while clients are served.
    WhileServing(fn(&Shared) -> String),
}

const WORDS: &[(&str, Answer)] = &[
    ("ruok", Answer::Always(|_| "imok".to_owned())),
    ("isro", Answer::Always(texts::isro)),
    ("srvr", Answer::WhileServing(texts::srvr)),
    ("mntr", Answer::WhileServing(monitor::mntr)),
    (
        "hash",
        Answer::WhileServing(|shared| shared.digests.lock().text()),
    ),
    ("srst", Answer::WhileServing(texts::srst)),
];
