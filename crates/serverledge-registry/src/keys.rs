//! The names of the registry's keys, built and taken apart in one place.

use bytes::Bytes;
use serverledge_core::kv::Revision;
use serverledge_core::{
    AppId, AppName, Digest, FunctionName, InvocationId, SpaceId, StateKey, StoreName, UserId,
};

pub(crate) const FUNCTIONS: &str = "functions/";
/// The prefix of both.
pub(crate) const FUNCTIONS_AND_GENERATIONS: &str = "functions";
pub(crate) const VERSIONS: &str = "versions/";
pub(crate) const NODES: &str = "nodes/";
pub(crate) const CANCELS: &str = "cancels/";
const DEAD_LETTERS: &str = "deadletters/";
const IDEMPOTENCY: &str = "idempotency/";
pub(crate) const USES: &str = "uses/";
const EMAILS: &str = "emails/";
pub(crate) const LINKS: &str = "resets/";
const USER_SESSIONS: &str = "usersessions/";
const USER_TOKENS: &str = "usertokens/";
const APP_NAMES: &str = "appnames/";
const STATE: &str = "state/";
const STATE_TIMES: &str = "state-times/";
pub(crate) const STATE_EXPIRY: &str = "state-expiry/";
const STATE_USAGE: &str = "state-usage/";
const STATE_STORES: &str = "state-stores/";

