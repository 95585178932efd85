//! `token`: API tokens of the account.

use serverledge_wire::account::TokenEntry;

use super::account;
use super::session::Session;
use crate::arguments::{TokenCommand, TokenCreateArgs};
use crate::failure::{Failure, failed_to};
use crate::{output, progress, text};

/// Runs one of the commands.
pub(super) async fn run(session: &Session, command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(session, args).await,
        TokenCommand::List => list(session).await,
        TokenCommand::Revoke(args) => revoke(session, &args.id).await,
    }
}

/// The token goes to stdout, alone on a terminal, so that it can be put where it belongs.
async fn create(session: &Session, args: &TokenCreateArgs) -> Result<(), Failure> {
    let wanted = account::request(args.label.clone(), &args.wanted);
    let made = progress::during("making a token", session.client.create_token(&wanted)).await;
    let made = made.map_err(failed_to("make a token"))?;
    session.show(&made, |made| text::one_line(made.token.reveal()))?;
    if session.for_people {
        output::note(&format!(
            "it is shown this once; it ends: {}",
            account::until(&made.info)
        ));
    }
    Ok(())
}

async fn list(session: &Session) -> Result<(), Failure> {
    let call = session.client.tokens();
    let failed = failed_to("list the tokens");
    session
        .answer("listing the tokens", call, failed, |tokens| {
            table(&tokens.tokens)
        })
        .await
}

async fn revoke(session: &Session, id: &str) -> Result<(), Failure> {
    let revoked =
        progress::during(&format!("revoking {id}"), session.client.revoke_token(id)).await;
    revoked.map_err(|error| {
        let unknown = error.is_not_found();
        let failure = Failure::of_call(&format!("revoke token {id:?}"), error);
        if unknown {
            failure.hint("`serverledge-cli token list` shows which there are")
        } else {
            failure
        }
    })?;
    session.say("revoked")
}

fn table(tokens: &[TokenEntry]) -> String {
    let row = |token: &TokenEntry| {
        [
            text::one_line(&token.id),
            text::one_line(&token.name),
            text::one_line(&token.scopes.join(",")),
            text::time(token.created_unix_ms),
            account::until(token),
            token
                .used_unix_ms
                .map_or_else(|| "-".to_owned(), text::time),
        ]
    };
    text::listing(
        ["ID", "NAME", "SCOPES", "CREATED", "ENDS", "LAST USED"],
        tokens.iter().map(row),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn tokens_are_rows() {
        let token = TokenEntry {
            id: "t1".to_owned(),
            name: "lap\u{1b}top".to_owned(),
            scopes: vec!["invoke".to_owned(), "deploy".to_owned()],
            created_unix_ms: 1_772_323_200_000,
            expires_unix_ms: None,
            used_unix_ms: None,
        };
        expect![[r#"
            ID  NAME          SCOPES         CREATED                   ENDS   LAST USED
            t1  lap\u{1b}top  invoke,deploy  2026-03-01T00:00:00.000Z  never  -"#]]
        .assert_eq(&table(&[token]));
    }
}
