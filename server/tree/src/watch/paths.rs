//! The paths that are watched, each once.
//!
//! An allocation for each would cost a quarter of what a watch may cost, so the texts lie in
//! blocks of their own: places of 8, 16, 24 … bytes, those of one size reused among themselves.

use crate::hashing::Hashing;
use crate::index::Index;
use crate::slab::{NONE, Slab, Vacant};

/// Set in [`Watched::first`] when the path's entries are indexed.
const CROWDED: u32 = 1 << 31;

#[derive(Debug)]
struct Watched {
    text: u32,
    /// The first entry, and [`CROWDED`]; or the next empty place.
    first: u32,
}

impl Vacant for Watched {
    fn vacant(next: u32) -> Self {
        Self {
            text: NONE,
            first: next,
        }
    }
    fn next_vacant(&self) -> u32 {
        self.first
    }
}

#[derive(Debug)]
pub(super) struct Paths {
    slots: Slab<Watched>,
    texts: Texts,
    by_text: Index,
    hashing: Hashing,
    count: u64,
}

impl Paths {
    pub(super) fn new(hashing: Hashing) -> Self {
        Self {
            slots: Slab::new(),
            texts: Texts::new(),
            by_text: Index::new(),
            hashing,
            count: 0,
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn find(&self, path: &str) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let hash = self.hashing.of(path.as_bytes());
        self.by_text.find(hash, |id| {
            self.texts.get(self.slots.at(id).text) == path.as_bytes()
        })
    }

    /// The path's number; it is to get an entry.
    pub(super) fn intern(&mut self, path: &str) -> u32 {
        if let Some(id) = self.find(path) {
            return id;
        }
        let text = self.texts.insert(path.as_bytes());
        let id = self.slots.insert(Watched {
            text,
            first: NONE & !CROWDED,
        });
        let (slots, texts, hashing) = (&self.slots, &self.texts, &self.hashing);
        let hash_of = |id| hashing.of(texts.get(slots.at(id).text));
        self.by_text.insert(hash_of(id), id, hash_of);
        self.count += 1;
        id
    }

    /// Forgets a path whose last entry goes.
    pub(super) fn remove(&mut self, id: u32) {
        let watched = self.slots.remove(id);
        let hash = self.hashing.of(self.texts.get(watched.text));
        self.by_text.remove(hash, id);
        self.texts.remove(watched.text);
        self.count -= 1;
    }

    pub(super) fn first(&self, id: u32) -> u32 {
        match self.slots.at(id).first & !CROWDED {
            first if first == NONE & !CROWDED => NONE,
            first => first,
        }
    }

    /// # Panics
    /// With more than 2^31 watches.
    pub(super) fn set_first(&mut self, id: u32, first: u32) {
        assert!(first < NONE & !CROWDED, "less than 2^31 pairs are watched");
        let watched = self.slots.at_mut(id);
        watched.first = watched.first & CROWDED | first;
    }

    pub(super) fn is_crowded(&self, id: u32) -> bool {
        self.slots.at(id).first & CROWDED != 0
    }

    pub(super) fn set_crowded(&mut self, id: u32) {
        self.slots.at_mut(id).first |= CROWDED;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        (0..self.slots.places())
            .filter(|&id| self.slots.at(id).text != NONE)
            .map(|id| {
                let text = self.texts.get(self.slots.at(id).text);
                (id, std::str::from_utf8(text).expect("made from a string"))
            })
    }
}

/// Where texts lie. The number of a text is its place in units of 8 bytes, over all blocks.
#[derive(Debug)]
struct Texts {
    blocks: Vec<Box<[u8]>>,
    /// Units used in the last block.
    used: usize,
    /// Texts too long for a block, by number; their places start with [`LONG`].
    long: Slab<LongText>,
    /// For each size in units: the first free place. A free place holds the next one's number.
    free: Vec<u32>,
}

#[derive(Debug)]
struct LongText {
    text: Box<[u8]>,
    next: u32,
}

impl Vacant for LongText {
    fn vacant(next: u32) -> Self {
        Self {
            text: Box::default(),
            next,
        }
    }
    fn next_vacant(&self) -> u32 {
        self.next
    }
}

const UNIT: usize = 8;
const BLOCK_UNITS: usize = 8192;
/// With its length before it such a text fits its place; longer ones are rare.
const SHORT: usize = 254;
/// In a text's number: it is a long one.
const LONG: u32 = 1 << 31;

impl Texts {
    const fn new() -> Self {
        Self {
            blocks: Vec::new(),
            used: 0,
            long: Slab::new(),
            free: Vec::new(),
        }
    }

