//! Whole ensembles, conversations and single transitions.

mod agreement;
mod transcripts;
mod words;
mod world;
