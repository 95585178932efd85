//! Requests that are forwarded as they came: everything but calls with JSON parameters.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, FORWARDED, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use serverledge_api::{Destination, ProxyError, ProxyRequest, ProxyRequestBody};
use serverledge_client::{INVOKE_TIMEOUT, PeerError, ReplayableBody, Sender, is_forwardable};
use serverledge_core::{BodyError, HttpBody, InvocationError, IpNet, OverloadReason};
use serverledge_wire::header::IDEMPOTENCY_KEY;
use serverledge_wire::problem::Problem;

use super::LoadBalancer;
use super::route::InFlight;
use crate::cluster::Contact;
use crate::functions::FunctionEntry;
use crate::invoke::guarded_body::GuardedBody;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Longest problem that is read. A node's problem is far smaller; a longer body is cut, and is none.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// The body of a request, for one attempt after the other.
enum Sendable {
    Once(ReplayableBody),
    /// A whole body in memory. With an idempotency key, a lost request may be sent again.
    Whole {
        bytes: Bytes,
        keyed: bool,
    },
}

/// The result of one attempt.
enum Tried {
    Answered(Response<HttpBody>),
    /// The request may go to another node; with this node's response, if there was one.
    Elsewhere(Option<Response<HttpBody>>),
}

impl LoadBalancer {
    /// Forwards a request to a node, and to the next one where that certainly does nothing twice.
    pub(super) async fn pass_on(
        &self,
        passage: ProxyRequest,
    ) -> Result<Response<HttpBody>, ProxyError> {
        let ProxyRequest {
            mut head,
            body,
            to,
            client,
            address,
            application,
            cookies,
        } = passage;
        if !is_forwardable(&head.uri) {
            return Err(ProxyError::Path);
        }
        let entry = self.destination(to).await?;
        let keyed = head.headers.contains_key(IDEMPOTENCY_KEY);
        let body = match body {
            ProxyRequestBody::Stream(body) => Sendable::Once(ReplayableBody::new(body)),
            ProxyRequestBody::Whole(bytes) => Sendable::Whole { bytes, keyed },
        };
        let host = asked_for(&head.headers, &head.uri).unwrap_or_default();
        forwarded(&mut head.headers, &host, client, self.scheme, &self.trusted);
        let sender = Sender {
            host,
            application,
            address,
            cookies,
        };
        let mut tried = Vec::new();
        let mut refusal: Option<Response<HttpBody>> = None;
        loop {
            let Some((contact, in_flight)) = self.next_node(entry.as_deref(), &tried) else {
                break;
            };
            if !tried.is_empty() {
                self.metrics.retried();
            }
            tried.push(contact.id());
            let request = Request::from_parts(head.clone(), body.lend());
            match self.pass_to(&contact, request, &sender, &body).await? {
                Tried::Answered(response) => {
                    return Ok(response.map(|body| counted(body, in_flight)));
                }
                Tried::Elsewhere(said) => refusal = sooner(refusal, said),
            }
        }
        refusal.ok_or(ProxyError::NoNode)
    }

    async fn destination(&self, to: Destination) -> Result<Option<Arc<FunctionEntry>>, ProxyError> {
        let Destination::Function(space, name) = to else {
            return Ok(None);
        };
        match self.function(&space, &name).await {
            Ok(entry) => Ok(Some(entry)),
            Err(InvocationError::Unknown(name)) => Err(ProxyError::Unknown(name)),
            Err(error) => Err(ProxyError::Registry(error.into())),
        }
    }

    fn next_node(
        &self,
        entry: Option<&FunctionEntry>,
        tried: &[serverledge_scheduler::PeerId],
    ) -> Option<(Contact, Option<InFlight>)> {
        let peers = &self.cluster.peers;
        match entry {
            Some(entry) => {
                let in_flight = self.router.take(peers, &entry.function, tried)?;
                Some((peers.contact(in_flight.id)?, Some(in_flight)))
            }
            None => Some((peers.contact(self.router.next(peers, tried)?)?, None)),
        }
    }

