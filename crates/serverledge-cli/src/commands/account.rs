//! `login`, `logout`, `whoami` and `account`: who asks, and the settings of that account.

use serverledge_client::{Client, ClientError, Session as LoginSession};
use serverledge_wire::account::{
    AccountInfo, ChangeEmail, ChangePassword, Confirm, CreatedToken, DeleteAccount, EmailChange,
    LogIn, Reset, ResetRequested, Secret, SignUp, TokenEntry, TokenRequest,
};

use super::session::Session;
use crate::arguments::{
    AccountCommand, DeleteAccountArgs, EmailArgs, ForgotArgs, LinkArgs, LoginArgs, LogoutArgs,
    PasswordArgs, ResetArgs, SignUpArgs, WantedArgs,
};
use crate::credentials::Credential;
use crate::failure::{Failure, failed_to};
use crate::passwords::{self, AtTerminal};
use crate::{output, progress, text};

/// Longest name that a machine gives its token: nodes take 64 characters.
const MACHINE_CHARS_MAX: usize = 40;

/// Runs one of the commands of `account`.
pub(super) async fn run(session: &Session, command: &AccountCommand) -> Result<(), Failure> {
    match command {
        AccountCommand::SignUp(args) => sign_up(session, args).await,
        AccountCommand::Email(args) => email(session, args).await,
        AccountCommand::Password(args) => password(session, args).await,
        AccountCommand::Forgot(args) => forgot(session, args).await,
        AccountCommand::Reset(args) => reset(session, args).await,
        AccountCommand::Confirm(args) => confirm(session, args).await,
        AccountCommand::Delete(args) => delete(session, args).await,
        AccountCommand::Invite => invite(session).await,
    }
}

/// Makes an API token for this machine with a password, and keeps it.
pub(super) async fn login(session: &Session, args: &LoginArgs) -> Result<(), Failure> {
    let email = passwords::email(args.email.as_deref(), &AtTerminal)?;
    let password = passwords::known(args.password_file.as_deref(), &AtTerminal)?;
    let shown = LogIn { email, password };
    let logged_in = progress::during("logging in", session.client.log_in(&shown)).await;
    let (_, begun) = logged_in.map_err(failed_to("log in"))?;
    keep_token(session, &begun, shown.email, &args.wanted).await
}

async fn sign_up(session: &Session, args: &SignUpArgs) -> Result<(), Failure> {
    let login = &args.login;
    let email = passwords::email(login.email.as_deref(), &AtTerminal)?;
    let password = passwords::new(
        login.password_file.as_deref(),
        "--password-file",
        &AtTerminal,
    )?;
    let invite = args
        .invite_file
        .as_deref()
        .map(|file| passwords::from_file(file, "the invitation"));
    let wanted = SignUp {
        email,
        password,
        invite: invite.transpose()?.map(Secret),
    };
    let signed_up = progress::during("signing up", session.client.sign_up(&wanted)).await;
    let (reply, begun) = signed_up.map_err(failed_to("sign up"))?;
    if let Some(begun) = begun {
        return keep_token(session, &begun, wanted.email, &login.wanted).await;
    }
    session.show(&reply, |_| {
        format!(
            "follow the link in the mail to {}, then log in: serverledge-cli login",
            text::one_line(&wanted.email)
        )
    })
}

/// Makes a token in a session, ends the session, and keeps the token in place of the one before.
async fn keep_token(
    session: &Session,
    begun: &LoginSession,
    email: String,
    wanted: &WantedArgs,
) -> Result<(), Failure> {
    let client = &session.client;
    let wanted = request(format!("serverledge-cli on {}", machine()), wanted);
    let made = progress::during("making a token", client.create_token_in(begun, &wanted)).await;
    // It has done its work, whether or not there is a token now.
    let ended = client.end(begun).await;
    let CreatedToken { token, info } = made.map_err(failed_to("make a token"))?;
    if let Err(error) = ended {
        output::warn(&format!(
            "note: {}",
            failed_to("end the session of the log-in")(error).render(false)
        ));
    }
    let kept = Credential {
        token: token.clone(),
        id: info.id.clone(),
        email: email.clone(),
    };
    let with_token = session.with_token(&token)?;
    let file = session.credentials()?;
    let before = match file.set(client.endpoint(), Some(kept)) {
        Ok(before) => before,
        Err(failure) => {
            // Nobody has it.
            let _ = with_token.log_out().await;
            return Err(failure);
        }
    };
    // Nobody uses it any more. It may be over, or one of another account.
    if let Some(before) = before.filter(|before| before.id != info.id)
        && let Ok(client) = session.with_token(&before.token)
    {
        let _ = client.log_out().await;
    }
    session.show(&info, |info| {
        format!(
            "logged in at {}; the token {:?} is in {}\nyou act as {}, in your own space: what was deployed without a login \
             is not in it",
            client.endpoint(),
            info.name,
            file.path().display(),
            text::one_line(&email)
        )
    })
}

