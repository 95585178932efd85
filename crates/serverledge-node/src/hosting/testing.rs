//! Test runs: a function as it is in somebody's editor runs once, under a name that nobody else has, with the saved functions
//! within reach of its calls. Nothing of it goes into the registry, and nothing is left of it when it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_api::{DeployError, HostingError, TestRun};
use serverledge_core::{
    Application, CallContext, Caller, Digest, Function, FunctionName, InvocationError,
    InvocationId, Payload, Progress, Report,
};
use serverledge_registry::{self as registry, code_digest};
use serverledge_scheduler::QosClass;
use serverledge_wire::function::{FunctionBody, SpecError};
use tokio::sync::Semaphore;

use crate::functions::{self, label};
use crate::invoke::{Request, now};
use crate::node::Node;
use crate::quotas::until_its_end;

/// Test runs of a node at once: each may install packages.
pub(super) const AT_ONCE_MAX: usize = 4;
/// Preparing and running together: packages are installed, and the run has its own limit.
const TIME_MAX: Duration = Duration::from_secs(600);
/// What the function is called where its owner has not named it yet.
const UNNAMED: &str = "test";
/// What the names of functions under test begin with.
const HIDDEN: &str = "_test-";

/// The test runs of a node.
#[derive(Debug)]
pub(crate) struct Testing {
    places: Semaphore,
    /// Code that is under test, and how often: it is forgotten with its last test.
    codes: Mutex<HashMap<Digest, usize>>,
}

impl Default for Testing {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE_MAX),
            codes: Mutex::default(),
        }
    }
}

impl Testing {
    fn begin(&self, code: Digest) {
        *self.codes.lock().entry(code).or_default() += 1;
    }

    /// Whether that was the last one with this code.
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

/// A function under test. Dropping it takes away all that there is of it.
struct UnderTest {
    node: Arc<Node>,
    function: Arc<Function>,
}

impl UnderTest {
    fn new(node: &Arc<Node>, function: Function) -> Self {
        node.testing.begin(function.version.code);
        Self {
            node: Arc::clone(node),
            function: Arc::new(function),
        }
    }
}

impl Drop for UnderTest {
    fn drop(&mut self) {
        let (node, function) = (Arc::clone(&self.node), Arc::clone(&self.function));
        self.node
            .background
            .spawn(async move { node.forget_test(&function).await });
    }
}

impl Node {
    pub(super) async fn test(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        run: TestRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Report, HostingError> {
        self.check_open()?;
        let application = self.own(caller, name)?;
        let place = self.testing.places.try_acquire();
        let _place = place.map_err(|_| HostingError::TestsBusy { max: AT_ONCE_MAX })?;
        // An invocation like others, and before anything is prepared: that is what costs most.
        let permit = self.permit(&caller.on(application.space.clone()))?;
        match tokio::time::timeout(TIME_MAX, self.test_now(&application, run, progress)).await {
            Ok(outcome) => outcome.map(|report| until_its_end(report, permit)),
            Err(_) => Err(HostingError::TestTooLong {
                seconds: TIME_MAX.as_secs(),
            }),
        }
    }

    async fn test_now(
        self: &Arc<Self>,
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
        let entry = self.functions.entry_for(&under_test.function);
        let context = CallContext {
            may_offload: false,
            hands_out: true,
            carried: run.carried,
            ..CallContext::root(id, None)
        };
        let payload = Payload::Json(run.params);
        let request = Request {
            entry,
            id,
            payload,
            class: QosClass::LOW,
            deadline: None,
            context,
            arrived: now(),
            caller: None,
            key: None,
        };
        let mut report = self
            .run(request)
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
    ) -> Result<UnderTest, DeployError> {
        let (spec, code) = self.check(body)?;
        let source =
            self.with_dependencies(&application.space, code.bytes, spec.runtime, &spec.handler)?;
        let bytes = self.make(&spec, source, progress).await?.code;
        let version = Arc::new(registry::version(&spec, code_digest(&bytes)));
        let executor = self.executors.of(version.runtime);
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
        let mut under_test = UnderTest::new(self, function);
        progress.step("preparing the function");
        let prepared = executor.prepare(&version, bytes, progress).await?;
        if let Some(function) = Arc::get_mut(&mut under_test.function) {
            function.interface = prepared.interface;
        }
        Ok(under_test)
    }

    /// No series, no sandbox, no loaded code; what lies on the disk is in no use, and the sweep takes it.
    async fn forget_test(&self, function: &Function) {
        let version = &function.version;
        self.metrics.forget(&label(function));
        if let Some(pooled) = functions::pooled(function) {
            self.admissions.retire(pooled.key);
        }
        let is_last = self.testing.end(version.code);
        let is_deployed = || {
            self.functions
                .all()
                .iter()
                .any(|one| one.version.code == version.code)
        };
        if is_last
            && !is_deployed()
            && let Some(executor) = self.executors.of(version.runtime)
        {
            executor.forget(version).await;
        }
    }
}

/// Errors speak of the function by the name that its owner knows.
fn named(error: InvocationError, hidden: &FunctionName, given: &FunctionName) -> InvocationError {
    match error {
        InvocationError::Function(mut failure) => {
            failure.message = failure.message.replace(hidden.as_str(), given.as_str());
            InvocationError::Function(failure)
        }
        other => other,
    }
}
