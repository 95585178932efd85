//! The names of the registry's keys (design §7), built and taken apart in one place.

use bytes::Bytes;
use serverledge_core::kv::Revision;
use serverledge_core::{AppId, AppName, Digest, FunctionName, InvocationId, SpaceId, UserId};

pub(crate) const FUNCTIONS: &str = "functions/";
/// Beside the functions, so that one watch sees both in the order of their changes.
pub(crate) const GENERATIONS: &str = "functions-generation/";
/// The prefix of both.
pub(crate) const FUNCTIONS_AND_GENERATIONS: &str = "functions";
pub(crate) const VERSIONS: &str = "versions/";
pub(crate) const BLOBS: &str = "blobs/";
pub(crate) const INVOCATIONS: &str = "invocations/";
pub(crate) const NODES: &str = "nodes/";
pub(crate) const CLAIMS: &str = "claims/";
pub(crate) const CANCELS: &str = "cancels/";
const DEAD_LETTERS: &str = "deadletters/";
const IDEMPOTENCY: &str = "idempotency/";
pub(crate) const USES: &str = "uses/";
pub(crate) const USERS: &str = "users/";
const EMAILS: &str = "emails/";
pub(crate) const SESSIONS: &str = "sessions/";
pub(crate) const TOKENS: &str = "tokens/";
pub(crate) const LINKS: &str = "resets/";
const USER_SESSIONS: &str = "usersessions/";
const USER_TOKENS: &str = "usertokens/";
pub(crate) const APPS: &str = "apps/";
const APP_NAMES: &str = "appnames/";
pub(crate) const DELETIONS: &str = "deletions/";

pub(crate) fn function(space: &SpaceId, name: &FunctionName) -> Bytes {
    format!("{FUNCTIONS}{space}/{name}").into()
}

pub(crate) fn functions_of(space: &SpaceId) -> Bytes {
    format!("{FUNCTIONS}{space}/").into()
}

/// Space and name of a function's key.
pub(crate) fn parse_function(key: &[u8]) -> Option<(SpaceId, FunctionName)> {
    let (space, name) = std::str::from_utf8(key)
        .ok()?
        .strip_prefix(FUNCTIONS)?
        .split_once('/')?;
    Some((SpaceId::parse(space)?, FunctionName::parse(name).ok()?))
}

/// The key whose revision is a space's generation. Its value is empty.
pub(crate) fn generation(space: &SpaceId) -> Bytes {
    format!("{GENERATIONS}{space}").into()
}

pub(crate) fn parse_generation(key: &[u8]) -> Option<SpaceId> {
    SpaceId::parse(std::str::from_utf8(key).ok()?.strip_prefix(GENERATIONS)?)
}

/// The prefix of the versions that are kept of a function.
pub(crate) fn versions_of(space: &SpaceId, name: &FunctionName) -> Bytes {
    format!("{VERSIONS}{space}/{name}/").into()
}

/// A kept version: the revision that bound it (20 digits, so that they sort by age), its digest, and that of its code. Who
/// wants to know which versions there are, or what code is in use, reads keys only.
pub(crate) fn version(
    space: &SpaceId,
    name: &FunctionName,
    bound: Revision,
    version: &Digest,
    code: &Digest,
) -> Bytes {
    format!(
        "{VERSIONS}{space}/{name}/{:020}/{version}/{code}",
        bound.get()
    )
    .into()
}

/// Space, name, binding revision, version and code in a kept version's key.
pub(crate) fn parse_version(
    key: &[u8],
) -> Option<(SpaceId, FunctionName, Revision, Digest, Digest)> {
    let mut parts = std::str::from_utf8(key)
        .ok()?
        .strip_prefix(VERSIONS)?
        .split('/');
    let (space, name) = (
        SpaceId::parse(parts.next()?)?,
        FunctionName::parse(parts.next()?).ok()?,
    );
    let bound = parts
        .next()
        .filter(|digits| digits.len() == 20)?
        .parse()
        .ok()?;
    let (version, code) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts
        .next()
        .is_none()
        .then_some((space, name, Revision::new(bound), version, code))
}

/// The key of a blob's manifest.
pub(crate) fn blob(digest: &Digest) -> Bytes {
    format!("{BLOBS}{digest}").into()
}

/// The prefix of a blob's chunks.
pub(crate) fn chunks(digest: &Digest) -> Bytes {
    format!("{BLOBS}{digest}/").into()
}

/// A chunk's key: five digits, so that chunks sort in their order.
pub(crate) fn chunk(digest: &Digest, number: usize) -> Bytes {
    format!("{BLOBS}{digest}/{number:05}").into()
}

/// The digest in a manifest's key; `None` for a chunk's.
pub(crate) fn parse_blob(key: &[u8]) -> Option<Digest> {
    std::str::from_utf8(key)
        .ok()?
        .strip_prefix(BLOBS)?
        .parse()
        .ok()
}

