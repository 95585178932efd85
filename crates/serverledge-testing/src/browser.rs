//! Real browsers without a window, for tests: Chromium with all that its protocol can do, and each of the three with
//! one page. They need the programs `chromium`, `firefox-esr`, `WebKitWebDriver` and `Xvfb`. A browser ends with its
//! value.

mod chromium;
mod firefox;
mod input;
mod processes;
mod webkit;
mod window;

pub use chromium::{Browser, Page};
pub use input::BrowserKey;
pub use window::{Engine, Tab, Window};
