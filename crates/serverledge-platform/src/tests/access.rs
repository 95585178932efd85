//! Sessions and tokens: how long they are good, and for what.

use std::time::Duration;

use serverledge_core::{AccountError, Accounts, AuthError, Credential, NewToken, Role, Scopes};

use super::fakes::{ADA, HOUR, PASSWORD, World, account, code, session, token};
use crate::Signup;

fn wanted(name: &str, scopes: Scopes) -> NewToken {
    NewToken {
        name: name.to_owned(),
        scopes,
        lifetime: None,
    }
}

const INVOKE: Scopes = Scopes {
    invoke: true,
    deploy: false,
    admin: false,
    metrics: false,
};

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    for _ in 0..3 {
        world.clock.advance(HOUR - Duration::from_millis(1));
        assert!(session(&platform, &ada).is_ok(), "each use prolongs it");
    }
    world.clock.advance(HOUR);
    assert_eq!(session(&platform, &ada), Err(AuthError::Invalid));
}

#[tokio::test]
async fn a_session_ends_in_any_case() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    for _ in 0..47 {
        world.clock.advance(HOUR / 2);
        assert!(session(&platform, &ada).is_ok());
    }
    world.clock.advance(HOUR / 2);
    assert_eq!(session(&platform, &ada), Err(AuthError::Invalid));
}

#[tokio::test]
async fn the_last_use_is_written_now_and_then() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    let caller = session(&platform, &ada).unwrap();
    let (made, secret) = platform
        .create_token(&caller, wanted("laptop", INVOKE))
        .await
        .unwrap();
    assert_eq!(made.used_unix_ms, None);
    world.clock.advance(Duration::from_secs(200));
    token(&platform, &secret).unwrap();
    platform.write_last_uses().await;
    let used = platform.tokens(&caller).await.unwrap()[0].used_unix_ms;
    assert_eq!(used, Some(made.created_unix_ms + 200_000));
    let before = platform.sessions(&caller).await.unwrap()[0].used_unix_ms;
    world.clock.advance(Duration::from_secs(200));
    token(&platform, &secret).unwrap();
    session(&platform, &ada).unwrap();
    platform.write_last_uses().await;
    assert_eq!(
        platform.tokens(&caller).await.unwrap()[0].used_unix_ms,
        used,
        "not each use"
    );
    assert_eq!(
        platform.sessions(&caller).await.unwrap()[0].used_unix_ms,
        before + 400_000
    );
    // What was written is known elsewhere: the idle time counts from it.
    world.clock.advance(HOUR - Duration::from_secs(1));
    let elsewhere = world.platform(Signup::Open).await;
    assert!(session(&elsewhere, &ada).is_ok());
}

#[tokio::test]
async fn a_token_may_what_its_scopes_say() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let caller = session(&platform, &world.ada(&platform).await).unwrap();
    let (made, secret) = platform
        .create_token(&caller, wanted("laptop", INVOKE))
        .await
        .unwrap();
    assert!(secret.starts_with("slt_"), "{secret}");
    let by_token = token(&platform, &secret).unwrap();
    assert_eq!(
        (account(&by_token).scopes, &by_token.space),
        (INVOKE, &caller.space)
    );
    assert!(platform.profile(&by_token).await.is_ok());
    assert!(matches!(
        platform.tokens(&by_token).await,
        Err(AccountError::Forbidden(_))
    ));
    assert!(matches!(
        platform.log_out(&by_token).await,
        Err(AccountError::Forbidden(_))
    ));
    let more = platform
        .create_token(&by_token, wanted("more", Scopes::ALL))
        .await;
    assert!(matches!(more, Err(AccountError::Forbidden(_))));
    let manager = Scopes {
        admin: true,
        ..Scopes::default()
    };
    let (_, secret) = platform
        .create_token(&caller, wanted("manager", manager))
        .await
        .unwrap();
    let by_manager = token(&platform, &secret).unwrap();
    let more = platform
        .create_token(&by_manager, wanted("more", INVOKE))
        .await;
    assert!(
        matches!(more, Err(AccountError::Forbidden(_))),
        "not more than itself"
    );
    platform.revoke_token(&by_manager, &made.id).await.unwrap();
    assert_eq!(token(&platform, &secret).map(|_| ()), Ok(()));
    assert_eq!(platform.tokens(&caller).await.unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_end_and_are_revoked() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let caller = session(&platform, &world.ada(&platform).await).unwrap();
    let short = NewToken {
        lifetime: Some(HOUR),
        ..wanted("short", INVOKE)
    };
    let (_, short) = platform.create_token(&caller, short).await.unwrap();
    let (long, secret) = platform
        .create_token(&caller, wanted("long", INVOKE))
        .await
        .unwrap();
    assert!(token(&platform, &short).is_ok());
    world.clock.advance(HOUR);
    assert_eq!(token(&platform, &short), Err(AuthError::Invalid));
    assert!(token(&platform, &secret).is_ok());
    platform.revoke_token(&caller, &long.id).await.unwrap();
    assert_eq!(token(&platform, &secret), Err(AuthError::Invalid));
    for id in [
        long.id.as_str(),
        "",
        "nonsense",
        &"0".repeat(32),
        "../../users",
    ] {
        assert!(
            matches!(
                platform.revoke_token(&caller, id).await,
                Err(AccountError::Unknown(_))
            ),
            "{id}"
        );
    }
}

