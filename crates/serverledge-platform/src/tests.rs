//! Stories of accounts, on the embedded store, with a fake mail server and a clock that is set.

mod access;
mod fakes;
mod following;
mod mailed;
mod owned;
mod plain;
