//! Several platforms over one registry, and a registry that is away.

use std::time::Duration;

use serverledge_core::{AccountError, Accounts, AuthError, NewToken, Scopes};
use serverledge_registry::AccountsSwept;

use super::fakes::{ADA, HOUR, PASSWORD, World, session, token, wait_for};
use crate::Signup;

#[tokio::test]
async fn what_ends_on_one_node_ends_on_the_others() {
    let world = World::new(false);
    let here = world.platform(Signup::Open).await;
    let there = world.platform(Signup::Open).await;
    let one = world.ada(&here).await;
    let two = here.log_in(ADA, PASSWORD, world.address()).await.unwrap();
    wait_for("the sessions", || {
        session(&there, &one).is_ok() && session(&there, &two).is_ok()
    })
    .await;
    let caller = session(&here, &one).unwrap();
    let wanted = NewToken {
        name: "t".to_owned(),
        scopes: Scopes::ALL,
        lifetime: None,
    };
    let (made, secret) = here.create_token(&caller, wanted).await.unwrap();
    wait_for("the token", || token(&there, &secret).is_ok()).await;
    here.revoke_token(&caller, &made.id).await.unwrap();
    wait_for("the revocation", || {
        token(&there, &secret) == Err(AuthError::Invalid)
    })
    .await;
    there
        .log_out(&session(&there, &one).unwrap())
        .await
        .unwrap();
    wait_for("the logout", || {
        session(&here, &one) == Err(AuthError::Invalid)
    })
    .await;
    assert!(session(&here, &two).is_ok());
    there
        .log_out_everywhere(&session(&there, &two).unwrap())
        .await
        .unwrap();
    assert_eq!(
        session(&there, &two),
        Err(AuthError::Invalid),
        "at once where it was asked for"
    );
    wait_for("the logout everywhere", || {
        session(&here, &two) == Err(AuthError::Invalid)
    })
    .await;
}

#[tokio::test]
async fn known_sessions_are_believed_for_a_while_without_the_registry() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    world.kv.go_away();
    assert!(session(&platform, &ada).is_ok());
    let login = platform.log_in(ADA, PASSWORD, world.address()).await;
    assert!(
        matches!(
            login,
            Err(AccountError::Dependency {
                code: "registry_unavailable",
                ..
            })
        ),
        "{login:?}"
    );
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(200)).await;
    assert!(session(&platform, &ada).is_ok());
    tokio::time::advance(Duration::from_secs(120)).await;
    assert_eq!(session(&platform, &ada), Err(AuthError::Stale));
    world.kv.come_back();
    wait_for("the registry", || session(&platform, &ada).is_ok()).await;
}

#[tokio::test]
async fn a_platform_that_has_read_nothing_believes_nobody() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    let blank = crate::Platform::new(
        std::sync::Arc::<super::fakes::Faulty>::clone(&world.kv),
        std::sync::Arc::new(crate::LogMailer),
        std::sync::Arc::new(crate::SystemClock),
        (*platform.options).clone(),
    );
    assert_eq!(session(&blank, &ada), Err(AuthError::Stale));
}

#[tokio::test]
async fn what_is_over_is_swept() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    let ada = world.ada(&platform).await;
    let caller = session(&platform, &ada).unwrap();
    let wanted = NewToken {
        name: "t".to_owned(),
        scopes: Scopes::ALL,
        lifetime: Some(HOUR),
    };
    platform
        .create_token(&caller, wanted.clone())
        .await
        .unwrap();
    platform
        .create_token(
            &caller,
            NewToken {
                lifetime: None,
                ..wanted
            },
        )
        .await
        .unwrap();
    platform.request_reset(ADA, world.address()).await.unwrap();
    world.mailer.next().await;
    let sweep = async || platform.store.sweep(platform.now()).await.unwrap();
    assert_eq!(sweep().await, AccountsSwept::default(), "nothing is over");
    world.clock.advance(HOUR);
    assert_eq!(
        sweep().await,
        AccountsSwept {
            sessions: 1,
            tokens: 1,
            links: 1
        }
    );
    let again = platform
        .log_in(ADA, PASSWORD, world.address())
        .await
        .unwrap();
    platform
        .log_out_everywhere(&session(&platform, &again).unwrap())
        .await
        .unwrap();
    assert_eq!(
        sweep().await,
        AccountsSwept {
            sessions: 1,
            tokens: 0,
            links: 0
        }
    );
}
