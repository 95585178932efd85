//! The one table from errors to HTTP. Every error is problem JSON (RFC 9457) with a stable code; status codes on the
//! Serverledge-compatible routes are Serverledge's, whose clients read nothing else of an error.

use std::time::Duration;

use axum::body::Body;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serverledge_core::{
    AccountError, FailureKind, FunctionFailure, InvocationError, OverloadReason, PrepareError,
};
use serverledge_wire::function::SpecError;
use serverledge_wire::members::BodyError;
use serverledge_wire::problem::{PROBLEM_JSON, Problem};
use serverledge_wire::thesis::ThesisError;

use crate::applications::AppError;
use crate::backend::{DeployError, PollError, QuotaExceeded, SubmitError};
use crate::balancer::PassError;
use crate::body::ReadError;
use crate::guard::Refused;
use crate::hosting::HostingError;
use crate::stored::{ChangeError, OnceError};

/// An error on its way out.
#[derive(Debug)]
pub(crate) struct Failed {
    status: StatusCode,
    /// Boxed: every handler's result carries room for this type.
    problem: Box<Problem>,
    retry_after: Option<u64>,
    allow: Option<&'static str>,
    /// Whether a credential would help.
    challenge: bool,
    /// A cookie that makes the browser forget its session.
    forget: Option<&'static str>,
    /// What went wrong inside; for the log only.
    cause: Option<String>,
}

/// Which of the two conventions for a function's own failures a route follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Convention {
    /// `/invoke`: 500, as Serverledge.
    Serverledge,
    /// `/fn`: the node is a gateway to the function, so 502 and 504.
    Gateway,
}

impl Failed {
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let problem = Problem {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            ..Problem::default()
        };
        let problem = Box::new(problem);
        Self {
            status,
            problem,
            retry_after: None,
            allow: None,
            challenge: false,
            forget: None,
            cause: None,
        }
    }

    /// Which fault it is.
    pub(crate) fn code(&self) -> &str {
        &self.problem.code
    }

    /// Our fault; what was attempted is for the log.
    pub(crate) fn internal(message: &str) -> Self {
        internal(message)
    }

    /// The same, saying which kind of credential is wanted (RFC 9110 §11.6.1).
    pub(crate) fn challenging(self) -> Self {
        Self {
            challenge: true,
            ..self
        }
    }

    /// The same, with this cookie.
    pub(crate) fn forgetting(self, cookie: &'static str) -> Self {
        Self {
            forget: Some(cookie),
            ..self
        }
    }

    /// The same, saying in how many seconds another try makes sense.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "route_unknown",
            "there is no such route; /docs lists them",
        )
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        let detail = format!("this route answers {allow} only");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        }
    }

    pub(crate) fn busy() -> Self {
        let detail = "the node serves as many requests as it may at once";
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_requests_at_once",
                detail,
            )
        }
    }

    pub(crate) fn function_unknown(name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "function_unknown",
            format!("function {name:?} is unknown; deploy it first"),
        )
    }

    pub(crate) fn invocation(error: &InvocationError, convention: Convention) -> Self {
        match error {
            InvocationError::Unknown(name) => Self::function_unknown(name),
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
                Self {
                    retry_after: retry.then_some(seconds),
                    ..Self::new(status, reason.code(), error.to_string())
                }
            }
            InvocationError::Quota {
                code, retry_after, ..
            } => Self {
                retry_after: Some(whole_seconds(*retry_after)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, error.to_string())
            },
            InvocationError::Dependency { code, .. } => Self {
                retry_after: Some(1),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, chain(error))
            },
            InvocationError::OutcomeUnknown { .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "offload_outcome_unknown",
                error.to_string(),
            ),
            InvocationError::Internal { message } => internal(message),
        }
    }

    fn function(failure: &FunctionFailure, convention: Convention) -> Self {
        let status = match (convention, failure.kind) {
            (Convention::Serverledge, _) => StatusCode::INTERNAL_SERVER_ERROR,
            (Convention::Gateway, FailureKind::TimeLimit | FailureKind::CpuLimit) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            (Convention::Gateway, _) => StatusCode::BAD_GATEWAY,
        };
        let mut failed = Self::new(status, failure.kind.code(), &failure.message);
        failed.problem.output = String::from_utf8_lossy(&failure.log).into_owned();
        failed.problem.stack = failure.stack.clone().unwrap_or_default();
        failed
    }

    /// As a problem, and in how many seconds another try makes sense. `request_id` goes into it, so that a copied error can
    /// be found in the log.
    pub(crate) fn into_problem(mut self, request_id: &str) -> (Problem, Option<u64>) {
        self.complete(request_id);
        (*self.problem, self.retry_after)
    }

    fn complete(&mut self, request_id: &str) {
        request_id.clone_into(&mut self.problem.request_id);
        if let Some(cause) = &self.cause {
            tracing::error!(request_id, cause, "internal error");
        }
    }

    /// As a response.
    pub(crate) fn into_response(mut self, request_id: &str) -> Response<Body> {
        self.complete(request_id);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cookie) = self.forget {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        response
    }
}

/// Rounded up: whoever comes back must not come too early.
fn whole_seconds(retry_after: Duration) -> u64 {
    u64::try_from(retry_after.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX)
}

