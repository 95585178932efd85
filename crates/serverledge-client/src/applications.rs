//! Applications: managed by name; and a client that acts on one's functions.

use http::Method;
use serverledge_core::AppName;
use serverledge_wire::application::{
    AppInfo, AppSettings, AppSummary, DependenciesInfo, EndpointInfo, NewApp,
};

use crate::client::Client;
use crate::error::ClientError;

/// First segments of the routes of functions, which an application has as well.
const OF_FUNCTIONS: [&str; 14] = [
    "create",
    "update",
    "delete",
    "function",
    "functions",
    "invoke",
    "fn",
    "prewarm",
    "poll",
    "invocations",
    "dead-letters",
    "stats",
    "events",
    "kv",
];

impl Client {
    /// A client of the same node whose operations on functions and invocations act on those of an application.
    #[must_use]
    pub fn in_app(mut self, app: AppName) -> Self {
        self.app = Some(app);
        self
    }

    /// The application that it acts on, if it acts on one.
    #[must_use]
    pub const fn app(&self) -> Option<&AppName> {
        self.app.as_ref()
    }

    /// The segments before a path: those of the application if it is a route of functions, else none.
    pub(crate) fn prefix(&self, path: &[&str]) -> Vec<&str> {
        match (&self.app, path.first()) {
            // The figures of the node itself.
            _ if path == ["stats", "node"] => Vec::new(),
            (Some(app), Some(first)) if OF_FUNCTIONS.contains(first) => vec!["apps", app.as_str()],
            _ => Vec::new(),
        }
    }

    /// The caller's applications. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn apps(&self) -> Result<Vec<AppSummary>, ClientError> {
        self.get(&["apps"]).read().await
    }

    /// Makes an application. Dropping the future: it may be made or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `application_exists` (409) if the name is taken, by whomever; else see
    /// [`ClientError`].
    pub async fn create_app(&self, name: &AppName) -> Result<AppInfo, ClientError> {
        self.post(&["apps"])
            .json(&NewApp {
                name: name.to_string(),
            })
            .read()
            .await
    }

    /// One application.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `application_unknown` (404) if the caller has none of that name; else see
    /// [`ClientError`].
    pub async fn show_app(&self, name: &AppName) -> Result<AppInfo, ClientError> {
        self.get(&["apps", name.as_str()]).read().await
    }

    /// Renames an application or changes its settings, all or none of it. Dropping the future: it may be changed or not.
    ///
    /// # Errors
    /// As for [`Client::show_app`]; `application_exists` (409) if a new name is taken.
    pub async fn change_app(
        &self,
        name: &AppName,
        settings: &AppSettings,
    ) -> Result<AppInfo, ClientError> {
        self.call(Method::PATCH, &["apps", name.as_str()])
            .json(settings)
            .read()
            .await
    }

    /// Deletes an application with its endpoints and functions. Dropping the future does not bring it back.
    ///
    /// # Errors
    /// As for [`Client::show_app`].
    pub async fn delete_app(&self, name: &AppName) -> Result<(), ClientError> {
        self.call(Method::DELETE, &["apps", name.as_str()])
            .done()
            .await
    }

    /// An application's endpoints.
    ///
    /// # Errors
    /// As for [`Client::show_app`].
    pub async fn endpoints(&self, name: &AppName) -> Result<Vec<EndpointInfo>, ClientError> {
        self.get(&["apps", name.as_str(), "endpoints"]).read().await
    }

    /// Binds a method and a path to a function, in place of what was bound to them; gives back all endpoints. Dropping the
    /// future: it may be bound or not.
    ///
    /// # Errors
    /// As for [`Client::show_app`]; `function_unknown` and `invalid_endpoint` (422).
    pub async fn put_endpoint(
        &self,
        name: &AppName,
        endpoint: &EndpointInfo,
    ) -> Result<Vec<EndpointInfo>, ClientError> {
        self.call(Method::PUT, &["apps", name.as_str(), "endpoints"])
            .json(endpoint)
            .read()
            .await
    }

    /// Removes an endpoint; gives back those that are left. Dropping the future: it may be removed or not.
    ///
    /// # Errors
    /// As for [`Client::show_app`]; `endpoint_unknown` (404).
    pub async fn remove_endpoint(
        &self,
        name: &AppName,
        method: &str,
        path: &str,
    ) -> Result<Vec<EndpointInfo>, ClientError> {
        let call = self.call(Method::DELETE, &["apps", name.as_str(), "endpoints"]);
        call.query("method", Some(method))
            .query("path", Some(path))
            .read()
            .await
    }

    /// An application's dependencies file; empty if there is none.
    ///
    /// # Errors
    /// As for [`Client::show_app`].
    pub async fn dependencies(&self, name: &AppName) -> Result<String, ClientError> {
        let mut answer = self
            .get(&["apps", name.as_str(), "dependencies"])
            .send()
            .await?;
        let text = answer.body().await?;
        String::from_utf8(text.into()).map_err(|error| answer.misread(&error))
    }

    /// Replaces one of an application's dependencies files, the one of this name; without a name the text says which it is, and an
    /// empty one removes both. Dropping the future: it may be replaced or not.
    ///
    /// # Errors
    /// As for [`Client::show_app`]; `invalid_dependencies` (422).
    pub async fn set_dependencies(
        &self,
        name: &AppName,
        file: Option<&str>,
        text: String,
    ) -> Result<DependenciesInfo, ClientError> {
        let call = self
            .call(Method::PUT, &["apps", name.as_str(), "dependencies"])
            .query("file", file);
        call.body("text/plain; charset=utf-8", text).read().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientConfig, Endpoint};

    #[test]
    fn operations_on_functions_act_on_the_application() {
        let client = Client::new(
            Endpoint::new("localhost", 1).unwrap(),
            &ClientConfig::default(),
        )
        .unwrap();
        let path = |client: &Client, path: &[&str]| client.url(path).path().to_owned();
        assert_eq!(path(&client, &["invoke", "f"]), "/invoke/f");
        let client = client.in_app(AppName::parse("shop").unwrap());
        assert_eq!(path(&client, &["invoke", "f"]), "/apps/shop/invoke/f");
        assert_eq!(
            path(&client, &["functions", "f", "logs"]),
            "/apps/shop/functions/f/logs"
        );
        for own in [
            &["status"][..],
            &["apps"],
            &["apps", "shop", "endpoints"],
            &["account"],
            &["peers"],
        ] {
            assert_eq!(path(&client, own), format!("/{}", own.join("/")));
        }
    }
}
