//! Managing applications, as the routes ask for it. Each change is read from the registry, made, and compared back into it,
//! so that none is lost, whichever node makes it.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serverledge_api::{AppChanges, AppError, Applications, QuotaExceeded, dependencies_runtime};
use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{
    AppId, AppName, Application, Caller, Cors, ENDPOINTS_MAX, Endpoint, EndpointPath, FunctionName,
    SpaceId, UserId,
};
use serverledge_registry::{AppStoreError, KeptApp, LoadError};

use crate::deploy::unix_ms;
use crate::node::{Node, NodeBackend};

/// How often a change is tried while others change the same application.
const ATTEMPTS_MAX: usize = 16;

#[async_trait]
impl Applications for NodeBackend {
    fn list(&self, caller: &Caller) -> Vec<Arc<Application>> {
        self.0.applications.of(caller.user())
    }

    fn find(&self, caller: &Caller, name: &str) -> Option<Arc<Application>> {
        self.0.own_application(caller, name)
    }

    async fn create(&self, caller: &Caller, name: AppName) -> Result<Arc<Application>, AppError> {
        let application = Application {
            id: AppId::new(),
            name,
            owner: caller.user().cloned(),
            space: SpaceId::new(),
            endpoints: Vec::new(),
            dependencies: String::new(),
            up: false,
            cors: Cors::Closed,
            hands_out_nested: true,
            own_origin: false,
            created_unix_ms: unix_ms(),
        };
        if let Some(user) = caller.user() {
            let present = self.0.applications.of(Some(user)).len();
            let refused = |quota: QuotaExceeded| AppError::Quota {
                code: quota.code,
                message: quota.message,
            };
            self.0.quotas.check_applications(present).map_err(refused)?;
        }
        let revision = self
            .0
            .app_store
            .create(&application)
            .await
            .map_err(store_error)?;
        let application = Arc::new(application);
        self.0.applications.put([KeptApp {
            application: Arc::clone(&application),
            revision,
        }]);
        Ok(application)
    }

    async fn change(
        &self,
        caller: &Caller,
        name: &str,
        changes: AppChanges,
    ) -> Result<Arc<Application>, AppError> {
        let change = |application: &mut Application| {
            let AppChanges {
                name,
                cors,
                hands_out_nested,
                own_origin,
            } = changes.clone();
            application.name = name.unwrap_or_else(|| application.name.clone());
            application.cors = cors.unwrap_or_else(|| application.cors.clone());
            application.hands_out_nested = hands_out_nested.unwrap_or(application.hands_out_nested);
            application.own_origin = own_origin.unwrap_or(application.own_origin);
            Ok(())
        };
        self.0.edit_application(caller, name, change).await
    }

    async fn delete(&self, caller: &Caller, name: &str) -> Result<(), AppError> {
        let found = self.0.own_application(caller, name);
        let id = found
            .ok_or_else(|| AppError::Unknown(name.to_owned()))?
            .id
            .clone();
        if self.0.delete_application(&id).await? {
            Ok(())
        } else {
            Err(AppError::Unknown(name.to_owned()))
        }
    }

    async fn put_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        endpoint: Endpoint,
    ) -> Result<Arc<Application>, AppError> {
        let found = self.0.own_application(caller, name);
        let found = found.ok_or_else(|| AppError::Unknown(name.to_owned()))?;
        if !self
            .0
            .has_function(&found.space, &endpoint.function)
            .await?
        {
            return Err(AppError::NoFunction(endpoint.function));
        }
        let change =
            |application: &mut Application| bind(&mut application.endpoints, endpoint.clone());
        self.0.edit_application(caller, name, change).await
    }

    async fn remove_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        method: &Method,
        path: &EndpointPath,
    ) -> Result<Arc<Application>, AppError> {
        let change = |application: &mut Application| {
            let before = application.endpoints.len();
            application
                .endpoints
                .retain(|one| one.method != *method || one.path != *path);
            if application.endpoints.len() == before {
                return Err(AppError::NoEndpoint(
                    method.clone(),
                    path.as_str().to_owned(),
                ));
            }
            Ok(())
        };
        self.0.edit_application(caller, name, change).await
    }

    async fn set_dependencies(
        &self,
        caller: &Caller,
        name: &str,
        text: String,
    ) -> Result<(Arc<Application>, Vec<String>), AppError> {
        let change = |application: &mut Application| {
            application.dependencies.clone_from(&text);
            Ok(())
        };
        let changed = self.0.edit_application(caller, name, change).await?;
        let outdated = self.0.with_other_dependencies(&changed).await;
        Ok((changed, outdated))
    }
}

/// In the place of what had its method and path.
fn bind(endpoints: &mut Vec<Endpoint>, endpoint: Endpoint) -> Result<(), AppError> {
    endpoints.retain(|one| one.method != endpoint.method || one.path != endpoint.path);
    if endpoints.len() >= ENDPOINTS_MAX {
        let message =
            format!("the application has {ENDPOINTS_MAX} endpoints, and may have no more");
        return Err(AppError::Invalid {
            code: "too_many_endpoints",
            message,
        });
    }
    endpoints.push(endpoint);
    endpoints.sort_by(|a, b| (&a.path, a.method.as_str()).cmp(&(&b.path, b.method.as_str())));
    Ok(())
}

