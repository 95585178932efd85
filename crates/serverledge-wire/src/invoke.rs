//! Requests and replies of `/invoke`, `/poll` and `/prewarm`, in Serverledge's words.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::members::{BodyError, Members};

/// The body of `POST /invoke/{function}` as the node reads it: parameters stay unparsed.
#[derive(Debug, Default)]
pub struct InvocationRequest<'a> {
    /// Any JSON; absent means `null`, for which functions get `{}`.
    pub params: Option<&'a RawValue>,
    /// Serverledge's class id: 0 low, 1 performance, 2 availability.
    pub qos_class: i64,
    /// Longest acceptable response time in seconds; zero or less means none.
    pub qos_max_resp_t: f64,
    /// Whether another node may run it; absent means yes, as Serverledge documents.
    pub can_do_offloading: bool,
    /// Answer at once with a request id.
    pub asynchronous: bool,
    /// Put the function's log into `Output`.
    pub return_output: bool,
    /// The URL that is told when an asynchronous invocation has ended.
    pub callback: Option<String>,
}

/// The members of an invocation's body, the usual ones first.
const INVOCATION_MEMBERS: [&str; 7] = [
    "Params",
    "CanDoOffloading",
    "QoSClass",
    "QoSMaxRespT",
    "Async",
    "ReturnOutput",
    "Callback",
];

impl<'a> InvocationRequest<'a> {
    /// Reads a body; an empty one asks for nothing in particular.
    ///
    /// # Errors
    /// [`BodyError`] names what is malformed.
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        let members = Members::parse(body)?;
        if let Some(params) = members.single("Params") {
            return Ok(Self {
                params: Some(params),
                can_do_offloading: true,
                ..Self::default()
            });
        }
        members.only(&INVOCATION_MEMBERS, "parameters are members of Params; ")?;
        Ok(Self {
            params: members.raw("Params"),
            qos_class: members.get("QoSClass")?.unwrap_or(0),
            qos_max_resp_t: members.get("QoSMaxRespT")?.unwrap_or(0.0),
            can_do_offloading: members.get("CanDoOffloading")?.unwrap_or(true),
            asynchronous: members.get("Async")?.unwrap_or(false),
            return_output: members.get("ReturnOutput")?.unwrap_or(false),
            callback: members
                .get::<String>("Callback")?
                .filter(|url| !url.is_empty()),
        })
    }
}

/// The same body as a client writes it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(title = "InvocationRequest")]
pub struct InvocationBody {
    /// Parameters: any JSON, usually an object.
    #[schema(value_type = Object)]
    pub params: Box<RawValue>,
    /// QoS class id: 0 low, 1 performance, 2 availability.
    #[serde(rename = "QoSClass")]
    pub qos_class: i64,
    /// Longest acceptable response time in seconds; zero or less means none.
    #[serde(rename = "QoSMaxRespT")]
    pub qos_max_resp_t: f64,
    /// Whether another node may run it.
    pub can_do_offloading: bool,
    /// Answer at once with a request id.
    pub r#async: bool,
    /// Put the function's log into `Output`.
    pub return_output: bool,
    /// URL that is told when the invocation has ended; asynchronous ones only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
}

/// The reply to a synchronous invocation, and what `/poll` answers when an asynchronous one has ended. Times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct InvocationResponse<'a> {
    /// Whether the function gave a result.
    pub success: bool,
    /// The result: JSON as text, inside a JSON string.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub result: Cow<'a, str>,
    /// From arrival to completion.
    pub response_time: f64,
    /// Whether the sandbox's code was already loaded.
    pub is_warm_start: bool,
    /// From arrival to the start of execution, waiting included.
    pub init_time: f64,
    /// Time in the queue.
    pub queueing_time: f64,
    /// Extra time spent on another node; zero when it ran here.
    pub offload_latency: f64,
    /// Execution.
    pub duration: f64,
    /// The function's log, if it was asked for.
    #[schema(value_type = String)]
    pub output: Cow<'a, str>,
    /// Area of the node that ran it.
    #[schema(value_type = String)]
    pub execution_area: Cow<'a, str>,
    /// Name of the node that ran it.
    #[schema(value_type = String)]
    pub execution_node: Cow<'a, str>,
    /// The reason why there is no result; in the responses of `/poll` only, and not in Serverledge.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub error: Cow<'a, str>,
    /// The stable code of that.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub error_code: Cow<'a, str>,
}

