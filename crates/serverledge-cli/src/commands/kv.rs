//! `kv`: the key-value stores of functions.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serverledge_client::{ClientError, KvExpected, KvValue, StateKey, StoreName, WantedKeys};
use serverledge_wire::kv::{KV_BODY_BYTES_MAX, KvKeys, KvStoreInfo, KvStoreList};
use serverledge_wire::problem::Problem;

use super::session::Session;
use crate::arguments::{
    KvClearArgs, KvCommand, KvIncrementArgs, KvKeyArgs, KvListArgs, KvSetArgs, StoreArgs,
};
use crate::exit::Exit;
use crate::failure::{Failure, failed_to, root_cause};
use crate::{files, output, progress, text};

/// Keys in one answer: as many as a node gives.
const PAGE: u32 = 1000;

/// A value as JSON: as text if it is some, else in base64.
#[derive(Serialize)]
struct ShownValue<'a> {
    key: &'a str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// A write that happened.
#[derive(Serialize)]
struct EntryWritten {
    version: u64,
}

/// A deletion, and whether there was an entry.
#[derive(Serialize)]
struct EntryDeleted {
    deleted: bool,
}

/// The entry after a write that was refused.
#[derive(Debug, Clone, Copy)]
enum Present {
    Version(u64),
    Nothing,
    Unknown,
}

/// Runs one of the commands.
pub(super) async fn run(session: &Session, command: &KvCommand) -> Result<(), Failure> {
    match command {
        KvCommand::List(args) => list(session, args).await,
        KvCommand::Get(args) => get(session, args).await,
        KvCommand::Set(args) => set(session, args).await,
        KvCommand::Delete(args) => delete(session, args).await,
        KvCommand::Increment(args) => increment(session, args).await,
        KvCommand::Stores => stores(session).await,
        KvCommand::Clear(args) => clear(session, args).await,
    }
}

async fn list(session: &Session, args: &KvListArgs) -> Result<(), Failure> {
    let store = store_name(&args.store)?;
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let pages = pages(session, &store, prefix, args.limit);
    let listed = progress::during("listing the keys", pages).await;
    let listed = listed.map_err(failed_to(format!("list the keys of the store {store}")))?;
    if session.for_people && listed.keys.is_empty() {
        let such = if prefix.is_empty() {
            ""
        } else {
            " that begin so"
        };
        output::warn(&format!(
            "the store {store}{} has no keys{such}",
            session.of_app()
        ));
        return Ok(());
    }
    session.show(&listed, |listed| {
        let keys: Vec<String> = listed.keys.iter().map(|key| text::one_line(key)).collect();
        keys.join("\n")
    })?;
    if session.for_people && listed.cursor.is_some() {
        output::note("there are more; --limit shows them");
    }
    Ok(())
}

