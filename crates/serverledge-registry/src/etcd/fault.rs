//! The meaning of etcd's failures: some are replies, others leave the outcome open.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::Duration;

use serverledge_core::causes;

use serverledge_core::kv::KvError;

use super::grpc::CallError;

type BoxedSource = Box<dyn StdError + Send + Sync>;

/// The reason why etcd did not do an operation: the source of [`KvError::Unavailable`], for those who want to know
/// whether a write may have happened. Nothing that may have happened is retried by itself.
#[derive(Debug, thiserror::Error)]
pub enum EtcdFault {
    /// There was no connection; nothing was sent, nothing happened.
    #[error("etcd at {endpoint} cannot be reached")]
    NotSent {
        /// The endpoint that was tried last.
        endpoint: String,
        /// The cause.
        #[source]
        source: BoxedSource,
    },
    /// No answer in time. A write may have happened, and may still happen shortly after.
    #[error("etcd at {endpoint} gave no answer within {after:?}")]
    Deadline {
        /// The endpoint that was asked last.
        endpoint: String,
        /// Time that was waited.
        after: Duration,
    },
    /// The connection broke before the answer, or etcd could not say. A write may have happened.
    #[error("etcd at {endpoint} gave no answer")]
    Unanswered {
        /// The endpoint that was asked last.
        endpoint: String,
        /// The cause.
        #[source]
        source: BoxedSource,
    },
    /// User, password or permission are wrong. Nothing happened.
    #[error("etcd at {endpoint} denied access")]
    Denied {
        /// The endpoint.
        endpoint: String,
        /// The error that etcd gave.
        #[source]
        source: BoxedSource,
    },
    /// etcd found the request wrong, which is a fault of this program or of etcd's configuration. Nothing happened.
    #[error("etcd at {endpoint} rejected the request")]
    Rejected {
        /// The endpoint.
        endpoint: String,
        /// The error that etcd gave.
        #[source]
        source: BoxedSource,
    },
}

/// The meaning of a failed request.
#[derive(Debug)]
pub(super) enum EtcdRefusal {
    /// The quota is exceeded.
    Full,
    /// The asked revision is forgotten.
    Compacted,
    /// The asked revision is not yet.
    Future,
    /// There is no such lease.
    LeaseUnknown,
    /// The request exceeds etcd's limit.
    RequestTooLarge,
    /// The transaction has more operations than etcd allows.
    TooManyOps,
    /// The answer exceeds this client's limit: ask for less.
    ReplyTooLarge,
    /// No answer, or none that is expected.
    Fault(EtcdFault),
}

/// gRPC's codes that matter here, by their numbers.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const NOT_FOUND: i32 = 5;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const FAILED_PRECONDITION: i32 = 9;
    pub(super) const OUT_OF_RANGE: i32 = 11;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// The message of etcd when its quota is exceeded.
const FULL: &str = "mvcc: database space exceeded";
/// Beginnings of etcd's messages about users and permissions, which come with various codes.
const DENIALS: [&str; 6] = [
    "etcdserver: permission denied",
    "etcdserver: authentication",
    "etcdserver: user name",
    "etcdserver: invalid auth token",
    "etcdserver: root",
    "etcdserver: revision of auth store is old",
];

// === impl EtcdFault ===

