//! The notices that the licences of the plugin's parts ask for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::dependencies::{Dependency, Key};

/// How the names of the files begin in which packages say under what they may be used.
const FILES: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];

/// A page with every package, its licence, and its notices; one text that several share stands there once.
pub(super) fn write(dependencies: &BTreeMap<Key, Dependency>, compiler: &str) -> Result<String> {
    let mut page = "# Third-party software\n\nThis plugin contains these packages.\n\n\
        | package | version | licence | source |\n| --- | --- | --- | --- |\n"
        .to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for ((name, version), dependency) in dependencies {
        let source = dependency.repository.as_deref().unwrap_or("");
        writeln!(page, "| {name} | {version} | {} | {source} |", dependency.license)?;
        for text in notices(&dependency.folder)? {
            texts.entry(text).or_default().push(format!("{name} {version}"));
        }
    }
    writeln!(
        page,
        "| Rust's standard library | {compiler} | MIT OR Apache-2.0 | https://github.com/rust-lang/rust |"
    )?;
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|one, other| one.1.cmp(&other.1));
    for (text, packages) in texts {
        write!(page, "\n## {}\n\n~~~~text\n{text}\n~~~~\n", packages.join(", "))?;
    }
    Ok(page)
}

/// The texts in a package's folder, without the spaces in which copies differ.
fn notices(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        if path.is_file() && FILES.iter().any(|known| name.starts_with(known)) {
            let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
            let lines: Vec<_> = text.lines().map(str::trim_end).collect();
            texts.push(lines.join("\n").trim_matches('\n').to_owned());
        }
    }
    texts.sort();
    texts.dedup();
    Ok(texts)
}
