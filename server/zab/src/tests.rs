//! Whole ensembles, conversations and single transitions.

mod agreement;
mod election;
mod fixture;
mod golden;
mod hostile;
mod leader;
mod learner;
mod transcripts;
mod words;
pub(crate) mod world;
