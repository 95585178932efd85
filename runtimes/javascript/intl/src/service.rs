//! The form of services, of their options and of their answers.

use alloc::string::String;

/// An argument of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument<'a> {
    Nothing,
    Text(&'a str),
    Number(f64),
}

impl<'a> Argument<'a> {
    pub fn text(self) -> Option<&'a str> {
        match self {
            Argument::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(self) -> Option<f64> {
        match self {
            Argument::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// The answer of a call or question.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// `undefined`: also for arguments that the prelude never sends.
    Nothing,
    Bool(bool),
    Number(f64),
    /// Text, or JSON where the prelude reads parts.
    Text(String),
}

/// Something made for a locale and options: a collator, a number format.
pub trait Service {
    /// The answer to one call: `what` is the operation.
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply;
}

/// Options as the prelude writes them: `name=value`, one in each line. An option that is `undefined` is not there.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a>(&'a str);

impl<'a> Options<'a> {
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key == name).then_some(value)
        })
    }

    /// A whole number that is not negative.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok()
    }

    pub fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}

/// Parts of a formatted text, as JSON: a flat array of types and values, `["integer","1","group",","]`.
#[derive(Debug, Default, Clone)]
pub struct Parts(pub alloc::vec::Vec<(&'static str, String)>);

impl Parts {
    pub fn push(&mut self, kind: &'static str, value: &str) {
        if !value.is_empty() {
            self.0.push((kind, value.into()));
        }
    }

    /// The text without the types.
    pub fn text(&self) -> String {
        self.0.iter().map(|(_, value)| value.as_str()).collect()
    }

    pub fn json(&self) -> String {
        let mut json = String::from("[");
        for (at, (kind, value)) in self.0.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            push_json(&mut json, kind);
            json.push(',');
            push_json(&mut json, value);
        }
        json.push(']');
        json
    }
}

/// Appends a text as JSON.
pub fn push_json(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{0}'..='\u{1f}' => {
                let _ =
                    core::fmt::Write::write_fmt(json, format_args!("\\u{:04x}", u32::from(letter)));
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
}
