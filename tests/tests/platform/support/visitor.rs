//! Somebody who uses the console in a browser: reads what is shown, clicks and types, and waits for what comes.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serverledge_testing::browser::{BrowserKey, Window};

use crate::e2e::wait_for;

/// Runs in each page before anything is looked for.
const SCRIPT: &str = include_str!("visitor.js");

/// See the module.
#[derive(Debug)]
pub(crate) struct Visitor<'w> {
    pub(crate) window: &'w mut dyn Window,
    /// The address of the console, without a slash at its end.
    console: String,
    /// Faults of pages that were left.
    faults: Vec<String>,
}

/// The kinds of what can be clicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Button,
    Link,
    Tab,
    Field,
    /// A row of a table, found by a part of its text and clicked in its link.
    Row,
}

// === impl Visitor ===

impl<'w> Visitor<'w> {
    /// `node` is the address of the node, without a slash at its end.
    pub(crate) fn new(window: &'w mut dyn Window, node: &str) -> Self {
        Self {
            window,
            console: format!("{node}/console"),
            faults: Vec::new(),
        }
    }

    /// Opens a page of the console by its address.
    pub(crate) fn open(&mut self, path: &str) -> Result<()> {
        self.keep_faults()?;
        let url = format!("{}{path}", self.console);
        self.window.go(&url)
    }

    /// Runs an expression with what `visitor.js` gives.
    fn ask(&mut self, expression: &str) -> Result<Value> {
        self.window
            .run(&format!("(globalThis.visitor ?? {SCRIPT}, {expression})"))
    }

    /// Waits until an expression gives something other than `null` and `false`.
    pub(crate) fn wait(&mut self, what: &str, expression: &str) -> Result<Value> {
        let found = wait_for(what, || {
            let value = self.ask(expression)?;
            Ok((value != Value::Null && value != false).then_some(value))
        });
        found.map_err(|error| {
            let shown = self.text().unwrap_or_default();
            let address = self.window.run("location.pathname").unwrap_or_default();
            error.context(format!("{address} shows: {shown}"))
        })
    }

    /// The text that the page shows, on one line.
    pub(crate) fn text(&mut self) -> Result<String> {
        let text = self.ask("visitor.text()")?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page shows a text.
    pub(crate) fn see(&mut self, text: &str) -> Result<()> {
        let expression = format!("visitor.text().includes({})", json!(text));
        self.wait(&format!("“{text}”"), &expression).map(drop)
    }

    /// Waits until the page does not show a text.
    pub(crate) fn miss(&mut self, text: &str) -> Result<()> {
        let expression = format!("!visitor.text().includes({})", json!(text));
        self.wait(&format!("“{text}” to go"), &expression).map(drop)
    }

    /// Waits for something that can be clicked.
    pub(crate) fn find(&mut self, kind: Kind, name: &str) -> Result<()> {
        let expression = format!("visitor.isThere({}, {}, null)", kind.script(), json!(name));
        self.wait(&format!("{kind:?} “{name}”"), &expression)
            .map(drop)
    }

    pub(crate) fn click(&mut self, kind: Kind, name: &str) -> Result<()> {
        self.click_at(kind, name, None)
    }

    /// Clicks what lies in the section with this heading, or in the row with this text.
    pub(crate) fn click_in(&mut self, within: &str, kind: Kind, name: &str) -> Result<()> {
        self.click_at(kind, name, Some(within))
    }

    pub(crate) fn button(&mut self, name: &str) -> Result<()> {
        self.click(Kind::Button, name)
    }

    pub(crate) fn link(&mut self, name: &str) -> Result<()> {
        self.click(Kind::Link, name)
    }

    pub(crate) fn tab(&mut self, name: &str) -> Result<()> {
        self.click(Kind::Tab, name)
    }

    fn click_at(&mut self, kind: Kind, name: &str, within: Option<&str>) -> Result<()> {
        let what = format!("{kind:?} “{name}” that can be clicked");
        let place = format!(
            "visitor.place({}, {}, {})",
            kind.script(),
            json!(name),
            json!(within)
        );
        loop {
            let at = self.wait(&what, &place)?;
            let at = |index: usize| -> Result<i32> {
                Ok(i32::try_from(at[index].as_i64().context("a place")?)?)
            };
            self.window.click(at(0)?, at(1)?)?;
            // The page may have moved in between. One that was left answers no more.
            if self
                .window
                .run("globalThis.visitor?.wasClicked() ?? true")
                .map_or(true, |clicked| clicked == true)
            {
                return Ok(());
            }
        }
    }

    /// Puts a text into a field in place of what it has: a box, or an editor.
    pub(crate) fn fill(&mut self, name: &str, text: &str) -> Result<()> {
        self.fill_in(None, name, text)
    }

    pub(crate) fn fill_in(&mut self, within: Option<&str>, name: &str, text: &str) -> Result<()> {
        self.click_at(Kind::Field, name, within)?;
        let (field, section) = (json!(name), json!(within));
        let how = self.ask(&format!("visitor.selectAll({field}, {section})"))?;
        if how == "keys" {
            self.window.press(BrowserKey::Letter('a'), true)?;
            self.window.press(BrowserKey::Delete, false)?;
        }
        self.window.write(text)?;
        self.holds_in(within, name, text)?;
        if how == "keys" {
            // Completions that are offered would cover what is below.
            self.window.press(BrowserKey::Escape, false)?;
        }
        Ok(())
    }

    /// Waits until a field has this content and no other.
    pub(crate) fn holds(&mut self, name: &str, text: &str) -> Result<()> {
        self.holds_in(None, name, text)
    }

    fn holds_in(&mut self, within: Option<&str>, name: &str, text: &str) -> Result<()> {
        let (field, section, text) = (json!(name), json!(within), json!(text));
        let expression = format!("visitor.valueOf({field}, {section}) === {text} || null");
        self.wait(&format!("{text} in {name}"), &expression)
            .map(drop)
    }

    /// Chooses one of a list.
    pub(crate) fn choose(&mut self, name: &str, option: &str) -> Result<()> {
        let expression = format!("visitor.choose({}, {}, null)", json!(name), json!(option));
        self.wait(&format!("“{option}” of {name}"), &expression)
            .map(drop)
    }

    /// The faults in the pages so far, as the pages themselves see them.
    pub(crate) fn faults(&mut self) -> Result<Vec<String>> {
        self.keep_faults()?;
        Ok(std::mem::take(&mut self.faults))
    }

    fn keep_faults(&mut self) -> Result<()> {
        let faults = self.window.run("globalThis.visitor?.faults() ?? []")?;
        self.faults
            .extend(serde_json::from_value::<Vec<String>>(faults)?);
        Ok(())
    }
}

// === impl Kind ===

impl Kind {
    fn script(self) -> Value {
        json!(format!("{self:?}").to_lowercase())
    }
}
