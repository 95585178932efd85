//! Deleting accounts.

use serverledge_core::{AccountError, Accounts, AuthError, NewToken, Scopes};

use super::fakes::{ADA, OTHER, PASSWORD, World, account, logged_in, session, token, wait_for};
use crate::Signup;

#[tokio::test]
async fn a_deleted_account_is_marked_swept_and_gone() {
    let world = World::new(false);
    let (platform, there) = (
        world.platform(Signup::Open).await,
        world.platform(Signup::Open).await,
    );
    let ada = world.ada(&platform).await;
    let caller = session(&platform, &ada).unwrap();
    let wanted = NewToken {
        name: "t".to_owned(),
        scopes: Scopes::ALL,
        lifetime: None,
    };
    let (_, secret) = platform.create_token(&caller, wanted).await.unwrap();
    let wrong = platform.delete(&caller, OTHER, world.address()).await;
    assert!(matches!(wrong, Err(AccountError::WrongCredentials)));
    assert!(platform.deleted_users().is_empty());
    platform
        .delete(&caller, PASSWORD, world.address())
        .await
        .unwrap();
    assert_eq!(session(&platform, &ada), Err(AuthError::Invalid));
    assert_eq!(token(&platform, &secret), Err(AuthError::Invalid));
    assert!(matches!(
        platform.log_in(ADA, PASSWORD, world.address()).await,
        Err(AccountError::WrongCredentials)
    ));
    assert!(matches!(
        platform.profile(&caller).await,
        Err(AccountError::Unknown(_))
    ));
    // The address is free, and whoever takes it inherits nothing.
    let next = logged_in(
        platform
            .sign_up(ADA, OTHER, None, world.address())
            .await
            .unwrap(),
    );
    let heir = session(&platform, &next).unwrap();
    assert!(heir.space != caller.space && account(&heir).user != account(&caller).user);
    wait_for("the deletion", || !there.deleted_users().is_empty()).await;
    let marked = there.deleted_users();
    assert_eq!(
        (marked[0].user.clone(), &marked[0].space),
        (account(&caller).user.clone(), &caller.space)
    );
    there.finish_deletion(&marked[0].user).await.unwrap();
    there.finish_deletion(&marked[0].user).await.unwrap();
    wait_for("its end", || {
        platform.deleted_users().is_empty() && there.deleted_users().is_empty()
    })
    .await;
    let left = platform.store.load_all().await.unwrap();
    assert_eq!(
        (left.users.len(), left.sessions.len(), left.tokens.len()),
        (1, 1, 0)
    );
    assert!(session(&platform, &next).is_ok());
}