/// The request for a token.
pub(super) fn request(name: String, wanted: &WantedArgs) -> TokenRequest {
    TokenRequest {
        name,
        scopes: wanted.scope.clone(),
        lifetime_s: wanted.expires.seconds(),
    }
}

/// The name of this machine.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name
        .trim()
        .chars()
        .filter(plain)
        .take(MACHINE_CHARS_MAX)
        .collect();
    if name.is_empty() {
        "a machine".to_owned()
    } else {
        name
    }
}

/// Revokes the token that `login` made, and forgets it.
pub(super) async fn logout(session: &Session, args: &LogoutArgs) -> Result<(), Failure> {
    let file = session.credentials()?;
    let endpoint = session.client.endpoint();
    let Some(kept) = file.get(endpoint)? else {
        return Err(Failure::usage(format!(
            "{} has no token for {endpoint}",
            file.path().display()
        ))
        .hint("tokens from elsewhere are revoked with `serverledge-cli token revoke ID`"));
    };
    let revoked = match session.with_token(&kept.token) {
        Ok(client) => progress::during("logging out", client.log_out()).await,
        Err(failure) if args.force => {
            output::warn(&failure.render(false));
            Ok(())
        }
        Err(failure) => return Err(failure),
    };
    match revoked {
        // Or it is over already.
        Ok(())
        | Err(ClientError::Problem {
            status: 401 | 404, ..
        }) => {}
        Err(error) if args.force => {
            output::warn(&format!(
                "warning: {}",
                Failure::of_call("revoke the token", error).render(false)
            ));
        }
        Err(error) => {
            let failure = Failure::of_call("revoke the token", error);
            return Err(
                failure.hint("--force forgets it all the same; it is then good until it ends")
            );
        }
    }
    file.set(endpoint, None)?;
    session.say(&format!("logged out at {endpoint}"))
}

/// Shows whose token is sent.
pub(super) async fn whoami(session: &Session) -> Result<(), Failure> {
    let call = session.client.account();
    let failed = failed_to("ask who that is");
    session
        .answer("asking who that is", call, failed, described)
        .await
}

fn described(info: &AccountInfo) -> String {
    text::facts([
        ("e-mail", info.email.clone()),
        ("user", info.user.clone()),
        ("role", info.role.clone()),
        ("since", text::time(info.created_unix_ms)),
        ("by", format!("{} {}", info.via, info.credential)),
        ("scopes", info.scopes.join(", ")),
    ])
}

async fn email(session: &Session, args: &EmailArgs) -> Result<(), Failure> {
    let password = passwords::known(args.password_file.as_deref(), &AtTerminal)?;
    let wanted = ChangeEmail {
        password,
        email: args.address.clone(),
    };
    let call = session.client.change_email(&wanted);
    let failed = failed_to("change the address");
    let told = |changed: &EmailChange| match changed.confirmation_sent {
        true => "the address changes once the link in the mail to it was followed".to_owned(),
        false => "changed".to_owned(),
    };
    session
        .answer("changing the address", call, failed, told)
        .await
}

async fn password(session: &Session, args: &PasswordArgs) -> Result<(), Failure> {
    let password = passwords::known(args.password_file.as_deref(), &AtTerminal)?;
    let new_password = passwords::new(
        args.new_password_file.as_deref(),
        "--new-password-file",
        &AtTerminal,
    )?;
    let wanted = ChangePassword {
        password,
        new_password,
    };
    let changed = progress::during(
        "changing the password",
        session.client.change_password(&wanted),
    )
    .await;
    changed.map_err(failed_to("change the password"))?;
    session.say("changed; other sessions have ended")
}

