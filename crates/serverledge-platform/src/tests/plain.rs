//! Sign-up, login, password and address where there is no mail.

use std::sync::Arc;

use serverledge_core::{AccountError, Accounts, AuthError, Caller, Role};

use super::fakes::{ADA, OTHER, PASSWORD, World, account, code, logged_in, secret, session};
use crate::Signup;

#[tokio::test]
async fn somebody_signs_up_and_logs_in() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let first = logged_in(
        platform
            .sign_up(ADA, PASSWORD, None, world.address())
            .await
            .unwrap(),
    );
    let caller = session(&platform, &first).unwrap();
    let profile = platform.profile(&caller).await.unwrap();
    assert_eq!(
        (profile.email.as_str(), profile.role, &profile.space),
        (ADA, Role::User, &caller.space)
    );
    assert_eq!(account(&caller).user, profile.user);
    let second = platform
        .log_in("ada@EXAMPLE.org", PASSWORD, world.address())
        .await
        .unwrap();
    assert_ne!(
        second.secret, first.secret,
        "each session has an id of its own"
    );
    assert!(session(&platform, &second).is_ok() && session(&platform, &first).is_ok());
    platform.log_out(&caller).await.unwrap();
    assert_eq!(session(&platform, &first), Err(AuthError::Invalid));
    assert!(session(&platform, &second).is_ok());
}

