//! Sign-up, reset and change of address by mail.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::{Kv as _, Revision};
use serverledge_core::{AccountError, Accounts, AuthError, NewToken, Scopes, SignedUp};

use super::fakes::{ADA, HOUR, OTHER, PASSWORD, World, secret, session, token};
use crate::{Mail, MailError, Signup};

#[tokio::test]
async fn an_account_is_made_when_its_address_is_confirmed() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    let answer = platform
        .sign_up(ADA, PASSWORD, None, world.address())
        .await
        .unwrap();
    assert_eq!(answer, SignedUp::ConfirmationSent);
    let mail = world.mailer.next().await;
    assert_eq!(mail.to, ADA);
    assert!(
        mail.text
            .contains("https://faas.example.org/account/confirm#"),
        "{}",
        mail.text
    );
    assert!(platform.users().await.unwrap().is_empty());
    platform
        .confirm(&secret(&mail.text), world.address())
        .await
        .unwrap();
    assert!(
        platform
            .log_in(ADA, PASSWORD, world.address())
            .await
            .is_ok()
    );
    let again = platform.confirm(&secret(&mail.text), world.address()).await;
    assert!(matches!(again, Err(AccountError::Link)), "once");
}

#[tokio::test]
async fn a_taken_address_answers_like_a_free_one() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    world.ada(&platform).await;
    let taken = platform
        .sign_up("ADA@example.org", OTHER, None, world.address())
        .await
        .unwrap();
    let free = platform
        .sign_up("bob@example.org", OTHER, None, world.address())
        .await
        .unwrap();
    assert_eq!(taken, free);
    let mails = [world.mailer.next().await, world.mailer.next().await];
    let to_ada = mails
        .iter()
        .find(|mail| mail.to == "ADA@example.org")
        .unwrap();
    assert!(
        !to_ada.text.contains('#') && to_ada.text.contains("has an account already"),
        "{}",
        to_ada.text
    );
    assert!(
        platform
            .log_in(ADA, PASSWORD, world.address())
            .await
            .is_ok(),
        "nothing was changed"
    );
}