pub(crate) fn invocation(id: InvocationId) -> Bytes {
    format!("{INVOCATIONS}{id}").into()
}

pub(crate) fn parse_invocation(key: &[u8]) -> Option<InvocationId> {
    InvocationId::parse(std::str::from_utf8(key).ok()?.strip_prefix(INVOCATIONS)?)
}

/// A prefix of the keys of invocations that were accepted at this time (Unix milliseconds) or later: before it lie
/// exactly the older ones, since ids begin with their time (RFC 9562, version 7).
pub(crate) fn invocations_from(unix_ms: u64) -> Bytes {
    let unix_ms = unix_ms.min((1 << 48) - 1);
    format!(
        "{INVOCATIONS}{:08x}-{:04x}",
        unix_ms >> 16,
        unix_ms & 0xffff
    )
    .into()
}

/// Whose work an invocation is.
pub(crate) fn claim(id: InvocationId) -> Bytes {
    format!("{CLAIMS}{id}").into()
}

pub(crate) fn parse_claim(key: &[u8]) -> Option<InvocationId> {
    InvocationId::parse(std::str::from_utf8(key).ok()?.strip_prefix(CLAIMS)?)
}

/// The prefix of what a node shall stop running.
pub(crate) fn cancels_of(area: &str, node: &str) -> Bytes {
    format!("{CANCELS}{area}/{node}/").into()
}

pub(crate) fn cancel(area: &str, node: &str, id: InvocationId) -> Bytes {
    format!("{CANCELS}{area}/{node}/{id}").into()
}

/// The id in a cancel's, dead letter's or use's key: what follows the last `/`.
pub(crate) fn last_id(key: &[u8]) -> Option<InvocationId> {
    InvocationId::parse(std::str::from_utf8(key).ok()?.rsplit_once('/')?.1)
}

pub(crate) fn dead_letters_of(space: &str) -> Bytes {
    format!("{DEAD_LETTERS}{space}/").into()
}

pub(crate) fn dead_letter(space: &str, id: InvocationId) -> Bytes {
    format!("{DEAD_LETTERS}{space}/{id}").into()
}

/// What a caller's idempotency key (its digest) stands for.
pub(crate) fn idempotency(space: &str, function: &str, key: &str) -> Bytes {
    format!("{IDEMPOTENCY}{space}/{function}/{key}").into()
}

/// Says that an invocation needs a blob. The value is empty: who wants to know what is in use reads keys only.
pub(crate) fn usage(digest: &str, id: InvocationId) -> Bytes {
    format!("{USES}{digest}/{id}").into()
}

/// The digest in a use's key.
pub(crate) fn parse_usage(key: &[u8]) -> Option<Digest> {
    std::str::from_utf8(key)
        .ok()?
        .strip_prefix(USES)?
        .split_once('/')?
        .0
        .parse()
        .ok()
}

/// The key of a running node's record. Areas and ids hold no `/`.
pub(crate) fn node(area: &str, node: &str) -> Bytes {
    format!("{NODES}{area}/{node}").into()
}

/// Area and id in a node's key.
pub(crate) fn parse_node(key: &[u8]) -> Option<(&str, &str)> {
    let (area, node) = std::str::from_utf8(key)
        .ok()?
        .strip_prefix(NODES)?
        .split_once('/')?;
    (!area.is_empty() && !node.is_empty() && !node.contains('/')).then_some((area, node))
}

pub(crate) fn user(user: &UserId) -> Bytes {
    format!("{USERS}{user}").into()
}

pub(crate) fn parse_user(key: &[u8]) -> Option<UserId> {
    UserId::parse(std::str::from_utf8(key).ok()?.strip_prefix(USERS)?)
}

/// Whose an address is: by its hash, since it may be longer than a key and is nobody's business.
pub(crate) fn email(hash: &Digest) -> Bytes {
    format!("{EMAILS}{hash}").into()
}

pub(crate) fn session(hash: &Digest) -> Bytes {
    format!("{SESSIONS}{hash}").into()
}

pub(crate) fn parse_session(key: &[u8]) -> Option<Digest> {
    std::str::from_utf8(key)
        .ok()?
        .strip_prefix(SESSIONS)?
        .parse()
        .ok()
}

pub(crate) fn token(hash: &Digest) -> Bytes {
    format!("{TOKENS}{hash}").into()
}

pub(crate) fn parse_token(key: &[u8]) -> Option<Digest> {
    std::str::from_utf8(key)
        .ok()?
        .strip_prefix(TOKENS)?
        .parse()
        .ok()
}

/// What the secret in a link stands for.
pub(crate) fn link(hash: &Digest) -> Bytes {
    format!("{LINKS}{hash}").into()
}

pub(crate) fn user_sessions(user: &UserId) -> Bytes {
    format!("{USER_SESSIONS}{user}/").into()
}

pub(crate) fn user_session(user: &UserId, hash: &Digest) -> Bytes {
    format!("{USER_SESSIONS}{user}/{hash}").into()
}

