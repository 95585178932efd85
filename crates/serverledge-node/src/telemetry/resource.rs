//! The node as the resource of telemetry, and the form of attributes.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serverledge_api::Identity;

/// The schema of the names of attributes.
pub(super) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
const SERVICE: &str = "serverledge";

/// The node, as every request to the collector names it.
#[derive(Debug, Clone)]
pub(super) struct ResourceOfNode(Resource);

impl ResourceOfNode {
    pub(super) fn new(identity: &Identity) -> Self {
        let instance = format!("{}/{}", identity.area, identity.node);
        Self(Resource {
            attributes: vec![
                text("service.name", SERVICE),
                text("service.instance.id", &*instance),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("faas.instance", instance),
            ],
            ..Resource::default()
        })
    }

    pub(super) fn get(&self) -> Option<Resource> {
        Some(self.0.clone())
    }
}

/// The scope of everything that the node tells.
pub(super) fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: SERVICE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    })
}

pub(super) fn string(value: impl Into<String>) -> Option<AnyValue> {
    Some(AnyValue {
        value: Some(Value::StringValue(value.into())),
    })
}

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(super) fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

pub(super) fn number(key: &str, value: u64) -> KeyValue {
    attribute(
        key,
        Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)),
    )
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