/// The reply to an accepted asynchronous invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Accepted {
    /// The id to ask `/poll/{id}` for.
    pub req_id: String,
}

/// The body of `POST /prewarm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PrewarmRequest {
    /// The function to make ready.
    pub function: String,
    /// Number of sandboxes.
    pub instances: i64,
    /// Pull the image again first (containers only).
    pub force_image_pull: bool,
}

impl PrewarmRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BodyError`] names what is malformed.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let members = Members::parse(body)?;
        members.only(&["Function", "Instances", "ForceImagePull"], "")?;
        Ok(Self {
            function: members.get("Function")?.unwrap_or_default(),
            instances: members.get("Instances")?.unwrap_or(1),
            force_image_pull: members.get("ForceImagePull")?.unwrap_or(false),
        })
    }
}

/// The reply to a prewarming.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Prewarmed {
    /// Number of sandboxes that can start at once without loading anything; may be fewer than requested.
    pub prewarmed: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offloading_is_allowed_unless_refused() {
        assert!(InvocationRequest::parse(b"").unwrap().can_do_offloading);
        assert!(
            !InvocationRequest::parse(br#"{"canDoOffloading":false}"#)
                .unwrap()
                .can_do_offloading
        );
    }

    #[test]
    fn the_usual_body_is_read_as_any_other() {
        let shown =
            |body: &str| format!("{:?}", InvocationRequest::parse(body.as_bytes()).unwrap());
        for params in ["{\"a\":1}", "[1, 2]", "0", "\"\"", "null"] {
            let usual = shown(&format!("{{\"Params\":{params}}}"));
            assert_eq!(usual, shown(&format!("{{ \"params\" : {params} }}")));
            assert_eq!(
                usual,
                shown(&format!("{{\"Params\":{params},\"Async\":null}}"))
            );
        }
    }

    #[test]
    fn a_parameter_beside_params_is_not_dropped() {
        let told = InvocationRequest::parse(br#"{"n":5}"#)
            .unwrap_err()
            .to_string();
        assert!(
            told.contains("\"n\"; parameters are members of Params; known are Params, "),
            "{told}"
        );
        assert!(PrewarmRequest::parse(br#"{"Function":"f","Count":2}"#).is_err());
    }

    #[test]
    fn replies_have_serverledges_members() {
        let reply = InvocationResponse {
            success: true,
            result: "{\"a\":1}".into(),
            response_time: 0.5,
            is_warm_start: true,
            init_time: 0.0,
            queueing_time: 0.0,
            offload_latency: 0.0,
            duration: 0.25,
            output: "".into(),
            execution_area: "ROME".into(),
            execution_node: "n1".into(),
            error: "".into(),
            error_code: "".into(),
        };
        expect_test::expect![[r#"{"Success":true,"Result":"{\"a\":1}","ResponseTime":0.5,"IsWarmStart":true,"InitTime":0.0,"QueueingTime":0.0,"OffloadLatency":0.0,"Duration":0.25,"Output":"","ExecutionArea":"ROME","ExecutionNode":"n1"}"#]]
        .assert_eq(&serde_json::to_string(&reply).unwrap());
    }

    #[test]
    fn what_a_client_writes_the_node_reads() {
        let body = InvocationBody {
            params: RawValue::from_string("{\"a\":[1]}".to_owned()).unwrap(),
            qos_class: 2,
            qos_max_resp_t: 1.5,
            can_do_offloading: false,
            r#async: true,
            return_output: true,
            callback: None,
        };
        let text = serde_json::to_vec(&body).unwrap();
        let read = InvocationRequest::parse(&text).unwrap();
        assert_eq!(read.params.unwrap().get(), "{\"a\":[1]}");
        assert_eq!((read.qos_class, read.qos_max_resp_t), (2, 1.5));
        assert!(read.asynchronous && read.return_output && !read.can_do_offloading);
        assert!(
            !String::from_utf8(text).unwrap().contains("Callback"),
            "no callback, no member"
        );
    }
}
