//! Changes of single members of a function. A change applies to the registry's state, not to this node's snapshot: the
//! new record replaces the one that was read and nothing else, and the slower of two changes begins again from the
//! result of the faster one. So changes of different members never undo each other, on whichever nodes they are made.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_api::{DeployError, ExpectedState, Patched};
use serverledge_core::kv::Revision;
use serverledge_core::{
    Digest, Function, FunctionName, FunctionSpec, Progress, Runtime, SpaceId, Version,
};
use serverledge_registry::{self as registry, Deployed, code_digest};
use serverledge_wire::function::{FunctionBody, SpecError};
use serverledge_wire::members::Update;
use serverledge_wire::patch::FunctionPatch;
use tokio::sync::OwnedMutexGuard;

use crate::clock::unix_ms;
use crate::functions::deploy::{Deployer, described, runtime};
use crate::functions::edge_fit;
use crate::functions::errors::registry_error;
use crate::functions::snapshots::{Made, is_snapshot, source_of};
use crate::functions::source;
use crate::functions::versions::load_error;

/// Most attempts at a change of a function that was changed meanwhile. On one node changes of a function wait for each
/// other, so each time another node, a deploy or a roll-back was faster. The registry's own changes have as many
/// attempts.
const ATTEMPTS_MAX: usize = 64;

/// The turns of changes of the same function, one after the other. Without them, the slowest of many would begin again and
/// again.
#[derive(Debug, Default)]
pub(crate) struct PatchTurns(Mutex<HashMap<(SpaceId, FunctionName), TurnLock>>);

type TurnLock = Arc<tokio::sync::Mutex<()>>;

impl PatchTurns {
    /// Waits until no other change of the function is in progress here.
    pub(super) async fn take(&self, space: &SpaceId, name: &FunctionName) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock();
            // Those that somebody has or waits for: as many as requests are served at once.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry((space.clone(), name.clone())).or_default())
        };
        turn.lock_owned().await
    }
}

/// A function as it is to become.
struct Draft {
    spec: FunctionSpec,
    /// The source to make the code from; `None` if the existing code stays.
    source: Option<Bytes>,
    /// Whether the source comes with the request.
    is_sent: bool,
}

impl Deployer {
    /// Changes the members that the request names; see the module.
    pub(super) async fn patch_in_turn(
        &self,
        space: &SpaceId,
        name: FunctionName,
        request: &FunctionPatch<'_>,
        expected: Option<&ExpectedState>,
        progress: &dyn Progress,
    ) -> Result<Patched, DeployError> {
        let unknown = || DeployError::Unknown(name.to_string());
        for _ in 0..ATTEMPTS_MAX {
            let read = self
                .store
                .get(space, &name)
                .await
                .map_err(load_error)?
                .ok_or_else(unknown)?;
            if expected.is_some_and(|expected| !expected.matches(&read.function)) {
                return Err(DeployError::NotAsExpected(name));
            }
            match self.patch_read(read, request, progress).await {
                Err(DeployError::Contended(_)) => {}
                outcome => return outcome,
            }
        }
        Err(DeployError::Contended(name))
    }

    /// Makes one attempt; `Contended` if the function was changed since it was read.
    async fn patch_read(
        &self,
        read: Deployed,
        request: &FunctionPatch<'_>,
        progress: &dyn Progress,
    ) -> Result<Patched, DeployError> {
        let before = Arc::clone(&read.function);
        let Draft {
            spec,
            source,
            is_sent,
        } = self.draft(&before, request).await?;
        let has_source = source.is_some();
        let made = match source {
            Some(source) => {
                self.check_quota(
                    &before.space,
                    &spec.name,
                    (&code_digest(&source), source.len() as u64),
                )?;
                Some(self.make(&spec, source, progress).await?)
            }
            None => None,
        };
        let code = made
            .as_ref()
            .map_or(before.version.code, |made| code_digest(&made.code));
        let version = registry::version(&spec, code);
        let after = Function {
            version: Arc::new(version),
            flags: spec.flags,
            signature: spec.signature,
            ..Function::clone(&before)
        };
        let renews_image =
            after.version.runtime == Runtime::Custom && !request.custom_image.is_kept();
        if after.version.digest == before.version.digest && !renews_image {
            let function = self.describe(read, after).await?;
            let remark = match before.flags.edge {
                // It was told when the flag was set.
                true => None,
                false => {
                    let code = async { self.present_code(&function.version).await.ok() };
                    edge_fit::remark(&function, code).await
                }
            };
            return Ok(Patched {
                before,
                function,
                remade: true,
                recognised: String::new(),
                footprint: None,
                remarks: remark.into_iter().collect(),
            });
        }
        let remade = has_source && !is_sent;
        self.rebind(read, after, made, progress)
            .await
            .map(|patched| Patched { remade, ..patched })
    }

