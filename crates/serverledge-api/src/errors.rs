//! The one table from errors to HTTP. Every error is problem JSON (RFC 9457) with a stable code; status codes on the
//! Serverledge-compatible routes are Serverledge's, whose clients read nothing else of an error.

use std::time::Duration;

use http::StatusCode;
use serverledge_core::{
    AccountError, FailureKind, FunctionFailure, InvocationError, OverloadReason, PrepareError,
    StateError, error_chain,
};
use serverledge_wire::endpoint_body::EndpointBodyError;
use serverledge_wire::function::SpecError;
use serverledge_wire::members::{BodyError, UNKNOWN_MEMBER};

use crate::backend::PeerRefused;
use crate::backend::applications::AppError;
use crate::backend::balancer::ProxyError;
use crate::backend::errors::{DeployError, PollError, SubmitError};
use crate::backend::invocations::{ChangeError, OnceError};
use crate::backend::running_apps::HostingError;
use crate::request::body::{ACCEPTED, CharsetError, CodingError, FormError, ReadError};
use crate::request::origin::OriginRefusal;
use crate::response::problem::ApiError;

/// The code of what a container engine refuses, in its words.
const ENGINE_REFUSED: &str = "engine_refused";

/// The convention of a route for failures of the function itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Convention {
    /// `/invoke`: 500, as Serverledge.
    Serverledge,
    /// `/fn`: the node is a gateway to the function, so 502 and 504.
    Gateway,
}

impl ApiError {
    pub(crate) fn invocation(error: &InvocationError, convention: Convention) -> Self {
        match error {
            InvocationError::Unknown(name) => Self::function_unknown(name),
            InvocationError::Request { code, message } if *code == "body_too_large" => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
            }
            InvocationError::Request { code, message } => {
                Self::new(StatusCode::BAD_REQUEST, code, message)
            }
            InvocationError::Function(failure) => Self::function(failure, convention),
            InvocationError::Overloaded {
                reason,
                retry_after,
            } => {
                let (status, retry) = match reason {
                    OverloadReason::Draining | OverloadReason::CallWouldDeadlock => {
                        (StatusCode::SERVICE_UNAVAILABLE, true)
                    }
                    OverloadReason::NeverFits => (StatusCode::SERVICE_UNAVAILABLE, false),
                    OverloadReason::QueueFull
                    | OverloadReason::WaitedTooLong
                    | OverloadReason::Deadline
                    | OverloadReason::NoPeer => (StatusCode::TOO_MANY_REQUESTS, true),
                };
                let seconds = whole_seconds(*retry_after);
                let refused = Self::new(status, reason.code(), error.to_string());
                if retry {
                    refused.after(seconds)
                } else {
                    refused
                }
            }
            InvocationError::Quota {
                code, retry_after, ..
            } => Self::new(StatusCode::TOO_MANY_REQUESTS, code, error.to_string())
                .after(whole_seconds(*retry_after)),
            InvocationError::Dependency { code, .. } => Self::dependency(code, error_chain(error)),
            InvocationError::OutcomeUnknown { .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "offload_outcome_unknown",
                error.to_string(),
            ),
            InvocationError::Internal { message } => ApiError::internal(message),
        }
    }

    /// Something that the node needs is away for now; or it is there and refuses, which asking again does not mend.
    fn dependency(code: &'static str, detail: String) -> Self {
        if code == ENGINE_REFUSED {
            return Self::new(StatusCode::BAD_GATEWAY, code, detail);
        }
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).after(1)
    }

    fn function(failure: &FunctionFailure, convention: Convention) -> Self {
        let status = match (convention, failure.kind) {
            (Convention::Serverledge, _) => StatusCode::INTERNAL_SERVER_ERROR,
            (Convention::Gateway, FailureKind::TimeLimit | FailureKind::CpuLimit) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            (Convention::Gateway, _) => StatusCode::BAD_GATEWAY,
        };
        let stack = failure.stack.clone().unwrap_or_default();
        Self::new(status, failure.kind.code(), &failure.message)
            .with_output(String::from_utf8_lossy(&failure.log).into_owned(), stack)
    }
}

