//! `PATCH /functions/{name}`: what it names changes, and nothing else (a JSON merge patch, RFC 7396, in Serverledge's words).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serverledge_core::{Function, Runtime, Stdout, Version};
use utoipa::ToSchema;

use crate::function::{
    FUNCTION_MEMBERS, FunctionBody, FunctionInfo, ParameterBody, SecretValues, SignatureBody,
};
use crate::members::{BodyError, Members, Update};
use crate::versions::FootprintInfo;

/// Variables by name: a value sets one, `null` takes it away, the others stay.
pub type VariablesPatch = BTreeMap<String, Option<String>>;

/// Changes of secrets: the `Debug` form names them only.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct SecretsPatch(pub VariablesPatch);

impl fmt::Debug for SecretsPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Changes of a signature: each list is replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct SignaturePatch {
    /// The inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<ParameterBody>>,
    /// The outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<ParameterBody>>,
}

/// The body of `PATCH /functions/{name}`: an absent member stays, `null` is the member's default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionPatch<'a> {
    /// The function's own name, or absent: a function is not renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub name: Option<Cow<'a, str>>,
    /// As for `/create`; `null` has it found out from the code, which must then be named as well.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub runtime: Update<Cow<'a, str>>,
    /// Memory in MiB.
    #[serde(rename = "MemoryMB", skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<i64>)]
    pub memory_mb: Update<i64>,
    /// Reserved cores.
    #[serde(rename = "CPUDemand", skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<f64>)]
    pub cpu_demand: Update<f64>,
    /// Concurrent calls in one sandbox.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<i64>)]
    pub max_concurrency: Update<i64>,
    /// Entry point inside the code.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub handler: Update<Cow<'a, str>>,
    /// New code, as for `/create`; `null` is refused.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub tar_function_code: Update<Cow<'a, str>>,
    /// Image of a `custom` function.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub custom_image: Update<Cow<'a, str>>,
    /// Declared inputs and outputs; each list that is named is replaced.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<SignaturePatch>)]
    pub signature: Update<SignaturePatch>,
    /// Wall-clock limit of one invocation in seconds.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<f64>)]
    pub timeout: Update<f64>,
    /// Processor time limit of one invocation in seconds.
    #[serde(rename = "CPUTime", skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<f64>)]
    pub cpu_time: Update<f64>,
    /// Variables by name: a value sets one, `null` takes it away, the others stay; `null` for `Env` takes all away.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    pub env: Update<VariablesPatch>,
    /// Secrets, likewise.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    pub secrets: Update<SecretsPatch>,
    /// The hosts that secrets are for; all are replaced. A secret that is taken away takes its hosts along.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<BTreeMap<String, Vec<String>>>)]
    pub secret_hosts: Update<BTreeMap<String, Vec<String>>>,
    /// `none` or `bridge`.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub network: Update<Cow<'a, str>>,
    /// Hosts that the function may send requests to; all are replaced.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<Vec<String>>)]
    pub allow_hosts: Update<Vec<String>>,
    /// Equal parameters give an equal result.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<bool>)]
    pub idempotent: Update<bool>,
    /// Results of runs that sent requests to hosts outside are kept as well. Taken away with `Idempotent`.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<bool>)]
    pub idempotent_outbound: Update<bool>,
    /// Callers may download the code and run it themselves.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<bool>)]
    pub edge: Update<bool>,
    /// Lifetime of its instances: `kept` or `fresh`.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub isolation: Update<Cow<'a, str>>,
    /// Architectures on which it runs.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<Vec<String>>)]
    pub supported_archs: Update<Vec<String>>,
    /// Arguments of a program; all are replaced.
    #[serde(rename = "Arguments", skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<Vec<String>>)]
    pub args: Update<Vec<String>>,
    /// Standard input of a program: `params`, `body` or `none`.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub stdin: Update<Cow<'a, str>>,
    /// Standard output of a program: `json` or `raw`.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub stdout: Update<Cow<'a, str>>,
    /// Content type of raw output, which it implies.
    #[serde(skip_serializing_if = "Update::is_kept")]
    #[schema(value_type = Option<String>)]
    pub stdout_type: Update<Cow<'a, str>>,
}