#[tokio::test]
async fn the_later_confirmation_of_one_address_is_too_late() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    let mut secrets = Vec::new();
    for password in [PASSWORD, OTHER] {
        platform
            .sign_up(ADA, password, None, world.address())
            .await
            .unwrap();
        secrets.push(world.mailer.next_secret().await);
    }
    platform
        .confirm(&secrets[0], world.address())
        .await
        .unwrap();
    assert!(matches!(
        platform.confirm(&secrets[1], world.address()).await,
        Err(AccountError::Link)
    ));
    assert!(
        platform
            .log_in(ADA, PASSWORD, world.address())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_reset_ends_sessions_and_tokens() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    let before = world.ada(&platform).await;
    let caller = session(&platform, &before).unwrap();
    let wanted = NewToken {
        name: "laptop".to_owned(),
        scopes: Scopes::ALL,
        lifetime: None,
    };
    let (_, old_token) = platform.create_token(&caller, wanted).await.unwrap();
    platform
        .request_reset("ada@example.org", world.address())
        .await
        .unwrap();
    platform
        .request_reset("ada@example.org", world.address())
        .await
        .unwrap();
    let mail = world.mailer.next().await;
    assert_eq!(mail.to, ADA, "to the address that is kept");
    let first = secret(&mail.text);
    let second = world.mailer.next_secret().await;
    assert!(
        matches!(
            platform.confirm(&first, world.address()).await,
            Err(AccountError::Link)
        ),
        "no confirmation"
    );
    platform
        .reset(&first, OTHER, world.address())
        .await
        .unwrap();
    assert_eq!(
        world.mailer.next().await.subject,
        "Your password was changed"
    );
    assert_eq!(session(&platform, &before), Err(AuthError::Invalid));
    assert_eq!(token(&platform, &old_token), Err(AuthError::Invalid));
    assert!(platform.log_in(ADA, OTHER, world.address()).await.is_ok());
    for used in [first, second] {
        let again = platform.reset(&used, PASSWORD, world.address()).await;
        assert!(
            matches!(again, Err(AccountError::Link)),
            "once, and no other from before"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_follow_one_link_one_sets_the_password() {
    let world = Arc::new(World::new(true));
    let platforms = [
        world.platform(Signup::Open).await,
        world.platform(Signup::Open).await,
    ];
    world.ada(&platforms[0]).await;
    platforms[1]
        .request_reset(ADA, world.address())
        .await
        .unwrap();
    let secret = world.mailer.next_secret().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let platform = platforms[number % 2].clone();
        let from = world.address();
        let secret = secret.clone();
        tasks.spawn(async move {
            platform
                .reset(&secret, &format!("horse number {number}"), from)
                .await
                .map(|()| number)
        });
    }
    let answers = tasks.join_all().await;
    let won: Vec<usize> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().ok().copied())
        .collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    assert!(
        answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .all(|lost| matches!(lost, AccountError::Link))
    );
    let password = format!("horse number {}", won[0]);
    assert!(
        platforms[0]
            .log_in(ADA, &password, world.address())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn links_end() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    world.ada(&platform).await;
    platform.request_reset(ADA, world.address()).await.unwrap();
    let reset = world.mailer.next_secret().await;
    world.clock.advance(Duration::from_secs(10 * 60));
    assert!(matches!(
        platform.reset(&reset, OTHER, world.address()).await,
        Err(AccountError::Link)
    ));
    platform
        .sign_up("bob@example.org", PASSWORD, None, world.address())
        .await
        .unwrap();
    let confirm = world.mailer.next_secret().await;
    world.clock.advance(HOUR * 24);
    assert!(matches!(
        platform.confirm(&confirm, world.address()).await,
        Err(AccountError::Link)
    ));
    let forged = format!("{}A", &confirm[..confirm.len() - 1]);
    for bad in ["", "nonsense", &forged, &confirm[1..]] {
        assert!(
            matches!(
                platform.reset(bad, OTHER, world.address()).await,
                Err(AccountError::Link)
            ),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_answer_and_no_mail() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    world.ada(&platform).await;
    platform
        .request_reset("nobody@example.org", world.address())
        .await
        .unwrap();
    platform.request_reset(ADA, world.address()).await.unwrap();
    assert_eq!(world.mailer.next().await.to, ADA);
    platform.stop().await;
    assert!(world.mailer.is_empty(), "nobody else was mailed");
}

/// Work that the node does after its answer delays whoever asks next: it must not be more for a known address than for
/// an unknown one.
#[tokio::test]
async fn known_and_unknown_addresses_have_as_much_written() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    world.ada(&platform).await;
    let revision = async || world.kv.status().await.unwrap().revision;
    let mut before = revision().await;
    for email in ["nobody@example.org", ADA] {
        platform
            .request_reset(email, world.address())
            .await
            .unwrap();
        before = written_once(&world, before).await;
        platform
            .sign_up(email, OTHER, None, world.address())
            .await
            .unwrap();
        before = written_once(&world, before).await;
    }
    platform.stop().await;
    assert_eq!(revision().await, before, "and nothing more");
}

/// Waits for the next write, which is to be one; returns its revision.
async fn written_once(world: &World, before: Revision) -> Revision {
    let next = async {
        loop {
            let now = world.kv.status().await.unwrap().revision;
            if now != before {
                return now;
            }
            tokio::task::yield_now().await;
        }
    };
    let now = tokio::time::timeout(Duration::from_secs(30), next)
        .await
        .expect("nothing was written");
    assert_eq!(now, before.next());
    now
}

#[tokio::test]
async fn an_address_changes_when_the_new_one_is_confirmed() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    let caller = session(&platform, &world.ada(&platform).await).unwrap();
    // A link to the old address does not outlive it.
    platform.request_reset(ADA, world.address()).await.unwrap();
    let reset = world.mailer.next_secret().await;
    assert!(
        platform
            .change_email(&caller, PASSWORD, "new@example.org", world.address())
            .await
            .unwrap()
    );
    let mail = world.mailer.next().await;
    assert_eq!(
        (
            mail.to.as_str(),
            platform.profile(&caller).await.unwrap().email.as_str()
        ),
        ("new@example.org", ADA)
    );
    platform
        .confirm(&secret(&mail.text), world.address())
        .await
        .unwrap();
    assert_eq!(
        platform.profile(&caller).await.unwrap().email,
        "new@example.org"
    );
    assert_eq!(world.mailer.next().await.to, ADA, "the old address is told");
    assert!(matches!(
        platform.reset(&reset, OTHER, world.address()).await,
        Err(AccountError::Link)
    ));
}

#[tokio::test]
async fn a_change_of_address_does_not_outlive_what_ends_sessions() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    let caller = session(&platform, &world.ada(&platform).await).unwrap();
    assert!(
        platform
            .change_email(&caller, PASSWORD, "thief@example.org", world.address())
            .await
            .unwrap()
    );
    let secret = world.mailer.next_secret().await;
    platform.log_out_everywhere(&caller).await.unwrap();
    assert!(matches!(
        platform.confirm(&secret, world.address()).await,
        Err(AccountError::Link)
    ));
}

#[tokio::test]
async fn a_mail_is_tried_again_while_its_server_is_away() {
    let world = World::new(true);
    let platform = world.platform(Signup::Open).await;
    platform.stop().await;
    // From here on the store, which is a thread, is not needed.
    tokio::time::pause();
    let mail = Mail {
        to: ADA.to_owned(),
        subject: "Hello",
        text: "Hello.".to_owned(),
    };
    for _ in 0..3 {
        world.mailer.fail(MailError::Unavailable("away".into()));
    }
    platform.send(mail.clone()).await.unwrap();
    assert_eq!(world.mailer.next().await, mail);
    for _ in 0..4 {
        world.mailer.fail(MailError::Unavailable("away".into()));
    }
    let given_up = platform.send(mail.clone()).await;
    assert!(
        matches!(
            given_up,
            Err(AccountError::Dependency {
                code: "mail_unavailable",
                ..
            })
        ),
        "{given_up:?}"
    );
    world
        .mailer
        .fail(MailError::Refused("no such mailbox".into()));
    assert!(
        platform.send(mail).await.is_err(),
        "what is refused is not tried again"
    );
    assert!(world.mailer.is_empty());
}
