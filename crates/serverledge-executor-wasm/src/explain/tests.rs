//! The crashes of real programs.

use super::*;

/// Messages that real programs print when they give up, and the words that explain the failure.
const CRASHES: [(&str, &str); 19] = [
    (
        "starting\npanic: assignment to entry in nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/tmp/main.go:6 +0x2\nexit status 2\n",
        "panic: assignment to entry in nil map",
    ),
    (
        "panic: first [recovered]\n\tpanic: second\n\ngoroutine 1 [running]:\nmain.main()\n\t/tmp/main.go:15 +0x75\n",
        "panic: first [recovered]",
    ),
    (
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/tmp/main.go:15 +0x75\n",
        "fatal error: all goroutines are asleep - deadlock!",
    ),
    (
        "runtime: goroutine stack exceeds 250000000-byte limit\nfatal error: stack overflow\n\nruntime stack:\nruntime.throw({0x1, 0xe})\n",
        "fatal error: stack overflow",
    ),
    (
        "panic: runtime error: index out of range\n",
        "panic: runtime error: index out of range",
    ),
    (
        "\nthread 'main' (1) panicked at src/main.rs:3:21:\nno such order\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        "panicked at src/main.rs:3:21: no such order",
    ),
    (
        "thread 'main' panicked at 'no such order', src/main.rs:3:21\nnote: run with `RUST_BACKTRACE=1`\n",
        "panicked at 'no such order', src/main.rs:3:21",
    ),
    (
        "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    main()\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 5, in <module>\nValueError: no such order\nsecond line\n",
        "ValueError: no such order",
    ),
    (
        "libc++abi: terminating due to uncaught exception of type std::runtime_error: no such order\n",
        "libc++abi: terminating due to uncaught exception of type std::runtime_error: no such order",
    ),
    (
        "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no such order\n",
        "terminate called after throwing an instance of 'std::runtime_error': no such order",
    ),
    (
        "abort: on purpose in assembly/throw.ts(1:1)\n",
        "abort: on purpose in assembly/throw.ts(1:1)",
    ),
    (
        "Assertion failed: a > 0 (main.c: main: 5)\n",
        "Assertion failed: a > 0 (main.c: main: 5)",
    ),
    (
        "thread 1 panic: index out of bounds\n/tmp/a.zig:3:5: 0x1f in main (a)\n",
        "thread 1 panic: index out of bounds",
    ),
    (
        "Exception in thread \"main\" java.lang.IllegalStateException: boom\n\tat Main.main(Main.java:3)\n",
        "Exception in thread \"main\" java.lang.IllegalStateException: boom",
    ),
    (
        "PHP Fatal error:  Uncaught Exception: boom in /x.php:3\nStack trace:\n#0 {main}\n  thrown in /x.php on line 3\n",
        "PHP Fatal error:  Uncaught Exception: boom in /x.php:3",
    ),
    (
        "Unhandled exception. System.Exception: boom\n   at Program.Main()\n",
        "Unhandled exception. System.Exception: boom",
    ),
    (
        "Fatal error: exception Failure(\"boom\")\n",
        "Fatal error: exception Failure(\"boom\")",
    ),
    (
        "a.nim(3) a\nError: unhandled exception: boom [ValueError]\n",
        "Error: unhandled exception: boom [ValueError]",
    ),
    (
        "panic: one\nrecovered, going on\npanic: two\n\ngoroutine 1 [running]:\n",
        "panic: two",
    ),
];

#[test]
fn a_crash_is_explained_by_its_first_line() {
    for (log, expected) in CRASHES {
        assert_eq!(crash(log.as_bytes()).as_deref(), Some(expected), "{log}");
        assert_eq!(reason(log.as_bytes()).as_deref(), Some(expected), "{log}");
    }
}

#[test]
fn a_program_that_ends_itself_is_explained_by_its_last_words() {
    for (log, expected) in [
        (
            "loading\nsetting DB_URL is missing\n",
            Some("setting DB_URL is missing"),
        ),
        (
            "2026/11/29 17:00:00 no such order\n",
            Some("2026/11/29 17:00:00 no such order"),
        ),
        (
            "Error: failed to read the orders\n\nCaused by:\n    0: no route\n    1: no cable\n",
            Some("Error: failed to read the orders"),
        ),
        (
            "Error: boom\n    at main (a.js:1:7)\n    at <main> (unknown at :1:7)\n",
            Some("Error: boom"),
        ),
        (
            "Error: boom\nStack:\nhandler@app.js:3:9\n@app.js:7:1\n",
            Some("Error: boom"),
        ),
        (
            "lua: a.lua:1: boom\nstack traceback:\n\t[C]: in function 'error'\n",
            Some("lua: a.lua:1: boom"),
        ),
        (
            "a.rb:1:in 'f': boom (RuntimeError)\n\tfrom a.rb:5:in '<main>'\n",
            Some("a.rb:1:in 'f': boom (RuntimeError)"),
        ),
        ("    only indented\n", Some("only indented")),
        ("\n \n", None),
        ("", None),
    ] {
        assert_eq!(crash(log.as_bytes()), None, "{log}");
        assert_eq!(reason(log.as_bytes()).as_deref(), expected, "{log}");
    }
}

#[test]
fn a_line_is_bounded_and_moves_no_cursor() {
    let long = reason("ä".repeat(1000).as_bytes()).unwrap();
    assert!(
        long.len() <= LINE_BYTES_MAX + '…'.len_utf8() && long.ends_with('…'),
        "{long}"
    );
    assert_eq!(
        reason(b"\x1b[31mred\x1b[0m\xff").as_deref(),
        Some(" [31mred [0m\u{fffd}")
    );
}
