//! Reads whole spans page by page, as of one revision.

use serverledge_core::kv::{KeyValue, Kv, KvError, RangeRequest, Revision};

/// All entries of the request's span, read in pages of its limit, as of one revision, which is returned as well.
/// Fails with `Compacted` if the history is cut faster than it is read: ask again.
pub(crate) async fn read_all(
    kv: &dyn Kv,
    mut request: RangeRequest,
) -> Result<(Vec<KeyValue>, Revision), KvError> {
    let mut entries = Vec::new();
    loop {
        let page = kv.range(request.clone()).await?;
        let at = *request.at.get_or_insert(page.revision);
        entries.extend(page.entries);
        match entries.last() {
            Some(last) if page.more => request.span = request.span.after(&last.key),
            _ => return Ok((entries, at)),
        }
    }
}
