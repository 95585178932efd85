//! The faults of outgoing requests in words for the function's owner, who has no business in the node's network: they
//! name the host and the kind of fault, never an address.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy;
use serverledge_core::{OutboundError, causes};

use super::connect::ConnectFault;
use crate::reach::JudgeError;
use crate::tls;

/// The words where nothing more can be said.
const NO_CONNECTION: &str = "no connection came about";
/// The same for a name that does not exist and for one that is not allowed: the difference would tell a function which
/// names the node's own network has.
const NO_ADDRESS: &str = "it has no address that this node lets functions reach";

/// The fault of a request that brought no response.
pub(super) fn of_request(
    host: String,
    error: &legacy::Error,
    connect_timeout: Duration,
) -> OutboundError {
    if error.is_connect() {
        return of_connect(host, error, connect_timeout);
    }
    let cause = broken(error);
    OutboundError::Broken { host, cause }
}

/// The fault of a connection that did not come about.
pub(super) fn of_connect(
    host: String,
    error: &(dyn Error + 'static),
    connect_timeout: Duration,
) -> OutboundError {
    let cause = match first(error) {
        Some(ConnectCause::Timeout) => {
            return OutboundError::Timeout {
                host,
                limit: connect_timeout,
            };
        }
        Some(ConnectCause::Words(words)) => words.to_owned(),
        None => tls::certificate_fault(error).map_or_else(
            || NO_CONNECTION.to_owned(),
            |fault| format!("its certificate is not believed: {fault}"),
        ),
    };
    OutboundError::Unreachable { host, cause }
}

/// The fault of a response whose body came in part.
pub(super) fn of_body(host: String, error: &hyper::Error) -> OutboundError {
    let cause = broken(error);
    OutboundError::Broken { host, cause }
}

/// The part of an error that says why there is no connection.
enum ConnectCause {
    Timeout,
    Words(&'static str),
}

fn first(error: &(dyn Error + 'static)) -> Option<ConnectCause> {
    causes(error).find_map(connect_cause)
}

fn connect_cause(cause: &(dyn Error + 'static)) -> Option<ConnectCause> {
    if cause.is::<JudgeError>() {
        return Some(ConnectCause::Words(NO_ADDRESS));
    }
    if let Some(fault) = cause.downcast_ref::<ConnectFault>() {
        return Some(match fault {
            ConnectFault::NoneFree => {
                ConnectCause::Words("this node has as many connections open as it may")
            }
            ConnectFault::ShareTaken => {
                ConnectCause::Words("the function has as many connections open as it may")
            }
            ConnectFault::Timeout => ConnectCause::Timeout,
        });
    }
    let kind = cause.downcast_ref::<io::Error>()?.kind();
    if kind == io::ErrorKind::TimedOut {
        return Some(ConnectCause::Timeout);
    }
    words(kind).map(ConnectCause::Words)
}

/// The fault of a connection in words.
fn broken(error: &(dyn Error + 'static)) -> String {
    let found = causes(error).find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            return http_words(error);
        }
        words(cause.downcast_ref::<io::Error>()?.kind())
    });
    found.unwrap_or("it ended too early").to_owned()
}

fn http_words(error: &hyper::Error) -> Option<&'static str> {
    if error.is_timeout() {
        Some("it gave no sign for too long")
    } else if error.is_parse_too_large() {
        Some("the head of the response is too long")
    } else if error.is_parse() {
        Some("what came is no HTTP")
    } else if error.is_incomplete_message() {
        Some("it was closed before the response was complete")
    } else if error.is_user() {
        Some("the request's body failed")
    } else {
        None
    }
}

const fn words(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("it refuses connections"),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Some("it closed the connection"),
        io::ErrorKind::TimedOut => Some("it took nothing of what was sent for too long"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("there is no way to it")
        }
        _ => None,
    }
}
