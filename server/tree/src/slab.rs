//! Numbered places for values, in chunks, so that growth never copies what is there.

/// No place.
pub(crate) const NONE: u32 = u32::MAX;

const CHUNK: usize = 4096;

/// A value that can stand for an empty place, holding the number of the next empty one.
pub(crate) trait Vacant {
    fn vacant(next: u32) -> Self;
    fn next_vacant(&self) -> u32;
}

#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    places: u32,
    vacant: u32,
}

impl<T: Vacant> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            places: 0,
            vacant: NONE,
        }
    }

    /// How many places there are, empty ones included; their numbers are below this one.
    pub(crate) const fn places(&self) -> u32 {
        self.places
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if self.vacant != NONE {
            let id = self.vacant;
            self.vacant = self.at(id).next_vacant();
            *self.at_mut(id) = value;
            return id;
        }
        let id = self.places;
        assert!(id != NONE, "a slab holds less than 2^32 - 1 values");
        if (id as usize).is_multiple_of(CHUNK) {
            // The first chunk grows, since most tables stay small.
            self.chunks
                .push(Vec::with_capacity(if id == 0 { 8 } else { CHUNK }));
        }
        self.chunks[id as usize / CHUNK].push(value);
        self.places += 1;
        id
    }

    pub(crate) fn remove(&mut self, id: u32) -> T {
        let vacant = T::vacant(self.vacant);
        self.vacant = id;
        std::mem::replace(self.at_mut(id), vacant)
    }

    pub(crate) fn at(&self, id: u32) -> &T {
        &self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }

    pub(crate) fn at_mut(&mut self, id: u32) -> &mut T {
        &mut self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }
}