    /// Stores the properties of a function beside its version, if they have changed.
    async fn describe(
        &self,
        read: Deployed,
        after: Function,
    ) -> Result<Arc<Function>, DeployError> {
        if after == *read.function {
            let known = self.functions.get(&after.space, after.name.as_str());
            // To take over what is known already would void results for nothing.
            return Ok(match known.filter(|entry| *entry.function == after) {
                Some(entry) => Arc::clone(&entry.function),
                None => self.rebound(read).await,
            });
        }
        let revision = self
            .store
            .describe_read(&read, &after)
            .await
            .map_err(registry_error)?;
        let function = self
            .rebound(Deployed {
                function: Arc::new(after),
                revision,
                ..read
            })
            .await;
        self.resources.tell_change(&function, "changed");
        Ok(function)
    }

    /// Prepares another version and binds the name to it.
    async fn rebind(
        &self,
        read: Deployed,
        after: Function,
        made: Option<Made>,
        progress: &dyn Progress,
    ) -> Result<Patched, DeployError> {
        let before = read.function;
        let (code, remarks) = match made {
            Some(made) => (made.code, made.remarks),
            None => (self.present_code(&before.version).await?, Vec::new()),
        };
        let prepared = self.prepare(&after.version, code.clone(), progress).await?;
        let after = Function {
            interface: prepared.interface,
            ..after
        };
        let now = unix_ms();
        let code_bytes = code.len() as u64;
        let turn = self.quotas.turn(&after.space).await;
        self.check_quota(&after.space, &after.name, (&after.version.code, code_bytes))?;
        let revision = self
            .store
            .replace_read(read.revision, &after, &code, now)
            .await
            .map_err(registry_error)?;
        let (recognised, mut remarks) = described(after.version.runtime, prepared, remarks);
        remarks.extend(edge_fit::remark(&after, ready(Some(code))).await);
        let created = Revision::default();
        let bound = Deployed {
            function: Arc::new(after),
            revision,
            created,
            code_bytes,
            deployed_unix_ms: now,
        };
        let function = self.rebound(bound).await;
        self.resources.tell_change(&function, "deployed");
        drop(turn);
        Ok(Patched {
            footprint: self.executors.footprint(&function.version),
            before,
            function,
            remade: false,
            recognised,
            remarks,
        })
    }

    /// The function that the request asks for, after all checks that need no run.
    async fn draft(
        &self,
        before: &Function,
        request: &FunctionPatch<'_>,
    ) -> Result<Draft, DeployError> {
        check_name(before, request)?;
        let body = request.over(before);
        let said = runtime_of(&body, request)?;
        let sent = self.sent_code(&body, request, said)?;
        let inferred = sent
            .as_ref()
            .map_or(before.version.runtime, |sent| sent.inferred);
        let spec = self.spec(&body, inferred, Some(&before.version))?;
        if spec.runtime != before.version.runtime || sent.is_some() {
            self.check_runtime(spec.runtime)?;
        }
        let handler = spec.handler.clone();
        let runtime = spec.runtime;
        let source = match sent {
            Some(sent) => {
                Some(
                    self.spaces
                        .with_dependencies(&before.space, sent.bytes, runtime, &handler)?,
                )
            }
            None => self.present_source(before, &spec).await?,
        };
        Ok(Draft {
            spec,
            source,
            is_sent: !request.tar_function_code.is_kept(),
        })
    }