/// Rounded up: whoever comes back must not come too early.
fn whole_seconds(retry_after: Duration) -> u64 {
    u64::try_from(retry_after.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX)
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let (status, code) = match error {
            ReadError::TooLarge { .. } | ReadError::TooLargeDecoded { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
            }
            ReadError::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            ReadError::Broken(_) => (StatusCode::BAD_REQUEST, "body_broken"),
            ReadError::Coding(CodingError::Unknown(_) | CodingError::TooMany) => {
                let refused = Self::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "content_coding_unknown",
                    error_chain(&error),
                );
                return refused.accepting(ACCEPTED);
            }
            ReadError::Coding(CodingError::Malformed { .. }) => {
                (StatusCode::BAD_REQUEST, "content_coding_malformed")
            }
            ReadError::Charset(CharsetError::Malformed(_)) => {
                (StatusCode::BAD_REQUEST, "charset_malformed")
            }
            ReadError::Charset(CharsetError::Unknown(_) | CharsetError::Unnamed)
            | ReadError::Form(FormError::Charset { .. }) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "charset_unknown")
            }
            ReadError::Form(FormError::Malformed(_) | FormError::TooManyParts) => {
                (StatusCode::BAD_REQUEST, "malformed_form")
            }
            ReadError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        };
        Self::new(status, code, error_chain(&error))
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::Syntax(_) => "malformed_json",
            BodyError::Member { .. } => "malformed_member",
            BodyError::Unknown { .. } => UNKNOWN_MEMBER,
        };
        Self::new(StatusCode::BAD_REQUEST, code, error_chain(&error))
    }
}

