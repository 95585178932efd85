//! Checks of the store of applications, over any store. Each check wants one of its own.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::kv::{Kv, Op, Txn};
use serverledge_core::{AppId, AppName, Application, Cors, Endpoint, Function, SpaceId, UserId};
use serverledge_registry::{
    AppChange, AppStore, AppStoreError, DeployError, FunctionStore, KeptApp,
};
use tokio::task::JoinSet;

use crate::stores::function;

const NOW: u64 = 1_700_000_000_000;
const RACERS: usize = 16;

fn name(name: &str) -> AppName {
    AppName::parse(name).unwrap()
}

fn application(called: &str) -> Application {
    Application {
        id: AppId::new(),
        name: name(called),
        owner: Some(UserId::new()),
        space: SpaceId::new(),
        endpoints: vec![Endpoint::parse("POST", "a/b", "f").unwrap()],
        dependencies: serverledge_core::Dependencies::default(),
        up: false,
        cors: Cors::Closed,
        hands_out_nested: true,
        own_origin: false,
        created_unix_ms: NOW,
    }
}

async fn seen(apps: &AppStore, id: &AppId) -> KeptApp {
    apps.get(id).await.unwrap().unwrap()
}

pub(crate) async fn applications_are_made_changed_and_deleted(kv: Arc<dyn Kv>) {
    let apps = AppStore::new(kv.clone());
    let mut watch = AppStore::new(kv).watch(None).await.unwrap();
    let first = application("first");
    let created = apps.create(&first).await.unwrap();
    let before = seen(&apps, &first.id).await;
    assert_eq!((&*before.application, before.revision), (&first, created));

    let up = Application {
        up: true,
        ..first.clone()
    };
    apps.change(&before, &up).await.unwrap();
    let stale = apps.change(&before, &first).await;
    assert!(matches!(stale, Err(AppStoreError::Changed)), "{stale:?}");
    let renamed = Application {
        name: name("second"),
        ..up.clone()
    };
    apps.change(&seen(&apps, &first.id).await, &renamed)
        .await
        .unwrap();
    // The old name is free, the new one is not.
    apps.create(&application("first")).await.unwrap();
    let taken = apps.create(&application("second")).await;
    assert!(matches!(taken, Err(AppStoreError::NameTaken(name)) if name.as_str() == "second"));
    let back = apps.change(&seen(&apps, &first.id).await, &up).await;
    assert!(matches!(back, Err(AppStoreError::NameTaken(name)) if name.as_str() == "first"));
    let loaded = apps.load_all().await.unwrap();
    assert_eq!((loaded.applications.len(), loaded.unreadable.len()), (2, 0));

    let stale = apps.delete(&before, NOW).await;
    assert!(matches!(stale, Err(AppStoreError::Changed)), "{stale:?}");
    apps.delete(&seen(&apps, &first.id).await, NOW)
        .await
        .unwrap();
    assert!(apps.get(&first.id).await.unwrap().is_none());
    apps.create(&application("second")).await.unwrap();

    let mut changes = Vec::new();
    while changes.len() < 6 {
        changes.extend(watch.next().await.unwrap());
    }
    assert!(matches!(&changes[2], AppChange::Kept(one) if *one.application == renamed));
    assert!(matches!(&changes[4], AppChange::Deleted { id, .. } if *id == first.id));
}

pub(crate) async fn one_of_many_gets_a_name(kv: Arc<dyn Kv>) {
    let apps = AppStore::new(kv);
    let racers: Vec<Application> = (0..RACERS).map(|_| application("wanted")).collect();
    let mut creating = JoinSet::new();
    for one in racers {
        let apps = apps.clone();
        creating.spawn(async move { apps.create(&one).await });
    }
    let made = creating.join_all().await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    let others = made
        .iter()
        .filter(|made| matches!(made, Err(AppStoreError::NameTaken { .. })));
    assert_eq!(others.count(), RACERS - 1);

    // The same for those that are called otherwise already.
    let named: Vec<Application> = (0..RACERS).map(|i| application(&format!("a{i}"))).collect();
    let mut renaming = JoinSet::new();
    for one in named {
        apps.create(&one).await.unwrap();
        let (apps, kept) = (apps.clone(), seen(&apps, &one.id).await);
        let new = Application {
            name: name("better"),
            ..one
        };
        renaming.spawn(async move { apps.change(&kept, &new).await });
    }
    let changed = renaming.join_all().await;
    assert_eq!(changed.iter().filter(|changed| changed.is_ok()).count(), 1);
    let loaded = apps.load_all().await.unwrap();
    let called = |called: &str| {
        loaded
            .applications
            .iter()
            .filter(|one| one.application.name.as_str() == called)
            .count()
    };
    assert_eq!(
        (
            called("wanted"),
            called("better"),
            loaded.applications.len()
        ),
        (1, 1, RACERS + 1)
    );
}