    async fn pass_to(
        &self,
        contact: &Contact,
        request: Request<ReplayableBody>,
        sender: &Sender,
        body: &Sendable,
    ) -> Result<Tried, ProxyError> {
        let Some(client) = &self.cluster.client else {
            return Err(ProxyError::NoNode);
        };
        let name = contact.target.name();
        match client
            .forward(&contact.target, request, sender, INVOKE_TIMEOUT)
            .await
        {
            Ok(response) => {
                let tried = body.judge(response).await;
                self.metrics.passed(
                    name,
                    if matches!(tried, Tried::Answered(_)) {
                        "passed"
                    } else {
                        "not_taken"
                    },
                );
                Ok(tried)
            }
            Err(PeerError::NotSent { source }) if body.is_whole() => {
                tracing::debug!(node = name, error = source, "a node cannot be reached");
                self.cluster.peers.unreachable(contact.id());
                self.metrics.passed(name, "not_taken");
                Ok(Tried::Elsewhere(None))
            }
            Err(error) => {
                self.metrics.passed(name, "unknown");
                if matches!(body, Sendable::Whole { keyed: true, .. }) {
                    return Ok(Tried::Elsewhere(None));
                }
                Err(ProxyError::Lost {
                    node: name.to_owned(),
                    source: error.into(),
                })
            }
        }
    }
}

impl Sendable {
    fn lend(&self) -> ReplayableBody {
        match self {
            Self::Once(lent) => lent.clone(),
            Self::Whole { bytes, .. } => ReplayableBody::new(full(bytes.clone())),
        }
    }

    fn is_whole(&self) -> bool {
        match self {
            Self::Once(lent) => lent.is_whole(),
            Self::Whole { .. } => true,
        }
    }

    /// Decides whether a response says that nothing was accepted, so that another node may be asked.
    async fn judge(&self, response: Response<HttpBody>) -> Tried {
        let Self::Whole { keyed, .. } = self else {
            return Tried::Answered(response);
        };
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => Tried::Elsewhere(Some(response)),
            StatusCode::SERVICE_UNAVAILABLE if *keyed => Tried::Elsewhere(Some(response)),
            StatusCode::SERVICE_UNAVAILABLE => judge_problem(response).await,
            _ => Tried::Answered(response),
        }
    }
}

/// The body of a response, whose call counts as in progress until the body ends or is dropped.
fn counted(body: HttpBody, in_flight: Option<InFlight>) -> HttpBody {
    match in_flight {
        Some(in_flight) => Box::pin(GuardedBody::new(body, in_flight)),
        None => body,
    }
}

fn full(bytes: Bytes) -> HttpBody {
    Box::pin(Full::new(bytes).map_err(|never| -> BodyError { match never {} }))
}

/// Decides on a problem. A node that cannot reach the registry cannot tell whether the invocation exists; one that
/// stops, or is full, has not asked it.
async fn judge_problem(response: Response<HttpBody>) -> Tried {
    let (mut head, mut body) = response.into_parts();
    // What is read is what is sent.
    head.headers.remove(CONTENT_LENGTH);
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if text.len() > PROBLEM_BYTES_MAX {
            break;
        }
    }
    let bytes = Bytes::from(text);
    let code = serde_json::from_slice::<Problem>(&bytes)
        .map(|problem| problem.code)
        .unwrap_or_default();
    let response = Response::from_parts(head, full(bytes));
    if code == OverloadReason::Draining.code() || code == "too_many_requests_at_once" {
        Tried::Elsewhere(Some(response))
    } else {
        Tried::Answered(response)
    }
}

/// The one of two refusals that lets the caller come back sooner.
fn sooner(
    one: Option<Response<HttpBody>>,
    other: Option<Response<HttpBody>>,
) -> Option<Response<HttpBody>> {
    let seconds = |response: &Response<HttpBody>| -> u64 {
        let value = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        value.unwrap_or(u64::MAX)
    };
    match (one, other) {
        (Some(one), Some(other)) => Some(if seconds(&other) < seconds(&one) {
            other
        } else {
            one
        }),
        (one, other) => one.or(other),
    }
}

