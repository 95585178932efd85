//! Languages: services of the crate `intl`, and questions to it.

use alloc::borrow::Cow;
use alloc::string::String;

use intl::{Argument, Reply};

use crate::abi::{Arguments, Handle, Value};

/// The first argument of a call that is the service's own.
const FIRST_OWN: usize = 2;

/// `intlMake(kind, locale, options)`: a service.
pub(crate) fn make(arguments: &Arguments<'_>) -> Option<Value> {
    let service = intl::make(arguments.text(0)?, arguments.text(1)?, arguments.text(2)?)?;
    Some(Value::Handle(Handle::Intl(service)))
}

/// `intlCall(service, what, …)`: the answer of a service.
pub(crate) fn call(arguments: &Arguments<'_>) -> Option<Value> {
    let Handle::Intl(service) = arguments.handle(0)? else {
        return None;
    };
    let texts: [_; 3] = core::array::from_fn(|at| whole_text(arguments, FIRST_OWN + at));
    let given = core::array::from_fn::<_, 3, _>(|at| match texts.get(at) {
        Some(Some(text)) => Argument::Text(text),
        _ => arguments
            .number(FIRST_OWN + at)
            .map_or(Argument::Nothing, Argument::Number),
    });
    value(service.call(arguments.text(1)?, &given))
}

/// `intlAsk(kind, what, argument)`: the answer to a question.
pub(crate) fn ask(arguments: &Arguments<'_>) -> Option<Value> {
    let argument = whole_text(arguments, 2).unwrap_or_default();
    value(intl::ask(arguments.text(0)?, arguments.text(1)?, &argument))
}

fn value(reply: Reply) -> Option<Value> {
    match reply {
        Reply::Nothing => None,
        Reply::Bool(is_true) => Some(Value::Bool(is_true)),
        Reply::Number(number) => Some(Value::Number(number)),
        Reply::Text(text) => Some(Value::Text(text)),
    }
}

/// A text in which each lone surrogate is U+FFFD. C writes one as three bytes, which no UTF-8 has.
fn whole_text<'a>(arguments: &Arguments<'a>, at: usize) -> Option<Cow<'a, str>> {
    let bytes = arguments.bytes(at)?;
    if let Ok(text) = core::str::from_utf8(bytes) {
        return Some(Cow::Borrowed(text));
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The first byte of the three stands for all.
        if chunk.invalid().first().is_some_and(|first| *first >= 0xc0) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(Cow::Owned(text))
}
