//! A page in any of the browsers, for tests that must hold in all of them.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::chromium::{Browser, Page};
use super::firefox::Firefox;
use super::input::BrowserKey;
use super::processes::thread_times;
use super::webkit::WebKit;

/// One of the browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Chromium.
    Chromium,
    /// Firefox.
    Firefox,
    /// WebKit, as of GTK.
    WebKit,
}

/// A browser with one page. It runs on this machine, so the page reaches what listens on loopback.
pub trait Window: Debug + Send {
    /// Leads the page to another address and waits until it is loaded.
    ///
    /// # Errors
    /// If the browser does not answer.
    fn go(&mut self, url: &str) -> Result<()>;

    /// Runs an expression in the page and returns its value as JSON; of a promise, what it comes to.
    ///
    /// # Errors
    /// If it throws: the error says what.
    fn run(&mut self, expression: &str) -> Result<Value>;

    /// Clicks at a place of the visible part of the page, as a mouse does.
    ///
    /// # Errors
    /// If the browser does not answer.
    fn click(&mut self, x: i32, y: i32) -> Result<()>;

    /// Types a text where the focus is.
    ///
    /// # Errors
    /// If the browser does not answer.
    fn write(&mut self, text: &str) -> Result<()>;

    /// Presses and releases a key, with Ctrl or without.
    ///
    /// # Errors
    /// If the browser does not answer.
    fn press(&mut self, key: BrowserKey, control: bool) -> Result<()>;

    /// The process that all others of the browser come from.
    fn process(&self) -> u32;

    /// For each thread of the browser: the time that it wanted a processor, running or waiting for one.
    ///
    /// # Errors
    /// If the browser has ended.
    fn thread_times(&self) -> Result<BTreeMap<u32, Duration>> {
        thread_times(self.process())
    }
}

/// Chromium with its only page.
#[derive(Debug)]
pub struct Tab {
    /// The browser, for what only this one can do.
    pub browser: Browser,
    /// Its page.
    pub page: Page,
}

// === impl Engine ===

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chromium, Self::Firefox, Self::WebKit];

    /// Starts the browser with a page at this address.
    ///
    /// # Errors
    /// If there is no such browser on this machine, or it does not start.
    pub fn open(self, url: &str) -> Result<Box<dyn Window>> {
        let window = || -> Result<Box<dyn Window>> {
            Ok(match self {
                Self::Chromium => Box::new(Tab::open(url)?),
                Self::Firefox => Box::new(Firefox::open(url)?),
                Self::WebKit => Box::new(WebKit::open(url)?),
            })
        };
        window().with_context(|| format!("{self} does not open {url}"))
    }
}

impl Display for Engine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(self, f)
    }
}

// === impl Tab ===

impl Tab {
    /// Starts Chromium with a page at this address.
    ///
    /// # Errors
    /// If there is no Chromium, or it does not start.
    pub fn open(url: &str) -> Result<Self> {
        let mut browser = Browser::start(&[])?;
        let page = browser.open(url)?;
        Ok(Self { browser, page })
    }
}

impl Window for Tab {
    fn go(&mut self, url: &str) -> Result<()> {
        self.browser.go(&self.page, url)
    }

    fn run(&mut self, expression: &str) -> Result<Value> {
        self.browser.run(&self.page, expression)
    }

    fn click(&mut self, x: i32, y: i32) -> Result<()> {
        self.browser.click(&self.page, x, y)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.browser.write(&self.page, text)
    }

    fn press(&mut self, key: BrowserKey, control: bool) -> Result<()> {
        self.browser.press(&self.page, key, control)
    }

    fn process(&self) -> u32 {
        self.browser.process()
    }
}
