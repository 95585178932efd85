//! The base of these tests: a node with people on it, and pages of other sites.

pub(crate) mod lab;
pub(crate) mod shop;
pub(crate) mod site;
pub(crate) mod stage;
pub(crate) mod visitor;
