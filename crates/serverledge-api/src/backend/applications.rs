//! The operations on applications that the routes need of a node. The node implements them, and so does the fake of the
//! tests.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serverledge_core::{
    AppName, Application, Caller, Cors, DependenciesFile, Endpoint, EndpointPath, FunctionName,
};

/// Changes of an application; a member that is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppChanges {
    /// Its name.
    pub name: Option<AppName>,
    /// The pages of other origins that may use its endpoints.
    pub cors: Option<Cors>,
    /// Whether cache entries of nested calls are handed out.
    pub hands_out_nested: Option<bool>,
    /// Whether it keeps its origin on a host name of its own.
    pub own_origin: Option<bool>,
}

/// The reason why an operation on an application failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The caller has no such application, whether or not somebody else has.
    #[error("there is no application {0:?}")]
    Unknown(String),
    /// The name is taken, by whomever.
    #[error("the application name {0} is taken")]
    NameTaken(AppName),
    /// The endpoint's function is none of the application's.
    #[error("the application has no function {0}; deploy it first")]
    NoFunction(FunctionName),
    /// There is no such endpoint.
    #[error("the application has no endpoint {0} /{1}")]
    NoEndpoint(Method, String),
    /// The input breaks a rule.
    #[error("{message}")]
    Invalid {
        /// A stable code.
        code: &'static str,
        /// The fault, and the way out.
        message: String,
    },
    /// The caller has as much as they may have.
    #[error("{message}")]
    Quota {
        /// A stable code.
        code: &'static str,
        /// The figures.
        message: String,
    },
    /// Others change it all the time.
    #[error("the application is being changed by somebody else; try again")]
    Contended,
    /// The registry did not take it; it may have been changed all the same.
    #[error("the registry is unavailable")]
    Registry {
        /// A stable code.
        code: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Applications, as the routes see them. Another user's application is unknown to a caller. Dropping a future leaves the
/// change done or not done.
#[async_trait]
pub trait Applications: Send + Sync {
    /// The caller's applications, by name.
    fn list(&self, caller: &Caller) -> Vec<Arc<Application>>;

    /// The caller's application of this name.
    fn find(&self, caller: &Caller, name: &str) -> Option<Arc<Application>>;

    /// Makes an application of the caller's, with nothing in it.
    async fn create(&self, caller: &Caller, name: AppName) -> Result<Arc<Application>, AppError>;

    /// Changes name and settings, all or none.
    async fn change(
        &self,
        caller: &Caller,
        name: &str,
        changes: AppChanges,
    ) -> Result<Arc<Application>, AppError>;

    /// Deletes an application with its endpoints and functions; its name is free at once. Invocations that run end as they
    /// would have.
    async fn delete(&self, caller: &Caller, name: &str) -> Result<(), AppError>;

    /// Binds method and path to one of the application's functions, in place of what was bound to them.
    async fn put_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        endpoint: Endpoint,
    ) -> Result<Arc<Application>, AppError>;

    /// Removes an endpoint.
    async fn remove_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        method: &Method,
        path: &EndpointPath,
    ) -> Result<Arc<Application>, AppError>;

    /// Replaces a dependencies file; empty: there is none any more, or, where no file is named, neither of the two. Returns the
    /// application, and the names of functions that run with other packages until the application's next start or their own
    /// next deploy.
    async fn set_dependencies(
        &self,
        caller: &Caller,
        name: &str,
        file: Option<DependenciesFile>,
        text: String,
    ) -> Result<(Arc<Application>, Vec<String>), AppError>;
}
