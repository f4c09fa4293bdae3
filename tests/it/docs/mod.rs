//! The pages: what is generated in them is not stale, what they name exists, and their programs are the
//! examples, which the end-to-end tests run. `UPDATE=1 cargo test --test it docs` generates.

mod examples;
mod links;
mod reference;
mod registry;
mod snippets;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// What README.md may have.
const README_LINES: usize = 150;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn schema() -> Value {
    serde_json::from_str(&read(&root().join("schema.json"))).unwrap()
}

/// The files in a folder and those below it, without what package managers put there.
fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| !path.ends_with("node_modules") && !path.ends_with("venv"))
        .flat_map(|path| if path.is_dir() { files(&path, kind) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == kind))
        .collect();
    found.sort();
    found
}

/// README.md, the pages in `docs/` and those of the examples.
fn of_users() -> Vec<PathBuf> {
    let pages = ["docs", "examples"].map(|folder| files(&root().join(folder), "md")).concat();
    [vec![root().join("README.md")], pages].concat()
}

/// Whether pages are generated now, rather than checked: meanwhile they may be half old.
fn generates() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Writes a page as `generate` makes it of what it is, where that is asked for; else it has to be so already.
fn settle(file: &Path, generate: impl FnOnce(&str) -> String) {
    static ONE_AFTER_THE_OTHER: Mutex<()> = Mutex::new(());
    let _turn = ONE_AFTER_THE_OTHER.lock().unwrap_or_else(PoisonError::into_inner);
    let committed = read(file);
    let made = generate(&committed);
    if generates() {
        fs::write(file, made).unwrap();
    } else {
        let name = file.strip_prefix(root()).unwrap_or(file).display();
        assert!(made == committed, "{name} is stale; generate it with `UPDATE=1 cargo test --test it docs`");
    }
}

/// `text` with what stands between the two marks of `name` replaced.
fn replace(text: &str, name: &str, made: &str) -> String {
    replace_from(text, name, "schema.json", made)
}

/// The same where `source` is what it is made from.
fn replace_from(text: &str, name: &str, source: &str, made: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: made from {source} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("there is no mark {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("there is no mark {end}"));
    format!("{before}{begin}\n{}\n\n{end}{after}", made.trim())
}

#[test]
fn readme_is_short() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines");
}

#[test]
fn every_promise_of_data_safety_has_its_tests() {
    let docs = root().join("docs");
    let page = read(&docs.join("data-safety.md"));
    let links: Vec<_> = page
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once("](")?.1.split_once(')').map(|(path, _)| (rest, path)))
        .collect();
    assert!(links.len() > 10, "the page links to its tests");
    for (rest, path) in links {
        let test = rest.split(']').next().unwrap_or_default();
        assert!(read(&docs.join(path)).contains(&format!("fn {test}(")), "{path} has no test `{test}`");
    }
    let promises = page.lines().filter(|line| line.starts_with("- **")).count();
    let paragraphs = page.split("\n- **").skip(1).filter(|promise| promise.contains("](../")).count();
    assert_eq!(promises, paragraphs, "a promise without a test");
}
