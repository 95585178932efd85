//! Test runs: a function from somebody's editor runs once, under a unique name, and can call the saved functions.
//! Nothing of it goes into the registry, and nothing is left of it when it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_api::{DeployError, HostingError, TestRun};
use serverledge_core::{
    Application, Call, CallContext, CallOrigin, Caller, Digest, Function, FunctionName,
    InvocationError, InvocationId, Payload, Progress, Report, Trigger,
};
use serverledge_registry::{self as registry, code_digest};
use serverledge_wire::function::{FunctionBody, SpecError};
use tokio::sync::Semaphore;

use crate::applications::Apps;
use crate::clock::now;
use crate::functions::label;
use crate::functions::spaces::Spaces as _;
use crate::invoke::guarded_body::until_its_end;
use crate::invoke::request::ResolvedCall;
use crate::runs::shown::HIDDEN;

/// Most test runs of a node at once: each may install packages.
pub(super) const AT_ONCE_MAX: usize = 4;
/// Time limit of preparation and run together: packages are installed, and the run has its own limit.
const TIME_MAX: Duration = Duration::from_secs(600);
/// The name of a function that its owner has not named yet.
const UNNAMED: &str = "test";

/// The test runs of a node.
#[derive(Debug)]
pub(crate) struct TestRuns {
    places: Semaphore,
    /// Code under test, with the number of its tests: it is forgotten with the last one.
    codes: Mutex<HashMap<Digest, usize>>,
}

impl Default for TestRuns {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE_MAX),
            codes: Mutex::default(),
        }
    }
}

impl TestRuns {
    fn begin(&self, code: Digest) {
        *self.codes.lock().entry(code).or_default() += 1;
    }

    /// Ends a test; returns whether it was the last one with this code.
    fn end(&self, code: Digest) -> bool {
        let mut codes = self.codes.lock();
        let left = codes.get_mut(&code).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            codes.remove(&code);
        }
        left == 0
    }
}

/// A function under test. Dropping it removes everything of it.
struct TestFunction {
    apps: Arc<Apps>,
    function: Arc<Function>,
}

impl TestFunction {
    fn new(apps: &Arc<Apps>, function: Function) -> Self {
        apps.test_runs.begin(function.version.code);
        Self {
            apps: Arc::clone(apps),
            function: Arc::new(function),
        }
    }
}

impl Drop for TestFunction {
    fn drop(&mut self) {
        let apps = Arc::clone(&self.apps);
        let function = Arc::clone(&self.function);
        self.apps
            .background
            .spawn(async move { apps.forget_test(&function).await });
    }
}

impl Apps {
    /// Makes a test run, if there is a place for one and it counts as an invocation that the caller may make.
    pub(super) async fn test_in_time(
        self: &Arc<Self>,
        caller: &Caller,
        application: &Application,
        run: TestRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Report, HostingError> {
        let place = self.test_runs.places.try_acquire();
        let _place = place.map_err(|_| HostingError::TestsBusy { max: AT_ONCE_MAX })?;
        // An invocation like others, and before anything is prepared: that is what costs most.
        let permit = self.invoker.permit(&caller.on(application.space.clone()))?;
        match tokio::time::timeout(TIME_MAX, self.test_now(caller, application, run, progress))
            .await
        {
            Ok(outcome) => outcome.map(|report| until_its_end(report, permit)),
            Err(_) => Err(HostingError::TestTooLong {
                seconds: TIME_MAX.as_secs(),
            }),
        }
    }

    async fn test_now(
        self: &Arc<Self>,
        caller: &Caller,
        application: &Application,
        run: TestRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Report, HostingError> {
        let id = InvocationId::new();
        let given = if run.function.name.is_empty() {
            UNNAMED
        } else {
            &*run.function.name
        };
        let given = FunctionName::parse(given)
            .map_err(SpecError::from)
            .map_err(DeployError::from)?;
        let hidden = format!("{HIDDEN}{id}");
        let body = FunctionBody {
            name: hidden.into(),
            ..run.function
        };
        let under_test = self.prepare_test(application, &body, progress).await?;
        progress.step("running");
        let entry = self.shared.functions.entry_for(&under_test.function);
        let mut call = Call::new(
            id,
            under_test.function.name.clone(),
            Payload::Json(run.params),
            now(),
        );
        call.origin = CallOrigin {
            trigger: Trigger::Test,
            parent: None,
            caller: caller.user().cloned(),
        };
        call.context = CallContext {
            may_offload: false,
            returns_cache: true,
            client_cache: run.client_cache,
            ..call.context
        };
        let request = ResolvedCall {
            pinned: true,
            ..ResolvedCall::new(entry, call)
        };
        let mut report = self
            .invoker
            .invoke(request)
            .await
            .map_err(|error| named(error, &under_test.function.name, &given))?;
        for entry in report
            .memo
            .entries
            .iter_mut()
            .filter(|entry| entry.function == under_test.function.name)
        {
            entry.function = given.clone();
        }
        Ok(report)
    }

    async fn prepare_test(
        self: &Arc<Self>,
        application: &Application,
        body: &FunctionBody<'_>,
        progress: &dyn Progress,
    ) -> Result<TestFunction, DeployError> {
        let (spec, code) = self.deployer.check(body)?;
        let source = self.reach.with_dependencies(
            &application.space,
            code.bytes,
            spec.runtime,
            &spec.handler,
        )?;
        let bytes = self.deployer.make(&spec, source, progress).await?.code;
        let version = Arc::new(registry::version(&spec, code_digest(&bytes)));
        let executor = self.shared.executors.of(version.runtime);
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(version.runtime.to_string()))?;
        let function = Function {
            space: application.space.clone(),
            name: spec.name,
            version: Arc::clone(&version),
            interface: serverledge_core::Interface::Json,
            flags: spec.flags,
            signature: spec.signature,
        };
        let mut under_test = TestFunction::new(self, function);
        progress.step("preparing the function");
        let prepared = executor.prepare(&version, bytes, progress).await?;
        if let Some(function) = Arc::get_mut(&mut under_test.function) {
            function.interface = prepared.interface;
        }
        Ok(under_test)
    }

    /// Removes the function's series, sandboxes and loaded code; the files on the disk are unused then, and the sweep
    /// removes them.
    async fn forget_test(&self, function: &Function) {
        let version = &function.version;
        self.shared.metrics.forget(&label(function));
        self.shared.retire_sandboxes(function, None);
        let is_last = self.test_runs.end(version.code);
        let is_deployed = || {
            self.shared
                .functions
                .all()
                .iter()
                .any(|one| one.version.code == version.code)
        };
        if is_last
            && !is_deployed()
            && let Some(executor) = self.shared.executors.of(version.runtime)
        {
            executor.forget(version).await;
        }
    }
}

/// The error with the name that the owner knows in place of the hidden one.
fn named(error: InvocationError, hidden: &FunctionName, given: &FunctionName) -> InvocationError {
    match error {
        InvocationError::Function(mut failure) => {
            failure.message = failure.message.replace(hidden.as_str(), given.as_str());
            InvocationError::Function(failure)
        }
        other => other,
    }
}