    /// The code in the request.
    fn sent_code(
        &self,
        body: &FunctionBody<'_>,
        request: &FunctionPatch<'_>,
        said: Option<Runtime>,
    ) -> Result<Option<source::Code>, DeployError> {
        let Update::Set(sent) = &request.tar_function_code else {
            return Ok(None);
        };
        if said == Some(Runtime::Custom) {
            let fault = "the code of the runtime custom is in its image; name that in CustomImage";
            return Err(SpecError::member("TarFunctionCode", fault).into());
        }
        if let Some(runtime) = said {
            self.check_runtime(runtime)?;
        }
        source::extract(sent, said, &body.handler, self.limits.code_bytes_max).map(Some)
    }

    /// The existing source, where the code has to be made from it again: for another runtime, or because its inputs
    /// change. The image of a custom function is its source.
    async fn present_source(
        &self,
        before: &Function,
        spec: &FunctionSpec,
    ) -> Result<Option<Bytes>, DeployError> {
        let version = &before.version;
        if spec.runtime == Runtime::Custom {
            let is_same = version.runtime == Runtime::Custom && version.image == spec.image;
            return Ok((!is_same).then(|| Bytes::from(spec.image.clone())));
        }
        if spec.runtime != version.runtime {
            check_language(version.runtime, spec.runtime)?;
            let source = source_of(version.runtime, self.present_code(version).await?);
            return self
                .spaces
                .with_dependencies(&before.space, source, spec.runtime, &spec.handler)
                .map(Some);
        }
        // A snapshot is taken with the handler found and the variables there.
        let is_snapshot_of_another = spec.handler != version.handler || spec.env != version.env;
        if !is_snapshot(spec.runtime) || !is_snapshot_of_another {
            return Ok(None);
        }
        Ok(Some(source_of(
            version.runtime,
            self.present_code(version).await?,
        )))
    }

    async fn present_code(&self, version: &Version) -> Result<Bytes, DeployError> {
        let code = self
            .store
            .blobs()
            .get(&version.code)
            .await
            .map_err(|error| registry_error(error.into()))?;
        code.ok_or_else(|| code_gone(version.code))
    }
}

fn code_gone(code: Digest) -> DeployError {
    let message = format!(
        "the function's code ({code}) is not in the registry any more; send it with the change"
    );
    DeployError::Code {
        code: "code_lost",
        message,
    }
}

/// Refuses another name: a function is not renamed.
fn check_name(before: &Function, request: &FunctionPatch<'_>) -> Result<(), SpecError> {
    match &request.name {
        Some(other) if **other != *before.name.as_str() => {
            let fault = format!(
                "{other:?}; the function is {}, and is not renamed by a change",
                before.name
            );
            Err(SpecError::member("Name", fault))
        }
        _ => Ok(()),
    }
}

/// The runtime that the function is to have; `None` if it is inferred from code that is sent.
fn runtime_of(
    body: &FunctionBody<'_>,
    request: &FunctionPatch<'_>,
) -> Result<Option<Runtime>, DeployError> {
    let no_code = |message: &str| {
        Err(DeployError::Code {
            code: "no_code",
            message: message.to_owned(),
        })
    };
    match &request.tar_function_code {
        Update::Reset => {
            return no_code(
                "TarFunctionCode is null; a function has code: leave the member out to keep it",
            );
        }
        Update::Set(code) if code.is_empty() => {
            return no_code("TarFunctionCode is empty; leave the member out to keep the code");
        }
        Update::Keep if body.runtime.is_empty() => {
            return no_code(
                "Runtime is null; it is found out from code, so send the code as well, or name the runtime",
            );
        }
        _ => {}
    }
    Ok(runtime(&body.runtime)?)
}

/// Refuses a change of language; JavaScript and Python run with either of their runtimes.
fn check_language(present: Runtime, wanted: Runtime) -> Result<(), DeployError> {
    let is_script = |runtime| matches!(runtime, Runtime::NodeJs | Runtime::JavaScript);
    let is_python = |runtime| matches!(runtime, Runtime::Python | Runtime::PythonWasm);
    let are_both = |is: fn(Runtime) -> bool| is(present) && is(wanted);
    if are_both(is_script) || are_both(is_python) {
        return Ok(());
    }
    let message = format!(
        "the function's code is for the runtime {present}; send code for {wanted} with the change"
    );
    Err(DeployError::Code {
        code: "no_code",
        message,
    })
}

#[cfg(test)]
mod tests;
