//! The suite of the traits, for functions as commands and as reactors.

use bytes::Bytes;
use serverledge_core::Runtime;
use serverledge_testing::executor::{self, Fixtures, Pace};

use crate::support::{Lab, command, data, large_command, packed, reactor};

const AT: u32 = 0x100;

fn code(text: String) -> Bytes {
    Bytes::from(text)
}

fn line(text: &str) -> (String, String) {
    (
        data(AT, &format!("{text}\n")),
        format!(
            "(call $log (i32.const {AT}) (i32.const {}))",
            text.len() + 1
        ),
    )
}

fn commands() -> Fixtures {
    let echo = "(call $emit (i32.const 0x10000) (call $read_params))";
    let (fails, log_fails) = line(executor::FAILS_LOG);
    let (endless, log_endless) = line(executor::ENDLESS_LOG);
    let (logs, log_logs) = line(executor::LOGS_LOG);
    let large = executor::LARGE_BYTES;
    let callee = executor::CALLEE;
    Fixtures {
        runtime: Runtime::Wasm,
        handler: String::new(),
        pace: Pace::default(),
        echo: code(command("", echo)),
        fails: code(command(
            &fails,
            &format!("{log_fails} (call $proc_exit (i32.const 1))"),
        )),
        endless: code(command(
            &endless,
            &format!("{log_endless} (loop $again (br $again))"),
        )),
        logs: code(command(&logs, &format!("{log_logs} {echo}"))),
        large: code(large_command(
            20,
            "",
            &format!(
                "(memory.fill (i32.const 0x10000) (i32.const 120) (i32.const {large}))
                 (i32.store8 (i32.const 0x10000) (i32.const 34))
                 (i32.store8 (i32.const {}) (i32.const 34))
                 (call $emit (i32.const 0x10000) (i32.const {large}))",
                0x10000 + large - 1
            ),
        )),
        calls: Some(code(command(
            &data(AT, callee),
            &format!(
                "(local.set $r (call $call (i32.const {AT}) (i32.const {})
                   (i32.const 0x10000) (call $read_params) (i32.const 0x20000) (i32.const 0x10000)))
                 (call $emit (i32.const 0x20000) (i32.wrap_i64 (local.get $r)))",
                callee.len()
            ),
        ))),
    }
}

fn reactors() -> Fixtures {
    let echo = packed("(local.get $ptr)", "(local.get $len)");
    let (fails, log_fails) = line(executor::FAILS_LOG);
    let (endless, log_endless) = line(executor::ENDLESS_LOG);
    let (logs, log_logs) = line(executor::LOGS_LOG);
    let object = r#"{"error":"Broken","message":"it broke"}"#;
    let large = executor::LARGE_BYTES;
    let callee = executor::CALLEE;
    Fixtures {
        runtime: Runtime::Wasm,
        handler: String::new(),
        pace: Pace::default(),
        echo: code(reactor("", &echo)),
        fails: code(reactor(
            &format!("{fails} {}", data(0x200, object)),
            &format!("{log_fails} (i64.const {})", (0x200_u64 << 32) | (1 << 31) | object.len() as u64),
        )),
        endless: code(reactor(&endless, &format!("{log_endless} (loop $again (br $again)) (i64.const 0)"))),
        logs: code(reactor(&logs, &format!("{log_logs} {echo}"))),
        large: code(reactor(
            "",
            &format!(
                "(drop (memory.grow (i32.const 16)))
                 (memory.fill (i32.const 0x10000) (i32.const 120) (i32.const {large}))
                 (i32.store8 (i32.const 0x10000) (i32.const 34))
                 (i32.store8 (i32.const {}) (i32.const 34))
                 {}",
                0x10000 + large - 1,
                packed("(i32.const 0x10000)", &format!("(i32.const {large})"))
            ),
        )),
        calls: Some(code(reactor(
            &data(AT, callee),
            &format!(
                "(local.set $r (call $call (i32.const {AT}) (i32.const {}) (local.get $ptr) (local.get $len)
                   (i32.const 0x20000) (i32.const 0x10000)))
                 {}",
                callee.len(),
                packed("(i32.const 0x20000)", "(i32.wrap_i64 (local.get $r))")
            ),
        ))),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_conform() {
    executor::conforms(&Lab::new().executor, &commands()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactors_conform() {
    executor::conforms(&Lab::new().executor, &reactors()).await;
}

/// The node's requests run where they are; nothing may need a second thread.
#[tokio::test]
async fn commands_conform_on_one_thread() {
    executor::conforms(&Lab::new().executor, &commands()).await;
}
