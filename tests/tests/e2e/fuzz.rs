//! Ten thousand bad requests and modules at one node: it answers each, breaks at none, and is as good as new
//! afterwards. All of them are generated from a seed alone, which a failure names.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{
    Connection, Node, Request, Response, Setup, beside, example, joined, wait_for,
};

const SEED: u64 = 0x5eed_0f5e_7e71_ed9e;
const CALLERS: u64 = 4;
const REQUESTS_PER_CALLER: u64 = 2_500;
const MODULES: u64 = 320;
/// The memory that a node may hold afterwards beyond what it held before: its pool keeps pages, its allocator arenas.
const GROWTH_KIB_MAX: u64 = 160 * 1024;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.byte()).collect()
    }

    /// Changes some bytes: flipped, removed, repeated, replaced, cut off.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(7) {
                _ if bytes.is_empty() => bytes.push(self.byte()),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.byte(),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, self.byte()),
                4 => bytes.truncate(at),
                5 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => bytes[at] = *[0, 0x7f, 0x80, 0xff].get(self.below(4)).unwrap_or(&0),
            }
        }
    }
}

#[test]
fn bad_requests_and_modules_do_no_harm() -> Result<()> {
    let setup = Setup::new()?
        .with("function.timeout", "500ms")
        .with("wasm.compile_parallel", 2);
    let setup = setup
        .with("wasm.compile_cpu_time", "5s")
        .with("api.header_timeout", "500ms")
        .with("api.body_timeout", "500ms");
    let node = setup.start()?;
    for name in ["add", "hello", "echo-http"] {
        node.deploy_example(name)?;
    }
    let warm_up = run_callers(&node, 0x3a3a, 150)?;
    let before = node.resident_kib()?;
    let statuses = std::thread::scope(|scope| {
        let modules = beside(scope, || bad_modules(&node));
        let statuses = run_callers(&node, SEED, REQUESTS_PER_CALLER)?;
        joined(modules)?;
        anyhow::Ok(statuses)
    })?;
    // Most are refused, some happen to be right. What is cut off is answered by closing.
    let asked: u64 = statuses.values().sum();
    ensure!(
        asked >= CALLERS * REQUESTS_PER_CALLER * 95 / 100,
        "{asked} were answered: {statuses:?}, {warm_up:?}"
    );
    ensure!(
        statuses.contains_key(&200) && statuses.contains_key(&400),
        "{statuses:?}"
    );
    node.wait_until_free()?;
    let after = node.resident_kib()?;
    ensure!(
        after < before + GROWTH_KIB_MAX,
        "memory grew from {before} to {after} KiB"
    );
    node.post(
        "/update",
        &crate::support::node::deployment("add", &example("add")?, &json!({})),
    )?;
    assert_eq!(
        node.invoke("add", &json!({"a": 2, "b": 3}))?.result()?,
        json!({"sum": 5})
    );
    let log = node.stop()?.stderr;
    ensure!(!log.contains("internal error"), "{log}");
    Ok(())
}

/// Several callers at once; how many answers of each status came.
fn run_callers(node: &Node, seed: u64, requests: u64) -> Result<BTreeMap<u16, u64>> {
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| beside(scope, move || bad_requests(node, seed + caller, requests)))
            .collect();
        let mut all = BTreeMap::new();
        for caller in callers {
            for (status, count) in joined(caller)? {
                *all.entry(status).or_insert(0) += count;
            }
        }
        Ok(all)
    })
}

/// One caller on one connection after another, since a node closes those on which it was told nonsense.
fn bad_requests(node: &Node, seed: u64, requests: u64) -> Result<BTreeMap<u16, u64>> {
    let mut statuses = BTreeMap::new();
    let mut kept: Option<Connection> = None;
    for number in 0..requests {
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let response = if random.one_in(12) {
            garbled(node, &mut random)?
        } else {
            ask(node, &mut kept, &request(&mut random))?
        };
        if let Some(response) = response {
            check(&response).with_context(|| format!("seed {seed:#x}, request {number}"))?;
            *statuses.entry(response.status).or_insert(0) += 1;
        }
    }
    Ok(statuses)
}