    fn insert(&mut self, text: &[u8]) -> u32 {
        let Some(length) = u8::try_from(text.len())
            .ok()
            .filter(|_| text.len() <= SHORT)
        else {
            let next = NONE;
            let text = text.into();
            return self.long.insert(LongText { text, next }) | LONG;
        };
        let at = self.place((1 + text.len()).div_ceil(UNIT));
        let place = self.bytes_mut(at);
        place[0] = length;
        place[1..=text.len()].copy_from_slice(text);
        at
    }

    fn get(&self, at: u32) -> &[u8] {
        if at & LONG != 0 {
            return &self.long.at(at & !LONG).text;
        }
        let at = at as usize;
        let place = &self.blocks[at / BLOCK_UNITS][at % BLOCK_UNITS * UNIT..];
        &place[1..=usize::from(place[0])]
    }

    fn remove(&mut self, at: u32) {
        if at & LONG != 0 {
            self.long.remove(at & !LONG);
            return;
        }
        let units = (1 + self.get(at).len()).div_ceil(UNIT);
        let next = std::mem::replace(&mut self.free[units], at);
        self.bytes_mut(at)[..4].copy_from_slice(&next.to_be_bytes());
    }

    fn place(&mut self, units: usize) -> u32 {
        if self.free.len() <= units {
            self.free.resize(units + 1, NONE);
        }
        let free = self.free[units];
        if free != NONE {
            let mut next = [0; 4];
            next.copy_from_slice(&self.bytes_mut(free)[..4]);
            self.free[units] = u32::from_be_bytes(next);
            return free;
        }
        if self.blocks.is_empty() || self.used + units > BLOCK_UNITS {
            self.blocks.push(vec![0; BLOCK_UNITS * UNIT].into());
            self.used = 0;
        }
        let at = (self.blocks.len() - 1) * BLOCK_UNITS + self.used;
        self.used += units;
        let at = u32::try_from(at).ok().filter(|at| at & LONG == 0);
        at.expect("watched paths take less than 16 GiB")
    }

    fn bytes_mut(&mut self, at: u32) -> &mut [u8] {
        let at = at as usize;
        &mut self.blocks[at / BLOCK_UNITS][at % BLOCK_UNITS * UNIT..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_texts_are_used_again() {
        let mut texts = Texts::new();
        let lengths = [0, 1, 7, 8, 30, 31, 254, 255, 70_000];
        let text = |length: usize, fill: u8| vec![fill; length];
        let first: Vec<u32> = lengths.map(|n| texts.insert(&text(n, b'a'))).to_vec();
        let beside: Vec<u32> = lengths.map(|n| texts.insert(&text(n, b'b'))).to_vec();
        for &at in &first {
            texts.remove(at);
        }
        let mut again: Vec<u32> = lengths.map(|n| texts.insert(&text(n, b'c'))).to_vec();
        for (n, (&b, &c)) in lengths.iter().zip(beside.iter().zip(&again)) {
            assert_eq!(texts.get(b), text(*n, b'b'));
            assert_eq!(texts.get(c), text(*n, b'c'));
        }
        again.sort_unstable();
        let mut first = first;
        first.sort_unstable();
        assert_eq!(again, first);
    }
}
