//! docs/troubleshooting.md quotes messages that exist.

use std::path::Path;

/// The text of all sources in a folder, tests left out.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            text += &sources(&path);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text += &std::fs::read_to_string(&path).unwrap();
        }
    }
    text
}

/// The sources' text; what goes on behind a line break there is one line.
fn words() -> String {
    let text = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("provider")).replace("\\\n", "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_output_in_readme_is_still_that_of_a_run() {
    let shown = [include_str!("../../../../README.md"), include_str!("../../../../docs/first-up.txt")];
    let sources = words();
    for part in [
        ": the operator is starting its members",
        " rolled out",
        "can't be pulled",
        "which loses all data of",
        "to do it anyway set `allowDataLoss: true`",
    ] {
        assert!(sources.contains(part), "the sources don't say `{part}` any more");
        assert!(shown.iter().any(|text| text.contains(part)), "neither README nor its picture says `{part}`");
    }
}

#[test]
fn every_quoted_message_is_in_the_sources() {
    let page = include_str!("../../../../docs/troubleshooting.md");
    let sources = words();
    let quoted: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(quoted.len() > 25, "{quoted:?}");
    let unknown: Vec<_> = quoted.into_iter().filter(|message| !sources.contains(message)).collect();
    assert_eq!(unknown, [] as [&str; 0]);
}
