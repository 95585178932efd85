//! A reactor that counts in the key-value state of its space: `{"name":"visits"}` adds one to the entry `visits` of the
//! default store, and answers with the sum.
//!
//! The two exports and the import are the reactor interface of docs/guest-abi.md.

use serde::Deserialize;
use serde_json::{Value, json};

/// Most replies fit; for a longer one the host is asked again.
const FIRST_ROOM: usize = 512;
/// In the length that a reactor returns: the bytes are an error object.
const ERROR: u64 = 1 << 31;
/// In what `kv` returns: the reply is an error object.
const KV_ERROR: i64 = i64::MIN;
/// Bytes of the length before a head.
const LENGTH: usize = 4;

#[link(wasm_import_module = "serverledge")]
unsafe extern "C" {
    fn kv(request: *const u8, request_len: usize, out: *mut u8, out_cap: usize) -> i64;
}

/// The entry to count in, and the summand.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default = "count")]
    name: String,
    #[serde(default = "one")]
    by: i64,
}

fn count() -> String {
    "count".to_owned()
}

fn one() -> i64 {
    1
}

/// The head of a reply to an increment.
#[derive(Deserialize)]
struct Sum {
    value: String,
}

/// Room for the params. It is never freed: an instance serves one call.
#[unsafe(no_mangle)]
pub extern "C" fn serverledge_alloc(len: usize) -> *mut u8 {
    Vec::leak(vec![0; len]).as_mut_ptr()
}

/// One invocation: params in, `ptr << 32 | len` of the result out.
///
/// # Safety
/// `ptr` must come from `serverledge_alloc(len)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn serverledge_handle(ptr: *const u8, len: usize) -> u64 {
    // SAFETY: the caller's promise.
    let params = unsafe { std::slice::from_raw_parts(ptr, len) };
    match counted(params) {
        Ok(result) => region(result),
        Err(error) => region(error) | ERROR,
    }
}

fn region(bytes: Vec<u8>) -> u64 {
    let bytes = bytes.leak();
    (bytes.as_ptr() as u64) << 32 | bytes.len() as u64
}

fn counted(params: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let Wanted { name, by } =
        serde_json::from_slice(params).map_err(|error| failure("BadParams", &error.to_string()))?;
    let reply = ask(&json!({ "op": "increment", "key": name, "by": by }))?;
    // An increment has no value behind the head.
    let sum: Sum = serde_json::from_slice(reply.get(LENGTH..).unwrap_or_default())
        .map_err(|error| failure("BadReply", &error.to_string()))?;
    let count: i64 = sum
        .value
        .parse()
        .map_err(|_| failure("BadReply", "the sum is no number"))?;
    Ok(json!({ "name": name, "count": count })
        .to_string()
        .into_bytes())
}

fn failure(error: &str, message: &str) -> Vec<u8> {
    json!({ "error": error, "message": message, "stack": "" })
        .to_string()
        .into_bytes()
}

/// Asks the stores; the error is an error object of the host's.
fn ask(head: &Value) -> Result<Vec<u8>, Vec<u8>> {
    let head = head.to_string();
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
    let request = [&length.to_le_bytes(), head.as_bytes()].concat();
    let mut reply = vec![0; FIRST_ROOM];
    // SAFETY: each pointer goes with the length of its own slice, and the host keeps none of them.
    let mut returned = unsafe {
        kv(
            request.as_ptr(),
            request.len(),
            reply.as_mut_ptr(),
            reply.len(),
        )
    };
    let length = returned as u32 as usize;
    if length > reply.len() {
        reply.resize(length, 0);
        // SAFETY: as above; a request of length 0 asks for the reply that the host has kept.
        returned = unsafe { kv(request.as_ptr(), 0, reply.as_mut_ptr(), reply.len()) };
    }
    reply.truncate(length);
    if returned & KV_ERROR == 0 {
        Ok(reply)
    } else {
        Err(reply)
    }
}
