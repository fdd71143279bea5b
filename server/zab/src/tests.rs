//! Whole ensembles, conversations and single transitions.

mod agreement;
mod world;