/// Bytes that may be no request at all. None may be the answer.
fn garbled(node: &Node, random: &mut Random) -> Result<Option<Response>> {
    let mut bytes =
        b"POST /invoke/add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    random.mutate(&mut bytes);
    let mut connection = node.connect()?;
    // For what is cut off the node waits as long as it may.
    let sent = connection.send_raw(&bytes);
    Ok(sent.ok().and_then(|()| connection.receive(false).ok()))
}

/// A node may close a connection between two requests at any time; then another is opened, once.
fn ask(node: &Node, kept: &mut Option<Connection>, request: &Request) -> Result<Option<Response>> {
    for attempt in [kept.take(), None] {
        let reused = attempt.is_some();
        let mut connection = match attempt {
            Some(open) => open,
            None => node.connect()?,
        };
        if let Ok(response) = connection.send(request) {
            let closes = response
                .header("connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"));
            *kept = (!closes).then_some(connection);
            return Ok(Some(response));
        }
        if !reused {
            break;
        }
    }
    Ok(None)
}

fn request(random: &mut Random) -> Request {
    let method = random.pick(&[
        "GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW",
    ]);
    let mut request = Request::new(method, &target(random));
    if matches!(method, "POST" | "PUT" | "PATCH") {
        request.body = body(random);
    }
    for _ in 0..random.below(3) {
        let name = random.pick(&[
            "Content-Type",
            "Accept",
            "X-Request-Id",
            "Origin",
            "Sec-Fetch-Site",
            "Cookie",
            "Authorization",
            "Expect",
            "Serverledge-MAB-Request-ID",
            "Range",
            "X-Forwarded-For",
            "If-None-Match",
            "Accept-Encoding",
        ]);
        let value: String = match random.below(4) {
            0 => String::new(),
            1 => "x".repeat(random.below(3_000)),
            2 => random
                .pick(&[
                    "application/json",
                    "null",
                    "same-origin",
                    "cross-site",
                    "gzip",
                    "bytes=0-",
                    "é",
                ])
                .to_owned(),
            _ => random
                .bytes(20)
                .iter()
                .map(|byte| char::from(b' ' + byte % 95))
                .collect(),
        };
        request = request.header(name, &value);
    }
    request
}

fn target(random: &mut Random) -> String {
    let known = [
        "/",
        "/create",
        "/update",
        "/delete",
        "/function",
        "/functions",
        "/functions/add",
        "/invoke/add",
        "/invoke/hello",
        "/invoke/echo-http",
        "/fn/add",
        "/fn/hello",
        "/fn/echo-http",
        "/fn/echo-http/a/b",
        "/kv",
        "/kv/default",
        "/kv/default/a/b",
        "/prewarm",
        "/status",
        "/poll/x",
        "/poll/01890000-0000-7000-8000-000000000000",
        "/metrics",
        "/healthz",
        "/docs/",
        "/openapi.json",
    ];
    let mut target = random.pick(&known).to_owned();
    if random.one_in(3) {
        target.push_str(random.pick(&[
            "/",
            "//",
            "/..",
            "/%2e%2e/x",
            "%00",
            "%",
            "%zz",
            "?",
            "?a=1&b=2",
            "?a=%",
            "?&&=&",
            "?name=",
            "/a<b>",
        ]));
    }
    if random.one_in(6) {
        target.extend((0..random.below(40)).map(|_| char::from(b'!' + random.byte() % 94)));
    }
    if random.one_in(200) {
        target.push_str(&"x".repeat(random.below(30_000)));
    }
    target
}