/// As many keys as are wanted, over as many answers as that takes.
async fn pages(
    session: &Session,
    store: &StoreName,
    prefix: &str,
    limit: u32,
) -> Result<KvKeys, ClientError> {
    let mut all = KvKeys::default();
    loop {
        let missing = limit.saturating_sub(u32::try_from(all.keys.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok(all);
        }
        let wanted = WantedKeys {
            prefix,
            cursor: all.cursor.as_deref(),
            limit: Some(missing.min(PAGE)),
        };
        let page = session.client.kv_keys(store, &wanted).await?;
        // A page that leads to itself has no next one.
        let cursor = page.cursor.filter(|next| all.cursor.as_ref() != Some(next));
        all.keys.extend(page.keys);
        all.cursor = cursor;
        if all.cursor.is_none() {
            return Ok(all);
        }
    }
}

async fn get(session: &Session, args: &KvKeyArgs) -> Result<(), Failure> {
    let (store, key) = entry(args)?;
    let call = session.client.kv_get(&store, &key);
    let found = progress::during(&format!("asking for {}", shown(&key)), call).await;
    let found = found.map_err(failed_to(format!("get {:?}", key.as_str())))?;
    let Some(found) = found else {
        return Err(missing(session, &store, &key));
    };
    if session.json {
        return session.show(&ShownValue::new(&key, &found), |_| String::new());
    }
    if !session.for_people {
        return output::bytes(&found.value);
    }
    let Ok(value) = std::str::from_utf8(&found.value) else {
        let size = text::bytes(found.value.len());
        output::warn(&format!(
            "the value is no text but {size} of something else: send stdout to a file, or pass --json"
        ));
        return Ok(());
    };
    output::result(&text::printable(value))
}

/// There is no entry; as the node says it.
fn missing(session: &Session, store: &StoreName, key: &StateKey) -> Failure {
    let detail = format!(
        "there is no entry {:?} in the store {store}{}",
        key.as_str(),
        session.of_app()
    );
    let problem = Problem {
        status: 404,
        title: "Not Found".to_owned(),
        code: "kv_not_found".to_owned(),
        detail: detail.clone(),
        ..Problem::default()
    };
    let error = ClientError::Problem {
        status: 404,
        problem: Box::new(problem),
        retry_after: None,
    };
    let list = command(session, store, "list");
    Failure::of_call("get the entry", error)
        .told(detail)
        .hint(format!("`{list}` shows the keys that there are"))
}

/// A command on the same store.
fn command(session: &Session, store: &StoreName, words: &str) -> String {
    let app = session.client.app();
    let app = app.map_or_else(String::new, |app| format!(" --app {app}"));
    let of_store = match store.as_str() {
        "default" => String::new(),
        name => format!(" --store {name}"),
    };
    format!("serverledge-cli{app} kv {words}{of_store}")
}

async fn set(session: &Session, args: &KvSetArgs) -> Result<(), Failure> {
    let (store, key) = entry(&args.entry)?;
    let value = value(args)?;
    let expected = match args.if_version {
        Some(version) => KvExpected::Version(version),
        None if args.if_absent => KvExpected::Absent,
        None => KvExpected::Any,
    };
    let call = session
        .client
        .kv_set(&store, &key, value.into(), args.ttl, expected);
    let written = progress::during(&format!("setting {}", shown(&key)), call).await;
    let version = match written {
        Ok(version) => version,
        Err(error) => {
            let is_changed = error.code() == Some("kv_changed");
            let failure = failed_to(format!("set {:?}", key.as_str()))(error);
            return Err(if is_changed {
                unexpected(session, (&store, &key), expected, failure).await
            } else {
                failure
            });
        }
    };
    session.show(&EntryWritten { version }, |written| {
        format!("set {} (version {})", shown(&key), written.version)
    })
}

/// The refusal of a write whose entry is not as expected, with the version that is there now.
async fn unexpected(
    session: &Session,
    (store, key): (&StoreName, &StateKey),
    expected: KvExpected,
    failure: Failure,
) -> Failure {
    let present = match session.client.kv_get(store, key).await {
        Ok(Some(found)) => Present::Version(found.version),
        Ok(None) => Present::Nothing,
        Err(_) => Present::Unknown,
    };
    let words = refused_write(key, expected, present);
    let get = command(session, store, &format!("get {:?} --json", key.as_str()));
    failure
        .told(words)
        .hint(format!("`{get}` shows the entry's value and version"))
}

fn refused_write(key: &StateKey, expected: KvExpected, present: Present) -> String {
    let key = key.as_str();
    let why = match (expected, present) {
        (KvExpected::Version(_), Present::Version(version)) => format!("has version {version}"),
        (KvExpected::Version(_), Present::Nothing) => "does not exist".to_owned(),
        (KvExpected::Version(version), Present::Unknown) => {
            format!("has another version than {version}")
        }
        (_, Present::Version(version)) => format!("exists already, at version {version}"),
        // Where it is gone again, it was there all the same.
        (_, Present::Nothing | Present::Unknown) => "exists already".to_owned(),
    };
    format!("failed to set {key:?}: the entry {why}; nothing was changed")
}

/// The bytes to write: those of the file, of stdin, or of the command line.
fn value(args: &KvSetArgs) -> Result<Vec<u8>, Failure> {
    let path = match (&args.file, args.value.as_deref()) {
        (Some(file), _) => file.as_path(),
        (None, Some("-")) => Path::new("-"),
        (None, value) => return Ok(value.unwrap_or_default().as_bytes().to_vec()),
    };
    files::read_or_stdin(path, KV_BODY_BYTES_MAX).map_err(|error| {
        let words = format!(
            "failed to read the value from {}: {}",
            path.display(),
            root_cause(&error)
        );
        Failure::new(Exit::Source, words)
    })
}

async fn delete(session: &Session, args: &KvKeyArgs) -> Result<(), Failure> {
    let (store, key) = entry(args)?;
    let call = async {
        let deleted = session.client.kv_delete(&store, &key).await?;
        Ok::<_, ClientError>(EntryDeleted { deleted })
    };
    let failed = failed_to(format!("delete {:?}", key.as_str()));
    session
        .answer(
            &format!("deleting {}", shown(&key)),
            call,
            failed,
            |outcome| {
                let words = if outcome.deleted {
                    "deleted"
                } else {
                    "there was no entry"
                };
                format!("{words} {}", shown(&key))
            },
        )
        .await
}

async fn increment(session: &Session, args: &KvIncrementArgs) -> Result<(), Failure> {
    let (store, key) = entry(&args.entry)?;
    let call = session.client.kv_increment(&store, &key, args.by);
    session
        .answer(
            &format!("adding to {}", shown(&key)),
            call,
            failed_to(format!("add to {:?}", key.as_str())),
            |sum| sum.value.to_string(),
        )
        .await
}

async fn stores(session: &Session) -> Result<(), Failure> {
    session
        .answer(
            "listing the stores",
            session.client.kv_stores(),
            failed_to("list the stores"),
            stores_table,
        )
        .await
}

async fn clear(session: &Session, args: &KvClearArgs) -> Result<(), Failure> {
    let store = store_name(&args.store)?;
    args.confirm.ask(&format!(
        "delete all entries of the store {store}{}?",
        session.of_app()
    ))?;
    session
        .answer(
            &format!("clearing {store}"),
            session.client.kv_clear(&store),
            failed_to(format!("clear the store {store}")),
            |cleared| match cleared.cleared {
                1 => "deleted 1 entry".to_owned(),
                count => format!("deleted {count} entries"),
            },
        )
        .await
}

fn stores_table(list: &KvStoreList) -> String {
    let row = |store: &KvStoreInfo| {
        [
            text::one_line(&store.name),
            store.keys.to_string(),
            text::size(store.bytes),
        ]
    };
    let of = |used: String, limit: String| format!("{used} of {limit}");
    let all = [
        "all together".to_owned(),
        of(
            list.usage.keys.to_string(),
            list.limits.keys_max.to_string(),
        ),
        of(
            text::size(list.usage.bytes),
            text::size(list.limits.bytes_max),
        ),
    ];
    let rows = list.stores.iter().map(row).chain(std::iter::once(all));
    text::listing(["STORE", "KEYS", "SIZE"], rows)
}

fn store_name(args: &StoreArgs) -> Result<StoreName, Failure> {
    let name = args.store.parse::<StoreName>();
    name.map_err(|error| Failure::usage(error.to_string()))
}

fn entry(args: &KvKeyArgs) -> Result<(StoreName, StateKey), Failure> {
    let store = store_name(&args.store)?;
    let key = StateKey::new(args.key.as_str());
    let key = key
        .map_err(|error| Failure::usage(format!("{:?} is no key: {error}", abridged(&args.key))))?;
    Ok((store, key))
}

/// The begin of a key that is too long to show.
fn abridged(key: &str) -> String {
    key.chars().take(64).collect()
}

fn shown(key: &StateKey) -> String {
    text::one_line(key.as_str())
}

// === impl ShownValue ===

impl<'a> ShownValue<'a> {
    fn new(key: &'a StateKey, found: &'a KvValue) -> Self {
        let text = std::str::from_utf8(&found.value).ok();
        Self {
            key: key.as_str(),
            version: found.version,
            text,
            base64: text.is_none().then(|| STANDARD.encode(&found.value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serverledge_wire::kv::{KvLimits, KvUsage};

    use super::*;

    #[test]
    fn stores_are_rows_with_their_sum() {
        let store = |name: &str, bytes, keys| KvStoreInfo {
            name: name.to_owned(),
            bytes,
            keys,
        };
        let list = KvStoreList {
            stores: vec![store("carts", 1536, 12), store("default", 7, 1)],
            usage: KvUsage {
                bytes: 1543,
                keys: 13,
            },
            limits: KvLimits {
                bytes_max: 64 << 20,
                keys_max: 100_000,
                value_bytes_max: 256 << 10,
            },
        };
        expect![[r"
            STORE         KEYS          SIZE
            carts         12            1.5 KiB
            default       1             7 bytes
            all together  13 of 100000  1.5 KiB of 64.0 MiB"]]
        .assert_eq(&stores_table(&list));
    }

    #[test]
    fn refused_writes_say_what_is_there() {
        let key = StateKey::new("k").unwrap();
        for (expected, present, words) in [
            (
                KvExpected::Absent,
                Present::Version(7),
                "exists already, at version 7",
            ),
            (KvExpected::Absent, Present::Nothing, "exists already"),
            (KvExpected::Absent, Present::Unknown, "exists already"),
            (KvExpected::Version(3), Present::Version(7), "has version 7"),
            (KvExpected::Version(3), Present::Nothing, "does not exist"),
            (
                KvExpected::Version(3),
                Present::Unknown,
                "has another version than 3",
            ),
        ] {
            let words = format!("failed to set \"k\": the entry {words}; nothing was changed");
            assert_eq!(refused_write(&key, expected, present), words);
        }
    }

    #[test]
    fn values_are_text_or_base64() {
        let key = StateKey::new("k").unwrap();
        let json = |value: &'static [u8]| {
            let found = KvValue {
                value: value.into(),
                version: 12,
            };
            serde_json::to_string(&ShownValue::new(&key, &found)).unwrap()
        };
        assert_eq!(
            json("ü".as_bytes()),
            r#"{"key":"k","version":12,"text":"ü"}"#
        );
        assert_eq!(json(b""), r#"{"key":"k","version":12,"text":""}"#);
        assert_eq!(
            json(b"\xff\x00"),
            r#"{"key":"k","version":12,"base64":"/wA="}"#
        );
    }
}
