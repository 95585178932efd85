//! The registry: what a node, or a cluster of nodes, remembers. A key-value store with revisions
//! ([`serverledge_core::kv::Kv`]), embedded in the node or, with the feature `etcd`, shared by a cluster; and the typed
//! stores over it: functions, blobs, applications, invocations, nodes, accounts.

mod accounts;
mod applications;
mod blobs;
mod embedded;
#[cfg(feature = "etcd")]
mod etcd;
mod functions;
mod invocations;
mod keys;
mod node_id;
mod nodes;
mod paging;
mod version;

pub use accounts::{
    AccountChange, AccountStore, AccountTxn, AccountWatch, AccountsSwept, LISTED_MAX,
    LoadedAccounts, Stored, credential_id,
};
pub use applications::{
    AppChange, AppStore, AppStoreError, AppWatch, Deletion, KeptApp, LoadedApps,
};
pub use blobs::{BlobError, BlobStore, CHUNK_BYTES, Survey, Swept};
pub use embedded::{Embedded, OpenError, Options};
#[cfg(feature = "etcd")]
pub use etcd::{
    Etcd, EtcdFault, EtcdOptions, EtcdOptionsError, EtcdTls, EtcdUsage, EtcdUser, PREFIX_DEFAULT,
};
pub use functions::{
    ChangeError, DeployError, Deployed, FlagsChange, FunctionChange, FunctionStore, FunctionWatch,
    History, LoadError, Loaded, Unreadable, VERSIONS_MAX,
};
pub use invocations::{
    Acceptance, CancelWatch, Cancelled, Claim, DeadLetterPage, FinalOutcome, Finish, Held,
    INLINE_BYTES_MAX, IdempotencyKey, Invocation, InvocationStore, InvocationStoreError,
    InvocationWatch, NewInvocation, Redriven, Retention,
};
pub use node_id::{NodeIdError, node_id};
pub use nodes::{Gone, KnownNode, NodeChange, NodeStore, NodeWatch, Nodes, Owner};
pub use version::{code_digest, version, version_digest};