fn body(random: &mut Random) -> Vec<u8> {
    let deep = "[".repeat(random.below(5_000));
    let valid = [
        r#"{"Params":{"a":1,"b":2}}"#,
        r#"{"Params":{"name":"Ada"},"QoSClass":1,"QoSMaxRespT":2.5,"CanDoOffloading":true,"Async":false,"ReturnOutput":true}"#,
        r#"{"Params":{"a":1,"b":2},"Async":true}"#,
        r#"{"Name":"nobody"}"#,
        r#"{"Function":"add","Instances":3}"#,
        r#"{"Name":"f","Runtime":"wasm","MemoryMB":64,"CPUDemand":0.5,"MaxConcurrency":1,"Handler":"h","TarFunctionCode":"AGFzbQ==","Env":{"A":"1"},"Timeout":1}"#,
        r#"{"Params":{"a":1e999,"b":-0}}"#,
        r#"{"QoSMaxRespT":1e308}"#,
        r#"{"a":1,"b":2}"#,
        "null",
        "",
    ];
    let mut body = random.pick(&valid).as_bytes().to_vec();
    match random.below(8) {
        0 => {}
        1 => body = random.bytes(300),
        2 => body = format!("{{\"Params\":{deep}").into_bytes(),
        3 => {
            body = format!(
                "{{{}}}",
                (0..random.below(300))
                    .map(|n| format!("\"m{n}\":{n},"))
                    .collect::<String>()
            )
            .into_bytes()
        }
        4 => body = "x".repeat(random.below(100_000)).into_bytes(),
        _ => random.mutate(&mut body),
    }
    body
}

/// Whatever fails says how: a status of 5xx has a code, and the fault is never the node's.
fn check(response: &Response) -> Result<()> {
    let text = || response.text().chars().take(300).collect::<String>();
    if response.status >= 500 && !is_of_the_function(response) {
        // A HEAD has no body to look at.
        ensure!(
            !response.code().is_empty() || response.body.is_empty(),
            "{} without a code: {}",
            response.status,
            text()
        );
        ensure!(response.code() != "internal", "the node failed: {}", text());
    }
    ensure!(
        response.header("x-request-id").is_some() || matches!(response.status, 400 | 414 | 431),
        "no id: {}",
        text()
    );
    Ok(())
}

/// `echo-http` sets its status from the query.
fn is_of_the_function(response: &Response) -> bool {
    response.header("content-type") == Some("application/json")
}

/// The answer to a request that is well-formed: the node's short patience may end before a slow machine has sent it.
fn sure(node: &Node, request: &Request) -> Result<Response> {
    wait_for("an answer", || {
        let answer = node.ask(request).ok();
        Ok(answer.filter(|answer| answer.status != 408))
    })
}

/// Modules with some bytes changed. Few are still valid; those are run.
fn bad_modules(node: &Node) -> Result<()> {
    let originals = [
        example("add")?,
        crate::guests::constant(1).into_bytes(),
        crate::guests::command("(call $done)").into_bytes(),
    ];
    let mut codes: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..MODULES {
        let mut random = Random(SEED ^ number.wrapping_mul(0x1357));
        let mut module = originals[random.below(originals.len())].clone();
        random.mutate(&mut module);
        let body = json!({"Name": "mutant", "TarFunctionCode": STANDARD.encode(&module), "Timeout": 0.2, "MemoryMB": 16});
        let deployed = sure(node, &Request::json("/update", &body))?;
        check(&deployed).with_context(|| format!("module {number}"))?;
        ensure!(
            matches!(deployed.status, 200 | 422),
            "module {number}: {} {}",
            deployed.status,
            deployed.text()
        );
        *codes.entry(deployed.code()).or_default() += 1;
        if deployed.status == 200 {
            let call = Request::json("/invoke/mutant", &json!({"Params": {"a": 1, "b": 2}}));
            let ran = sure(node, &call)?;
            check(&ran).with_context(|| format!("module {number}, run"))?;
            ensure!(
                matches!(ran.status, 200 | 500),
                "module {number}, run: {} {}",
                ran.status,
                ran.text()
            );
        }
    }
    ensure!(
        codes.contains_key("invalid_module") && codes.contains_key("not_wasm"),
        "{codes:?}"
    );
    Ok(())
}
