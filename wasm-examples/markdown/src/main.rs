//! Turns Markdown into HTML that is safe to show: raw HTML comes out as text, and links lead to the web or to mail only.

use std::io::{read_to_string, stdin};
use std::process::ExitCode;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Params {
    markdown: String,
}

#[derive(Serialize)]
struct Answer {
    html: String,
}

fn main() -> ExitCode {
    let Params { markdown } = match params() {
        Ok(params) => params,
        Err(error) => {
            eprintln!("markdown: {error}");
            return ExitCode::FAILURE;
        }
    };
    let answer = Answer {
        html: render(&markdown),
    };
    println!(
        "{}",
        serde_json::to_string(&answer).expect("a string is always JSON")
    );
    ExitCode::SUCCESS
}

fn params() -> Result<Params, String> {
    let input =
        read_to_string(stdin()).map_err(|error| format!("failed to read the params: {error}"))?;
    serde_json::from_str(&input).map_err(|error| format!("params: {error}"))
}

fn render(markdown: &str) -> String {
    let extensions =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut out = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(
        &mut out,
        Parser::new_ext(markdown, extensions).map(harmless),
    );
    out
}

/// The event with what could run code in the reader's page taken away.
fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: harmless_url(dest_url),
            title,
            id,
        }),
        Event::Start(Tag::Image {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Image {
            link_type,
            dest_url: harmless_url(dest_url),
            title,
            id,
        }),
        other => other,
    }
}

/// The address if it is relative or of a known scheme, else an empty one. Listing the good schemes is safer than listing
/// `javascript:` and its relatives: browsers ignore white space and control characters inside of a scheme.
fn harmless_url(url: CowStr<'_>) -> CowStr<'_> {
    let before_path = url.split(['/', '?', '#']).next().unwrap_or_default();
    let known = match before_path.split_once(':') {
        None => true,
        Some((scheme, _)) => ["http", "https", "mailto"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known)),
    };
    if known { url } else { CowStr::Borrowed("") }
}
