//! Names of the HTTP headers that nodes and clients read, and the words in them.

/// The id of a request: taken from the caller where it is well-formed, else made.
pub const REQUEST_ID: &str = "x-request-id";
/// The caller's trace context (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";
/// Additions of the systems on the way to the trace context (W3C Trace Context).
pub const TRACESTATE: &str = "tracestate";
/// Name of the node that answered.
pub const NODE_NAME: &str = "serverledge-node-name";
/// Memory of that node not reserved by running invocations, in MiB.
pub const FREE_MEM: &str = "serverledge-free-mem";
/// Cores of that node not reserved.
pub const FREE_CPU: &str = "serverledge-free-cpu";
/// Unix time of those figures, in seconds.
pub const TIMESTAMP: &str = "serverledge-timestamp";
/// Architecture of that node in Go's words (`amd64`, `arm64`).
pub const NODE_ARCH: &str = "serverledge-node-arch";
/// Echoed for Serverledge's load balancer.
pub const MAB_REQUEST_ID: &str = "serverledge-mab-request-id";

/// Go's name of the architecture that this program was built for.
pub const ARCH: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    std::env::consts::ARCH
};
/// A caller's word for "the same request again".
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
