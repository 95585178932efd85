//! Gives the functions and applications that nobody owns to an owner.

use serverledge_core::{AccountError, Application, FunctionName, SpaceId, StoreName, UserId};
use serverledge_registry::{AppStore, AppStoreError, KeptApp, MoveError};

use super::Desk;

/// Most attempts at an application that others change at the same time.
const ATTEMPTS_MAX: usize = 16;

/// Gives an account everything without an owner. Returns a line for each thing, also for what stays as it is: a failure
/// of one does not keep the others from being adopted.
pub(super) async fn adopt(
    desk: &Desk,
    user: &UserId,
    space: &SpaceId,
    email: &str,
) -> Result<Vec<String>, AccountError> {
    let nobodys = SpaceId::default_space();
    let mut lines = Vec::new();
    for name in desk.functions.list(&nobodys).await.map_err(unavailable)? {
        lines.push(told(
            &name,
            desk.functions.move_to(&nobodys, &name, space).await,
            email,
        ));
    }
    for seen in desk
        .apps
        .load_all()
        .await
        .map_err(unavailable)?
        .applications
    {
        if seen.application.owner.is_none() {
            lines.push(match give(&desk.apps, seen.clone(), user).await {
                Ok(()) => format!("application {} is {email}'s now", seen.application.name),
                Err(error) => format!(
                    "application {} stays without an owner: {error}",
                    seen.application.name
                ),
            });
        }
    }
    if lines.is_empty() {
        lines.push("nothing is without an owner".to_owned());
    }
    let stores = desk.stores.stores(&nobodys).await.map_err(unavailable)?;
    lines.extend(left(stores.iter().map(|(name, _)| name)));
    Ok(lines)
}

/// The line about the stores, which stay where they are; `None` if there are none.
fn left<'a>(stores: impl Iterator<Item = &'a StoreName>) -> Option<String> {
    let names: Vec<&str> = stores.map(StoreName::as_str).collect();
    (!names.is_empty()).then(|| {
        format!(
            "what functions hold in stores ({}) stays without an owner: `serverledge-cli kv` reads it while auth.enabled is \
             false",
            names.join(", ")
        )
    })
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> AccountError {
    AccountError::Dependency {
        what: "the registry",
        code: "registry_unavailable",
        source: Box::new(error),
    }
}

fn told(name: &FunctionName, moved: Result<(), MoveError>, email: &str) -> String {
    match moved {
        Ok(()) => format!("function {name} is {email}'s now"),
        Err(MoveError::Exists { .. }) => {
            format!(
                "function {name} stays without an owner: {email} has one of this name, which has to go first"
            )
        }
        Err(error) => format!("function {name} stays without an owner: {error}"),
    }
}

async fn give(apps: &AppStore, mut seen: KeptApp, user: &UserId) -> Result<(), AppStoreError> {
    for _ in 0..ATTEMPTS_MAX {
        let owned = Application {
            owner: Some(user.clone()),
            ..Application::clone(&seen.application)
        };
        match apps.change(&seen, &owned).await {
            Err(AppStoreError::Changed) => {}
            outcome => return outcome.map(drop),
        }
        match apps.get(&seen.application.id).await {
            Ok(Some(again)) if again.application.owner.is_none() => seen = again,
            // Deleted, or somebody's by now.
            _ => return Ok(()),
        }
    }
    Err(AppStoreError::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_that_stay_are_named() {
        let names = [StoreName::default(), "carts".parse().unwrap()];
        let line = left(names.iter()).unwrap();
        assert!(
            line.starts_with(
                "what functions hold in stores (default, carts) stays without an owner"
            ),
            "{line}"
        );
        let none: [StoreName; 0] = [];
        assert_eq!(left(none.iter()), None);
    }

    #[test]
    fn a_taken_name_is_told() {
        let name = FunctionName::parse("hello").unwrap();
        let taken = told(
            &name,
            Err(MoveError::Exists(name.clone())),
            "ada@example.org",
        );
        assert!(
            taken.contains("stays without an owner") && taken.contains("has one of this name"),
            "{taken}"
        );
    }
}