async fn forgot(session: &Session, args: &ForgotArgs) -> Result<(), Failure> {
    let email = passwords::email(args.email.as_deref(), &AtTerminal)?;
    let call = session.client.request_reset(&email);
    let failed = failed_to("ask for a link");
    let told = |asked: &ResetRequested| {
        match asked.delivery.as_str() {
        "log" => {
            "this node sends no mail: if the address has an account, the link is in the node's log, and whoever runs \
                  the node hands it on; then: serverledge-cli account reset"
                .to_owned()
        }
        _ => "if the address has an account, a link for a new password goes there".to_owned(),
    }
    };
    session
        .answer("asking for a link", call, failed, told)
        .await
}

async fn reset(session: &Session, args: &ResetArgs) -> Result<(), Failure> {
    let secret = secret_of(&args.link)?;
    let password = passwords::new(
        args.new_password_file.as_deref(),
        "--new-password-file",
        &AtTerminal,
    )?;
    let done = progress::during(
        "setting the password",
        session.client.reset(&Reset { secret, password }),
    )
    .await;
    done.map_err(failed_to("set the password"))?;
    session.say("the password is set, sessions have ended and tokens are revoked; log in: serverledge-cli login")
}

async fn confirm(session: &Session, link: &LinkArgs) -> Result<(), Failure> {
    let secret = secret_of(link)?;
    let done = progress::during("confirming", session.client.confirm(&Confirm { secret })).await;
    done.map_err(failed_to("confirm the address"))?;
    session.say("the address is confirmed; log in: serverledge-cli login")
}

/// The secret of a link: what follows its `#`. The secret alone will do.
fn secret_of(link: &LinkArgs) -> Result<Secret, Failure> {
    let link = passwords::link(link.link_file.as_deref(), &AtTerminal)?;
    let link = link.reveal().trim();
    let secret = link.rsplit_once('#').map_or(link, |(_, secret)| secret);
    if secret.is_empty() || secret.contains(['/', ' ']) {
        return Err(Failure::usage("the link has no secret behind a #")
            .hint("give the whole link, as it was sent"));
    }
    Ok(Secret(secret.to_owned()))
}

async fn delete(session: &Session, args: &DeleteAccountArgs) -> Result<(), Failure> {
    args.confirm
        .ask("delete the account with all its functions, applications and tokens?")?;
    let password = passwords::known(args.password_file.as_deref(), &AtTerminal)?;
    let shown = DeleteAccount { password };
    let deleted = progress::during(
        "deleting the account",
        session.client.delete_account(&shown),
    )
    .await;
    deleted.map_err(failed_to("delete the account"))?;
    // Its token is good for nothing any more, if it was that account's.
    if let Ok(file) = session.credentials() {
        forget_dead(session, file).await?;
    }
    session.say("deleted")
}

/// Forgets the kept token if the node does not know it any more.
async fn forget_dead(
    session: &Session,
    file: &crate::credentials::CredentialsFile,
) -> Result<(), Failure> {
    let endpoint = session.client.endpoint();
    let Some(kept) = file.get(endpoint)? else {
        return Ok(());
    };
    let client: Client = session.with_token(&kept.token)?;
    if let Err(ClientError::Problem { status: 401, .. }) = client.account().await {
        file.set(endpoint, None)?;
    }
    Ok(())
}

async fn invite(session: &Session) -> Result<(), Failure> {
    let call = session.client.invite();
    let failed = failed_to("make an invitation");
    session
        .answer("making an invitation", call, failed, |made| {
            text::one_line(made.invite.reveal())
        })
        .await
}

/// The end of a token's lifetime, in words for people.
pub(super) fn until(token: &TokenEntry) -> String {
    token
        .expires_unix_ms
        .map_or_else(|| "never".to_owned(), text::time)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn whoever_it_is_is_shown() {
        let info = AccountInfo {
            user: "u1".to_owned(),
            email: "ada\u{1b}[2J@example.org".to_owned(),
            role: "user".to_owned(),
            space: "s1".to_owned(),
            created_unix_ms: 1_772_323_200_000,
            via: "token".to_owned(),
            credential: "t1".to_owned(),
            scopes: vec!["invoke".to_owned(), "deploy".to_owned()],
        };
        expect![[r#"
            e-mail  ada\u{1b}[2J@example.org
            user    u1
            role    user
            since   2026-03-01T00:00:00.000Z
            by      token t1
            scopes  invoke, deploy"#]]
        .assert_eq(&described(&info));
    }

    #[test]
    fn machines_have_plain_names() {
        let name = machine();
        assert!(
            !name.is_empty()
                && name.len() <= MACHINE_CHARS_MAX
                && !name.chars().any(char::is_control),
            "{name}"
        );
    }
}
