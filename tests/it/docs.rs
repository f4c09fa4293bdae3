//! The pages in `docs/` name only tests that exist.

use std::fs;
use std::path::Path;

#[test]
fn every_promise_of_data_safety_has_its_tests() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = fs::read_to_string(docs.join("data-safety.md")).unwrap();
    let links: Vec<_> =
        page.split('[').skip(1).filter_map(|rest| rest.split_once("](")?.1.split_once(')').map(|(path, _)| (rest, path))).collect();
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
