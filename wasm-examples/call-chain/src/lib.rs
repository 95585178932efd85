//! A reactor that calls another function of the node: `{"a":2,"b":3}` goes to `add`, and twice its sum comes back.
//!
//! The two exports and the import are the reactor interface of docs/guest-abi.md.

use serde::Deserialize;
use serde_json::json;

/// Most replies fit; for a longer one the host is asked again.
const FIRST_ROOM: usize = 512;
/// In the length that a reactor returns: the bytes are an error object.
const ERROR: u64 = 1 << 31;
/// In what `call` returns: the reply is an error object.
const CALL_ERROR: i64 = i64::MIN;

#[link(wasm_import_module = "serverledge")]
unsafe extern "C" {
    fn call(
        name: *const u8,
        name_len: usize,
        params: *const u8,
        params_len: usize,
        out: *mut u8,
        out_cap: usize,
    ) -> i64;
}

#[derive(Deserialize)]
struct Sum {
    sum: i64,
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
    match doubled_sum(params) {
        Ok(result) => region(result),
        Err(error) => region(error) | ERROR,
    }
}

fn region(bytes: Vec<u8>) -> u64 {
    let bytes = bytes.leak();
    (bytes.as_ptr() as u64) << 32 | bytes.len() as u64
}

fn doubled_sum(params: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let reply = call_function("add", params)?;
    let Sum { sum } =
        serde_json::from_slice(&reply).map_err(|error| failure("BadReply", &error.to_string()))?;
    let double = sum
        .checked_mul(2)
        .ok_or_else(|| failure("Overflow", "the sum is too large to double"))?;
    Ok(json!({ "double": double }).to_string().into_bytes())
}

fn failure(error: &str, message: &str) -> Vec<u8> {
    json!({ "error": error, "message": message, "stack": "" })
        .to_string()
        .into_bytes()
}

/// Calls `name` on the node this runs on; both the reply and the error are the callee's JSON.
fn call_function(name: &str, params: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
    let mut reply = vec![0; FIRST_ROOM];
    // SAFETY: each pointer goes with the length of its own slice, and the host keeps none of them.
    let mut returned = unsafe {
        call(
            name.as_ptr(),
            name.len(),
            params.as_ptr(),
            params.len(),
            reply.as_mut_ptr(),
            reply.len(),
        )
    };
    let length = returned as u32 as usize;
    if length > reply.len() {
        reply.resize(length, 0);
        // SAFETY: as above; a name of length 0 asks for the reply that the host has kept.
        returned = unsafe {
            call(
                name.as_ptr(),
                0,
                params.as_ptr(),
                0,
                reply.as_mut_ptr(),
                reply.len(),
            )
        };
    }
    reply.truncate(length);
    if returned & CALL_ERROR == 0 {
        Ok(reply)
    } else {
        Err(reply)
    }
}
