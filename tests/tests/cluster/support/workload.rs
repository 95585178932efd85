//! Clients that submit asynchronous invocations and write down what they saw.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::history::{Effects, Event, History, Reading, run_of};
use super::{Cluster, Door, Request, Response, wait_for};

/// A workload on one function, that of [`super::guest::effect`].
#[derive(Debug)]
pub(crate) struct Workload {
    function: String,
    pub(crate) history: History,
}

// === impl Workload ===

impl Workload {
    pub(crate) fn on(function: &str) -> Self {
        Self {
            function: function.to_owned(),
            history: History::default(),
        }
    }

    /// Submits a call at these nodes in turn until one accepts it. With a key, another node is asked also where it is not
    /// known whether the last one accepted it. Without one that would be another invocation: then the call is over, and
    /// nothing was promised.
    pub(crate) fn submit(&self, doors: &[Door], call: &str, key: Option<&str>) -> Result<()> {
        let mut next = doors.iter().cycle();
        wait_for(&format!("the acceptance of {call}"), || {
            let door = next.next().context("there are doors")?;
            let answer = door.ask(&self.request(call, key));
            match answer {
                Err(_) => Ok(key.is_none().then_some(())),
                Ok(response) if response.status == 200 => {
                    self.accepted(&response, call, key).map(Some)
                }
                Ok(response) if matches!(response.status, 409 | 429 | 503) => Ok(None),
                Ok(response) => bail!("{}: {}: {}", door.node, response.status, response.text()),
            }
        })
    }

    fn request(&self, call: &str, key: Option<&str>) -> Request {
        let body = json!({ "Params": {"name": call}, "Async": true });
        let request = Request::json(&format!("/invoke/{}", self.function), &body);
        match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }

    fn accepted(&self, response: &Response, call: &str, key: Option<&str>) -> Result<()> {
        let id = response.json()?["ReqId"]
            .as_str()
            .context("an id")?
            .to_owned();
        let call = call.to_owned();
        let key = key.map(str::to_owned);
        self.history.push(Event::Accepted { call, key, id });
        Ok(())
    }

    /// Submits calls `<name>-0`, `<name>-1`, and so on. Every second one has a key, and every fourth is submitted twice.
    pub(crate) fn run(&self, doors: &[Door], name: &str, calls: usize) -> Result<()> {
        for number in 0..calls {
            let call = format!("{name}-{number}");
            let key = (number % 2 == 0).then(|| format!("key-{call}"));
            let turned = [
                &doors[number % doors.len()..],
                &doors[..number % doors.len()],
            ]
            .concat();
            self.submit(&turned, &call, key.as_deref())?;
            if number % 4 == 0 {
                self.submit(doors, &call, key.as_deref())?;
            }
        }
        Ok(())
    }

    /// Asks one node for an invocation's state, and writes the answer down.
    pub(crate) fn read(&self, door: &Door, id: &str) -> Result<Reading> {
        let begun = self.history.now();
        let reading = state(&door.get(&format!("/invocations/{id}"))?)?;
        self.note(door, id, begun, reading.clone());
        Ok(reading)
    }

    /// The same through Serverledge's route.
    pub(crate) fn poll(&self, door: &Door, id: &str) -> Result<Reading> {
        let begun = self.history.now();
        let reading = polled(&door.get(&format!("/poll/{id}"))?)?;
        self.note(door, id, begun, reading.clone());
        Ok(reading)
    }

    fn note(&self, door: &Door, id: &str, begun: usize, reading: Reading) {
        self.history.push(Event::Read {
            id: id.to_owned(),
            node: door.node.clone(),
            begun,
            reading,
        });
    }

    /// Waits until every accepted invocation has an outcome, reads all of them by both routes from every node that runs,
    /// and collects what was seen of the runs.
    pub(crate) fn settle(&self, cluster: &Cluster) -> Result<()> {
        let doors = cluster.doors();
        let first = doors.first().context("no node runs")?;
        for id in self.history.accepted() {
            wait_for(&format!("the outcome of {id}"), || {
                let reading = self.read(first, &id)?;
                Ok((!matches!(reading, Reading::Pending)).then_some(()))
            })?;
        }
        for id in self.history.accepted() {
            for door in &doors {
                self.read(door, &id)?;
                self.poll(door, &id)?;
            }
        }
        for (call, run) in effects(cluster, &self.function)? {
            self.history.push(Event::Effect { call, run });
        }
        Ok(())
    }

    /// Settles, and finds no promise broken.
    pub(crate) fn check(&self, cluster: &Cluster, effects: Effects) -> Result<()> {
        self.settle(cluster)?;
        let violations = self.history.violations(effects);
        ensure!(
            violations.is_empty(),
            "{} promises are broken: {violations:#?}",
            violations.len()
        );
        Ok(())
    }
}

/// The runs of a function, with their calls, as the logs of all nodes that run have them.
pub(crate) fn effects(cluster: &Cluster, function: &str) -> Result<BTreeSet<(String, String)>> {
    let effect = |line: &String| serde_json::from_str(line.strip_prefix("effect ")?).ok();
    let log = cluster.log(function)?;
    let effects: Vec<Value> = log.iter().filter_map(effect).collect();
    ensure!(
        effects.len() == log.len(),
        "a line of the log is no effect: {log:?}"
    );
    effects
        .iter()
        .map(|effect| {
            run_of(effect)
                .map(|(run, call)| (call, run))
                .context("a run and its call")
        })
        .collect()
}

/// The node on which a synchronous invocation ran, as its reply says.
pub(crate) fn executor_of(response: &Response) -> Result<String> {
    response.result()?;
    Ok(response.json()?["ExecutionNode"]
        .as_str()
        .context("the reply names the node")?
        .to_owned())
}

/// Of `/invocations/{id}`.
fn state(response: &Response) -> Result<Reading> {
    if response.status == 404 && response.code() == "invocation_unknown" {
        return Ok(Reading::Unknown);
    }
    ensure!(
        response.status == 200,
        "{}: {}",
        response.status,
        response.text()
    );
    let info = response.json()?;
    Ok(match info["state"].as_str().context("a state")? {
        "queued" | "running" => Reading::Pending,
        "done" => Reading::Done(info["result"].clone()),
        other => Reading::Failed(info["error"]["code"].as_str().unwrap_or(other).to_owned()),
    })
}

/// Of `/poll/{id}`.
fn polled(response: &Response) -> Result<Reading> {
    match (response.status, response.code().as_str()) {
        (200, _) => {}
        (404, "invocation_not_finished") => return Ok(Reading::Pending),
        (404, "invocation_unknown") => return Ok(Reading::Unknown),
        _ => bail!("{}: {}", response.status, response.text()),
    }
    let outcome = response.json()?;
    if outcome["Success"] == true {
        return Ok(Reading::Done(serde_json::from_str(
            outcome["Result"].as_str().context("a result")?,
        )?));
    }
    Ok(Reading::Failed(
        outcome["ErrorCode"].as_str().context("a code")?.to_owned(),
    ))
}
