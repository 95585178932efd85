//! The registry: what a node, or a cluster of nodes, remembers. A key-value store with revisions
//! ([`serverledge_core::kv::Kv`]), embedded in the node or, on etcd, shared by a cluster; and the typed
//! stores over it: functions, blobs, applications, invocations, nodes, accounts, and the state of functions.

mod accounts;
mod applications;
mod blobs;
mod embedded;
mod etcd;
mod follow;
mod functions;
mod invocations;
mod keys;
mod node_id;
mod nodes;
mod paging;
mod private_file;
mod state;
mod version;

pub use accounts::{
    AccountChange, AccountStore, AccountTxn, AccountsSwept, LISTED_MAX, LoadedAccounts, Stored,
    credential_id,
};
pub use applications::{AppChange, AppStore, AppStoreError, Deletion, KeptApp, LoadedApps};
pub use blobs::{BlobError, BlobStore, CHUNK_BYTES, Survey, Swept};
pub use embedded::{Embedded, OpenError, Options};
pub use etcd::{
    Etcd, EtcdFault, EtcdOptions, EtcdOptionsError, EtcdTls, EtcdUsage, EtcdUser, PREFIX_DEFAULT,
};
pub use follow::{ChangeWatch, Follower, follow};
pub use functions::{
    ChangeError, DeployError, Deployed, FlagsChange, FunctionChange, FunctionStore, History,
    LoadError, Loaded, MoveError, Replaced, Unreadable, VERSIONS_MAX,
};
pub use invocations::{
    Acceptance, Cancelled, Claim, DeadLetterPage, FinalOutcome, Finish, Held, INLINE_BYTES_MAX,
    IdempotencyKey, Invocation, InvocationStore, InvocationStoreError, InvocationWatch,
    NewInvocation, Redriven, Retention,
};
pub use node_id::{NodeIdError, node_id};
pub use nodes::{Gone, KnownNode, NodeChange, NodeStore, Nodes, Owner};
pub use private_file::create_private;
pub use state::Stores;
pub use version::{code_digest, version, version_digest};