/// The keys of one kind of record: their prefix, the key of a name, and the name in a key.
macro_rules! keys_by_name {
    ($($(#[$doc:meta])* $prefix:ident = $text:literal: $key:ident, $parse:ident => $name:ty, $from:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) const $prefix: &str = $text;

        $(#[$doc])*
        pub(crate) fn $key(name: &$name) -> Bytes {
            format!(concat!($text, "{}"), name).into()
        }

        pub(crate) fn $parse(key: &[u8]) -> Option<$name> {
            let name = std::str::from_utf8(key).ok()?.strip_prefix($text)?;
            $from(name)
        }
    )*};
}

keys_by_name! {
    /// Generations of spaces, each the revision of its key, whose value is empty. Beside the functions, so that one watch
    /// sees both in the order of their changes.
    GENERATIONS = "functions-generation/": generation, parse_generation => SpaceId, SpaceId::parse;
    /// Manifests of blobs. Their chunks' keys, with one more part, name no blob.
    BLOBS = "blobs/": blob, parse_blob => Digest, digest;
    INVOCATIONS = "invocations/": invocation, parse_invocation => InvocationId, InvocationId::parse;
    /// Claims, which name the owner of an invocation's work.
    CLAIMS = "claims/": claim, parse_claim => InvocationId, InvocationId::parse;
    USERS = "users/": user, parse_user => UserId, UserId::parse;
    /// Sessions, by the hash of their secret.
    SESSIONS = "sessions/": session, parse_session => Digest, digest;
    /// Tokens, by the hash of their secret.
    TOKENS = "tokens/": token, parse_token => Digest, digest;
    /// Records of applications.
    APPS = "apps/": app, parse_app => AppId, AppId::parse;
    /// Marks of deleted spaces.
    DELETIONS = "deletions/": deletion, parse_deletion => SpaceId, SpaceId::parse;
}

fn digest(text: &str) -> Option<Digest> {
    text.parse().ok()
}

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
    let space = SpaceId::parse(parts.next()?)?;
    let name = FunctionName::parse(parts.next()?).ok()?;
    let bound = parts
        .next()
        .filter(|digits| digits.len() == 20)?
        .parse()
        .ok()?;
    let version = parts.next()?.parse().ok()?;
    let code = parts.next()?.parse().ok()?;
    parts
        .next()
        .is_none()
        .then_some((space, name, Revision::new(bound), version, code))
}

/// The prefix of a blob's chunks.
pub(crate) fn chunks(digest: &Digest) -> Bytes {
    format!("{BLOBS}{digest}/").into()
}

/// A chunk's key: five digits, so that chunks sort in their order.
pub(crate) fn chunk(digest: &Digest, number: usize) -> Bytes {
    format!("{BLOBS}{digest}/{number:05}").into()
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

/// The key of the invocation that a caller's idempotency key (its digest) stands for.
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

/// The key of the account that has an address. It holds the hash, since an address may be longer than a key and is
/// nobody's business.
pub(crate) fn email(hash: &Digest) -> Bytes {
    format!("{EMAILS}{hash}").into()
}

/// The key of a link's record, by the hash of the link's secret.
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

/// The key of the application that has a name.
pub(crate) fn app_name(name: &AppName) -> Bytes {
    format!("{APP_NAMES}{name}").into()
}

/// The key of an entry of a store. Names of stores hold no `/`; keys of entries may, and stand last.
pub(crate) fn state(space: &SpaceId, store: &StoreName, key: &StateKey) -> Bytes {
    state_from(space, store, key.as_str())
}

/// The prefix of a store's entries whose keys begin with this text.
pub(crate) fn state_from(space: &SpaceId, store: &StoreName, prefix: &str) -> Bytes {
    format!("{STATE}{space}/{store}/{prefix}").into()
}

/// The prefix of the entries of all stores of a space.
pub(crate) fn state_of_space(space: &SpaceId) -> Bytes {
    format!("{STATE}{space}/").into()
}

/// Space, store and key of an entry's key.
pub(crate) fn parse_state(key: &[u8]) -> Option<(SpaceId, StoreName, StateKey)> {
    place(std::str::from_utf8(key).ok()?.strip_prefix(STATE)?)
}

/// The key of an entry's end. Only entries with an end have it, so that listings need no values.
pub(crate) fn state_time(space: &SpaceId, store: &StoreName, key: &StateKey) -> Bytes {
    format!("{STATE_TIMES}{space}/{store}/{key}").into()
}

/// Space, store and key in the key of an entry's end.
pub(crate) fn parse_state_time(key: &[u8]) -> Option<(SpaceId, StoreName, StateKey)> {
    place(std::str::from_utf8(key).ok()?.strip_prefix(STATE_TIMES)?)
}

/// The key by which an entry is found when its time is over: 20 digits, so that they sort by time.
pub(crate) fn state_expiry(
    unix_ms: u64,
    space: &SpaceId,
    store: &StoreName,
    key: &StateKey,
) -> Bytes {
    format!("{STATE_EXPIRY}{unix_ms:020}/{space}/{store}/{key}").into()
}

/// The first key behind those of entries that are over at this time.
pub(crate) fn state_expiry_after(unix_ms: u64) -> Bytes {
    format!("{STATE_EXPIRY}{:020}/", unix_ms.saturating_add(1)).into()
}

/// Time, space, store and key in the key of an entry's end.
pub(crate) fn parse_state_expiry(key: &[u8]) -> Option<(u64, SpaceId, StoreName, StateKey)> {
    let (time, rest) = std::str::from_utf8(key)
        .ok()?
        .strip_prefix(STATE_EXPIRY)?
        .split_once('/')?;
    let unix_ms = Some(time)
        .filter(|digits| digits.len() == 20)?
        .parse()
        .ok()?;
    let (space, store, key) = place(rest)?;
    Some((unix_ms, space, store, key))
}

/// The key of a part of what the stores of a space hold.
pub(crate) fn state_usage(space: &SpaceId, shard: u8) -> Bytes {
    format!("{STATE_USAGE}{space}/{shard:02}").into()
}

/// The prefix of all parts of what the stores of a space hold.
pub(crate) fn state_usage_of(space: &SpaceId) -> Bytes {
    format!("{STATE_USAGE}{space}/").into()
}

/// The key of a part of what one store holds.
pub(crate) fn state_store(space: &SpaceId, store: &StoreName, shard: u8) -> Bytes {
    format!("{STATE_STORES}{space}/{store}/{shard:02}").into()
}

/// The prefix of what the stores of a space hold, store by store.
pub(crate) fn state_stores_of(space: &SpaceId) -> Bytes {
    format!("{STATE_STORES}{space}/").into()
}

/// The store in the key of a part of what it holds.
pub(crate) fn parse_state_store(key: &[u8]) -> Option<StoreName> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix(STATE_STORES)?;
    rest.split('/').nth(1)?.parse().ok()
}

fn place(text: &str) -> Option<(SpaceId, StoreName, StateKey)> {
    let mut parts = text.splitn(3, '/');
    Some((
        SpaceId::parse(parts.next()?)?,
        parts.next()?.parse().ok()?,
        StateKey::new(parts.next()?).ok()?,
    ))
}

/// The prefixes of the keys of a space's stores, but for those of ends: they sort by time, and a sweep finds those left.
pub(crate) fn all_of_state(space: &SpaceId) -> [Bytes; 4] {
    [STATE, STATE_TIMES, STATE_USAGE, STATE_STORES].map(|prefix| format!("{prefix}{space}/").into())
}

/// The prefixes of the keys that belong to a space alone and are found by it: whoever adds one adds it here, so that it
/// goes with the space.
pub(crate) fn all_of_space(space: &SpaceId) -> impl Iterator<Item = Bytes> {
    [FUNCTIONS, VERSIONS]
        .map(|prefix| Bytes::from(format!("{prefix}{space}/")))
        .into_iter()
        .chain(all_of_state(space))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_apart_as_they_were_built() {
        let space = SpaceId::default_space();
        let name = FunctionName::parse("a.b").unwrap();
        assert_eq!(function(&space, &name), "functions/default/a.b");
        assert_eq!(parse_generation(&generation(&space)), Some(space.clone()));
        let bound = Revision::new(7);
        let code = Digest::new([8; 32]);
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
        assert_eq!(parse_invocation(&invocation(&id)), Some(id));
        assert_eq!(parse_node(&node("ROME", "n-1")), Some(("ROME", "n-1")));
        assert_eq!(parse_node(b"nodes/ROME/a/b"), None);
        assert_eq!(parse_claim(&claim(&id)), Some(id));
        assert_eq!(last_id(&cancel("ROME", "n-1", id)), Some(id));
        assert_eq!(last_id(&dead_letter("default", id)), Some(id));
        assert_eq!(parse_usage(&usage(&digest.to_string(), id)), Some(digest));
        let user_id = UserId::new();
        assert_eq!(parse_user(&user(&user_id)), Some(user_id.clone()));
        assert_eq!(parse_session(&session(&digest)), Some(digest));
        assert_eq!(parse_token(&token(&digest)), Some(digest));
        assert_eq!(last_digest(&user_session(&user_id, &digest)), Some(digest));
        assert_eq!(last_digest(&user_token(&user_id, &digest)), Some(digest));
        let app_id = AppId::new();
        let space = SpaceId::new();
        assert_eq!(parse_app(&app(&app_id)), Some(app_id));
        assert_eq!(parse_app(b"apps/a/b"), None);
        assert_eq!(parse_deletion(&deletion(&space)), Some(space));
        assert_eq!(app_name(&AppName::parse("shop").unwrap()), "appnames/shop");
    }

    #[test]
    fn keys_of_stores_are_taken_apart_as_they_were_built() {
        let space = SpaceId::new();
        let store: StoreName = "carts".parse().unwrap();
        let key = StateKey::new("a/b//ü").unwrap();
        let parts = (space.clone(), store.clone(), key.clone());
        let entry = state(&space, &store, &key);
        assert_eq!(entry, format!("state/{space}/carts/a/b//ü"));
        assert!(entry.starts_with(&state_of_space(&space)));
        assert!(entry.starts_with(&state_from(&space, &store, "a/")));
        assert_eq!(parse_state(&entry), Some(parts.clone()));
        assert_eq!(parse_state(&state_from(&space, &store, "")), None);
        assert_eq!(parse_state(b"state/default/UPPER/k"), None);
        let time = state_time(&space, &store, &key);
        assert_eq!(parse_state_time(&time), Some(parts));
        assert_eq!(parse_state(&time), None);
        let end = state_expiry(7, &space, &store, &key);
        assert_eq!(
            parse_state_expiry(&end),
            Some((7, space.clone(), store.clone(), key))
        );
        assert_eq!(parse_state_expiry(b"state-expiry/7/default/a/k"), None);
        assert!(end > state_expiry_after(6) && end < state_expiry_after(7));
        let part = state_store(&space, &store, 3);
        assert!(part.starts_with(&state_stores_of(&space)) && part.ends_with(b"/carts/03"));
        assert_eq!(parse_state_store(&part), Some(store));
        assert!(state_usage(&space, 15).starts_with(&state_usage_of(&space)));
    }

    #[test]
    fn the_longest_key_of_an_entry_fits() {
        let space = SpaceId::new();
        let store = "s".repeat(serverledge_core::STORE_NAME_BYTES_MAX);
        let key = "k".repeat(serverledge_core::STATE_KEY_BYTES_MAX);
        let key = StateKey::new(key).unwrap();
        let end = state_expiry(u64::MAX, &space, &store.parse().unwrap(), &key);
        assert!(end.len() < serverledge_core::kv::KEY_BYTES_MAX);
    }

    #[test]
    fn invocations_sort_by_the_time_in_their_ids() {
        let id = InvocationId::parse("018bcfe5-6800-7fff-bfff-ffffffffffff").unwrap();
        let time = 0x018b_cfe5_6800;
        assert!(
            invocations_from(time) < invocation(&id),
            "accepted then: not before it"
        );
        assert!(
            invocation(&id) < invocations_from(time + 1),
            "accepted before the next millisecond"
        );
        assert!(invocations_from(u64::MAX) > invocation(&id));
    }
}
