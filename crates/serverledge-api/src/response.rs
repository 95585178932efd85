//! Pieces of responses: JSON, problems, progress, and what untrusted code may not say.

pub(crate) mod content_coding;
pub(crate) mod ndjson;
pub(crate) mod problem;
pub(crate) mod progress;
pub(crate) mod reply;
pub(crate) mod untrusted;
