//! `token`: API tokens of the account.

use serverledge_wire::account::TokenEntry;

use super::{Session, account};
use crate::arguments::{TokenCommand, TokenCreateArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{output, progress, text};

/// Runs one of the commands.
pub(super) async fn run(session: &Session, command: &TokenCommand) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(args) => create(session, args).await,
        TokenCommand::List => list(session).await,
        TokenCommand::Revoke(args) => revoke(session, &args.id).await,
    }
}

/// The token goes to stdout, alone on a terminal, so that it can be put where it belongs.
async fn create(session: &Session, args: &TokenCreateArgs) -> Result<Exit, Failure> {
    let wanted = account::request(args.label.clone(), &args.wanted);
    let made = progress::during("making a token", session.client.create_token(&wanted)).await;
    let made = made.map_err(|error| Failure::of_call("make a token", error))?;
    session.show(&made, |made| text::one_line(made.token.reveal()))?;
    if session.for_people {
        output::warn(&format!(
            "note: it is shown this once; it ends: {}",
            account::until(&made.info)
        ));
    }
    Ok(Exit::Ok)
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let tokens = progress::during("listing the tokens", session.client.tokens()).await;
    let tokens = tokens.map_err(|error| Failure::of_call("list the tokens", error))?;
    session.show(&tokens, |tokens| table(&tokens.tokens))?;
    Ok(Exit::Ok)
}

async fn revoke(session: &Session, id: &str) -> Result<Exit, Failure> {
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
    let head = ["ID", "NAME", "SCOPES", "CREATED", "ENDS", "LAST USED"]
        .map(str::to_owned)
        .to_vec();
    let row = |token: &TokenEntry| {
        vec![
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
    text::table(
        &std::iter::once(head)
            .chain(tokens.iter().map(row))
            .collect::<Vec<_>>(),
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
