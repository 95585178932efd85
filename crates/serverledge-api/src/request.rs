//! A request on its way to its handler: who sent it, for which host, with which rights, and its body.

pub(crate) mod access;
pub(crate) mod api_request;
pub(crate) mod app_prefix;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod forwarded;
pub(crate) mod origin;
pub(crate) mod path;
pub(crate) mod path_prefix;
pub(crate) mod query;
pub(crate) mod state;
