//! Management of applications, for the routes. Each change is read from the registry, made, and written back with a
//! comparison, so that none is lost, whichever node makes it.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serverledge_api::{AppChanges, AppError, Applications, QuotaExceeded};
use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{
    AppId, AppName, Application, Caller, Cors, Dependencies, DependenciesFile, ENDPOINTS_MAX,
    Endpoint, EndpointPath, FunctionName, SpaceId, UserId,
};
use serverledge_registry::{AppStoreError, KeptApp, LoadError};

use crate::applications::Apps;
use crate::clock::unix_ms;

/// Most attempts at a change while others change the same application.
const ATTEMPTS_MAX: usize = 16;

#[async_trait]
impl Applications for Apps {
    fn list(&self, caller: &Caller) -> Vec<Arc<Application>> {
        self.applications.of(caller.user())
    }

    fn find(&self, caller: &Caller, name: &str) -> Option<Arc<Application>> {
        self.applications
            .by_name(name)
            .filter(|one| one.owner.as_ref() == caller.user())
    }

    async fn create(&self, caller: &Caller, name: AppName) -> Result<Arc<Application>, AppError> {
        let application = Application {
            id: AppId::new(),
            name,
            owner: caller.user().cloned(),
            space: SpaceId::new(),
            endpoints: Vec::new(),
            dependencies: Dependencies::default(),
            up: false,
            cors: Cors::Closed,
            hands_out_nested: true,
            own_origin: false,
            created_unix_ms: unix_ms(),
        };
        if let Some(user) = caller.user() {
            let present = self.applications.of(Some(user)).len();
            let refused = |quota: QuotaExceeded| AppError::Quota {
                code: quota.code,
                message: quota.message,
            };
            self.quotas.check_applications(present).map_err(refused)?;
        }
        let revision = self
            .app_store
            .create(&application)
            .await
            .map_err(store_error)?;
        let application = Arc::new(application);
        self.applications.put([KeptApp {
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
        self.edit_application(caller, name, change).await
    }

    async fn delete(&self, caller: &Caller, name: &str) -> Result<(), AppError> {
        let id = self.own(caller, name)?.id.clone();
        if self.delete_application(&id).await? {
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
        let found = self.own(caller, name)?;
        if !self.has_function(&found.space, &endpoint.function).await? {
            return Err(AppError::NoFunction(endpoint.function));
        }
        let change =
            |application: &mut Application| bind(&mut application.endpoints, endpoint.clone());
        self.edit_application(caller, name, change).await
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
        self.edit_application(caller, name, change).await
    }

    async fn set_dependencies(
        &self,
        caller: &Caller,
        name: &str,
        file: Option<DependenciesFile>,
        text: String,
    ) -> Result<(Arc<Application>, Vec<String>), AppError> {
        let change = |application: &mut Application| {
            match file {
                Some(file) => application.dependencies.set(file, text.clone()),
                None => application.dependencies = Dependencies::default(),
            }
            Ok(())
        };
        let changed = self.edit_application(caller, name, change).await?;
        let outdated = self.with_other_dependencies(&changed).await;
        Ok((changed, outdated))
    }
}

/// Binds an endpoint in place of the one with the same method and path.
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

impl Apps {
    /// The caller's application of this name; another owner's is unknown.
    pub(super) fn own(&self, caller: &Caller, name: &str) -> Result<Arc<Application>, AppError> {
        self.find(caller, name)
            .ok_or_else(|| AppError::Unknown(name.to_owned()))
    }

    /// Changes one of the caller's applications. `change` may run several times; an unchanged application is not
    /// written.
    pub(crate) async fn edit_application(
        &self,
        caller: &Caller,
        name: &str,
        change: impl Fn(&mut Application) -> Result<(), AppError> + Send + Sync,
    ) -> Result<Arc<Application>, AppError> {
        let id = self.own(caller, name)?.id.clone();
        for _ in 0..ATTEMPTS_MAX {
            let seen = self.app_store.get(&id).await.map_err(load_error)?;
            let seen = seen.ok_or_else(|| AppError::Unknown(name.to_owned()))?;
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

    /// Deletes an application of any owner, with all functions of its space; returns whether there was one. Data
    /// under other keys is swept soon, by this node or another.
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

    /// Deletes everything that a user owns: their applications, and the functions of their own space. The caller makes
    /// sure that the user creates nothing new. The deletion can be repeated, also after a crash in the middle.
    ///
    /// # Errors
    /// A deletion failed in the registry; the call can be repeated.
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

    /// Forgets the functions of a deleted space on this node at once; other nodes learn of it through the watch.
    async fn forget_space(&self, space: &SpaceId, revision: Revision) {
        for name in self.shared.functions.names(space) {
            let Ok(name) = FunctionName::parse(&name) else {
                continue;
            };
            let gone = self.shared.functions.remove(space, &name, revision);
            self.shared.clean_up_removed(gone).await;
        }
        self.sweep_soon.notify_one();
    }

    /// Whether the space has such a function, on this node or in the registry, where another node may just have
    /// deployed it.
    async fn has_function(&self, space: &SpaceId, name: &FunctionName) -> Result<bool, AppError> {
        if self.shared.functions.get(space, name.as_str()).is_some() {
            return Ok(true);
        }
        Ok(self
            .store
            .get(space, name)
            .await
            .map_err(load_error)?
            .is_some())
    }

    /// The names of an application's functions that run with other packages than it now asks for.
    async fn with_other_dependencies(&self, application: &Application) -> Vec<String> {
        let mut outdated = Vec::new();
        for name in self.shared.functions.names(&application.space) {
            let Some(entry) = self.shared.functions.get(&application.space, &name) else {
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

fn store_error(error: AppStoreError) -> AppError {
    match error {
        AppStoreError::NameTaken(name) => AppError::NameTaken(name),
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
