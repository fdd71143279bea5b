//! Four-letter words on the client port: which there are, and who gets an answer.

use super::{listings, monitor, texts};
use crate::clients::mailbox::Mailbox;
use crate::shared::{Serving, Shared};

/// The answer to a word that came by this connection, `None` if these four bytes are none: they
/// are a frame's length then.
pub(crate) fn answer(word: [u8; 4], shared: &Shared, by: &Mailbox) -> Option<Vec<u8>> {
    let word = str::from_utf8(&word).ok()?;
    let (_, answer) = WORDS.iter().find(|(name, _)| *name == word)?;
    shared.metrics.packets_received.inc();
    by.counters.received(1);
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
    ("conf", Answer::WhileServing(texts::conf)),
    ("cons", Answer::WhileServing(listings::cons)),
    ("crst", Answer::WhileServing(listings::crst)),
    ("dirs", Answer::WhileServing(texts::dirs)),
    ("dump", Answer::WhileServing(listings::dump)),
    ("envi", Answer::Always(texts::envi)),
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
    ("wchc", Answer::WhileServing(listings::wchc)),
    ("wchp", Answer::WhileServing(listings::wchp)),
    ("wchs", Answer::WhileServing(listings::wchs)),
];
