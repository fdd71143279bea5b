//! Judges a manifest as an API server would, for platforms that have none.
