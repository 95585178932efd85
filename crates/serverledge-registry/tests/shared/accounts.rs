//! Checks of the store of accounts, over any store. Each check wants one of its own.

use std::sync::Arc;

use serverledge_core::kv::{Kv, Op, Txn};
use serverledge_core::{Digest, UserId};
use serverledge_registry::{
    AccountChange, AccountStore, AccountTxn, AccountsSwept, LISTED_MAX, credential_id,
};
use serverledge_wire::records::{
    LinkPurpose, LinkRecord, Record, SessionRecord, TokenRecord, UserRecord,
};

const NOW: u64 = 1_700_000_000_000;
const EMAIL: Digest = Digest::new([9; 32]);

fn user() -> UserRecord {
    UserRecord {
        schema: UserRecord::SCHEMA,
        email: "ada@example.org".to_owned(),
        password: String::new(),
        role: "user".to_owned(),
        space: "default".to_owned(),
        created_unix_ms: NOW,
        epoch: 1,
        token_epoch: 1,
        deleted: false,
    }
}

fn session(user: &UserId, epoch: u64, expires_unix_ms: u64) -> SessionRecord {
    SessionRecord {
        schema: SessionRecord::SCHEMA,
        user: user.to_string(),
        epoch,
        created_unix_ms: NOW,
        used_unix_ms: NOW,
        idle_unix_ms: NOW + 1_000,
        expires_unix_ms,
    }
}

fn token(user: &UserId, epoch: u64, expires_unix_ms: Option<u64>) -> TokenRecord {
    TokenRecord {
        schema: TokenRecord::SCHEMA,
        user: user.to_string(),
        epoch,
        name: "t".to_owned(),
        scopes: vec!["invoke".to_owned()],
        created_unix_ms: NOW,
        expires_unix_ms,
        used_unix_ms: None,
    }
}

fn link(expires_unix_ms: u64) -> LinkRecord {
    LinkRecord {
        schema: LinkRecord::SCHEMA,
        expires_unix_ms,
        purpose: LinkPurpose::Invitation { by: String::new() },
    }
}

fn hash(number: u8) -> Digest {
    Digest::new([number; 32])
}

async fn made(store: &AccountStore) -> UserId {
    let id = UserId::new();
    let txn = AccountTxn::new()
        .when_user_missing(&id)
        .put_user(&id, &user())
        .take_email(&EMAIL, &id);
    store.commit(txn).await.unwrap().unwrap();
    id
}

pub(crate) async fn one_of_many_takes_an_address(kv: Arc<dyn Kv>) {
    let store = AccountStore::new(kv);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        let id = UserId::new();
        let txn = AccountTxn::new()
            .when_user_missing(&id)
            .put_user(&id, &user())
            .take_email(&EMAIL, &id);
        tasks.spawn(async move { store.commit(txn).await.unwrap().map(|_| id) });
    }
    let won: Vec<UserId> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    let (found, stored) = store.user_by_email(&EMAIL).await.unwrap().unwrap();
    assert_eq!((&found, &stored.record), (&won[0], &user()));
    assert_eq!(
        store.load_all().await.unwrap().users.len(),
        1,
        "nothing is left of the others"
    );
    let theirs = AccountTxn::new().free_email(&EMAIL, &UserId::new());
    assert_eq!(
        store.commit(theirs).await.unwrap(),
        None,
        "nobody frees another's address"
    );
    assert!(
        store
            .commit(AccountTxn::new().free_email(&EMAIL, &found))
            .await
            .unwrap()
            .is_some()
    );
    assert!(store.user_by_email(&EMAIL).await.unwrap().is_none());
}

pub(crate) async fn one_of_many_uses_a_link(kv: Arc<dyn Kv>) {
    let store = AccountStore::new(kv);
    store
        .commit(AccountTxn::new().put_link(&hash(1), &link(NOW)))
        .await
        .unwrap()
        .unwrap();
    let found = store.link(&hash(1)).await.unwrap().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        let txn = AccountTxn::new().use_link(&hash(1), found.revision);
        tasks.spawn(async move { store.commit(txn).await.unwrap().is_some() });
    }
    assert_eq!(
        tasks
            .join_all()
            .await
            .into_iter()
            .filter(|used| *used)
            .count(),
        1
    );
    assert!(store.link(&hash(1)).await.unwrap().is_none());
}