#[tokio::test]
async fn a_wrong_password_and_a_wrong_address_are_one_answer() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    logged_in(
        platform
            .sign_up(ADA, PASSWORD, None, world.address())
            .await
            .unwrap(),
    );
    let mut answers = Vec::new();
    for (email, password) in [
        (ADA, OTHER),
        ("bob@example.org", PASSWORD),
        ("nonsense", PASSWORD),
        (ADA, ""),
        (ADA, &"x".repeat(5000)),
    ] {
        let refused = platform
            .log_in(email, password, world.address())
            .await
            .unwrap_err();
        assert!(matches!(refused, AccountError::WrongCredentials), "{email}");
        answers.push(refused.to_string());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn limits_count_accounts_that_are_not_there_as_well() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    logged_in(
        platform
            .sign_up(ADA, PASSWORD, None, world.address())
            .await
            .unwrap(),
    );
    for email in [ADA, "bob@example.org"] {
        let mut tries = 0;
        let retry_after = loop {
            match platform.log_in(email, OTHER, world.address()).await {
                Err(AccountError::WrongCredentials) => tries += 1,
                Err(AccountError::TooMany { retry_after }) => break retry_after,
                other => panic!("{other:?}"),
            }
        };
        // A slow machine is allowed some more, for the time that has passed.
        assert!((20..=22).contains(&tries), "{email}: {tries}");
        assert!(retry_after.as_secs() > 0);
    }
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let sign_up = async |email: &str, password: &str| {
        platform
            .sign_up(email, password, None, world.address())
            .await
    };
    assert_eq!(code(sign_up("ada", PASSWORD).await), "email_invalid");
    assert_eq!(code(sign_up(ADA, "short").await), "password_too_short");
    assert_eq!(
        code(sign_up(ADA, &"long ".repeat(30)).await),
        "password_too_long"
    );
    assert_eq!(
        code(sign_up(ADA, "passwordpassword").await),
        "password_common"
    );
    assert_eq!(
        code(sign_up(ADA, "ada@example.org").await),
        "password_common"
    );
    assert!(platform.users().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_one_address_one_gets_it() {
    let world = Arc::new(World::new(false));
    let platforms = [
        world.platform(Signup::Open).await,
        world.platform(Signup::Open).await,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let platform = platforms[number % 2].clone();
        let from = world.address();
        let email = if number % 3 == 0 {
            ADA.to_uppercase()
        } else {
            ADA.to_lowercase()
        };
        tasks.spawn(async move { platform.sign_up(&email, PASSWORD, None, from).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(
        answers
            .iter()
            .filter(|answer| matches!(answer, Err(AccountError::Taken)))
            .count(),
        15
    );
    assert_eq!(platforms[0].users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn sign_up_may_be_closed_or_need_an_invitation() {
    let world = World::new(false);
    let closed = world.platform(Signup::Closed).await;
    let refused = closed.sign_up(ADA, PASSWORD, None, world.address()).await;
    assert!(matches!(refused, Err(AccountError::SignUp(_))));
    let platform = world.platform(Signup::Invite).await;
    let refused = platform.sign_up(ADA, PASSWORD, None, world.address()).await;
    assert!(matches!(refused, Err(AccountError::SignUp(_))));
    let session_of_user = world.ada(&platform).await;
    let user = session(&platform, &session_of_user).unwrap();
    assert!(
        matches!(
            platform.invite(&user).await,
            Err(AccountError::Forbidden(_))
        ),
        "users do not invite"
    );
    platform.grant(ADA, Role::Operator, false).await.unwrap();
    let operator = session(&platform, &session_of_user).unwrap();
    let invitation = platform.invite(&operator).await.unwrap();
    let bob = async |invitation: &str| {
        platform
            .sign_up(
                "bob@example.org",
                PASSWORD,
                Some(invitation),
                world.address(),
            )
            .await
    };
    assert!(matches!(bob("nonsense").await, Err(AccountError::Link)));
    // An invitation is good for nothing else, and a taken address does not use it up.
    assert!(matches!(
        platform.confirm(&invitation, world.address()).await,
        Err(AccountError::Link)
    ));
    let taken = platform
        .sign_up(ADA, PASSWORD, Some(&invitation), world.address())
        .await;
    assert!(matches!(taken, Err(AccountError::Taken)));
    assert!(bob(&invitation).await.is_ok());
    let eve = platform
        .sign_up(
            "eve@example.org",
            PASSWORD,
            Some(&invitation),
            world.address(),
        )
        .await;
    assert!(
        matches!(eve, Err(AccountError::Link)),
        "an invitation is used up: {eve:?}"
    );
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let mine = world.ada(&platform).await;
    let other = platform
        .log_in(ADA, PASSWORD, world.address())
        .await
        .unwrap();
    let caller = session(&platform, &mine).unwrap();
    let wrong = platform
        .change_password(&caller, OTHER, "a third horse battery", world.address())
        .await;
    assert!(matches!(wrong, Err(AccountError::WrongCredentials)));
    assert_eq!(
        code(
            platform
                .change_password(&caller, PASSWORD, "short", world.address())
                .await
        ),
        "password_too_short"
    );
    platform
        .change_password(&caller, PASSWORD, OTHER, world.address())
        .await
        .unwrap();
    assert!(session(&platform, &mine).is_ok());
    assert_eq!(session(&platform, &other), Err(AuthError::Invalid));
    let old = platform.log_in(ADA, PASSWORD, world.address()).await;
    assert!(matches!(old, Err(AccountError::WrongCredentials)));
    assert!(platform.log_in(ADA, OTHER, world.address()).await.is_ok());
    assert_eq!(
        platform.sessions(&caller).await.unwrap().len(),
        2,
        "the ended one is not listed"
    );
}

#[tokio::test]
async fn an_address_changes_at_once_where_there_is_no_mail() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    logged_in(
        platform
            .sign_up("bob@example.org", PASSWORD, None, world.address())
            .await
            .unwrap(),
    );
    let caller = session(&platform, &world.ada(&platform).await).unwrap();
    let change = async |password: &str, email: &str| {
        platform
            .change_email(&caller, password, email, world.address())
            .await
    };
    assert!(matches!(
        change(OTHER, "new@example.org").await,
        Err(AccountError::WrongCredentials)
    ));
    assert!(matches!(
        change(PASSWORD, "BOB@example.org").await,
        Err(AccountError::Taken)
    ));
    assert!(
        !change(PASSWORD, "ADA@example.org").await.unwrap(),
        "another spelling of the own address"
    );
    assert!(!change(PASSWORD, "new@example.org").await.unwrap());
    assert_eq!(
        platform.profile(&caller).await.unwrap().email,
        "new@example.org"
    );
    assert!(
        platform
            .log_in("new@example.org", PASSWORD, world.address())
            .await
            .is_ok()
    );
    logged_in(
        platform
            .sign_up(ADA, PASSWORD, None, world.address())
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn without_an_account_nothing_is_answered() {
    let world = World::new(false);
    let platform = world.platform(Signup::Open).await;
    let nobody = Caller::anonymous();
    assert!(matches!(
        platform.profile(&nobody).await,
        Err(AccountError::Forbidden(_))
    ));
    assert!(matches!(
        platform.tokens(&nobody).await,
        Err(AccountError::Forbidden(_))
    ));
    assert!(matches!(
        platform.log_out_everywhere(&nobody).await,
        Err(AccountError::Forbidden(_))
    ));
    assert!(
        platform.invite(&nobody).await.is_ok(),
        "without authentication everybody looks after the node"
    );
}

#[tokio::test]
async fn an_operator_is_made_on_the_machine() {
    let world = World::new(false);
    let platform = world.platform(Signup::Closed).await;
    assert!(matches!(
        platform.grant(ADA, Role::Operator, false).await,
        Err(AccountError::Unknown(_))
    ));
    let granted = platform.grant(ADA, Role::Operator, true).await.unwrap();
    let link = granted.link.unwrap();
    assert!(
        link.starts_with("https://faas.example.org/account/reset#"),
        "{link}"
    );
    for password in ["", PASSWORD] {
        let none = platform.log_in(ADA, password, world.address()).await;
        assert!(
            matches!(none, Err(AccountError::WrongCredentials)),
            "there is no password yet"
        );
    }
    platform
        .reset(&secret(&link), PASSWORD, world.address())
        .await
        .unwrap();
    let ada = platform
        .log_in(ADA, PASSWORD, world.address())
        .await
        .unwrap();
    assert!(session(&platform, &ada).unwrap().operates());
    assert_eq!(
        platform
            .grant(ADA, Role::Operator, true)
            .await
            .unwrap()
            .link,
        None,
        "no link for who has an account"
    );
    platform.revoke(ADA).await.unwrap();
    assert_eq!(session(&platform, &ada), Err(AuthError::Invalid));
    let ada = platform
        .log_in(ADA, PASSWORD, world.address())
        .await
        .unwrap();
    assert!(!session(&platform, &ada).unwrap().operates());
    assert_eq!(platform.users().await.unwrap()[0].role, "user");
}
