//! What these tests stand on: pages of other sites.

pub(crate) mod site;