impl EtcdFault {
    /// May a write have been applied, or still be? Only then its outcome has to be looked up.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        matches!(self, Self::Deadline { .. } | Self::Unanswered { .. })
    }

    /// The fault behind an error of the registry, if there is one.
    #[must_use]
    pub fn of(error: &KvError) -> Option<&Self> {
        match error {
            KvError::Unavailable { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }
}

// === impl EtcdRefusal ===

impl EtcdRefusal {
    /// The meaning of a call's error.
    pub(super) fn new(endpoint: &str, error: CallError) -> Self {
        match error {
            CallError::Status(status) => {
                let number = i32::from(status.code());
                let connected = !refused(&status);
                let message = status.message().to_owned();
                let said = if message.is_empty() {
                    status.code().to_string()
                } else {
                    message.clone()
                };
                Self::of_status(
                    endpoint,
                    number,
                    &message,
                    connected,
                    Said::of(said, &*status),
                )
            }
            // Nothing but the handshake was sent.
            CallError::Connect(error) => {
                Self::not_sent(endpoint, Said::of(error.to_string(), &error))
            }
            CallError::Unusable { .. } => Self::Fault(EtcdFault::Rejected {
                endpoint: endpoint.to_owned(),
                source: Box::new(error),
            }),
            CallError::Stream(_) => Self::Fault(EtcdFault::Unanswered {
                endpoint: endpoint.to_owned(),
                source: Box::new(error),
            }),
        }
    }

    fn of_status(
        endpoint: &str,
        number: i32,
        message: &str,
        connected: bool,
        source: BoxedSource,
    ) -> Self {
        let endpoint = endpoint.to_owned();
        if message.contains(FULL) {
            Self::Full
        } else if message.contains("mvcc: required revision has been compacted") {
            Self::Compacted
        } else if message.contains("mvcc: required revision is a future revision") {
            Self::Future
        } else if message.contains("requested lease not found") {
            Self::LeaseUnknown
        } else if message.contains("request is too large")
            || message.contains("received message larger than max")
        {
            Self::RequestTooLarge
        } else if message.contains("too many operations in txn request") {
            Self::TooManyOps
        } else if number == code::OUT_OF_RANGE && message.contains("message length too large") {
            Self::ReplyTooLarge
        } else if matches!(number, code::PERMISSION_DENIED | code::UNAUTHENTICATED)
            || DENIALS.iter().any(|denial| message.starts_with(denial))
        {
            Self::Fault(EtcdFault::Denied { endpoint, source })
        } else if !connected {
            Self::Fault(EtcdFault::NotSent { endpoint, source })
        } else if matches!(
            number,
            code::INVALID_ARGUMENT
                | code::NOT_FOUND
                | code::FAILED_PRECONDITION
                | code::OUT_OF_RANGE
                | code::UNIMPLEMENTED
        ) {
            Self::Fault(EtcdFault::Rejected { endpoint, source })
        } else {
            Self::Fault(EtcdFault::Unanswered { endpoint, source })
        }
    }

    pub(super) fn not_sent(endpoint: &str, source: BoxedSource) -> Self {
        Self::Fault(EtcdFault::NotSent {
            endpoint: endpoint.to_owned(),
            source,
        })
    }

    pub(super) fn deadline(endpoint: &str, after: Duration) -> Self {
        Self::Fault(EtcdFault::Deadline {
            endpoint: endpoint.to_owned(),
            after,
        })
    }

    const fn words(&self) -> &'static str {
        match self {
            Self::Full => "its space is used up",
            Self::Compacted => "the revision is forgotten",
            Self::Future => "the revision is not yet",
            Self::LeaseUnknown => "there is no such lease",
            Self::RequestTooLarge => "the request is too large",
            Self::TooManyOps => "the transaction has too many operations",
            Self::ReplyTooLarge => "the answer is too large",
            Self::Fault(_) => "a fault",
        }
    }

    /// Says nothing about the request, only about the way to etcd.
    pub(super) const fn is_of_transport(&self) -> bool {
        let Self::Fault(fault) = self else {
            return false;
        };
        matches!(
            fault,
            EtcdFault::NotSent { .. } | EtcdFault::Unanswered { .. } | EtcdFault::Deadline { .. }
        )
    }

    /// As an error of the registry. `attempt` follows "failed to". Answers that the request cannot have are faults.
    pub(super) fn into_kv(self, attempt: &'static str) -> KvError {
        match self {
            Self::Full => KvError::RegistryFull,
            Self::Fault(fault) => KvError::Unavailable {
                attempt,
                source: Box::new(fault),
            },
            other => KvError::Unavailable {
                attempt,
                source: Box::new(Unexpected(other)),
            },
        }
    }
}

/// Does the error say that etcd's quota is exceeded?
pub(super) fn is_full(error: &CallError) -> bool {
    matches!(error, CallError::Status(status) if status.message().contains(FULL))
}

