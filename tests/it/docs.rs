//! The pages name only files, and tests, that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// The Markdown files in a folder and those below it.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { pages(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect()
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = ["docs", ".github", "provider"].map(|folder| pages(&root.join(folder))).concat();
    all.push(root.join("README.md"));
    let mut links = 0;
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or_default();
            assert!(page.parent().unwrap().join(file).exists(), "{} links to {target}", page.display());
            links += 1;
        }
    }
    assert!(links > 30, "{links} links");
}

#[test]
fn every_promise_of_data_safety_has_its_tests() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = fs::read_to_string(docs.join("data-safety.md")).unwrap();
    let links: Vec<_> = page
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once("](")?.1.split_once(')').map(|(path, _)| (rest, path)))
        .collect();
    assert!(links.len() > 10, "the page links to its tests");
    for (rest, path) in links {
        let test = rest.split(']').next().unwrap_or_default();
        let source = fs::read_to_string(docs.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{path} has no test `{test}`");
    }
    let promises = page.lines().filter(|line| line.starts_with("- **")).count();
    let paragraphs = page.split("\n- **").skip(1).filter(|promise| promise.contains("](../")).count();
    assert_eq!(promises, paragraphs, "a promise without a test");
}
