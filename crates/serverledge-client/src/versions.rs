//! A function's versions and flags.

use serverledge_core::FunctionName;
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::rollout::FunctionNodes;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions, RollbackRequest};

use crate::call::DEPLOY_TIMEOUT;
use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// A function's versions: the current one, then those that are kept, the newest first. Dropping the future has no
    /// effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `function_unknown` (404) if there is no such function; else see
    /// [`ClientError`].
    pub async fn versions(&self, function: &FunctionName) -> Result<FunctionVersions, ClientError> {
        self.get(&["functions", function.as_str(), "versions"])
            .read()
            .await
    }

    /// The nodes on which a function's newest version is prepared, and those on which it is not. Dropping the future has no
    /// effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `function_unknown` (404) if there is no such function; else see
    /// [`ClientError`].
    pub async fn function_nodes(
        &self,
        function: &FunctionName,
    ) -> Result<FunctionNodes, ClientError> {
        self.get(&["functions", function.as_str(), "nodes"])
            .read()
            .await
    }

    /// Binds a function to the one of its versions whose digest begins with `version`, and gives the function as it is
    /// then. The node makes the version ready first if it has to. Dropping the future: it may have happened or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `version_unknown` (404) or `version_ambiguous` (422); else see
    /// [`ClientError`].
    pub async fn roll_back(
        &self,
        function: &FunctionName,
        version: &str,
    ) -> Result<FunctionInfo, ClientError> {
        let body = RollbackRequest {
            version: version.to_owned(),
        };
        self.post(&["functions", function.as_str(), "rollback"])
            .json(&body)
            .within(DEPLOY_TIMEOUT)
            .read()
            .await
    }

    /// Changes a function's flags, and gives the function as it is then. Dropping the future: it may have happened or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `function_unknown` (404) if there is no such function; else see
    /// [`ClientError`].
    pub async fn set_flags(
        &self,
        function: &FunctionName,
        flags: FlagsRequest,
    ) -> Result<FunctionInfo, ClientError> {
        self.post(&["functions", function.as_str(), "flags"])
            .json(&flags)
            .read()
            .await
    }
}
