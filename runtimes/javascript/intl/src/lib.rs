//! Languages for the second JavaScript engine: the part of ECMA-402 that needs data or speed.
//!
//! The prelude (`../prelude/intl*.js`) reads options, makes the objects and words errors. It calls this crate through
//! `../library`: [`make`] gives a service for a locale and options, [`Service::call`] uses it, [`ask`] answers what
//! needs no service.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod collation;
mod dates;
mod lists;
pub mod locales;
mod numbers;
mod plurals;
mod relative;
mod segments;
mod service;
mod world;
mod zones;

use alloc::boxed::Box;

pub use service::{Argument, Options, Parts, Reply, Service, push_json};

/// A service of a kind, such as `collator`, for a locale of [`ask`]'s `resolve`. `None` if the options are not those that the
/// prelude writes, or if there is no such kind.
pub fn make(kind: &str, locale: &str, options: &str) -> Option<Box<dyn Service>> {
    let options = Options::new(options);
    let _ = (locale, &options);
    match kind {
        "collator" => collation::make(locale, &options),
        "date" => dates::make(locale, &options),
        "lists" => lists::make(locale, &options),
        "number" => numbers::make(locale, &options),
        "plurals" => plurals::make(locale, &options),
        "relative" => relative::make(locale, &options),
        "segments" => segments::make(locale, &options),
        _ => None,
    }
}

/// The answer to a question of a kind, such as `locale`, that needs no service.
pub fn ask(kind: &str, what: &str, argument: &str) -> Reply {
    let _ = (what, argument);
    match kind {
        "case" => collation::change_case(what, argument),
        "date" => dates::ask(what, argument),
        "locale" => locales::ask(what, argument),
        "zone" => zones::ask(what, argument),
        "number" => numbers::ask(what, argument),
        _ => Reply::Nothing,
    }
}