impl<'a> FunctionPatch<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BodyError`] names what is malformed or unknown; it shows no secret's value.
    pub fn parse(body: &'a [u8]) -> Result<Self, BodyError> {
        let members = Members::parse(body)?;
        // What is misspelt would silently stay as it is.
        members.only(&FUNCTION_MEMBERS, "")?;
        Ok(Self {
            name: members.get("Name")?,
            runtime: members.update("Runtime")?,
            memory_mb: members.update("MemoryMB")?,
            cpu_demand: members.update("CPUDemand")?,
            max_concurrency: members.update("MaxConcurrency")?,
            handler: members.update("Handler")?,
            tar_function_code: members.update("TarFunctionCode")?,
            custom_image: members.update("CustomImage")?,
            signature: members.update("Signature")?,
            timeout: members.update("Timeout")?,
            cpu_time: members.update("CPUTime")?,
            env: members.update("Env")?,
            secrets: secrets(&members)?,
            secret_hosts: members.update("SecretHosts")?,
            network: members.update("Network")?,
            allow_hosts: members.update("AllowHosts")?,
            idempotent: members.update("Idempotent")?,
            idempotent_outbound: members.update("IdempotentOutbound")?,
            edge: members.update("Edge")?,
            isolation: members.update("Isolation")?,
            supported_archs: members.update("SupportedArchs")?,
            args: members.update("Arguments")?,
            stdin: members.update("Stdin")?,
            stdout: members.update("Stdout")?,
            stdout_type: members.update("StdoutType")?,
        })
    }

    /// The whole function as it shall be, without its code: what is named, over what there is. An image goes with the
    /// runtime `custom`, which alone has one.
    #[must_use]
    pub fn over(&self, present: &Function) -> FunctionBody<'_> {
        let body = FunctionBody::from(present);
        let runtime = self.runtime.clone().over(body.runtime).unwrap_or_default();
        let is_custom = runtime.parse() == Ok(Runtime::Custom);
        let image = self
            .custom_image
            .clone()
            .over(body.custom_image)
            .unwrap_or_default();
        let image = if is_custom || !self.custom_image.is_kept() {
            image
        } else {
            Cow::Borrowed("")
        };
        let (stdout, stdout_type) = self.stdout_over(body.stdout, body.stdout_type);
        let secrets = merged(
            self.secrets.value().map(|secrets| &secrets.0),
            !self.secrets.is_kept(),
            body.secrets.0,
        );
        let secret_hosts = self.secret_hosts_over(body.secret_hosts, &secrets);
        let idempotent = self.idempotent.over(body.idempotent).unwrap_or_default();
        // Without a word of its own, it goes with the other.
        let outbound = body.idempotent_outbound && idempotent;
        FunctionBody {
            name: body.name,
            runtime,
            memory_mb: self.memory_mb.over(body.memory_mb.unwrap_or_default()),
            cpu_demand: self.cpu_demand.over(body.cpu_demand).unwrap_or_default(),
            max_concurrency: self
                .max_concurrency
                .over(body.max_concurrency)
                .unwrap_or_default(),
            handler: self.handler.clone().over(body.handler).unwrap_or_default(),
            tar_function_code: Cow::Borrowed(
                self.tar_function_code.value().map_or("", |code| code),
            ),
            custom_image: image,
            signature: self.signature_over(body.signature),
            timeout: self.timeout.over(body.timeout.unwrap_or_default()),
            cpu_time: if self.cpu_time.is_kept() {
                body.cpu_time
            } else {
                self.cpu_time.value().copied()
            },
            env: merged(self.env.value(), !self.env.is_kept(), body.env),
            secrets: SecretValues(secrets),
            secret_hosts,
            network: self.network.clone().over(body.network).unwrap_or_default(),
            allow_hosts: self
                .allow_hosts
                .clone()
                .over(body.allow_hosts)
                .unwrap_or_default(),
            idempotent,
            idempotent_outbound: self.idempotent_outbound.over(outbound).unwrap_or_default(),
            edge: self.edge.over(body.edge).unwrap_or_default(),
            isolation: self
                .isolation
                .clone()
                .over(body.isolation)
                .unwrap_or_default(),
            supported_archs: self
                .supported_archs
                .clone()
                .over(body.supported_archs)
                .unwrap_or_default(),
            args: self.args.clone().over(body.args).unwrap_or_default(),
            stdin: self.stdin.clone().over(body.stdin).unwrap_or_default(),
            stdout,
            stdout_type,
        }
    }

    /// The hosts that secrets are for: those that are named, or those that there were of the secrets that there still are.
    fn secret_hosts_over(
        &self,
        mut present: BTreeMap<String, Vec<String>>,
        secrets: &BTreeMap<String, String>,
    ) -> BTreeMap<String, Vec<String>> {
        if self.secret_hosts.is_kept() {
            present.retain(|name, _| secrets.contains_key(name));
            return present;
        }
        self.secret_hosts.value().cloned().unwrap_or_default()
    }

    /// Standard output and its content type. A content type that is named means raw output, and goes with it.
    fn stdout_over<'b>(
        &'b self,
        stdout: Cow<'b, str>,
        content_type: Cow<'b, str>,
    ) -> (Cow<'b, str>, Cow<'b, str>) {
        let has_type = self
            .stdout_type
            .value()
            .is_some_and(|named| !named.is_empty());
        let stdout = if self.stdout.is_kept() && has_type {
            Cow::Borrowed(Stdout::RAW)
        } else {
            self.stdout.clone().over(stdout).unwrap_or_default()
        };
        let content_type = if self.stdout_type.is_kept() && stdout != Stdout::RAW {
            Cow::Borrowed("")
        } else {
            self.stdout_type
                .clone()
                .over(content_type)
                .unwrap_or_default()
        };
        (stdout, content_type)
    }

    fn signature_over(&self, present: Option<SignatureBody>) -> Option<SignatureBody> {
        let named = match &self.signature {
            Update::Keep => return present,
            Update::Reset => return None,
            Update::Set(named) => named,
        };
        let present = present.unwrap_or_default();
        Some(SignatureBody {
            inputs: named.inputs.clone().unwrap_or(present.inputs),
            outputs: named.outputs.clone().unwrap_or(present.outputs),
        })
    }
}

