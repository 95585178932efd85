//! Older records never win, whoever brings them.

use serverledge_registry::Stored;
use serverledge_wire::records::Record;

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn user(epoch: u64) -> UserRecord {
    UserRecord {
        schema: UserRecord::SCHEMA,
        email: "ada@example.org".to_owned(),
        password: String::new(),
        role: "user".to_owned(),
        space: "default".to_owned(),
        created_unix_ms: NOW,
        epoch,
        token_epoch: 0,
        deleted: false,
    }
}

fn session(user: &UserId, epoch: u64) -> SessionRecord {
    SessionRecord {
        schema: SessionRecord::SCHEMA,
        user: user.to_string(),
        epoch,
        created_unix_ms: NOW,
        used_unix_ms: NOW,
        idle_unix_ms: NOW + 1_000,
        expires_unix_ms: NOW + 10_000,
    }
}

fn listing(
    users: Vec<(UserId, Stored<UserRecord>)>,
    sessions: Vec<(Digest, Stored<SessionRecord>)>,
    revision: u64,
) -> LoadedAccounts {
    let revision = Revision::new(revision);
    LoadedAccounts {
        users,
        sessions,
        tokens: Vec::new(),
        unreadable: Vec::new(),
        revision,
    }
}

fn at<R>(record: R, revision: u64) -> Stored<R> {
    Stored {
        record,
        revision: Revision::new(revision),
    }
}

#[tokio::test]
async fn a_deleted_session_does_not_come_back() {
    let snapshot = AccountsSnapshot::new(Duration::from_secs(60), 1_000);
    let id = UserId::new();
    let hash = Digest::new([1; 32]);
    let put = |at| AccountChange::Session(hash, Some(session(&id, 0)), Revision::new(at));
    let users = || vec![(id.clone(), at(user(0), 1))];
    snapshot.resync(
        listing(users(), vec![(hash, at(session(&id, 0), 2))], 2),
        Instant::now(),
    );
    assert!(snapshot.session(&hash, NOW).is_ok());
    snapshot.apply([AccountChange::Session(hash, None, Revision::new(5))]);
    assert_eq!(snapshot.session(&hash, NOW), Err(AuthError::Invalid));
    snapshot.apply([put(3), put(4)]);
    assert_eq!(
        snapshot.session(&hash, NOW),
        Err(AuthError::Invalid),
        "an older change comes late"
    );
    snapshot.resync(
        listing(users(), vec![(hash, at(session(&id, 0), 3))], 4),
        Instant::now(),
    );
    assert_eq!(
        snapshot.session(&hash, NOW),
        Err(AuthError::Invalid),
        "an older listing comes late"
    );
    snapshot.apply([put(6)]);
    assert!(snapshot.session(&hash, NOW).is_ok());
    snapshot.resync(listing(users(), Vec::new(), 7), Instant::now());
    assert_eq!(
        snapshot.session(&hash, NOW),
        Err(AuthError::Invalid),
        "a listing without it"
    );
}

#[tokio::test]
async fn a_registry_that_went_back_counts_from_the_start() {
    let snapshot = AccountsSnapshot::new(Duration::from_secs(60), 1_000);
    let id = UserId::new();
    let hash = Digest::new([1; 32]);
    let sessions = vec![(hash, at(session(&id, 0), 9))];
    snapshot.resync(
        listing(vec![(id.clone(), at(user(0), 9))], sessions, 9),
        Instant::now(),
    );
    assert!(snapshot.contacted(Instant::now(), Revision::new(9)));
    assert!(
        !snapshot.contacted(Instant::now(), Revision::new(8)),
        "that is noticed"
    );
    snapshot.resync(
        listing(
            vec![(id.clone(), at(user(1), 3))],
            vec![(hash, at(session(&id, 0), 2))],
            3,
        ),
        Instant::now(),
    );
    assert_eq!(
        snapshot.session(&hash, NOW),
        Err(AuthError::Invalid),
        "the other registry's epoch counts"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_not_valid() {
    let snapshot = AccountsSnapshot::new(Duration::from_secs(60), 1_000);
    let id = UserId::new();
    let hash = Digest::new([1; 32]);
    let sessions = vec![(hash, at(session(&id, 0), 2))];
    snapshot.resync(
        listing(vec![(id.clone(), at(user(0), 1))], sessions, 2),
        Instant::now(),
    );
    let strange = UserRecord {
        role: "emperor".to_owned(),
        ..user(0)
    };
    snapshot.apply([AccountChange::User(id, Some(strange), Revision::new(3))]);
    assert_eq!(snapshot.session(&hash, NOW), Err(AuthError::Invalid));
}
