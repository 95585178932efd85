//! Clicks and keys: the keys that tests press, and the actions of WebDriver (<https://www.w3.org/TR/webdriver2/#actions>),
//! which its successor takes in the same form.

use serde_json::{Value, json};

/// The key Ctrl, as WebDriver and its successor write it.
const CONTROL: char = '\u{e009}';

/// A key of the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrowserKey {
    /// Deletes what is selected.
    Delete,
    /// Goes on.
    Enter,
    /// Closes something.
    Escape,
    /// One that has a letter, in lower case.
    Letter(char),
}

// === impl BrowserKey ===

impl BrowserKey {
    /// The key as WebDriver and its successor write it.
    fn code(self) -> char {
        match self {
            Self::Delete => '\u{e017}',
            Self::Enter => '\u{e007}',
            Self::Escape => '\u{e00c}',
            Self::Letter(letter) => letter,
        }
    }
}

/// The actions of a click, as WebDriver and its successor take them.
pub(super) fn click_actions(x: i32, y: i32) -> Value {
    json!([{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": [
        {"type": "pointerMove", "x": x, "y": y, "duration": 0},
        {"type": "pointerDown", "button": 0},
        {"type": "pointerUp", "button": 0},
    ]}])
}

/// The actions of typing a text.
pub(super) fn write_actions(text: &str) -> Value {
    let keys = text
        .chars()
        .flat_map(|letter| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": letter})));
    key_actions(&keys.collect::<Vec<_>>())
}

/// The actions of a key.
pub(super) fn press_actions(key: BrowserKey, control: bool) -> Value {
    let key = key.code();
    let mut keys = vec![
        json!({"type": "keyDown", "value": key}),
        json!({"type": "keyUp", "value": key}),
    ];
    if control {
        keys.insert(0, json!({"type": "keyDown", "value": CONTROL}));
        keys.push(json!({"type": "keyUp", "value": CONTROL}));
    }
    key_actions(&keys)
}

fn key_actions(keys: &[Value]) -> Value {
    json!([{"type": "key", "id": "keyboard", "actions": keys}])
}
