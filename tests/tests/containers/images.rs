//! Images of one's own, which speak the executor protocol.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Engine, Lab, deployed, unique};

/// A program that speaks the executor protocol, and answers with its parameters; `fail` fails, `slow` takes long.
const EXECUTOR: &str = "import http.server, json, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers['content-length'])))
        params = request['Params'] or {}
        if params.get('die'):
            os._exit(3)
        time.sleep(params.get('slow', 0))
        reply = {'Success': not params.get('fail'), 'Result': json.dumps({'got': params, 'env': os.environ.get('A')}), 'Output': 'said this'}
        if params.get('fail'):
            reply['Result'] = 'it failed'
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(('', 8080), Handler).serve_forever()
";

/// An image made of the Python one. Removed when dropped.
struct Image {
    engine: Engine,
    name: String,
}

impl Image {
    fn with_program(lab: &Lab, program: &str) -> Result<Self> {
        let image = Self {
            engine: lab.engine.clone(),
            name: unique("serverledge-e2e-image")?,
        };
        lab.write("server.py", program)?;
        // Without the node's label: the node removes what an earlier run of it left, at some time after its start.
        let container = lab
            .engine
            .docker(&["create", &crate::support::engine::python_image()])?;
        let made = image.commit(lab, &container);
        lab.engine.docker(&["rm", &container])?;
        made?;
        Ok(image)
    }

    fn commit(&self, lab: &Lab, container: &str) -> Result<()> {
        let file = lab.home().join("server.py");
        let file = file.to_str().context("the path is text")?;
        lab.engine
            .docker(&["cp", file, &format!("{container}:/server.py")])?;
        let start = r#"ENTRYPOINT ["python3", "/server.py"]"#;
        lab.engine.docker(&[
            "commit", "--change", start, "--change", "CMD []", container, &self.name,
        ])?;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = self.engine.docker(&["rmi", "-f", &self.name]);
    }
}

#[test]
fn images_of_ones_own_run() -> Result<()> {
    let lab = Lab::start()?;
    let image = Image::with_program(&lab, EXECUTOR)?;
    lab.cli(&[
        "create",
        "-f",
        "own",
        "--custom-image",
        &image.name,
        "--env",
        "A=1",
        "--timeout",
        "3",
    ])?
    .assert_code(0);
    for warm in [false, true] {
        let ran = lab.cli(&["invoke", "own", "-p", "x:1", "--return-output"])?;
        assert_eq!(
            ran.assert_code(0).result()?,
            json!({"got": {"x": 1}, "env": "1"})
        );
        assert_eq!(
            (&ran.json()?["Output"], &ran.json()?["IsWarmStart"]),
            (&json!("said this"), &json!(warm))
        );
    }
    let failed = lab.invoke("own", &json!({"fail": true}))?;
    failed.assert_problem(500, "function_error");
    assert!(failed.text().contains("it failed"), "{}", failed.text());
    lab.invoke("own", &json!({"slow": 30}))?
        .assert_problem(500, "function_timeout");
    lab.invoke("own", &json!({"die": true}))?
        .assert_problem(500, "function_exited");
    assert_eq!(lab.call("own", &json!({"x": 2}))?["got"]["x"], 2);

    // What cannot be is said at deploy.
    let missing =
        json!({"Name": "f", "Runtime": "custom", "CustomImage": "serverledge-e2e-no-such-image"});
    // Where its registry can be asked it is the request's fault, else the registry's.
    let refused = lab.post("/create", &missing)?;
    refused.assert_problem(
        if refused.status == 503 { 503 } else { 422 },
        "image_missing",
    );
    assert!(
        refused.text().contains("serverledge-e2e-no-such-image"),
        "{}",
        refused.text()
    );
    let malformed = json!({"Name": "f", "Runtime": "custom", "CustomImage": "Upper/Case"});
    lab.post("/create", &malformed)?
        .assert_problem(422, "invalid_image");
    let hidden = json!({"Name": "f", "Runtime": "custom", "CustomImage": image.name, "Secrets": {"KEY": "v"}});
    lab.post("/create", &hidden)?
        .assert_problem(422, "secrets_unsupported");
    let ends = Image::with_program(&lab, "raise SystemExit('wrong program')\n")?;
    let refused = lab.post(
        "/create",
        &json!({"Name": "f", "Runtime": "custom", "CustomImage": ends.name}),
    )?;
    refused.assert_problem(422, "image_does_not_start");
    assert!(
        refused.text().contains("wrong program"),
        "{}",
        refused.text()
    );
    assert_eq!(lab.names()?, ["own"]);
    lab.wait_until_free()?;
    lab.stop().map(drop)
}

/// The engine gives the address of a container that has ended to the next one: calls must not follow it there.
#[test]
fn calls_never_reach_another_functions_container() -> Result<()> {
    let lab = Lab::start()?;
    let image = Image::with_program(&lab, EXECUTOR)?;
    let deploy = |name: &str| {
        let more = json!({"Name": name, "Runtime": "custom", "CustomImage": image.name, "Env": {"A": name}, "Timeout": 5});
        deployed(&lab.post("/create", &more)?)
    };
    deploy("first")?;
    deploy("second")?;
    assert_eq!(lab.call("first", &json!({}))?["env"], "first");
    let ended = lab.wait_for_containers(1)?;
    lab.engine.docker(&["kill", &ended[0]])?;
    assert_eq!(lab.call("second", &json!({}))?["env"], "second");
    // Its own container is gone: it gets a new one.
    assert_eq!(lab.call("first", &json!({}))?["env"], "first");
    lab.wait_until_free()
}

/// The listener at a container's address has gone, and nobody answers there: that is found out in less time than a call
/// may take.
#[test]
fn a_container_that_has_ended_is_noticed_soon() -> Result<()> {
    let lab = Lab::start()?;
    let image = Image::with_program(&lab, EXECUTOR)?;
    let more = json!({"Name": "f", "Runtime": "custom", "CustomImage": image.name, "Timeout": 5});
    deployed(&lab.post("/create", &more)?)?;
    for n in 0..3 {
        assert_eq!(lab.call("f", &json!({ "x": n }))?["got"]["x"], n);
        let ids = lab.wait_for_containers(1)?;
        lab.engine.docker(&["kill", &ids[0]])?;
        let begun = Instant::now();
        assert_eq!(lab.call("f", &json!({ "x": n }))?["got"]["x"], n);
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "it took {:?}",
            begun.elapsed()
        );
    }
    lab.wait_until_free()
}