impl From<OriginRefusal> for ApiError {
    fn from(refused: OriginRefusal) -> Self {
        let (status, code) = match refused {
            OriginRefusal::NoHost => (StatusCode::BAD_REQUEST, "no_host"),
            OriginRefusal::Host(_) => (StatusCode::MISDIRECTED_REQUEST, "host_unknown"),
            OriginRefusal::CrossOrigin(_) => (StatusCode::FORBIDDEN, "cross_origin"),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl From<&SpecError> for ApiError {
    fn from(error: &SpecError) -> Self {
        let status = match error {
            SpecError::Runtime(_) => StatusCode::NOT_FOUND,
            SpecError::Name(_)
            | SpecError::Memory(_)
            | SpecError::ContainerMemory { .. }
            | SpecError::Member { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<DeployError> for ApiError {
    fn from(error: DeployError) -> Self {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        let (status, code) = match &error {
            DeployError::Exists(_) => (StatusCode::CONFLICT, "function_exists"),
            DeployError::Unknown(name) => return Self::function_unknown(name),
            DeployError::SpaceGone => (StatusCode::NOT_FOUND, "application_unknown"),
            DeployError::UnknownVersion { .. } => (StatusCode::NOT_FOUND, "version_unknown"),
            DeployError::AmbiguousVersion { .. } => (unprocessable, "version_ambiguous"),
            DeployError::Contended(_) => {
                return Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "function_contended",
                    error.to_string(),
                )
                .after(1);
            }
            DeployError::NotAsExpected(_) => {
                (StatusCode::PRECONDITION_FAILED, "precondition_failed")
            }
            DeployError::Quota(exceeded) => (StatusCode::FORBIDDEN, exceeded.code),
            DeployError::Spec(spec) => return Self::from(spec),
            DeployError::Code { code, message } => return Self::new(unprocessable, code, message),
            DeployError::Unsupported(why) => {
                return Self::new(unprocessable, "runtime_unsupported", why);
            }
            DeployError::Prepare(PrepareError::Invalid { code, message }) => {
                return Self::new(unprocessable, code, message);
            }
            DeployError::Prepare(PrepareError::TooComplex { .. }) => {
                (unprocessable, "module_too_complex")
            }
            DeployError::Prepare(PrepareError::Unavailable { code, .. }) => {
                return Self::dependency(code, error_chain(&error));
            }
            DeployError::Prepare(PrepareError::Internal { .. }) => {
                return ApiError::internal(&error_chain(&error));
            }
            DeployError::Registry { code, .. } => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error_chain(&error))
                    .after(1);
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        let (status, code) = match &error {
            AppError::Unknown(_) => (StatusCode::NOT_FOUND, "application_unknown"),
            AppError::NameTaken(_) => (StatusCode::CONFLICT, "application_exists"),
            AppError::NoFunction(_) => (unprocessable, "function_unknown"),
            AppError::NoEndpoint(..) => (StatusCode::NOT_FOUND, "endpoint_unknown"),
            AppError::Invalid { code, .. } => (unprocessable, *code),
            AppError::Quota { code, .. } => (StatusCode::FORBIDDEN, *code),
            AppError::Contended => (StatusCode::CONFLICT, "application_contended"),
            AppError::Registry { code, .. } => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error_chain(&error))
                    .after(1);
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<HostingError> for ApiError {
    fn from(error: HostingError) -> Self {
        let told = error.to_string();
        match error {
            HostingError::App(error) => Self::from(error),
            HostingError::Function { function, source } => {
                Self::from(source).within(&format!("function {function}"))
            }
            HostingError::Deploy(error) => Self::from(error),
            HostingError::Invocation(error) => Self::invocation(&error, Convention::Serverledge),
            HostingError::TestsBusy { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tests", told).after(1)
            }
            HostingError::TestTooLong { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "test_timeout", told)
            }
            HostingError::Internal { message } => ApiError::internal(&message),
        }
    }
}

impl From<EndpointBodyError> for ApiError {
    fn from(error: EndpointBodyError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.code(), error_chain(&error))
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match &error {
            SubmitError::Invocation(inner) => Self::invocation(inner, Convention::Serverledge),
            SubmitError::Full { .. } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "async_queue_full",
                error.to_string(),
            )
            .after(5),
            SubmitError::KeyReused { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                error.to_string(),
            ),
            SubmitError::Callback { .. } => Self::new(
                StatusCode::BAD_REQUEST,
                "callback_refused",
                error.to_string(),
            ),
        }
    }
}

impl From<OnceError> for ApiError {
    fn from(error: OnceError) -> Self {
        let told = error.to_string();
        match error {
            OnceError::Submit(error) => Self::from(error),
            OnceError::Invocation(error) => Self::invocation(&error, Convention::Serverledge),
            OnceError::Ended { code, message } => {
                let status = match code.as_str() {
                    "expired" | "offload_outcome_unknown" => StatusCode::GATEWAY_TIMEOUT,
                    "cancelled" => StatusCode::CONFLICT,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                Self::new(status, &code, message)
            }
            OnceError::NotFinished { retry_after, .. } => {
                Self::new(StatusCode::CONFLICT, "invocation_not_finished", told)
                    .after(retry_after.as_secs().max(1))
            }
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match &error {
            ChangeError::Unknown => Self::new(
                StatusCode::NOT_FOUND,
                "invocation_unknown",
                error.to_string(),
            ),
            ChangeError::NotDead => Self::new(
                StatusCode::NOT_FOUND,
                "dead_letter_unknown",
                error.to_string(),
            ),
            ChangeError::Ended { .. } => {
                Self::new(StatusCode::CONFLICT, "invocation_ended", error.to_string())
            }
            ChangeError::Invocation(inner) => Self::invocation(inner, Convention::Serverledge),
        }
    }
}

impl From<ProxyError> for ApiError {
    fn from(error: ProxyError) -> Self {
        let (status, code, retry_after) = match &error {
            ProxyError::Unknown(name) => return Self::function_unknown(name),
            ProxyError::Path => (StatusCode::BAD_REQUEST, "malformed_path", None),
            ProxyError::Registry(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "registry_unavailable",
                Some(1),
            ),
            ProxyError::NoNode => (StatusCode::SERVICE_UNAVAILABLE, "no_node", Some(1)),
            ProxyError::Lost { .. } => (StatusCode::BAD_GATEWAY, "node_answer_lost", None),
        };
        let refused = Self::new(status, code, error_chain(&error));
        match retry_after {
            Some(seconds) => refused.after(seconds),
            None => refused,
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let told = error.to_string();
        match &error {
            AccountError::Invalid { code, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, told)
            }
            AccountError::WrongCredentials => {
                Self::new(StatusCode::FORBIDDEN, "wrong_credentials", told)
            }
            AccountError::Taken => Self::new(StatusCode::CONFLICT, "email_taken", told),
            AccountError::SignUp(_) => Self::new(StatusCode::FORBIDDEN, "sign_up_refused", told),
            AccountError::Link => Self::new(StatusCode::GONE, "link_invalid", told),
            AccountError::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", told),
            AccountError::Unknown(_) => {
                Self::new(StatusCode::NOT_FOUND, "credential_unknown", told)
            }
            AccountError::TooMany { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", told)
                    .after(whole_seconds(*retry_after))
            }
            AccountError::Dependency { code, .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error_chain(&error)).after(1)
            }
            AccountError::Internal { message } => ApiError::internal(message),
        }
    }
}

impl From<PollError> for ApiError {
    fn from(error: PollError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "registry_unavailable",
            error_chain(&error),
        )
        .after(1)
    }
}

impl From<StateError> for ApiError {
    fn from(error: StateError) -> Self {
        let status = match &error {
            StateError::StoreName(_)
            | StateError::KeyEmpty
            | StateError::KeyTooLong(_)
            | StateError::KeyControl
            | StateError::Ttl
            | StateError::Cursor
            | StateError::NotANumber(_)
            | StateError::Overflow(_) => StatusCode::UNPROCESSABLE_ENTITY,
            StateError::ValueTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            StateError::FullOfBytes { .. }
            | StateError::FullOfKeys { .. }
            | StateError::FullOfStores => StatusCode::INSUFFICIENT_STORAGE,
            StateError::TooFast { .. } | StateError::TooManyBytes { .. } | StateError::TooMany => {
                return Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    error.code(),
                    error.to_string(),
                )
                .after(1);
            }
            // Room comes when somebody deletes something, not after a second.
            StateError::RegistryCrowded { .. } | StateError::RegistryFull => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            // The space was deleted meanwhile.
            StateError::Missing(_) => StatusCode::NOT_FOUND,
            StateError::Contended(_) | StateError::Unavailable(_) => {
                return Self::dependency(error.code(), error_chain(&error));
            }
            _ => return ApiError::internal(&error_chain(&error)),
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl ApiError {
    /// The error of a write to a store. A write that may have been made does not say when to come back: a client that
    /// did so blindly might add twice.
    pub(crate) fn kv_write(error: StateError) -> Self {
        if matches!(error, StateError::Unavailable(_)) {
            let detail = error_chain(&error);
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), detail);
        }
        Self::from(error)
    }
}

impl From<PeerRefused> for ApiError {
    fn from(refused: PeerRefused) -> Self {
        let (status, code) = match refused {
            PeerRefused::NoKey => (StatusCode::FORBIDDEN, "cluster_key_missing"),
            PeerRefused::Proof => (StatusCode::UNAUTHORIZED, "peer_proof_false"),
            PeerRefused::Clock { .. } => (StatusCode::UNAUTHORIZED, "peer_clock_differs"),
            PeerRefused::Replayed => (StatusCode::UNAUTHORIZED, "peer_proof_used"),
            PeerRefused::TooMany => (StatusCode::SERVICE_UNAVAILABLE, "too_many_requests_at_once"),
        };
        Self::new(status, code, refused.to_string())
    }
}
