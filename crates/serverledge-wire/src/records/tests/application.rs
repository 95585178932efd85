//! Golden files of the records around applications.

use expect_test::expect;
use serverledge_core::{AppId, AppName, Application, Cors, Dependencies, Endpoint, UserId};

use super::*;

fn application() -> Application {
    Application {
        id: AppId::parse(&"a".repeat(32)).unwrap(),
        name: AppName::parse("shop").unwrap(),
        owner: UserId::parse(&"b".repeat(32)),
        space: SpaceId::parse(&"c".repeat(32)).unwrap(),
        endpoints: vec![Endpoint::parse("POST", "/order/new", "order").unwrap()],
        dependencies: Dependencies::of_text("requests==2.32.3\n".to_owned()),
        up: true,
        cors: Cors::Origins(vec!["https://shop.example".to_owned()]),
        hands_out_nested: true,
        own_origin: false,
        created_unix_ms: 1_700_000_000_000,
    }
}

#[test]
fn application_record() {
    let application = application();
    let record = ApplicationRecord::from_application(&application);
    check(
        &record,
        &expect![[r#"
        {
          "cors": {
            "origins": [
              "https://shop.example"
            ]
          },
          "created_unix_ms": 1700000000000,
          "dependencies": "requests==2.32.3\n",
          "endpoints": [
            {
              "function": "order",
              "method": "POST",
              "path": "order/new"
            }
          ],
          "hands_out_nested": true,
          "name": "shop",
          "own_origin": false,
          "owner": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
          "schema": 1,
          "space": "cccccccccccccccccccccccccccccccc",
          "up": true
        }"#]],
    );
    assert_eq!(
        record.into_application(application.id.clone()).unwrap(),
        application
    );
}

#[test]
fn smallest_application_record() {
    let application = Application {
        owner: None,
        endpoints: Vec::new(),
        dependencies: Dependencies::default(),
        cors: Cors::Any,
        ..application()
    };
    let record = ApplicationRecord::from_application(&application);
    check(
        &record,
        &expect![[r#"
        {
          "cors": "any",
          "created_unix_ms": 1700000000000,
          "endpoints": [],
          "hands_out_nested": true,
          "name": "shop",
          "own_origin": false,
          "schema": 1,
          "space": "cccccccccccccccccccccccccccccccc",
          "up": true
        }"#]],
    );
    assert_eq!(
        record.into_application(application.id.clone()).unwrap(),
        application
    );
}

#[test]
fn application_records_with_impossible_members_are_refused() {
    let good = ApplicationRecord::from_application(&application());
    let fault = |change: fn(&mut ApplicationRecord)| {
        let mut record = good.clone();
        change(&mut record);
        record
            .into_application(AppId::new())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        fault(|record| record.name = "A".to_owned()),
        r#"the record's name is "A""#
    );
    assert_eq!(
        fault(|record| record.owner = Some("x".to_owned())),
        r#"the record's owner is "x""#
    );
    assert_eq!(
        fault(|record| record.space = "..".to_owned()),
        r#"the record's space is "..""#
    );
    assert_eq!(
        fault(|record| record.endpoints[0].path = "a/..".to_owned()),
        r#"the record's endpoint is "a/..""#
    );
    assert_eq!(
        fault(|record| record.endpoints[0].method = "X".to_owned()),
        r#"the record's endpoint is "order/new""#
    );
}

#[test]
fn name_and_deletion_records() {
    check(
        &AppNameRecord::of(&application().id),
        &expect![[r#"
        {
          "app": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "schema": 1
        }"#]],
    );
    check(
        &DeletionRecord::begun(1_700_000_000_000),
        &expect![[r#"
        {
          "deleted_unix_ms": 1700000000000,
          "schema": 1
        }"#]],
    );
    let swept = DeletionRecord {
        swept: true,
        ..DeletionRecord::begun(1)
    };
    check(
        &swept,
        &expect![[r#"
        {
          "deleted_unix_ms": 1,
          "schema": 1,
          "swept": true
        }"#]],
    );
}

/// Both files side by side; what knows one only reads `package.json`.
#[test]
fn both_dependencies_files_are_kept() {
    let dependencies = Dependencies {
        package: "{}".to_owned(),
        requirements: "six\n".to_owned(),
    };
    let application = Application {
        dependencies,
        ..application()
    };
    let record = ApplicationRecord::from_application(&application);
    assert_eq!(
        (record.dependencies.as_str(), record.requirements.as_str()),
        ("{}", "six\n")
    );
    assert_eq!(
        record.into_application(application.id.clone()).unwrap(),
        application
    );
}
