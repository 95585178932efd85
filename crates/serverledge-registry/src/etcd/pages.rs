//! Ranges: read in pages that etcd and this client can carry, put together as of one revision.

use serverledge_core::kv::{KvError, RANGE_LIMIT_MAX, RangeReply, RangeRequest, Revision};

use super::Core;
use super::fault::EtcdRefusal;
use super::link::RetrySafety;
use super::messages::{RangeRequest as EtcdRange, RangeResponse};
use super::translate::{header_revision, signed};

/// Entries in a page before it is known how long they are; the largest ones make 32 MiB.
const PAGE_ENTRIES: usize = 32;
/// Bytes that later pages aim at.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Most attempts at a range whose revision is forgotten between two pages.
const ATTEMPTS_MAX: usize = 3;

/// The part of a range that is still to be read.
struct Rest {
    start: Vec<u8>,
    end: Vec<u8>,
    limit: usize,
    keys_only: bool,
    at: Option<Revision>,
}

/// Reads one page of core's as one or more of etcd's; each has the request timeout.
pub(super) async fn range(core: &Core, request: &RangeRequest) -> Result<RangeReply, KvError> {
    let attempt = "read a range of keys";
    let Some((start, end)) = core.prefix.span(&request.span) else {
        return empty(core, request).await;
    };
    let mut attempts = 1;
    loop {
        let rest = Rest {
            start: start.clone(),
            end: end.clone(),
            limit: request.limit_effective(),
            keys_only: request.keys_only,
            // Revision 0 is before etcd's first one, which is as empty.
            at: request.at.map(|at| at.max(Revision::new(1))),
        };
        match read(core, rest).await {
            Ok(reply) => return Ok(reply),
            Err((EtcdRefusal::Compacted, _)) if request.at.is_none() && attempts < ATTEMPTS_MAX => {
                attempts += 1
            }
            Err((refusal, at)) => {
                return Err(core
                    .of_revision(refusal, at.unwrap_or_default(), attempt)
                    .await);
            }
        }
    }
}

/// An empty span is asked as a key that is not there: the revision is checked all the same.
async fn empty(core: &Core, request: &RangeRequest) -> Result<RangeReply, KvError> {
    let start = core.prefix.key(&[]);
    let end = [&start[..], &[0]].concat();
    let rest = Rest {
        start,
        end,
        limit: 1,
        keys_only: true,
        at: request.at,
    };
    match read(core, rest).await {
        Ok(reply) => Ok(reply),
        Err((refusal, at)) => Err(core
            .of_revision(refusal, at.unwrap_or_default(), "read a range of keys")
            .await),
    }
}

/// Fails with the revision that was asked for.
async fn read(core: &Core, mut rest: Rest) -> Result<RangeReply, (EtcdRefusal, Option<Revision>)> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut newest = None;
    let mut size = if rest.keys_only {
        RANGE_LIMIT_MAX
    } else {
        PAGE_ENTRIES
    };
    loop {
        let page = match page(core, &rest, size.min(rest.limit - entries.len())).await {
            Ok(page) => page,
            Err(EtcdRefusal::ReplyTooLarge) if size > PAGE_ENTRIES => {
                size = PAGE_ENTRIES;
                continue;
            }
            Err(refusal) => return Err((refusal, rest.at)),
        };
        let revision = *newest.get_or_insert(header_revision(page.header.as_ref()));
        rest.at.get_or_insert(revision);
        if let Some(last) = page.kvs.last() {
            rest.start = last.key.to_vec();
            rest.start.push(0);
        }
        bytes += page
            .kvs
            .iter()
            .map(|entry| entry.key.len() + entry.value.len())
            .sum::<usize>();
        let got_some = !page.kvs.is_empty();
        entries.extend(page.kvs.into_iter().map(|entry| core.prefix.entry(entry)));
        if !page.more || entries.len() >= rest.limit || !got_some {
            return Ok(RangeReply {
                entries,
                more: page.more,
                revision,
            });
        }
        let each = (bytes / entries.len()).max(1);
        size = (PAGE_BYTES / each).clamp(PAGE_ENTRIES, RANGE_LIMIT_MAX);
    }
}

async fn page(core: &Core, rest: &Rest, limit: usize) -> Result<RangeResponse, EtcdRefusal> {
    let stamp = core.memory.stamp();
    let asked = core.link.call(RetrySafety::Repeatable, |session| {
        let request = EtcdRange {
            key: rest.start.clone(),
            range_end: rest.end.clone(),
            limit: signed(limit as u64),
            revision: rest.at.map_or(0, |at| signed(at.get())),
            keys_only: rest.keys_only,
        };
        async move { session.etcd.range(request).await }
    });
    let reply = asked.await?;
    core.saw(stamp, reply.header.as_ref());
    Ok(reply)
}
