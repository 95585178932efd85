//! Messages between guests and their host: the length of a head in four bytes (little-endian), a head in JSON, a body.

use bytes::Bytes;

/// Bytes of the length before a head.
const LENGTH_BYTES: usize = 4;

/// The head and the body of a message.
///
/// # Errors
/// The fault, in words about the message: it is too short, or its head is longer than this.
pub fn split(message: &Bytes, head_bytes_max: usize) -> Result<(&[u8], Bytes), String> {
    let short = || "it ends within its head".to_owned();
    let length = message.first_chunk::<LENGTH_BYTES>().ok_or_else(short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > head_bytes_max {
        return Err(format!("its head is longer than {head_bytes_max} bytes"));
    }
    let end = length.saturating_add(LENGTH_BYTES);
    let head = message.get(LENGTH_BYTES..end).ok_or_else(short)?;
    Ok((head, message.slice(end..)))
}

/// A message up to its body, with room for one of this length; `None` if the head has 4 GiB.
#[must_use]
pub fn begin(head: &[u8], body_bytes: usize) -> Option<Vec<u8>> {
    let length = u32::try_from(head.len()).ok()?;
    let mut message = Vec::with_capacity(LENGTH_BYTES + head.len() + body_bytes);
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(head);
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_head_and_a_body() {
        let mut message = begin(b"{}", 4).unwrap();
        message.extend_from_slice(b"body");
        assert_eq!(message, b"\x02\0\0\0{}body");
        let message = Bytes::from(message);
        let (head, body) = split(&message, 2).unwrap();
        assert_eq!((head, &body[..]), (&b"{}"[..], &b"body"[..]));
        let told = split(&message, 1).unwrap_err();
        assert_eq!(told, "its head is longer than 1 bytes");
        for short in [&b""[..], b"\x01\0\0", b"\x01\0\0\0"] {
            let told = split(&Bytes::from_static(short), 9).unwrap_err();
            assert_eq!(told, "it ends within its head");
        }
    }
}
