//! `dead-letter`: asynchronous invocations that failed through no fault of the function.

use serverledge_client::ClientError;
use serverledge_wire::invocations::{AcceptedInvocation, DeadLetter, DeadLetters, Purged};

use super::invocation;
use super::session::Session;
use crate::arguments::{DeadLetterCommand, DeadLetterListArgs, IdArgs, PurgeArgs};
use crate::failure::{Failure, failed_to};
use crate::{output, progress, text};

/// Dead letters in one answer: enough for most, and every node gives so many.
const PAGE: u32 = 100;

/// Runs one of the commands.
pub(super) async fn run(session: &Session, command: &DeadLetterCommand) -> Result<(), Failure> {
    match command {
        DeadLetterCommand::List(args) => list(session, args).await,
        DeadLetterCommand::Show(args) => show(session, args).await,
        DeadLetterCommand::Redrive(args) => redrive(session, args).await,
        DeadLetterCommand::Purge(args) => purge(session, args).await,
    }
}

async fn list(session: &Session, args: &DeadLetterListArgs) -> Result<(), Failure> {
    let letters = progress::during("listing the dead letters", pages(session, args.limit)).await;
    let letters = letters.map_err(failed_to("list the dead letters"))?;
    if session.for_people && letters.dead_letters.is_empty() {
        output::warn("there are no dead letters");
        return Ok(());
    }
    session.show(&letters, |letters| table(&letters.dead_letters))?;
    if session.for_people && letters.next.is_some() {
        output::note("there are more; --limit shows them");
    }
    Ok(())
}

/// As many as are wanted, over as many answers as that takes.
async fn pages(session: &Session, limit: u32) -> Result<DeadLetters, ClientError> {
    let mut all = DeadLetters {
        dead_letters: Vec::new(),
        next: None,
    };
    loop {
        let missing =
            limit.saturating_sub(u32::try_from(all.dead_letters.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok(all);
        }
        let page = session
            .client
            .dead_letters(Some(missing.min(PAGE)), all.next.as_deref())
            .await?;
        // A page that leads to itself has no next one.
        let next = page.next.filter(|next| all.next.as_ref() != Some(next));
        all.dead_letters.extend(page.dead_letters);
        all.next = next;
        if all.next.is_none() {
            return Ok(all);
        }
    }
}

async fn show(session: &Session, IdArgs { id }: &IdArgs) -> Result<(), Failure> {
    let call = session.client.dead_letter(id);
    session
        .answer(
            &format!("asking for {id}"),
            call,
            failed("show", id),
            invocation::report,
        )
        .await
}

async fn redrive(session: &Session, IdArgs { id }: &IdArgs) -> Result<(), Failure> {
    let call = session.client.redrive(id);
    let told = |accepted: &AcceptedInvocation| {
        let id = text::one_line(&accepted.id);
        let words = if accepted.repeated {
            "was driven anew before, as"
        } else {
            "accepted as"
        };
        format!(
            "{words} {id}\n{}",
            output::dim(&format!("result: serverledge-cli invocation wait {id}"))
        )
    };
    session
        .answer(
            &format!("driving {id} anew"),
            call,
            failed("redrive", id),
            told,
        )
        .await
}

async fn purge(session: &Session, args: &PurgeArgs) -> Result<(), Failure> {
    if args.all {
        args.confirm.ask("remove all dead letters for good?")?;
    }
    let purged = match &args.id {
        None if args.all => {
            progress::during("removing all dead letters", session.client.purge_all())
                .await
                .map_err(failed_to("remove all dead letters"))?
        }
        None => {
            return Err(
                Failure::usage("no dead letter is named").hint("name its id, or pass --all")
            );
        }
        Some(id) => {
            let removed =
                progress::during(&format!("removing {id}"), session.client.purge(id)).await;
            removed.map_err(failed("remove", id))?;
            Purged { purged: 1 }
        }
    };
    session.show(&purged, |purged| match purged.purged {
        1 => "removed 1 dead letter".to_owned(),
        count => format!("removed {count} dead letters"),
    })
}

fn failed(action: &str, id: &str) -> impl FnOnce(ClientError) -> Failure {
    move |error| {
        // Without a code, or with the router's, it is the route that is not there.
        let is_none = matches!(&error, ClientError::Problem { status: 404 | 409, problem, .. }
            if !matches!(problem.code.as_str(), "" | "route_unknown"));
        let failure = Failure::of_call(&format!("{action} dead letter {id:?}"), error);
        if is_none {
            failure.hint("`serverledge-cli dead-letter list` shows which there are")
        } else {
            failure
        }
    }
}

fn table(letters: &[DeadLetter]) -> String {
    let row = |letter: &DeadLetter| {
        [
            text::one_line(&letter.id),
            text::one_line(&letter.function),
            text::time(letter.finished_unix_ms),
            letter.attempts.to_string(),
            text::one_line(&invocation::why(&letter.error)),
        ]
    };
    text::listing(
        ["ID", "FUNCTION", "ENDED", "ATTEMPTS", "ERROR"],
        letters.iter().map(row),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serverledge_wire::invocations::InvocationProblem;

    use super::*;

    #[test]
    fn dead_letters_are_rows() {
        let letter = DeadLetter {
            id: "01890000-0000-7000-8000-00000000000a".to_owned(),
            function: "f".to_owned(),
            error: InvocationProblem {
                code: "result_too_large".to_owned(),
                message: "7 MiB\u{1b}[2J".to_owned(),
            },
            attempts: 3,
            finished_unix_ms: 1_772_323_200_000,
        };
        expect![[r#"
            ID                                    FUNCTION  ENDED                     ATTEMPTS  ERROR
            01890000-0000-7000-8000-00000000000a  f         2026-03-01T00:00:00.000Z  3         7 MiB\u{1b}[2J (result_too_large)"#]].assert_eq(&table(&[letter]));
    }
}