/// Sets the forwarded headers, which tell the node the client and the host. Such headers of the client itself are
/// believed only from a trusted proxy.
fn forwarded(
    headers: &mut HeaderMap,
    host: &str,
    client: Option<SocketAddr>,
    scheme: &'static str,
    trusted: &[IpNet],
) {
    let ip: Option<IpAddr> = client.map(|client| client.ip().to_canonical());
    let believed = ip.is_some_and(|ip| trusted.iter().any(|net| net.contains(ip)));
    if !believed {
        for name in [
            FORWARDED_FOR,
            FORWARDED_HOST,
            FORWARDED_PROTO,
            FORWARDED_PREFIX,
            FORWARDED,
        ] {
            headers.remove(name);
        }
    }
    if let Some(ip) = ip {
        let before = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let way = before
            .map(str::to_owned)
            .chain([ip.to_string()])
            .collect::<Vec<_>>()
            .join(", ");
        set(headers, FORWARDED_FOR, &way);
    }
    if !host.is_empty() && !headers.contains_key(FORWARDED_HOST) {
        set(headers, FORWARDED_HOST, host);
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
}

/// The host that a request names.
fn asked_for(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let named = uri.authority().map(|authority| authority.as_str());
    named
        .or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()))
        .map(str::to_owned)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(list: &[(&'static str, &str)], trusted: &[&str]) -> [String; 3] {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let client = Some("192.0.2.7:4711".parse().unwrap());
        let host = asked_for(&headers, &Uri::from_static("/fn/f")).unwrap();
        forwarded(&mut headers, &host, client, "http", &trusted);
        assert!(
            trusted.is_empty() != headers.contains_key(FORWARDED),
            "{headers:?}"
        );
        assert!(
            trusted.is_empty() != headers.contains_key(FORWARDED_PREFIX),
            "{headers:?}"
        );
        [FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO]
            .map(|name| headers[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let claims = [
            ("host", "edge.example"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=198.51.100.1"),
            ("x-forwarded-prefix", "/faas"),
        ];
        assert_eq!(told(&claims, &[]), ["192.0.2.7", "edge.example", "http"]);
        assert_eq!(
            told(&claims, &["192.0.2.0/24"]),
            ["198.51.100.1, 192.0.2.7", "shop.example", "https"]
        );
    }

    fn answer(
        status: u16,
        retry_after: Option<&'static str>,
        body: &'static str,
    ) -> Response<HttpBody> {
        let mut response = Response::new(full(Bytes::from(body)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }

    #[tokio::test]
    async fn what_may_be_accepted_already_goes_nowhere_else() {
        let once = Sendable::Once(ReplayableBody::new(full(Bytes::new())));
        let whole = |keyed| Sendable::Whole {
            bytes: Bytes::new(),
            keyed,
        };
        for (body, status, problem, elsewhere) in [
            (&once, 429, "", false),
            (&once, 503, r#"{"code":"draining"}"#, false),
            (&whole(false), 200, "", false),
            (&whole(false), 429, "", true),
            (&whole(false), 503, r#"{"code":"draining"}"#, true),
            (
                &whole(false),
                503,
                r#"{"code":"registry_unavailable"}"#,
                false,
            ),
            (&whole(false), 500, "", false),
            (
                &whole(true),
                503,
                r#"{"code":"registry_unavailable"}"#,
                true,
            ),
            (&whole(true), 409, "", false),
        ] {
            let tried = body.judge(answer(status, None, problem)).await;
            let (went, response) = match tried {
                Tried::Answered(response) => (false, Some(response)),
                Tried::Elsewhere(response) => (true, response),
            };
            assert_eq!(went, elsewhere, "{status} {problem}");
            let kept = response
                .unwrap()
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes();
            assert_eq!(kept, problem, "what a node said is not lost");
        }
    }

    #[test]
    fn of_refusals_the_one_that_ends_first_is_passed_on() {
        let best = [Some("7"), None, Some("3"), Some("5")]
            .into_iter()
            .fold(None, |best, seconds| {
                sooner(best, Some(answer(429, seconds, "")))
            });
        assert_eq!(best.unwrap().headers()[RETRY_AFTER], "3");
    }
}
