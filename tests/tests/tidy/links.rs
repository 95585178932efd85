//! Links in documents lead to files that exist, and to headings that exist.

use std::path::Path;

use anyhow::Result;

use crate::repository::{files_ending, none, read, root};

/// The targets of `[text](target)` outside of code blocks.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let targets = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next());
            found.extend(
                targets.map(|target| target.split(' ').next().unwrap_or_default().to_owned()),
            );
        }
    }
    found
}

/// The anchors of a document's headings, as the usual renderers make them.
fn anchors(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if let Some(heading) = line.strip_prefix('#').filter(|_| !fenced) {
            let kept = heading.trim_start_matches('#').trim().to_lowercase();
            let slug = kept
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            found.push(slug.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    found
}

#[test]
fn links_lead_somewhere() -> Result<()> {
    let mut faults = Vec::new();
    for file in files_ending(".md")? {
        let text = read(&file)?;
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") || link.is_empty() {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
            let target = if path.is_empty() {
                Path::new(&file).to_owned()
            } else {
                folder.join(path)
            };
            if !root().join(&target).exists() {
                faults.push(format!("{file}: {link}"));
            } else if !anchor.is_empty()
                && path_is_document(&target)
                && !anchors(&read(&target)?).iter().any(|one| one == anchor)
            {
                faults.push(format!("{file}: {link} (no such heading)"));
            }
        }
    }
    none("these links lead nowhere", &faults);
    Ok(())
}

fn path_is_document(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

#[test]
fn links_and_headings_are_found() {
    assert_eq!(
        links("see [a](b.md#c) and [d](e \"t\")\n```\n[x](y)\n```\n"),
        ["b.md#c", "e"]
    );
    assert_eq!(
        anchors("# A b\n## `wasi:http` component\n"),
        ["a-b", "wasihttp-component"]
    );
}