/// An answer to another request than the one that was made.
#[derive(Debug, thiserror::Error)]
#[error("etcd gave an answer that does not belong to the request: {}", .0.words())]
struct Unexpected(EtcdRefusal);

/// The client's error and its innermost cause in words: the client's own text shows causes as Rust writes its data.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

impl Said {
    fn of(said: String, error: &(dyn StdError + 'static)) -> BoxedSource {
        let cause = causes(error)
            .skip(1)
            .last()
            .map(ToString::to_string)
            .filter(|cause| !said.contains(cause.as_str()));
        Box::new(Self(match cause {
            Some(cause) => format!("{said}: {cause}"),
            None => said,
        }))
    }
}

/// Is the cause that no connection came about? Everything else may have reached etcd.
fn refused(error: &(dyn StdError + 'static)) -> bool {
    let kinds = [
        ErrorKind::ConnectionRefused,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
    ];
    causes(error).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| kinds.contains(&io.kind()))
            // The connector's own words: a name that does not resolve, a connection that takes too long.
            || ["tcp connect error", "dns error"].iter().any(|words| cause.to_string().starts_with(words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i32, message: &str, connected: bool) -> EtcdRefusal {
        EtcdRefusal::of_status("e", number, message, connected, message.into())
    }

    #[test]
    fn answers_are_told_from_failures() {
        assert!(matches!(
            of(8, "etcdserver: mvcc: database space exceeded", true),
            EtcdRefusal::Full
        ));
        assert!(matches!(
            of(
                11,
                "etcdserver: mvcc: required revision has been compacted",
                true
            ),
            EtcdRefusal::Compacted
        ));
        assert!(matches!(
            of(
                11,
                "etcdserver: mvcc: required revision is a future revision",
                true
            ),
            EtcdRefusal::Future
        ));
        assert!(matches!(
            of(5, "etcdserver: requested lease not found", true),
            EtcdRefusal::LeaseUnknown
        ));
        assert!(matches!(
            of(3, "etcdserver: request is too large", true),
            EtcdRefusal::RequestTooLarge
        ));
        let reply = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        assert!(matches!(of(11, reply, true), EtcdRefusal::ReplyTooLarge));
        let denied = of(
            3,
            "etcdserver: authentication failed, invalid user ID or password",
            true,
        );
        assert!(matches!(
            denied,
            EtcdRefusal::Fault(EtcdFault::Denied { .. })
        ));
        assert!(matches!(
            of(3, "etcdserver: duplicate key given", true),
            EtcdRefusal::Fault(EtcdFault::Rejected { .. })
        ));
    }

    #[test]
    fn causes_are_told_in_words() {
        let io = std::io::Error::from(ErrorKind::ConnectionRefused);
        let outer = std::io::Error::other(io);
        assert_eq!(
            Said::of("tcp connect error".to_owned(), &outer).to_string(),
            "tcp connect error"
        );
        #[derive(Debug, thiserror::Error)]
        #[error("transport error")]
        struct Transport(#[source] std::io::Error);
        let transport = Transport(ErrorKind::ConnectionRefused.into());
        let said = Said::of(transport.to_string(), &transport).to_string();
        assert_eq!(said, "transport error: connection refused");
    }

    #[test]
    fn only_what_was_never_sent_certainly_did_not_happen() {
        let (refused, broken) = (
            of(14, "tcp connect error", false),
            of(14, "transport error", true),
        );
        assert!(refused.is_of_transport() && broken.is_of_transport());
        let may = |refusal: EtcdRefusal| {
            EtcdFault::of(&refusal.into_kv("write")).is_some_and(EtcdFault::may_have_happened)
        };
        assert!(!may(refused));
        assert!(may(broken));
        assert!(may(of(14, "etcdserver: request timed out", true)));
        assert!(may(EtcdRefusal::deadline("e", Duration::from_secs(1))));
        assert!(!may(of(7, "etcdserver: permission denied", true)));
    }
}