pub(crate) fn user_tokens(user: &UserId) -> Bytes {
    format!("{USER_TOKENS}{user}/").into()
}

pub(crate) fn user_token(user: &UserId, hash: &Digest) -> Bytes {
    format!("{USER_TOKENS}{user}/{hash}").into()
}

/// The hash at the end of the key of what is a user's.
pub(crate) fn last_digest(key: &[u8]) -> Option<Digest> {
    std::str::from_utf8(key)
        .ok()?
        .rsplit_once('/')?
        .1
        .parse()
        .ok()
}

/// The key of an application's record.
pub(crate) fn app(id: &AppId) -> Bytes {
    format!("{APPS}{id}").into()
}

pub(crate) fn parse_app(key: &[u8]) -> Option<AppId> {
    AppId::parse(std::str::from_utf8(key).ok()?.strip_prefix(APPS)?)
}

/// Which application has a name.
pub(crate) fn app_name(name: &AppName) -> Bytes {
    format!("{APP_NAMES}{name}").into()
}

/// The mark of a deleted space.
pub(crate) fn deletion(space: &SpaceId) -> Bytes {
    format!("{DELETIONS}{space}").into()
}

pub(crate) fn parse_deletion(key: &[u8]) -> Option<SpaceId> {
    SpaceId::parse(std::str::from_utf8(key).ok()?.strip_prefix(DELETIONS)?)
}

/// The prefixes of the keys that belong to a space alone and are found by it: whoever adds one adds it here, so that it
/// goes with the space.
pub(crate) fn all_of_space(space: &SpaceId) -> [Bytes; 2] {
    [FUNCTIONS, VERSIONS].map(|prefix| format!("{prefix}{space}/").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_apart_as_they_were_built() {
        let (space, name) = (
            SpaceId::default_space(),
            FunctionName::parse("a.b").unwrap(),
        );
        assert_eq!(function(&space, &name), "functions/default/a.b");
        assert_eq!(parse_generation(&generation(&space)), Some(space.clone()));
        let (bound, code) = (Revision::new(7), Digest::new([8; 32]));
        let kept = version(&space, &name, bound, &Digest::new([7; 32]), &code);
        assert!(kept.starts_with(b"versions/default/a.b/00000000000000000007/0707"));
        assert_eq!(
            parse_version(&kept),
            Some((
                space.clone(),
                name.clone(),
                bound,
                Digest::new([7; 32]),
                code
            ))
        );
        assert_eq!(parse_version(&[&kept[..], b"/x"].concat()), None);
        assert_eq!(
            parse_function(&function(&space, &name)),
            Some((space, name))
        );
        assert_eq!(parse_function(b"functions/default/a/b"), None);
        let digest = Digest::new([7; 32]);
        assert_eq!(parse_blob(&blob(&digest)), Some(digest));
        assert_eq!(parse_blob(&chunk(&digest, 3)), None);
        let id = InvocationId::new();
        assert_eq!(parse_invocation(&invocation(id)), Some(id));
        assert_eq!(parse_node(&node("ROME", "n-1")), Some(("ROME", "n-1")));
        assert_eq!(parse_node(b"nodes/ROME/a/b"), None);
        assert_eq!(parse_claim(&claim(id)), Some(id));
        assert_eq!(last_id(&cancel("ROME", "n-1", id)), Some(id));
        assert_eq!(last_id(&dead_letter("default", id)), Some(id));
        assert_eq!(parse_usage(&usage(&digest.to_string(), id)), Some(digest));
        let user_id = UserId::new();
        assert_eq!(parse_user(&user(&user_id)), Some(user_id.clone()));
        assert_eq!(parse_session(&session(&digest)), Some(digest));
        assert_eq!(parse_token(&token(&digest)), Some(digest));
        assert_eq!(last_digest(&user_session(&user_id, &digest)), Some(digest));
        assert_eq!(last_digest(&user_token(&user_id, &digest)), Some(digest));
        let (app_id, space) = (AppId::new(), SpaceId::new());
        assert_eq!(parse_app(&app(&app_id)), Some(app_id));
        assert_eq!(parse_app(b"apps/a/b"), None);
        assert_eq!(parse_deletion(&deletion(&space)), Some(space));
        assert_eq!(app_name(&AppName::parse("shop").unwrap()), "appnames/shop");
    }

    #[test]
    fn invocations_sort_by_the_time_in_their_ids() {
        let id = InvocationId::parse("018bcfe5-6800-7fff-bfff-ffffffffffff").unwrap();
        let time = 0x018b_cfe5_6800;
        assert!(
            invocations_from(time) < invocation(id),
            "accepted then: not before it"
        );
        assert!(
            invocation(id) < invocations_from(time + 1),
            "accepted before the next millisecond"
        );
        assert!(invocations_from(u64::MAX) > invocation(id));
    }
}