pub(crate) async fn a_deleted_space_stays_empty(kv: Arc<dyn Kv>) {
    let apps = AppStore::new(kv.clone());
    let functions = FunctionStore::new(kv.clone());
    let app = application("shop");
    let code = Bytes::from_static(b"code");
    apps.create(&app).await.unwrap();
    let inside = Function {
        space: app.space.clone(),
        ..function("f", &code)
    };
    let outside = function("f", &code);
    for one in [&inside, &outside] {
        functions.create(one, &code, NOW).await.unwrap();
    }
    apps.delete(&seen(&apps, &app.id).await, NOW).await.unwrap();
    assert!(
        functions
            .get(&inside.space, &inside.name)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        functions
            .get(&outside.space, &outside.name)
            .await
            .unwrap()
            .is_some()
    );
    // A deploy that had begun before.
    let replaced = functions
        .replace(&inside, &code, NOW)
        .await
        .map(|replaced| replaced.revision);
    for late in [functions.create(&inside, &code, NOW).await, replaced] {
        assert!(
            matches!(late, Err(DeployError::SpaceGone { .. })),
            "{late:?}"
        );
    }
    assert_eq!(
        functions
            .replace(&outside, &code, NOW)
            .await
            .unwrap()
            .before
            .as_deref(),
        Some(&outside)
    );
    let taken = functions.create(&outside, &code, NOW).await;
    assert!(
        matches!(taken, Err(DeployError::Exists { .. })),
        "{taken:?}"
    );

    let [deletion] = <[_; 1]>::try_from(apps.deletions().await.unwrap()).unwrap();
    assert_eq!(
        (
            &deletion.space,
            deletion.record.deleted_unix_ms,
            deletion.record.swept
        ),
        (&app.space, NOW, false)
    );
    apps.finish_deletion(&deletion).await.unwrap();
    assert!(apps.deletions().await.unwrap()[0].record.swept);
    apps.delete_space(&app.space, NOW + 1).await.unwrap();
    assert_eq!(
        apps.deletions().await.unwrap()[0].record.deleted_unix_ms,
        NOW,
        "a second deletion changes nothing"
    );
    apps.forget_deletion(&app.space).await.unwrap();
    assert!(apps.deletions().await.unwrap().is_empty());
    assert!(
        functions
            .get(&outside.space, &outside.name)
            .await
            .unwrap()
            .is_some()
    );
}

pub(crate) async fn other_dependencies_are_a_new_generation(kv: Arc<dyn Kv>) {
    let apps = AppStore::new(kv.clone());
    let functions = FunctionStore::new(kv);
    let app = application("shop");
    let code = Bytes::from_static(b"code");
    apps.create(&app).await.unwrap();
    let inside = Function {
        space: app.space.clone(),
        ..function("f", &code)
    };
    let deployed = functions.create(&inside, &code, NOW).await.unwrap();
    let generations = async || functions.load_all().await.unwrap().generations;
    apps.change(
        &seen(&apps, &app.id).await,
        &Application {
            up: true,
            ..app.clone()
        },
    )
    .await
    .unwrap();
    assert_eq!(generations().await, [(app.space.clone(), deployed)]);
    let other = Application {
        dependencies: serverledge_core::Dependencies::of_text("a==1".to_owned()),
        ..app.clone()
    };
    let changed = apps
        .change(&seen(&apps, &app.id).await, &other)
        .await
        .unwrap();
    assert_eq!(generations().await, [(app.space.clone(), changed)]);
    apps.delete(&seen(&apps, &app.id).await, NOW).await.unwrap();
    assert!(generations().await.is_empty());
}

pub(crate) async fn unreadable_applications_do_not_hide_the_others(kv: Arc<dyn Kv>) {
    let apps = AppStore::new(kv.clone());
    apps.create(&application("shop")).await.unwrap();
    let newer = Op::put(format!("apps/{}", AppId::new()), r#"{"schema":9}"#);
    let foreign = Op::put("deletions/x", "x");
    kv.txn(
        Txn::new()
            .then(newer)
            .then(Op::put("apps/__proto__", "{}"))
            .then(foreign),
    )
    .await
    .unwrap();
    let loaded = apps.load_all().await.unwrap();
    assert_eq!((loaded.applications.len(), loaded.unreadable.len()), (1, 2));
    assert!(apps.deletions().await.unwrap().is_empty());
}