/// Without any of the values in the error, which is shown and logged.
fn secrets(members: &Members<'_>) -> Result<Update<SecretsPatch>, BodyError> {
    let fault = || serde::de::Error::custom("expected an object of strings and nulls");
    let named = members.update("Secrets").map_err(|_| BodyError::Member {
        member: "Secrets",
        fault: fault(),
    })?;
    Ok(match named {
        Update::Keep => Update::Keep,
        Update::Reset => Update::Reset,
        Update::Set(named) => Update::Set(SecretsPatch(named)),
    })
}

fn merged(
    named: Option<&VariablesPatch>,
    is_named: bool,
    mut present: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let Some(named) = named else {
        return if is_named { BTreeMap::new() } else { present };
    };
    for (name, value) in named {
        match value {
            Some(value) => present.insert(name.clone(), value.clone()),
            None => present.remove(name),
        };
    }
    present
}

/// One difference between a function before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeInfo {
    /// A member of the request; `Code` for the code.
    pub member: String,
    /// Of `Env` and `Secrets`: which variable. Its values are not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a variable: `added`, `changed` or `removed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// The value before; absent if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// The value now; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// The answer to `PATCH /functions/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Updated {
    /// The function's name.
    pub updated: String,
    /// The changes; none if all named members had these values already.
    pub changes: Vec<ChangeInfo>,
    /// Digest of the version before; that of now, if only flags or the signature changed.
    pub previous: String,
    /// The function as it is now.
    pub function: FunctionInfo,
    /// The guest interface that was recognised, if the function was made ready anew.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// Its sizes on the node that answers, if it was made ready anew; absent for containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footprint: Option<FootprintInfo>,
    /// Remarks for the person who deploys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// The differences between two states of a function, in the order of the request's members. Code that was made anew from the
