//! Records of applications: what one is, which one a name means, and which spaces are gone.

use serde::{Deserialize, Serialize};
use serverledge_core::{
    AppId, AppName, Application, Cors, Dependencies, Endpoint, SpaceId, UserId,
};

use super::{Record, RecordError, member};

/// The value of `apps/<id>`. The id is in the key only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Its name, which `appnames/<name>` leads here.
    pub name: String,
    /// The owner; absent: it belongs to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The space that holds its functions.
    pub space: String,
    /// Its URLs.
    pub endpoints: Vec<EndpointRecord>,
    /// The dependencies file of its functions, whichever of the two there is; absent: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dependencies: String,
    /// The `requirements.txt` of one that has a `package.json` as well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub requirements: String,
    /// It is to run.
    pub up: bool,
    /// The origins whose pages may use it.
    pub cors: CorsRecord,
    /// Cache entries of nested calls are handed out.
    pub hands_out_nested: bool,
    /// On a host name of its own its responses keep their origin.
    pub own_origin: bool,
    /// Creation time, in Unix milliseconds.
    pub created_unix_ms: u64,
}

/// A URL of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Its method.
    pub method: String,
    /// Its path, without the leading `/`.
    pub path: String,
    /// The function that it calls.
    pub function: String,
}

/// The origins whose pages may use an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorsRecord {
    /// None.
    Closed,
    /// All.
    Any,
    /// Those of these origins.
    Origins(Vec<String>),
}

/// The value of `appnames/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppNameRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// The application that has the name.
    pub app: String,
}

/// The value of `deletions/<space>`: the space is gone, and nothing is deployed into it any more. What is left of it is
/// swept; the mark stays until no deploy that began before can still be under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Time of the deletion, in Unix milliseconds.
    pub deleted_unix_ms: u64,
    /// Nothing is left of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub swept: bool,
}

// === impl ApplicationRecord ===

impl Record for ApplicationRecord {}

impl ApplicationRecord {
    /// The record of an application.
    #[must_use]
    pub fn from_application(application: &Application) -> Self {
        let (dependencies, requirements) = application.dependencies.to_stored();
        Self {
            schema: Self::SCHEMA,
            name: application.name.to_string(),
            owner: application.owner.as_ref().map(ToString::to_string),
            space: application.space.to_string(),
            endpoints: application
                .endpoints
                .iter()
                .map(EndpointRecord::from_endpoint)
                .collect(),
            dependencies,
            requirements,
            up: application.up,
            cors: CorsRecord::from_cors(&application.cors),
            hands_out_nested: application.hands_out_nested,
            own_origin: application.own_origin,
            created_unix_ms: application.created_unix_ms,
        }
    }

    /// The application, given what its key says.
    ///
    /// # Errors
    /// `Member` names what cannot be.
    pub fn into_application(self, id: AppId) -> Result<Application, RecordError> {
        let owner = self
            .owner
            .map(|owner| member("owner", &owner, |text| UserId::parse(text).ok_or(())));
        Ok(Application {
            id,
            name: member("name", &self.name, AppName::parse)?,
            owner: owner.transpose()?,
            space: member("space", &self.space, |text| SpaceId::parse(text).ok_or(()))?,
            endpoints: self
                .endpoints
                .iter()
                .map(EndpointRecord::to_endpoint)
                .collect::<Result<_, _>>()?,
            dependencies: Dependencies::from_stored(self.dependencies, self.requirements),
            up: self.up,
            cors: self.cors.into_cors(),
            hands_out_nested: self.hands_out_nested,
            own_origin: self.own_origin,
            created_unix_ms: self.created_unix_ms,
        })
    }
}

// === impl EndpointRecord ===

impl EndpointRecord {
    fn from_endpoint(endpoint: &Endpoint) -> Self {
        Self {
            method: endpoint.method.to_string(),
            path: endpoint.path.as_str().to_owned(),
            function: endpoint.function.to_string(),
        }
    }

    fn to_endpoint(&self) -> Result<Endpoint, RecordError> {
        member("endpoint", &self.path, |path| {
            Endpoint::parse(&self.method, path, &self.function)
        })
    }
}

// === impl CorsRecord ===

impl CorsRecord {
    fn from_cors(cors: &Cors) -> Self {
        match cors {
            Cors::Closed => Self::Closed,
            Cors::Any => Self::Any,
            Cors::Origins(origins) => Self::Origins(origins.clone()),
        }
    }

    fn into_cors(self) -> Cors {
        match self {
            Self::Closed => Cors::Closed,
            Self::Any => Cors::Any,
            Self::Origins(origins) => Cors::Origins(origins),
        }
    }
}

// === impl AppNameRecord ===

impl Record for AppNameRecord {}

impl AppNameRecord {
    /// The name leads to this application.
    #[must_use]
    pub fn of(app: &AppId) -> Self {
        Self {
            schema: Self::SCHEMA,
            app: app.to_string(),
        }
    }
}

// === impl DeletionRecord ===

impl Record for DeletionRecord {}

impl DeletionRecord {
    /// Of a space that goes now.
    #[must_use]
    pub const fn begun(now_unix_ms: u64) -> Self {
        Self {
            schema: Self::SCHEMA,
            deleted_unix_ms: now_unix_ms,
            swept: false,
        }
    }
}
