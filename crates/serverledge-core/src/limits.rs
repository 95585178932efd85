//! Every limit of the house that is not a configuration key, each with its reason. Defaults of configurable limits
//! live beside the configuration that they default.

use std::time::Duration;

use crate::quantity::MemoryMib;

/// Longest function name in bytes: fits a DNS-like label twice over and keeps registry keys short.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest handler in bytes (`module.function` forms are far shorter).
pub const HANDLER_BYTES_MAX: usize = 256;
/// Most environment variables of one function, and their bytes together: they are copied into every sandbox.
pub const ENV_VARIABLES_MAX: usize = 64;
/// Bytes of all environment names and values of one function together.
pub const ENV_BYTES_MAX: usize = 32 * 1024;
/// Longest code of one version before base64, after unpacking; the default of `function.code_bytes_max`.
pub const CODE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest parameters of one invocation; the default of `function.params_bytes_max`.
pub const PARAMS_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Longest output of one invocation; the default of `function.output_bytes_max`.
pub const OUTPUT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Longest log kept of one invocation: its last bytes; the default of `function.log_tail_bytes_max`.
pub const LOG_TAIL_BYTES_MAX: usize = 64 * 1024;
/// Depth of nested calls: deep enough for real compositions, shallow enough that a cycle of calls ends soon.
pub const CALL_DEPTH_MAX: u32 = 8;
/// Calls that one invocation may have outstanding at once: enough to fan out over a list, and what it takes of the node at once
/// stays near what as many callers would take.
pub const CALLS_AT_ONCE_MAX: usize = 16;
/// Calls that one invocation may make in all: far more than a composition needs, far less than a loop that never ends makes.
pub const CALLS_MAX: usize = 1_000;
/// Requests to hosts outside that one invocation may have outstanding at once, until their responses have been read: as many as
/// calls, for the same reason.
pub const REQUESTS_AT_ONCE_MAX: usize = 16;
/// Requests to hosts outside that one invocation may send in all: as many as calls, for the same reason.
pub const REQUESTS_MAX: usize = 1_000;
/// Memory of a function that declares none (Serverledge's CLI default).
pub const MEMORY_DEFAULT: MemoryMib = MemoryMib::new(128);
/// Most memory a function may declare: a wasm32 memory ends there.
pub const MEMORY_MAX: MemoryMib = MemoryMib::new(4096);
/// Time limit of a function that declares none; the default of `function.timeout`.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Most time a function may declare: longer work belongs in several invocations.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(900);
/// Most arguments of a program beside its name: they are copied into every instance.
pub const ARGS_MAX: usize = 64;
/// Bytes of the templates of all arguments of a program together: more than any command line that somebody types.
pub const ARGS_TEMPLATE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of all arguments of one call together, once their parameters are in place; data belongs on stdin.
pub const ARGS_BYTES_MAX: usize = 64 * 1024;
/// Longest content type of a program's output in bytes; registered ones are far shorter.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Longest image name in bytes: Docker's own limit for a repository name is 255.
pub const IMAGE_BYTES_MAX: usize = 255;