/// same source (`remade`) is not one of them.
#[must_use]
pub fn changes(before: &Function, after: &Function, remade: bool) -> Vec<ChangeInfo> {
    let old = FunctionInfo::from(before);
    let new = FunctionInfo::from(after);
    let limit = |time: Option<f64>| time.map_or(Value::Null, Value::from);
    let signature = |info: &FunctionInfo| serde_json::to_value(&info.signature).unwrap_or_default();
    let code = |info: &FunctionInfo| {
        if remade {
            Value::Null
        } else {
            info.code.clone().into()
        }
    };
    let members = [
        member(
            "Runtime",
            old.runtime.clone().into(),
            new.runtime.clone().into(),
        ),
        member("MemoryMB", old.memory_mb.into(), new.memory_mb.into()),
        member("CPUDemand", old.cpu_demand.into(), new.cpu_demand.into()),
        member(
            "MaxConcurrency",
            old.max_concurrency.into(),
            new.max_concurrency.into(),
        ),
        member(
            "Handler",
            old.handler.clone().into(),
            new.handler.clone().into(),
        ),
        member("Code", code(&old), code(&new)),
        member(
            "CustomImage",
            old.image.clone().into(),
            new.image.clone().into(),
        ),
        member("Signature", signature(&old), signature(&new)),
        member("Timeout", old.timeout.into(), new.timeout.into()),
        member("CPUTime", limit(old.cpu_time), limit(new.cpu_time)),
        member(
            "Network",
            old.network.clone().into(),
            new.network.clone().into(),
        ),
        member(
            "AllowHosts",
            old.allow_hosts.clone().into(),
            new.allow_hosts.clone().into(),
        ),
        member(
            "SecretHosts",
            secret_hosts(&old.secret_hosts),
            secret_hosts(&new.secret_hosts),
        ),
        member("Idempotent", old.idempotent.into(), new.idempotent.into()),
        member(
            "IdempotentOutbound",
            old.idempotent_outbound.into(),
            new.idempotent_outbound.into(),
        ),
        member("Edge", old.edge.into(), new.edge.into()),
        member(
            "Isolation",
            old.isolation.clone().into(),
            new.isolation.clone().into(),
        ),
        member(
            "SupportedArchs",
            old.supported_archs.clone().into(),
            new.supported_archs.clone().into(),
        ),
    ];
    let streams = streams(&before.version, &after.version);
    let env = variables("Env", &before.version.env, &after.version.env);
    let secrets = variables(
        "Secrets",
        &before.version.secrets.values,
        &after.version.secrets.values,
    );
    members
        .into_iter()
        .chain(streams)
        .flatten()
        .chain(env)
        .chain(secrets)
        .collect()
}

/// Each secret that is for hosts, and those.
fn secret_hosts(hosts: &BTreeMap<String, Vec<String>>) -> Value {
    let told = |(name, hosts): (&String, &Vec<String>)| format!("{name} for {}", hosts.join(" "));
    hosts.iter().map(told).collect::<Vec<_>>().into()
}

/// The difference of a member; `None` if there is none.
fn member(member: &str, from: Value, to: Value) -> Option<ChangeInfo> {
    let told = |value: Value| Some(value).filter(|value| !value.is_null());
    let member = (from != to).then(|| member.to_owned())?;
    Some(ChangeInfo {
        member,
        name: None,
        change: None,
        from: told(from),
        to: told(to),
    })
}

/// The differences of a program's arguments and standard streams.
fn streams(before: &Version, after: &Version) -> [Option<ChangeInfo>; 4] {
    let (old, new) = (&before.io, &after.io);
    let content_type = |stdout: &Stdout| stdout.content_type().map_or(Value::Null, Value::from);
    [
        member(
            "Arguments",
            old.args.clone().into(),
            new.args.clone().into(),
        ),
        member("Stdin", old.stdin.name().into(), new.stdin.name().into()),
        member("Stdout", old.stdout.name().into(), new.stdout.name().into()),
        member(
            "StdoutType",
            content_type(&old.stdout),
            content_type(&new.stdout),
        ),
    ]
}

fn variables<'a>(
    member: &'a str,
    before: &'a BTreeMap<String, String>,
    after: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = ChangeInfo> + 'a {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter_map(move |name| {
        let change = match (before.get(name), after.get(name)) {
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            (old, new) if old != new => "changed",
            _ => return None,
        };
        let name = Some(name.clone());
        let change = Some(change.to_owned());
        Some(ChangeInfo {
            member: member.to_owned(),
            name,
            change,
            from: None,
            to: None,
        })
    })
}

#[cfg(test)]
mod tests;
