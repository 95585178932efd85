//! `dev`: builds and deploys a function's folder, again after each change, and shows its log meanwhile.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serverledge_client::{ClientError, LogStream, WantedLog};
use serverledge_wire::function::Created;
use serverledge_wire::stream::LogLine;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::run::interrupted;
use super::session::Session;
use super::{create, logs};
use crate::arguments::DevArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::local_node::LocalNode;
use crate::project::{self, Project};
use crate::variables::{KeptSecrets, Process};
use crate::watch::{BuildChanges, FolderWatch};
use crate::{output, progress, text};

/// Time between two looks at the files.
const SCAN_PERIOD: Duration = Duration::from_millis(200);
/// Time between two looks at files that are just being written.
const SETTLE_PERIOD: Duration = Duration::from_millis(20);
/// Most looks until they count as written: whoever writes on is seen by the next look.
const SETTLE_LOOKS_MAX: usize = 20;
/// Most files that a remark names.
const NAMES_MAX: usize = 3;
/// Time between two tries to read the log.
const LOG_RETRY: Duration = Duration::from_secs(1);

/// A deploy that worked, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LiveFunction<'a> {
    function: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    version: &'a str,
}

/// Runs the command until a signal, the end of its reader, or the end of the node that it started.
pub(super) async fn dev(session: &Session, args: &DevArgs) -> Result<(), Failure> {
    let project = Project::read(&args.path)?;
    if let Some(guess) = &project.guess {
        output::note(guess);
    }
    let secrets = KeptSecrets::read(&project.create.secret, &Process)?;
    let mut interrupts = Interrupts::new()?;
    if args.once {
        return tokio::select! {
            done = once(session, &project, &secrets) => done,
            () = interrupts.next() => Err(interrupted()),
        };
    }
    let node = tokio::select! {
        node = own_node(session) => node?,
        () = interrupts.next() => return Ok(()),
    };
    let Some(mut node) = node else {
        return tokio::select! {
            done = Development::new(session, &args.path, project, &secrets).run() => done,
            () = interrupts.next() => Ok(()),
        };
    };
    let on_node = session.at(node.endpoint().clone())?;
    output::note(&format!(
        "`serverledge-cli --port {} invoke {}` calls it from another terminal",
        node.endpoint().port(),
        project.function
    ));
    let done = tokio::select! {
        done = Development::new(&on_node, &args.path, project, &secrets).run() => done,
        () = interrupts.next() => Ok(()),
        failure = node.ended() => Err(failure),
    };
    node.stop().await;
    done
}

async fn once(session: &Session, project: &Project, secrets: &KeptSecrets) -> Result<(), Failure> {
    project.build().await?;
    create::create(session, &project.create, true, secrets).await
}

/// A node of its own, if the usual one does not answer and none was named.
async fn own_node(session: &Session) -> Result<Option<LocalNode>, Failure> {
    let asked = progress::during("asking the node", session.client.status()).await;
    let Err(error @ ClientError::Unreachable { .. }) = asked else {
        return Ok(None);
    };
    if session.names_node || session.client.app().is_some() {
        return Err(Failure::of_call("ask the node", error));
    }
    output::note(&format!(
        "no node answers at {}: one is started, and stopped at the end",
        session.client.endpoint()
    ));
    LocalNode::start().await.map(Some)
}

/// The work on one function: what is watched, and what is deployed of it.
struct Development<'a> {
    session: &'a Session,
    path: &'a Path,
    project: Project,
    /// Whether a file describes the folder, without which nothing is deployed from then on.
    is_described: bool,
    secrets: &'a KeptSecrets,
    watch: FolderWatch,
    build_changes: BuildChanges,
    log: Option<LogStream>,
    /// The earliest time of the next try to read the log; `None` before the first deploy.
    log_try: Option<Instant>,
    /// Remarks that were shown; none is shown twice.
    remarks: BTreeSet<String>,
}

