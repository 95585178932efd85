//! The command line as typed, and what clap makes of it.

use clap::CommandFactory as _;
use expect_test::{Expect, expect};

use super::*;

/// Parses a line as typed and shows what clap made of it, or the first line of its complaint.
fn check(line: &str, expected: &Expect) {
    let words = line
        .split_whitespace()
        .map(|word| std::ffi::OsString::from(word.replace('~', " ")));
    let shown = match crate::parse(words) {
        Ok(cli) => summary(&cli),
        Err(error) => error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    expected.assert_eq(&shown);
}

fn summary(cli: &Cli) -> String {
    let node = format!(
        "{}:{}",
        cli.global.host.as_deref().unwrap_or("-"),
        cli.global.port.unwrap_or(0)
    );
    let command = match &cli.command {
        Command::Create(args) => format!(
            "create {:?} {:?} {:?} {:?} {:?} C={} u={}",
            args.function,
            args.src,
            args.memory,
            args.runtime,
            args.handler,
            args.max_concurrency,
            args.update
        ),
        Command::Update(args) => format!(
            "update {:?} {:?} {:?}",
            args.function, args.file, args.memory
        ),
        Command::Invoke(args) => format!(
            "invoke {:?} {:?} {:?} a={} o={} {:?} {}",
            args.function.name().ok(),
            args.param,
            args.params_file,
            args.r#async,
            args.return_output,
            args.class,
            args.resptime
        ),
        Command::Poll(args) => format!("poll {:?} wait={}", args.id().ok(), args.wait),
        Command::Logs(args) => {
            format!(
                "logs {:?} follow={} tail={:?}",
                args.function.name().ok(),
                args.follow,
                args.tail
            )
        }
        Command::Prewarm(args) => {
            format!("prewarm {:?} {}", args.function.name().ok(), args.count)
        }
        other => format!("{other:?}"),
    };
    format!("{node} {command}")
}

#[test]
fn definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn oldest_form_works() {
    check(
        "-host h -port 1 -cmd create -function func -memory 600 -src examples/hello.py -runtime python310 -handler hello.handler",
        &expect![[
            r#"h:1 create Some("func") Some("examples/hello.py") Some(600) Some("python310") "hello.handler" C=1 u=false"#
        ]],
    );
    check(
        "-host h -port 1 -cmd invoke -function func -param a:2 -param b:3 -qosclass async",
        &expect![[r#"h:1 invoke Some("func") ["a:2", "b:3"] None a=false o=false Async -1"#]],
    );
    check(
        "invoke -function func -param a:-1 -qosclass performance -qosrespt 2.5",
        &expect![[r#"-:0 invoke Some("func") ["a:-1"] None a=false o=false Class(1) 2.5"#]],
    );
    check("status -host h -port 2", &expect!["h:2 Status"]);
    check("-port=2 -host=h -cmd=status", &expect!["h:2 Status"]);
    check(
        "-function func -cmd delete",
        &expect![[
            r#"-:0 Delete(DeleteArgs { function: FunctionArgs { function: Some("func"), name: None }, confirm: ConfirmArgs { yes: false } })"#
        ]],
    );
}

#[test]
fn go_form_works() {
    check(
        "-H h -P 3 create -u -f f --src f.wasm --max_concurrency 4 --memory=64",
        &expect![[r#"h:3 create Some("f") Some("f.wasm") Some(64) None "" C=4 u=true"#]],
    );
    check(
        "invoke -f f -j - -ao -c 2 --resptime -1 -v",
        &expect![[r#"-:0 invoke Some("f") [] Some("-") a=true o=true Class(2) -1"#]],
    );
    check(
        "prewarm -f f -c 3 --force_pull",
        &expect![[r#"-:0 prewarm Some("f") 3"#]],
    );
    check(
        "poll --request f-1",
        &expect![[r#"-:0 poll Some("f-1") wait=false"#]],
    );
    check(
        "poll f-1 -wait",
        &expect![[r#"-:0 poll Some("f-1") wait=true"#]],
    );
    check(
        "invoke f -p=a:2 -pb:3 --param -x:4 --",
        &expect![[
            r#"-:0 invoke Some("f") ["a:2", "b:3", "-x:4"] None a=false o=false Class(0) -1"#
        ]],
    );
    check(
        "invoke f --async=true --return_output=false -f=f",
        &expect!["error: the argument '[FUNCTION]' cannot be used with '--function <FUNCTION>'"],
    );
}

#[test]
fn logs_are_named_like_other_functions() {
    check(
        "logs f",
        &expect![[r#"-:0 logs Some("f") follow=false tail=None"#]],
    );
    check(
        "logs -f f -F --tail 5",
        &expect![[r#"-:0 logs Some("f") follow=true tail=Some(5)"#]],
    );
    check(
        "-function f -cmd logs -follow -tail=0",
        &expect![[r#"-:0 logs Some("f") follow=true tail=Some(0)"#]],
    );
    check(
        "logs f --tail -1",
        &expect!["error: invalid value '-1' for '--tail <LINES>': invalid digit found in string"],
    );
    check(
        "create f.py --network host",
        &expect!["error: invalid value 'host' for '--network <NETWORK>'"],
    );
}

#[test]
fn nested_commands_come_in_any_order() {
    let show = expect![[r#"h:1 Invocation(Show(IdArgs { id: "i-1" }))"#]];
    for line in [
        "-H h -P 1 invocation show i-1",
        "invocation -host h show i-1 -port=1",
        "show i-1 -cmd invocation -Hh -P 1",
    ] {
        check(line, &show);
    }
    check(
        "invocation cancel -- i-1",
        &expect![[r#"-:0 Invocation(Cancel(IdArgs { id: "i-1" }))"#]],
    );
    check(
        "invocation -timeout 30s wait i-1",
        &expect![[
            r#"-:0 Invocation(Wait(WaitArgs { invocation: IdArgs { id: "i-1" }, timeout: Some(30s) }))"#
        ]],
    );
    check(
        "dead-letter list",
        &expect!["-:0 DeadLetter(List(DeadLetterListArgs { limit: 100 }))"],
    );
    check(
        "--limit 7 dead-letter list",
        &expect!["-:0 DeadLetter(List(DeadLetterListArgs { limit: 7 }))"],
    );
    check(
        "dead-letter show show",
        &expect![[r#"-:0 DeadLetter(Show(IdArgs { id: "show" }))"#]],
    );
    check(
        "dead-letter purge -all",
        &expect![
            "-:0 DeadLetter(Purge(PurgeArgs { id: None, all: true, confirm: ConfirmArgs { yes: false } }))"
        ],
    );
    check(
        "dead-letter purge i-1 --all",
        &expect!["error: the argument '[ID]' cannot be used with '--all'"],
    );
    check(
        "dead-letter purge",
        &expect!["error: the following required arguments were not provided:"],
    );
    check(
        "dead-letter i-1",
        &expect!["error: unrecognized subcommand 'i-1'"],
    );
    check(
        "dead-letter list --limit 0",
        &expect!["error: invalid value '0' for '--limit <COUNT>': 0 is not in 1..=4294967295"],
    );
}

#[test]
fn accounts_and_tokens() {
    check(
        "login --email a@b.example -password_file -",
        &expect![[
            r#"-:0 Login(LoginArgs { email: Some("a@b.example"), password_file: Some("-"), wanted: WantedArgs { scope: ["invoke", "deploy", "admin"], expires: Span(7776000s) } })"#
        ]],
    );
    check(
        "--scope deploy,invoke token create ci --expires never",
        &expect![[
            r#"-:0 Token(Create(TokenCreateArgs { label: "ci", wanted: WantedArgs { scope: ["deploy", "invoke"], expires: Unlimited } }))"#
        ]],
    );
    check("token list", &expect!["-:0 Token(List)"]);
    check(
        "token revoke t1 -H h",
        &expect![[r#"h:0 Token(Revoke(TokenRevokeArgs { id: "t1" }))"#]],
    );
    check(
        "account delete",
        &expect![
            "-:0 Account(Delete(DeleteAccountArgs { password_file: None, confirm: ConfirmArgs { yes: false } }))"
        ],
    );
    check(
        "logout --force",
        &expect!["-:0 Logout(LogoutArgs { force: true })"],
    );
    check("-cmd whoami", &expect!["-:0 Whoami"]);
    check(
        "token create ci --scope root",
        &expect!["error: invalid value 'root' for '--scope <SCOPES>'"],
    );
    check(
        "login --expires soon",
        &expect![
            "error: invalid value 'soon' for '--expires <SPAN>': a number with s, m, h or d is needed, or never"
        ],
    );
}

/// No option takes a secret itself: other users of the machine see command lines.
#[test]
fn secrets_have_no_option() {
    for line in [
        "list --token slt_x",
        "login --password x",
        "account sign-up --invite x",
        "login a@b.example x",
    ] {
        let words = line.split_whitespace().map(std::ffi::OsString::from);
        assert!(crate::parse(words).is_err(), "{line}");
    }
}

#[test]
fn updates_name_what_changes() {
    check(
        "update f --memory 256",
        &expect![[r#"-:0 update None Some("f") Some(Set(256))"#]],
    );
    check(
        "update -u -f f -memory default",
        &expect![[r#"-:0 update Some("f") None Some(Reset)"#]],
    );
    check(
        "update f --memory lots",
        &expect![
            "error: invalid value 'lots' for '--memory <MIB>': a whole number of MiB is needed, or one with MiB or GiB, or default"
        ],
    );
    check(
        "update f --edge --no-edge",
        &expect!["error: the argument '--edge' cannot be used with '--no-edge'"],
    );
    check(
        "delete f -y",
        &expect![[
            r#"-:0 Delete(DeleteArgs { function: FunctionArgs { function: None, name: Some("f") }, confirm: ConfirmArgs { yes: true } })"#
        ]],
    );
    let named = |line: &str| {
        let words = line.split_whitespace().map(std::ffi::OsString::from);
        let Command::Secret(SecretCommand::Set(args)) = crate::parse(words).unwrap().command else {
            panic!("{line}")
        };
        args.secrets
            .parts()
            .map(|(function, secrets)| format!("{function} {secrets:?}"))
            .map_err(|fault| fault.render(false))
    };
    for line in [
        "secret set f A B=@x",
        "secret set -f f A B=@x",
        "set A B=@x -cmd secret -function f",
    ] {
        assert_eq!(named(line), Ok(r#"f ["A", "B=@x"]"#.to_owned()), "{line}");
    }
    assert!(
        named("secret set f")
            .unwrap_err()
            .contains("no secret is named")
    );
}

#[test]
fn faults_of_limits_are_named() {
    check(
        "create f.wat --timeout soon",
        &expect![
            "error: invalid value 'soon' for '--timeout <SECONDS>': a number of seconds is needed, or one with ms, s, m or h"
        ],
    );
    check(
        "create f.wat --memory lots",
        &expect![
            "error: invalid value 'lots' for '--memory <MIB>': a whole number of MiB is needed, or one with MiB or GiB"
        ],
    );
}

#[test]
fn folders_of_functions_have_commands() {
    check(
        "new hey -template go",
        &expect![[r#"-:0 New(NewArgs { name: Some("hey"), template: "go", list: false })"#]],
    );
    check(
        "new --list",
        &expect![[r#"-:0 New(NewArgs { name: None, template: "javascript", list: true })"#]],
    );
    check(
        "new",
        &expect!["error: the following required arguments were not provided:"],
    );
    check(
        "new hey --template cobol",
        &expect!["error: invalid value 'cobol' for '--template <TEMPLATE>'"],
    );
    check(
        "dev",
        &expect![[r#"-:0 Dev(DevArgs { path: ".", once: false })"#]],
    );
    check(
        "-H h dev hey --once",
        &expect![[r#"h:0 Dev(DevArgs { path: "hey", once: true })"#]],
    );
    check(
        "run f.js -p a:1 -j x",
        &expect![
            "error: the argument '--param <NAME:VALUE>' cannot be used with '--params-file <FILE>'"
        ],
    );
    check(
        "run f.js --stdin tape",
        &expect!["error: invalid value 'tape' for '--stdin <STDIN>'"],
    );
}

#[test]
fn options_of_create_are_read_alone() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let args = CreateArgs::of_words(words(&["--memory=1GiB", "--edge"])).unwrap();
    assert_eq!(
        (args.memory, args.edge, args.max_concurrency),
        (Some(1024), true, 1)
    );
    assert_eq!(CreateArgs::none().function, None);
    for (bad, part) in [
        ("--memory=lots", "invalid value 'lots'"),
        ("--fly", "unexpected argument '--fly'"),
    ] {
        let told = CreateArgs::of_words(words(&[bad])).unwrap_err();
        assert!(told.starts_with(part), "{told}");
    }
}

#[test]
fn mistakes_are_named() {
    check(
        "invoke -f",
        &expect!["error: a value is required for '--function <FUNCTION>' but none was supplied"],
    );
    check(
        "invoke -function -param a:1",
        &expect!["error: a value is required for '--function <FUNCTION>' but none was supplied"],
    );
    check("-cmd fly", &expect!["error: unrecognized subcommand 'fly'"]);
    check(
        "invoke f -p a:1 -j x",
        &expect![
            "error: the argument '--param <NAME:VALUE>' cannot be used with '--params-file <FILE>'"
        ],
    );
    check(
        "list --port 99999",
        &expect!["error: invalid value '99999' for '--port <PORT>': 99999 is not in 0..=65535"],
    );
    check(
        "invoke f --class best",
        &expect![
            "error: invalid value 'best' for '--class <CLASS>': low, performance, availability, async or a number are allowed"
        ],
    );
    check(
        "prewarm f -c 0",
        &expect!["error: invalid value '0' for '--count <COUNT>': 0 is not in 1..=4294967295"],
    );
    check(
        "create --sorce x",
        &expect!["error: unexpected argument '--sorce' found"],
    );
}

#[test]
fn entries_of_stores_are_named_by_their_keys() {
    check(
        "kv set k v -ttl 10m -store carts",
        &expect![[
            r#"-:0 Kv(Set(KvSetArgs { entry: KvKeyArgs { key: "k", store: StoreArgs { store: "carts" } }, value: Some("v"), file: None, ttl: Some(600s), if_version: None, if_absent: false }))"#
        ]],
    );
    check(
        "kv --if_version=12 set k -",
        &expect![[
            r#"-:0 Kv(Set(KvSetArgs { entry: KvKeyArgs { key: "k", store: StoreArgs { store: "default" } }, value: Some("-"), file: None, ttl: None, if_version: Some(12), if_absent: false }))"#
        ]],
    );
    check(
        "kv set get -5",
        &expect![[
            r#"-:0 Kv(Set(KvSetArgs { entry: KvKeyArgs { key: "get", store: StoreArgs { store: "default" } }, value: Some("-5"), file: None, ttl: None, if_version: None, if_absent: false }))"#
        ]],
    );
    check(
        "kv increment n --by -3",
        &expect![[
            r#"-:0 Kv(Increment(KvIncrementArgs { entry: KvKeyArgs { key: "n", store: StoreArgs { store: "default" } }, by: -3 }))"#
        ]],
    );
    check(
        "-H h list a/ --limit 5 -cmd kv",
        &expect![[
            r#"h:0 Kv(List(KvListArgs { prefix: Some("a/"), limit: 5, store: StoreArgs { store: "default" } }))"#
        ]],
    );
    check("kv stores", &expect!["-:0 Kv(Stores)"]);
    check(
        "kv clear -y",
        &expect![[
            r#"-:0 Kv(Clear(KvClearArgs { store: StoreArgs { store: "default" }, confirm: ConfirmArgs { yes: true } }))"#
        ]],
    );
    for (line, fault) in [
        (
            "kv set k",
            "error: the following required arguments were not provided:",
        ),
        (
            "kv set k v --file f",
            "error: the argument '[VALUE]' cannot be used with '--file <FILE>'",
        ),
        (
            "kv set k v --if-version 1 --if-absent",
            "error: the argument '--if-version <VERSION>' cannot be used with '--if-absent'",
        ),
        (
            "kv set k v --ttl 0",
            "error: invalid value '0' for '--ttl <SECONDS>': a number of seconds above 0 is needed, or one with ms, s, m, h or d",
        ),
        (
            "kv increment n --by 1.5",
            "error: invalid value '1.5' for '--by <NUMBER>': a whole number of 64 bits is needed, such as 5 or -3",
        ),
    ] {
        let words = line.split_whitespace().map(std::ffi::OsString::from);
        let told = crate::parse(words).unwrap_err().to_string();
        assert_eq!(told.lines().next(), Some(fault), "{line}");
    }
}

/// The example lines of a command's help and of those below it, up to redirections.
fn examples(command: &clap::Command, into: &mut Vec<String>) {
    let help = command.get_after_help().map(ToString::to_string);
    let lines = help.iter().flat_map(|text| text.lines());
    let typed = lines.filter_map(|line| line.strip_prefix("  serverledge-cli "));
    into.extend(typed.map(|line| before_redirection(line).to_owned()));
    for below in command.get_subcommands() {
        examples(below, into);
    }
}

fn before_redirection(line: &str) -> &str {
    let ends = [" < ", " > ", " | "];
    let ends = ends.iter().filter_map(|end| line.find(end));
    &line[..ends.min().unwrap_or(line.len())]
}

#[test]
fn examples_of_the_help_can_be_typed() {
    let mut lines = Vec::new();
    examples(&Cli::command(), &mut lines);
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        let words = crate::words::split(&line).unwrap();
        let parsed = crate::parse(words.iter().map(Into::into));
        let command = parsed
            .unwrap_or_else(|fault| panic!("{line}: {fault}"))
            .command;
        // The arguments of a program need their parameters.
        if let Command::Run(run) = command
            && let Some(args) = &run.program.args
        {
            let params = run.param.join(",");
            for name in args
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
            {
                assert!(params.contains(&format!("{name}:")), "{line}: {name}");
            }
        }
    }
}
