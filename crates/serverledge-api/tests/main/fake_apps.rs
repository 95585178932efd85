//! Applications in memory, for the fake node.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use http::Method;
use serverledge_api::{AppChanges, AppError, Applications};
use serverledge_core::{
    AppId, AppName, Application, Caller, Cors, Endpoint, EndpointPath, SpaceId, UserId,
};

/// Knows the functions `json` and `http` of every space.
#[derive(Default)]
pub(crate) struct FakeApps {
    apps: Mutex<Vec<Arc<Application>>>,
    faults: Mutex<Vec<AppError>>,
}

pub(crate) fn application(name: &str, owner: Option<UserId>) -> Application {
    Application {
        id: AppId::parse("0123456789abcdef0123456789abcdef").unwrap(),
        name: AppName::parse(name).unwrap(),
        owner,
        space: SpaceId::new(),
        endpoints: Vec::new(),
        dependencies: serverledge_core::Dependencies::default(),
        up: false,
        cors: Cors::Closed,
        hands_out_nested: true,
        own_origin: false,
        created_unix_ms: 7,
    }
}

impl FakeApps {
    fn apps(&self) -> MutexGuard<'_, Vec<Arc<Application>>> {
        self.apps.lock().unwrap()
    }

    /// There is this application as well.
    pub(crate) fn add(&self, application: Application) {
        self.apps().push(Arc::new(application));
    }

    /// The space that an application's functions live in.
    pub(crate) fn space(&self, name: &str) -> SpaceId {
        self.apps()
            .iter()
            .find(|one| one.name.as_str() == name)
            .unwrap()
            .space
            .clone()
    }

    /// The next change fails so.
    pub(crate) fn fail(&self, fault: AppError) {
        self.faults.lock().unwrap().push(fault);
    }

    fn edit(
        &self,
        caller: &Caller,
        name: &str,
        change: impl FnOnce(&mut Application) -> Result<(), AppError>,
    ) -> Result<Arc<Application>, AppError> {
        if let Some(fault) = self.faults.lock().unwrap().pop() {
            return Err(fault);
        }
        let mut apps = self.apps();
        let found = apps.iter_mut().find(|one| is(one, caller, name));
        let found = found.ok_or_else(|| AppError::Unknown(name.to_owned()))?;
        let mut changed = Application::clone(found);
        change(&mut changed)?;
        *found = Arc::new(changed);
        Ok(Arc::clone(found))
    }
}

fn is(one: &Application, caller: &Caller, name: &str) -> bool {
    one.name.as_str() == name && one.owner.as_ref() == caller.user()
}

#[async_trait]
impl Applications for FakeApps {
    fn list(&self, caller: &Caller) -> Vec<Arc<Application>> {
        self.apps()
            .iter()
            .filter(|one| one.owner.as_ref() == caller.user())
            .cloned()
            .collect()
    }

    fn find(&self, caller: &Caller, name: &str) -> Option<Arc<Application>> {
        self.apps()
            .iter()
            .find(|one| is(one, caller, name))
            .cloned()
    }

    async fn create(&self, caller: &Caller, name: AppName) -> Result<Arc<Application>, AppError> {
        if self.apps().iter().any(|one| one.name == name) {
            return Err(AppError::NameTaken(name));
        }
        let made = Arc::new(application(name.as_str(), caller.user().cloned()));
        self.apps().push(Arc::clone(&made));
        Ok(made)
    }

    async fn change(
        &self,
        caller: &Caller,
        name: &str,
        changes: AppChanges,
    ) -> Result<Arc<Application>, AppError> {
        let taken = changes
            .name
            .clone()
            .filter(|new| self.apps().iter().any(|one| one.name == *new));
        self.edit(caller, name, |application| {
            if let Some(taken) = taken {
                return Err(AppError::NameTaken(taken));
            }
            application.name = changes.name.unwrap_or_else(|| application.name.clone());
            application.cors = changes.cors.unwrap_or_else(|| application.cors.clone());
            application.hands_out_nested = changes
                .hands_out_nested
                .unwrap_or(application.hands_out_nested);
            application.own_origin = changes.own_origin.unwrap_or(application.own_origin);
            Ok(())
        })
    }

    async fn delete(&self, caller: &Caller, name: &str) -> Result<(), AppError> {
        self.edit(caller, name, |_| Ok(()))?;
        self.apps().retain(|one| one.name.as_str() != name);
        Ok(())
    }

    async fn put_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        endpoint: Endpoint,
    ) -> Result<Arc<Application>, AppError> {
        self.edit(caller, name, |application| {
            if !matches!(endpoint.function.as_str(), "json" | "http") {
                return Err(AppError::NoFunction(endpoint.function));
            }
            application.endpoints.push(endpoint);
            Ok(())
        })
    }

    async fn remove_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        method: &Method,
        path: &EndpointPath,
    ) -> Result<Arc<Application>, AppError> {
        self.edit(caller, name, |application| {
            let at = application
                .endpoints
                .iter()
                .position(|one| one.method == *method && one.path == *path);
            let at =
                at.ok_or_else(|| AppError::NoEndpoint(method.clone(), path.as_str().to_owned()))?;
            application.endpoints.remove(at);
            Ok(())
        })
    }

    async fn set_dependencies(
        &self,
        caller: &Caller,
        name: &str,
        file: Option<serverledge_core::DependenciesFile>,
        text: String,
    ) -> Result<(Arc<Application>, Vec<String>), AppError> {
        let changed = self.edit(caller, name, |application| {
            match file {
                Some(file) => application.dependencies.set(file, text),
                None => application.dependencies = serverledge_core::Dependencies::default(),
            }
            Ok(())
        })?;
        Ok((changed, vec!["json".to_owned()]))
    }
}