impl<'a> Development<'a> {
    fn new(
        session: &'a Session,
        path: &'a Path,
        project: Project,
        secrets: &'a KeptSecrets,
    ) -> Self {
        Self {
            session,
            path,
            watch: watch(&project),
            is_described: is_described(path, &project),
            project,
            secrets,
            build_changes: BuildChanges::default(),
            log: None,
            log_try: None,
            remarks: BTreeSet::new(),
        }
    }

    /// Deploys, then waits for changes and lines of the log, until nobody reads what it writes.
    async fn run(mut self) -> Result<(), Failure> {
        if self.watch.is_too_large() {
            output::note("the folder has very many files: some of them are not watched");
        }
        let mut goes_on = self.turn(&BTreeSet::new()).await?;
        let mut scans = interval(SCAN_PERIOD);
        scans.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while goes_on {
            goes_on = tokio::select! {
                _ = scans.tick() => self.look().await?,
                line = next_line(&mut self.log) => self.show_line(line)?,
            };
        }
        Ok(())
    }

    /// Looks at the files, and deploys what has changed. Says whether somebody still reads.
    async fn look(&mut self) -> Result<bool, Failure> {
        let mut reason: BTreeSet<PathBuf> = self.watch.changes().into_iter().collect();
        reason.extend(self.build_changes.pending().cloned());
        if !reason.is_empty() {
            self.settle(&mut reason).await;
            return self.turn(&reason).await;
        }
        let is_time = self.log_try.is_some_and(|time| time <= Instant::now());
        if self.log.is_none() && is_time {
            self.open_log().await;
        }
        Ok(true)
    }

    /// Waits until no file changes from one look to the next.
    async fn settle(&mut self, reason: &mut BTreeSet<PathBuf>) {
        for _ in 0..SETTLE_LOOKS_MAX {
            sleep(SETTLE_PERIOD).await;
            let changes = self.watch.changes();
            if changes.is_empty() {
                break;
            }
            reason.extend(changes);
        }
    }

    /// Builds and deploys because these files have changed, and tells the outcome. Says whether somebody still reads.
    async fn turn(&mut self, reason: &BTreeSet<PathBuf>) -> Result<bool, Failure> {
        let begun = Instant::now();
        self.build_changes.begin(reason);
        match self.deploy().await {
            Ok(created) => {
                if self.log.is_none() {
                    self.open_log().await;
                }
                self.tell(&created, begun.elapsed())
            }
            Err(failure) => {
                output::warn(&failure.render(self.session.json));
                Ok(true)
            }
        }
    }

    async fn deploy(&mut self) -> Result<Created, Failure> {
        self.renew()?;
        self.build().await?;
        let remarks = RefCell::new(Vec::new());
        let note = |remark: &str| remarks.borrow_mut().push(remark.to_owned());
        let (_, created) =
            create::deploy(self.session, &self.project.create, true, self.secrets, note).await?;
        let remarks = remarks.into_inner().into_iter();
        for remark in remarks.chain(created.remarks.iter().cloned()) {
            if !self.remarks.contains(&remark) {
                output::note(&remark);
                self.remarks.insert(remark);
            }
        }
        Ok(created)
    }

    /// Builds, and learns which files the build has written, whether it worked or not.
    async fn build(&mut self) -> Result<(), Failure> {
        if self.project.build.is_none() {
            return Ok(());
        }
        let built = self.project.build().await;
        let own = self.build_changes.end(self.watch.changes());
        if !own.is_empty() {
            output::note(&format!(
                "the build itself writes {}: its changes lead to no further build",
                names(&own)
            ));
        }
        built
    }

    /// Reads the description again: it may be what has changed.
    fn renew(&mut self) -> Result<(), Failure> {
        let mut project = self.read()?;
        while watched(&project) != watched(&self.project) {
            // It is read again for what changes before the first look.
            self.watch = watch(&project);
            self.replace(project);
            project = self.read()?;
        }
        self.replace(project);
        Ok(())
    }

