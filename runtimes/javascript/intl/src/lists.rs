//! Lists in words: what stands between the elements of "a, b and c".

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use icu_list::options::{ListFormatterOptions, ListLength};
use icu_list::{ListFormatter, parts};
use icu_locale::Locale;
use writeable::{Part, PartsWrite, Writeable};

use crate::{Argument, Options, Reply, Service, push_json};

/// The texts around elements: one before each, and one behind the last.
struct Between {
    texts: Vec<String>,
    is_element: bool,
}

impl fmt::Write for Between {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !self.is_element
            && let Some(last) = self.texts.last_mut()
        {
            last.push_str(text);
        }
        Ok(())
    }
}

impl PartsWrite for Between {
    type SubPartsWrite = Self;

    fn with_part(
        &mut self,
        part: Part,
        mut write: impl FnMut(&mut Self) -> fmt::Result,
    ) -> fmt::Result {
        if part != parts::ELEMENT {
            return write(self);
        }
        self.is_element = true;
        write(self)?;
        self.is_element = false;
        self.texts.push(String::new());
        Ok(())
    }
}

struct Lists {
    format: ListFormatter,
    older: Older,
}

/// Patterns in which CLDR 48, which other texts are from, differs from the data of CLDR 49.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Older {
    Same,
    /// The text before the last of more than two elements.
    Last(&'static str),
    /// A hyphen that lines may break at, and the text before the last of more than two elements.
    Hyphen(Option<&'static str>),
}

impl Older {
    fn of(locale: &str, kind: &str, style: &str) -> Self {
        match (locale, kind, style) {
            ("en-IN", "conjunction", "narrow") => Self::Last(", and "),
            ("hi", "conjunction" | "unit", "long") => Self::Last(", और "),
            ("he", "conjunction", _) => Self::Hyphen(None),
            ("he", "unit", "long") => Self::Hyphen(Some(" ו-")),
            _ => Self::Same,
        }
    }

    fn apply(self, texts: &mut [String]) {
        let (hyphen, last) = match self {
            Self::Same => return,
            Self::Last(last) => (false, Some(last)),
            Self::Hyphen(last) => (true, last),
        };
        if hyphen {
            for text in texts.iter_mut() {
                *text = text.replace('\u{2011}', "-");
            }
        }
        // One text stands behind the last element.
        if let (Some(last), [_, _, .., before_last, _]) = (last, texts) {
            *before_last = last.into();
        }
    }
}

impl Service for Lists {
    fn call(&self, what: &str, arguments: &[Argument<'_>]) -> Reply {
        let ("between", [Argument::Text(elements), ..]) = (what, arguments) else {
            return Reply::Nothing;
        };
        let mut between = Between {
            texts: vec![String::new()],
            is_element: false,
        };
        if self
            .format
            .format(elements.split('\0'))
            .write_to_parts(&mut between)
            .is_err()
        {
            return Reply::Nothing;
        }
        self.older.apply(&mut between.texts);
        let mut json = String::from("[");
        for (at, text) in between.texts.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            push_json(&mut json, text);
        }
        json.push(']');
        Reply::Text(json)
    }
}

/// A list format. The options are `type` and `style`, as ECMA-402 names them. Its call `between` takes the elements with U+0000
/// between them, of which some languages look at the first letters.
pub(crate) fn make(locale: &str, options: &Options<'_>) -> Option<Box<dyn Service>> {
    let preferences = (&Locale::try_from_str(locale).ok()?).into();
    let kind = options.get("type").unwrap_or("conjunction");
    let style = options.get("style").unwrap_or("long");
    let length = match style {
        "narrow" => ListLength::Narrow,
        "short" => ListLength::Short,
        _ => ListLength::Wide,
    };
    let options_of_list = ListFormatterOptions::default().with_length(length);
    let format = match kind {
        "disjunction" => ListFormatter::try_new_or(preferences, options_of_list),
        "unit" => ListFormatter::try_new_unit(preferences, options_of_list),
        _ => ListFormatter::try_new_and(preferences, options_of_list),
    };
    Some(Box::new(Lists {
        format: format.ok()?,
        older: Older::of(locale, kind, style),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(locale: &str, options: &str, elements: &str) -> Reply {
        make(locale, &Options::new(options))
            .expect("a format")
            .call("between", &[Argument::Text(elements)])
    }

    #[test]
    fn texts_stand_around_elements() {
        assert_eq!(
            between("en", "", "a\0b\0c"),
            Reply::Text(r#"["",", ",", and ",""]"#.into())
        );
        assert_eq!(
            between("de", "type=disjunction\n", "a\0b"),
            Reply::Text(r#"[""," oder ",""]"#.into())
        );
        assert_eq!(
            between("es", "", "a\0iglesia"),
            Reply::Text(r#"[""," e ",""]"#.into())
        );
    }
}