impl Node {
    /// The caller's application of this name; another's is none.
    pub(crate) fn own_application(&self, caller: &Caller, name: &str) -> Option<Arc<Application>> {
        self.applications
            .by_name(name)
            .filter(|one| one.owner.as_ref() == caller.user())
    }

    /// Changes an application of the caller's. `change` may run several times; what it leaves as it is is not written.
    pub(crate) async fn edit_application(
        &self,
        caller: &Caller,
        name: &str,
        change: impl Fn(&mut Application) -> Result<(), AppError> + Send + Sync,
    ) -> Result<Arc<Application>, AppError> {
        let unknown = || AppError::Unknown(name.to_owned());
        let id = self
            .own_application(caller, name)
            .ok_or_else(unknown)?
            .id
            .clone();
        for _ in 0..ATTEMPTS_MAX {
            let seen = self
                .app_store
                .get(&id)
                .await
                .map_err(load_error)?
                .ok_or_else(unknown)?;
            let mut new = Application::clone(&seen.application);
            change(&mut new)?;
            if new == *seen.application {
                return Ok(seen.application);
            }
            match self.app_store.change(&seen, &new).await {
                Ok(revision) => {
                    let application = Arc::new(new);
                    self.applications.put([KeptApp {
                        application: Arc::clone(&application),
                        revision,
                    }]);
                    return Ok(application);
                }
                Err(AppStoreError::Changed) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(AppError::Contended)
    }

    /// Deletes an application, whosoever it is, with all functions of its space; says whether there was one. What lies under
    /// other keys is swept soon, by this node or another.
    pub(crate) async fn delete_application(&self, id: &AppId) -> Result<bool, AppError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(seen) = self.app_store.get(id).await.map_err(load_error)? else {
                return Ok(false);
            };
            match self.app_store.delete(&seen, unix_ms()).await {
                Ok(revision) => {
                    self.applications.remove(id, revision);
                    self.forget_space(&seen.application.space, revision).await;
                    return Ok(true);
                }
                Err(AppStoreError::Changed) => {}
                Err(error) => return Err(store_error(error)),
            }
        }
        Err(AppError::Contended)
    }

    /// Deletes everything that a user owns: their applications, and the functions of their own space. Whoever calls has made
    /// sure that the user makes nothing new. Done twice, or after a crash in the middle, it is done once.
    ///
    /// # Errors
    /// What kept it from being done; call it again.
    pub(crate) async fn delete_belongings(
        &self,
        user: &UserId,
        own_space: &SpaceId,
    ) -> Result<(), AppError> {
        // From the registry: what was made on another node a moment ago counts as well.
        let loaded = self.app_store.load_all().await.map_err(kv_error)?;
        for kept in loaded
            .applications
            .iter()
            .filter(|kept| kept.application.owner.as_ref() == Some(user))
        {
            self.delete_application(&kept.application.id).await?;
        }
        let revision = self
            .app_store
            .delete_space(own_space, unix_ms())
            .await
            .map_err(kv_error)?;
        self.forget_space(own_space, revision).await;
        Ok(())
    }

    /// The functions of a deleted space are unknown here at once, elsewhere through the watch.
    async fn forget_space(&self, space: &SpaceId, revision: Revision) {
        for name in self.functions.names(space) {
            let Ok(name) = FunctionName::parse(&name) else {
                continue;
            };
            if let Some(gone) = self.functions.remove(space, &name, revision) {
                self.forget_deleted(&gone).await;
            }
        }
        self.sweep_soon.notify_one();
    }

    /// Here or in the registry, where another node may just have deployed it.
    async fn has_function(&self, space: &SpaceId, name: &FunctionName) -> Result<bool, AppError> {
        if self.functions.get(space, name.as_str()).is_some() {
            return Ok(true);
        }
        Ok(self
            .store
            .get(space, name)
            .await
            .map_err(load_error)?
            .is_some())
    }

    /// The names of an application's functions that run with other packages than it asks for now.
    async fn with_other_dependencies(&self, application: &Application) -> Vec<String> {
        let mut outdated = Vec::new();
        for name in self.functions.names(&application.space) {
            let Some(entry) = self.functions.get(&application.space, &name) else {
                continue;
            };
            // What cannot be read is asked about again by the next start.
            match self
                .code_with_dependencies(application, &entry.function)
                .await
            {
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => outdated.push(name),
            }
        }
        outdated
    }
}

/// Whether an application's dependencies are for functions of this runtime, or were.
pub(super) fn text_for(application: &Application, runtime: serverledge_core::Runtime) -> &str {
    if dependencies_runtime(&application.dependencies) == Some(runtime) {
        &application.dependencies
    } else {
        ""
    }
}

fn store_error(error: AppStoreError) -> AppError {
    match error {
        AppStoreError::NameTaken { name } => AppError::NameTaken(name),
        AppStoreError::Changed => AppError::Contended,
        AppStoreError::Kv(error) => kv_error(error),
    }
}

fn kv_error(error: KvError) -> AppError {
    let code = if matches!(error, KvError::RegistryFull) {
        "registry_full"
    } else {
        "registry_unavailable"
    };
    AppError::Registry {
        code,
        source: Box::new(error),
    }
}

fn load_error(error: LoadError) -> AppError {
    match error {
        LoadError::Kv(error) => kv_error(error),
        unreadable @ LoadError::Unreadable(_) => AppError::Registry {
            code: "record_unreadable",
            source: Box::new(unreadable),
        },
    }
}
