//! Whole ensembles, conversations and single transitions.

mod agreement;
mod fixture;
mod leader;
mod learner;
mod transcripts;
mod words;
pub(crate) mod world;