#[tokio::test]
async fn bad_tokens_are_refused_by_name() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let caller = session(&platform, &world.ada(&platform).await).unwrap();
    let refused = async |token: NewToken| code(platform.create_token(&caller, token).await);
    assert_eq!(refused(wanted("", INVOKE)).await, "token_name_invalid");
    assert_eq!(refused(wanted("a\nb", INVOKE)).await, "token_name_invalid");
    assert_eq!(
        refused(wanted("none", Scopes::default())).await,
        "token_scopes_missing"
    );
    let brief = NewToken {
        lifetime: Some(Duration::from_secs(1)),
        ..wanted("brief", INVOKE)
    };
    assert_eq!(refused(brief).await, "token_lifetime_invalid");
    for number in 0..100 {
        platform
            .create_token(&caller, wanted(&number.to_string(), INVOKE))
            .await
            .unwrap();
    }
    assert_eq!(refused(wanted("one more", INVOKE)).await, "too_many_tokens");
    assert_eq!(platform.tokens(&caller).await.unwrap().len(), 100);
}

#[tokio::test]
async fn another_users_things_are_unknown() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = session(&platform, &world.ada(&platform).await).unwrap();
    let (made, secret) = platform
        .create_token(&ada, wanted("laptop", INVOKE))
        .await
        .unwrap();
    let session_id = platform.sessions(&ada).await.unwrap()[0].id.clone();
    let bob = platform
        .sign_up("bob@example.org", PASSWORD, None, world.address())
        .await
        .unwrap();
    let bob = session(&platform, &super::fakes::logged_in(bob)).unwrap();
    assert!(matches!(
        platform.revoke_token(&bob, &made.id).await,
        Err(AccountError::Unknown(_))
    ));
    assert!(matches!(
        platform.end_session(&bob, &session_id).await,
        Err(AccountError::Unknown(_))
    ));
    assert!(platform.tokens(&bob).await.unwrap().is_empty());
    assert!(token(&platform, &secret).is_ok());
    platform.end_session(&ada, &session_id).await.unwrap();
    assert!(platform.sessions(&ada).await.unwrap().is_empty());
}

#[tokio::test]
async fn forged_credentials_are_invalid() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    let (_, secret) = platform
        .create_token(&session(&platform, &ada).unwrap(), wanted("t", INVOKE))
        .await
        .unwrap();
    let flipped = format!(
        "{}{}",
        if ada.secret.starts_with('A') {
            'B'
        } else {
            'A'
        },
        &ada.secret[1..]
    );
    for forged in [
        "",
        "slt_",
        &ada.secret[1..],
        &flipped,
        &secret,
        &format!("slt_{}", ada.secret),
    ] {
        assert_eq!(
            platform.authenticate(Credential::Session(forged)),
            Err(AuthError::Invalid),
            "{forged}"
        );
    }
    for forged in [
        ada.secret.as_str(),
        &secret[4..],
        &format!("slt_{}", ada.secret),
        &secret.to_lowercase(),
    ] {
        assert_eq!(
            token(&platform, forged),
            Err(AuthError::Invalid),
            "{forged}"
        );
    }
}

#[tokio::test]
async fn the_oldest_sessions_give_way() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let first = world.ada(&platform).await;
    let user = account(&session(&platform, &first).unwrap()).user.clone();
    for _ in 0..50 {
        world.clock.advance(Duration::from_secs(1));
        let stored = platform.store.user(&user).await.unwrap().unwrap();
        platform.begin_session(&user, stored).await.unwrap();
    }
    assert_eq!(session(&platform, &first), Err(AuthError::Invalid));
    assert_eq!(platform.store.sessions_of(&user).await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_role_counts_at_once() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    let caller = session(&platform, &ada).unwrap();
    let (_, invoke) = platform
        .create_token(&caller, wanted("invoke", INVOKE))
        .await
        .unwrap();
    let (_, all) = platform
        .create_token(&caller, wanted("all", Scopes::ALL))
        .await
        .unwrap();
    assert!(!token(&platform, &all).unwrap().operates());
    platform.grant(ADA, Role::Operator, false).await.unwrap();
    assert!(
        session(&platform, &ada).unwrap().operates() && token(&platform, &all).unwrap().operates()
    );
    assert!(
        !token(&platform, &invoke).unwrap().operates(),
        "scopes bound the role"
    );
}