fn internal(message: &str) -> Failed {
    let detail = "the node failed, not the function; its log has the cause under this request id";
    Failed {
        cause: Some(message.to_owned()),
        ..Failed::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

/// An error and its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        let (status, code) = match error {
            ReadError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            ReadError::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            ReadError::Broken(_) => (StatusCode::BAD_REQUEST, "body_broken"),
        };
        Self::new(status, code, chain(&error))
    }
}

impl From<BodyError> for Failed {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::Syntax(_) => "malformed_json",
            BodyError::Member { .. } => "malformed_member",
        };
        Self::new(StatusCode::BAD_REQUEST, code, chain(&error))
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        let (status, code) = match refused {
            Refused::NoHost => (StatusCode::BAD_REQUEST, "no_host"),
            Refused::Host(_) => (StatusCode::MISDIRECTED_REQUEST, "host_unknown"),
            Refused::CrossOrigin(_) => (StatusCode::FORBIDDEN, "cross_origin"),
        };
        Self::new(status, code, refused.to_string())
    }
}

impl From<&SpecError> for Failed {
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

impl From<DeployError> for Failed {
    fn from(error: DeployError) -> Self {
        match &error {
            DeployError::Exists(_) => {
                Self::new(StatusCode::CONFLICT, "function_exists", error.to_string())
            }
            DeployError::Unknown(name) => Self::function_unknown(name),
            DeployError::SpaceGone => Self::new(
                StatusCode::NOT_FOUND,
                "application_unknown",
                error.to_string(),
            ),
            DeployError::UnknownVersion { .. } => {
                Self::new(StatusCode::NOT_FOUND, "version_unknown", error.to_string())
            }
            DeployError::AmbiguousVersion { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "version_ambiguous",
                error.to_string(),
            ),
            DeployError::Contended(_) => Self {
                retry_after: Some(1),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "function_contended",
                    error.to_string(),
                )
            },
            DeployError::Quota(exceeded) => Self::from(exceeded),
            DeployError::Spec(spec) => Self::from(spec),
            DeployError::Code { code, message } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
            }
            DeployError::Unsupported(why) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "runtime_unsupported", why)
            }
            DeployError::Prepare(PrepareError::Invalid { code, message }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
            }
            DeployError::Prepare(PrepareError::TooComplex { .. }) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "module_too_complex",
                error.to_string(),
            ),
            DeployError::Prepare(PrepareError::Unavailable { code, .. }) => Self {
                retry_after: Some(1),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, chain(&error))
            },
            DeployError::Prepare(PrepareError::Internal { .. }) => internal(&chain(&error)),
            DeployError::Registry { code, .. } => Self {
                retry_after: Some(1),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, chain(&error))
            },
        }
    }
}

impl From<AppError> for Failed {
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
                let failed = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, chain(&error));
                return Self {
                    retry_after: Some(1),
                    ..failed
                };
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<&QuotaExceeded> for Failed {
    fn from(exceeded: &QuotaExceeded) -> Self {
        Self::new(StatusCode::FORBIDDEN, exceeded.code, exceeded.to_string())
    }
}

impl From<HostingError> for Failed {
    fn from(error: HostingError) -> Self {
        let told = error.to_string();
        match error {
            HostingError::App(error) => Self::from(error),
            HostingError::Function { function, source } => {
                let mut failed = Self::from(source);
                failed.problem.detail = format!("function {function}: {}", failed.problem.detail);
                failed
            }
            HostingError::Deploy(error) => Self::from(error),
            HostingError::Invocation(error) => Self::invocation(&error, Convention::Serverledge),
            HostingError::TestsBusy { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tests", told).after(1)
            }
            HostingError::TestTooLong { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "test_timeout", told)
            }
            HostingError::Internal { message } => internal(&message),
        }
    }
}

impl From<ThesisError> for Failed {
    fn from(error: ThesisError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.code(), chain(&error))
    }
}

impl From<SubmitError> for Failed {
    fn from(error: SubmitError) -> Self {
        match &error {
            SubmitError::Invocation(inner) => Self::invocation(inner, Convention::Serverledge),
            SubmitError::Full { .. } => Self {
                retry_after: Some(5),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "async_queue_full",
                    error.to_string(),
                )
            },
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

impl From<OnceError> for Failed {
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
            OnceError::NotFinished { retry_after, .. } => Self {
                retry_after: Some(retry_after.as_secs().max(1)),
                ..Self::new(StatusCode::CONFLICT, "invocation_not_finished", told)
            },
        }
    }
}

impl From<ChangeError> for Failed {
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

impl From<PassError> for Failed {
    fn from(error: PassError) -> Self {
        let (status, code, retry_after) = match &error {
            PassError::Unknown(name) => return Self::function_unknown(name),
            PassError::Path => (StatusCode::BAD_REQUEST, "malformed_path", None),
            PassError::Registry(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "registry_unavailable",
                Some(1),
            ),
            PassError::NoNode => (StatusCode::SERVICE_UNAVAILABLE, "no_node", Some(1)),
            PassError::Lost { .. } => (StatusCode::BAD_GATEWAY, "node_answer_lost", None),
        };
        Self {
            retry_after,
            ..Self::new(status, code, chain(&error))
        }
    }
}

impl From<AccountError> for Failed {
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
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code, chain(&error)).after(1)
            }
            AccountError::Internal { message } => internal(message),
        }
    }
}

impl From<PollError> for Failed {
    fn from(error: PollError) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "registry_unavailable",
                chain(&error),
            )
        }
    }
}