    /// Reads the folder. A description that is gone is a fault: without it another function would be deployed.
    fn read(&self) -> Result<Project, Failure> {
        let project = Project::read(self.path);
        let file = self.path.join(project::FILE);
        if !self.is_described || is_read_from(&file, &project) {
            return project;
        }
        Err(
            Failure::new(Exit::Source, format!("{file:?} is not there any more"))
                .hint("once it is back, the function is deployed again; or start `dev` anew"),
        )
    }

    /// Goes on with this state of the folder, and tells what of it is not to be expected.
    fn replace(&mut self, project: Project) {
        if let Some(guess) = &project.guess
            && self.project.guess.as_ref() != Some(guess)
        {
            output::note(guess);
        }
        if project.function != self.project.function {
            output::note(&format!(
                "the function is {} from now on; {} stays deployed as it is",
                project.function, self.project.function
            ));
            self.log = None;
            self.log_try = None;
        }
        self.is_described = is_described(self.path, &project);
        self.project = project;
    }

    fn tell(&self, created: &Created, took: Duration) -> Result<bool, Failure> {
        let client = &self.session.client;
        let function = self.project.function.as_str();
        let url = client
            .app()
            .is_none()
            .then(|| format!("{}/fn/{function}", client.endpoint()));
        if self.session.json {
            let live = LiveFunction {
                function,
                url,
                version: &created.version,
            };
            return output::line(&serde_json::to_string(&live).unwrap_or_default());
        }
        let at = url.map(|url| format!(" at {url}")).unwrap_or_default();
        output::line(&format!(
            "{function} is live{at} {}",
            output::dim(&format!(
                "({}, version {})",
                text::seconds(took.as_secs_f64()),
                text::version(&created.version)
            ))
        ))
    }

    /// Follows the log from now on.
    async fn open_log(&mut self) {
        let wanted = WantedLog {
            tail: Some(0),
            follow: true,
            invocation: None,
        };
        let log = self.session.client.logs(&self.project.function, &wanted);
        self.log = log.await.ok();
        self.log_try = Some(Instant::now() + LOG_RETRY);
    }

    /// Shows a line of the log; at the end of the log the next look begins anew.
    fn show_line(&mut self, line: Result<Option<LogLine>, ClientError>) -> Result<bool, Failure> {
        if let Ok(Some(line)) = line {
            return logs::show(self.session, &line);
        }
        self.log = None;
        Ok(true)
    }
}

/// A look at the files of a function. What its build makes is no change; without a build, what is deployed always is one.
fn watch(project: &Project) -> FolderWatch {
    match project.build {
        Some(_) => FolderWatch::built(&project.watched, project.source()),
        None => FolderWatch::unbuilt(&project.watched, project.source()),
    }
}

/// The parts of a project on which [`watch`] depends.
fn watched(project: &Project) -> (&Path, &Path, bool) {
    let is_built = project.build.is_some();
    (&project.watched, project.source(), is_built)
}

/// Whether a project is that of a folder with a description.
fn is_described(path: &Path, project: &Project) -> bool {
    project.guess.is_none() && path.is_dir()
}

/// Whether what was read is what the description says, or its fault.
fn is_read_from(file: &Path, read: &Result<Project, Failure>) -> bool {
    match read {
        Ok(project) => project.guess.is_none(),
        Err(_) => file.exists(),
    }
}

/// The names of files, or the first of them.
fn names(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .take(NAMES_MAX)
        .map(|path| path.display().to_string())
        .collect();
    let shown = shown.join(", ");
    match paths.len().checked_sub(NAMES_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// The next line, once there is a log.
async fn next_line(log: &mut Option<LogStream>) -> Result<Option<LogLine>, ClientError> {
    match log {
        Some(log) => log.next().await,
        None => std::future::pending().await,
    }
}
