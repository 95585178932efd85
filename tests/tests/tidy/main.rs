//! The invariants of the house: what the architecture promises and no compiler checks. Each failure names the file and
//! what to do.

mod imports;
mod lexer;
mod links;
mod manifests;
mod names;
mod repository;
mod sources;
mod texts;
mod words;
