//! The applications of the fake node.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use serverledge_api::{
    AppError, ContentCoding, EdgeCode, EdgeFile, EdgeKind, Hosting, HostingError, Imported, TestRun,
};
use serverledge_core::{
    AppId, AppName, Application, Caller, ClientCache, Cors, Endpoint, EndpointPath, FunctionName,
    Progress, Report, SpaceId,
};
use serverledge_wire::edge::{EdgeKey, EdgeKeys, SignedManifest};

use crate::backend::{FakeBackend, report};

/// The digest of the only module for browsers.
pub(crate) const EDGE_MODULE: &str = "00ff";
/// The digest of the only delta.
pub(crate) const EDGE_DELTA: &str = "11ee";
/// A component.
pub(crate) const EDGE_COMPONENT: &str = "22dd";

/// Applications that run, code for callers, scripted faults, and what was asked.
#[derive(Default)]
pub(crate) struct FakeHosting {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    applications: BTreeMap<String, Arc<Application>>,
    edge: BTreeMap<String, EdgeCode>,
    edge_files_read: usize,
    unprepared: bool,
    faults: VecDeque<HostingError>,
    tests: Vec<(String, Bytes, Option<Arc<ClientCache>>)>,
    reports: VecDeque<Report>,
    imports: Vec<(Option<String>, Bytes)>,
}

/// An application with the endpoints `POST call`, `GET deep/page` (of the function `json`) and `GET page` (of `http`).
pub(crate) fn application(name: &str) -> Application {
    let endpoint = |method: Method, path: &str, function: &str| Endpoint {
        method,
        path: EndpointPath::parse(path).unwrap(),
        function: FunctionName::parse(function).unwrap(),
    };
    Application {
        id: AppId::new(),
        name: AppName::parse(name).unwrap(),
        owner: None,
        space: SpaceId::new(),
        endpoints: vec![
            endpoint(Method::POST, "call", "json"),
            endpoint(Method::GET, "deep/page", "json"),
            endpoint(Method::GET, "page", "http"),
        ],
        dependencies: serverledge_core::Dependencies::default(),
        up: true,
        cors: Cors::Closed,
        hands_out_nested: true,
        own_origin: false,
        created_unix_ms: 0,
    }
}

impl FakeHosting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// This application runs.
    pub(crate) fn run(&self, application: Application) {
        self.state()
            .applications
            .insert(application.name.to_string(), Arc::new(application));
    }

    /// The functions of all applications are not prepared yet.
    pub(crate) fn unprepare(&self) {
        self.state().unprepared = true;
    }

    /// Callers may run this function.
    pub(crate) fn edge(&self, name: &str, kind: EdgeKind, code: &str, handler: &str) {
        let code = Bytes::from(code.to_owned());
        let code = EdgeCode {
            kind,
            code,
            handler: handler.to_owned(),
            idempotent: true,
        };
        self.state().edge.insert(name.to_owned(), code);
    }

    /// The number of modules and deltas that were read.
    pub(crate) fn edge_files_read(&self) -> usize {
        self.state().edge_files_read
    }

    /// The next operation fails so.
    pub(crate) fn refuse(&self, fault: HostingError) {
        self.state().faults.push_back(fault);
    }

    /// The next test run ends so.
    pub(crate) fn test_ends(&self, report: Report) {
        self.state().reports.push_back(report);
    }

    /// Takes the test runs so far: function, parameters, what is carried.
    pub(crate) fn tests(&self) -> Vec<(String, Bytes, Option<Arc<ClientCache>>)> {
        std::mem::take(&mut self.state().tests)
    }

    /// Takes the imports so far.
    pub(crate) fn imports(&self) -> Vec<(Option<String>, Bytes)> {
        std::mem::take(&mut self.state().imports)
    }

    fn asked(&self) -> Result<(), HostingError> {
        self.state().faults.pop_front().map_or(Ok(()), Err)
    }

    fn known(&self, name: &str) -> Result<Arc<Application>, HostingError> {
        self.asked()?;
        self.state()
            .applications
            .get(name)
            .cloned()
            .ok_or_else(|| HostingError::from(AppError::Unknown(name.to_owned())))
    }
}

#[async_trait]
impl Hosting for FakeBackend {
    fn application(&self, name: &str) -> Option<Arc<Application>> {
        self.hosting().state().applications.get(name).cloned()
    }

    fn is_prepared(&self, _application: &Application) -> bool {
        !self.hosting().state().unprepared
    }

    async fn edge_code(
        &self,
        _application: &Application,
        function: &str,
    ) -> Result<Option<EdgeCode>, HostingError> {
        self.hosting().asked()?;
        Ok(self.hosting().state().edge.get(function).cloned())
    }

    async fn edge_manifest(
        &self,
        application: &Application,
    ) -> Result<SignedManifest, HostingError> {
        self.hosting().asked()?;
        Ok(SignedManifest {
            manifest: format!("of {}", application.name),
            key_id: "k".to_owned(),
            key: "x".to_owned(),
            signature: "s".to_owned(),
        })
    }

    async fn has_edge_file(
        &self,
        _application: &Application,
        file: EdgeFile<'_>,
    ) -> Result<bool, HostingError> {
        self.hosting().asked()?;
        Ok(matches!(
            file,
            EdgeFile::Module(EDGE_MODULE)
                | EdgeFile::Delta(EDGE_DELTA)
                | EdgeFile::Component(EDGE_COMPONENT)
        ))
    }

    async fn edge_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
        coding: ContentCoding,
    ) -> Result<Option<Bytes>, HostingError> {
        self.hosting().state().edge_files_read += 1;
        let is_there = self.has_edge_file(application, file).await?;
        Ok(is_there.then(|| format!("{file:?} in {coding:?}").into()))
    }

    fn edge_keys(&self) -> EdgeKeys {
        EdgeKeys {
            keys: vec![EdgeKey::ed25519("k", "x")],
        }
    }

    async fn start(
        &self,
        _caller: &Caller,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<Application>, HostingError> {
        progress.step("preparing json");
        self.hosting().known(name)
    }

    async fn stop(&self, _caller: &Caller, name: &str) -> Result<Arc<Application>, HostingError> {
        self.hosting().known(name)
    }

    async fn test(
        self: Arc<Self>,
        _caller: &Caller,
        name: &str,
        run: TestRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Report, HostingError> {
        progress.step("preparing the function");
        self.hosting().known(name)?;
        let mut state = self.hosting().state();
        state
            .tests
            .push((run.function.name.into_owned(), run.params, run.client_cache));
        Ok(state
            .reports
            .pop_front()
            .unwrap_or_else(|| report("null", "")))
    }

    async fn export(&self, _caller: &Caller, name: &str) -> Result<Bytes, HostingError> {
        self.hosting().known(name)?;
        Ok(Bytes::from_static(b"a tar"))
    }

    async fn import(
        self: Arc<Self>,
        _caller: &Caller,
        name: Option<AppName>,
        file: Bytes,
        progress: &dyn Progress,
    ) -> Result<Imported, HostingError> {
        progress.step("deploying json");
        self.hosting().asked()?;
        self.hosting()
            .state()
            .imports
            .push((name.as_ref().map(ToString::to_string), file));
        Ok(Imported {
            name: name.unwrap_or_else(|| AppName::parse("shop").unwrap()),
            functions: vec![FunctionName::parse("json").unwrap()],
            remarks: vec!["secret KEY of json has to be set anew".to_owned()],
        })
    }
}