pub(crate) async fn what_is_a_users_is_found_by_its_id(kv: Arc<dyn Kv>) {
    let store = AccountStore::new(kv);
    let ada = made(&store).await;
    let bob = UserId::new();
    for number in 1..=3 {
        let txn = AccountTxn::new().put_session(&ada, &hash(number), &session(&ada, 1, NOW + 1));
        let txn = txn.put_token(&ada, &hash(number), &token(&ada, 1, None));
        store.commit(txn).await.unwrap().unwrap();
    }
    assert_eq!(
        (
            store.sessions_of(&ada).await.unwrap().len(),
            store.tokens_of(&ada).await.unwrap().len()
        ),
        (3, 3)
    );
    assert!(store.sessions_of(&bob).await.unwrap().is_empty());
    let id = credential_id(&hash(2));
    assert_eq!(store.find_session(&ada, &id).await.unwrap(), Some(hash(2)));
    assert_eq!(store.find_token(&ada, &id).await.unwrap(), Some(hash(2)));
    for (user, id) in [
        (&bob, id.as_str()),
        (&ada, ""),
        (&ada, "02"),
        (&ada, &hash(2).to_string()),
    ] {
        assert_eq!(store.find_session(user, id).await.unwrap(), None, "{id}");
    }
    store
        .commit(AccountTxn::new().delete_session(&ada, &hash(2)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.find_session(&ada, &id).await.unwrap(), None);
    assert!(
        store.session(&hash(2)).await.unwrap().is_none()
            && store.session(&hash(1)).await.unwrap().is_some()
    );
    store.delete_user(&ada).await.unwrap();
    let left = store.load_all().await.unwrap();
    assert!(left.users.is_empty() && left.sessions.is_empty() && left.tokens.is_empty());
    assert!(store.tokens_of(&ada).await.unwrap().is_empty());
}

pub(crate) async fn lists_have_an_end(kv: Arc<dyn Kv>) {
    let store = AccountStore::new(kv);
    let ada = made(&store).await;
    for number in 0..130 {
        let txn = AccountTxn::new().put_token(&ada, &hash(number), &token(&ada, 1, None));
        store.commit(txn).await.unwrap().unwrap();
    }
    assert_eq!(store.tokens_of(&ada).await.unwrap().len(), LISTED_MAX);
    store.delete_user(&ada).await.unwrap();
    assert!(store.load_all().await.unwrap().tokens.is_empty());
}

pub(crate) async fn what_is_over_is_swept(kv: Arc<dyn Kv>) {
    let store = AccountStore::new(kv);
    let ada = made(&store).await;
    let nobody = UserId::new();
    let sessions = [
        (&ada, 1, NOW + 1),
        (&ada, 1, NOW),
        (&ada, 0, NOW + 1),
        (&nobody, 1, NOW + 1),
    ];
    let tokens = [
        (&ada, 1, None),
        (&ada, 1, Some(NOW)),
        (&ada, 0, None),
        (&nobody, 1, None),
    ];
    for number in 0..4u8 {
        let (user, epoch, expires) = sessions[usize::from(number)];
        let txn =
            AccountTxn::new().put_session(user, &hash(number), &session(user, epoch, expires));
        let (user, epoch, expires) = tokens[usize::from(number)];
        let txn = txn.put_token(user, &hash(number), &token(user, epoch, expires));
        let txn = txn.put_link(&hash(number), &link(NOW + u64::from(number)));
        store.commit(txn).await.unwrap().unwrap();
    }
    assert_eq!(
        store.sweep(NOW).await.unwrap(),
        AccountsSwept {
            sessions: 3,
            tokens: 3,
            links: 1
        }
    );
    assert_eq!(store.sweep(NOW).await.unwrap(), AccountsSwept::default());
    assert_eq!(store.sessions_of(&ada).await.unwrap()[0].0, hash(0));
    assert_eq!(store.tokens_of(&ada).await.unwrap()[0].0, hash(0));
    assert!(store.sessions_of(&nobody).await.unwrap().is_empty());
    assert_eq!(
        store.sweep(NOW + 1_000).await.unwrap(),
        AccountsSwept {
            sessions: 1,
            tokens: 0,
            links: 3
        }
    );
}

pub(crate) async fn changes_are_reported(kv: Arc<dyn Kv>) {
    let store = AccountStore::new(Arc::clone(&kv));
    let from = store.load_all().await.unwrap().revision.next();
    let mut watch = store.watch(from).await.unwrap();
    let ada = made(&store).await;
    let one = watch.next().await.unwrap();
    assert!(
        matches!(&one[..], [AccountChange::User(id, Some(record), _)] if *id == ada && *record == user())
    );
    store
        .commit(AccountTxn::new().put_session(&ada, &hash(1), &session(&ada, 1, NOW)))
        .await
        .unwrap()
        .unwrap();
    let one = watch.next().await.unwrap();
    assert!(matches!(&one[..], [AccountChange::Session(key, Some(_), _)] if *key == hash(1)));
    store
        .commit(AccountTxn::new().delete_session(&ada, &hash(1)))
        .await
        .unwrap()
        .unwrap();
    let one = watch.next().await.unwrap();
    assert!(matches!(&one[..], [AccountChange::Session(key, None, _)] if *key == hash(1)));
    // What a newer program writes is not valid here, and does not hide the rest.
    let key = format!("tokens/{}", hash(2));
    kv.txn(Txn::new().then(Op::put(key, r#"{"schema":99}"#)))
        .await
        .unwrap();
    let one = watch.next().await.unwrap();
    assert!(matches!(&one[..], [AccountChange::Token(key, None, _)] if *key == hash(2)));
    let loaded = store.load_all().await.unwrap();
    assert_eq!(
        (
            loaded.users.len(),
            loaded.tokens.len(),
            loaded.unreadable.len()
        ),
        (1, 0, 1)
    );
    assert!(
        !loaded.unreadable[0]
            .to_string()
            .contains(&hash(2).to_string()),
        "no hash in a message"
    );
}
