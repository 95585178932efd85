//! `list`: the names of the deployed functions, on a terminal with what else is known of them.

use serverledge_client::{ClientError, FunctionName};
use serverledge_wire::function::FunctionInfo;

use super::session::Session;
use crate::failure::Failure;
use crate::{output, progress, text};

/// Most functions that are asked for one by one; of more, only the names are shown.
const DETAILS_MAX: usize = 200;

/// Runs the command.
pub(super) async fn list(session: &Session) -> Result<(), Failure> {
    let failed = |error| Failure::of_call("list the functions", error);
    let names = progress::during("listing the functions", session.client.list())
        .await
        .map_err(failed)?;
    if !session.for_people || names.len() > DETAILS_MAX {
        return session.show(&names, |names| text::printable(&names.join("\n")));
    }
    if names.is_empty() {
        let whose = match (session.client.app(), session.who()) {
            (Some(app), _) => format!(" in {app}"),
            (None, Some(who)) => format!(" in your own space (you act as {who})"),
            (None, None) => String::new(),
        };
        output::warn(&format!(
            "no functions are deployed{whose}; `serverledge-cli create --src FILE` deploys one"
        ));
        return Ok(());
    }
    let rows = progress::during("asking about each function", details(session, names))
        .await
        .map_err(failed)?;
    output::result(&table(&rows))
}

/// Each function's description, as far as the node gives any; a name deleted meanwhile stays without.
async fn details(
    session: &Session,
    names: Vec<String>,
) -> Result<Vec<(String, Option<FunctionInfo>)>, ClientError> {
    let mut rows = Vec::with_capacity(names.len());
    for name in names {
        let info = match FunctionName::parse(&name) {
            Ok(name) => session.client.function(&name).await?,
            Err(_) => None,
        };
        rows.push((name, info));
    }
    Ok(rows)
}

fn table(rows: &[(String, Option<FunctionInfo>)]) -> String {
    let row = |(name, info): &(String, Option<FunctionInfo>)| {
        let facts = info.as_ref().map_or_else(Default::default, |info| {
            [
                text::one_line(&info.runtime),
                format!("{} MiB", info.memory_mb),
                text::version(&info.version),
            ]
        });
        let [runtime, memory, version] = facts;
        [text::one_line(name), runtime, memory, version]
    };
    text::listing(
        ["NAME", "RUNTIME", "MEMORY", "VERSION"],
        rows.iter().map(row),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn functions_are_rows() {
        let info: FunctionInfo = serde_json::from_str(
            r#"{"Name":"hello","Runtime":"wasm","Version":"0123456789abcdef","Code":"","Handler":"","MemoryMB":128,
            "CPUDemand":0,"MaxConcurrency":1,"Timeout":30,"Env":[],"Idempotent":false,"Edge":false}"#,
        )
        .unwrap();
        expect![[r#"
            NAME   RUNTIME  MEMORY   VERSION
            hello  wasm     128 MiB  0123456789ab
            gone"#]]
        .assert_eq(&table(&[
            ("hello".to_owned(), Some(info)),
            ("gone".to_owned(), None),
        ]));
    }
}
