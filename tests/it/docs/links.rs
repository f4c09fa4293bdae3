//! Links lead to files that exist, and to headings in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{files, read, root};

/// What a page says outside of its code blocks, line by line.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    })
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The anchors of a page; a heading that comes again has a number.
fn anchors(text: &str) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let name = anchor(line.trim_start_matches('#'));
            let times = seen.entry(name.clone()).and_modify(|times| *times += 1).or_insert(0);
            if *times == 0 { name } else { format!("{name}-{times}") }
        })
        .collect()
}

/// Where the links of a page lead to, those to other sites left out.
pub(super) fn targets(text: &str) -> Vec<String> {
    let lines = prose(text).flat_map(|line| line.split("](").skip(1));
    lines
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

fn pages() -> Vec<PathBuf> {
    let mut all = ["docs", ".github", "provider", "examples", "proto"]
        .map(|folder| files(&root().join(folder), "md"))
        .concat();
    all.extend(["README.md", "CHANGELOG.md"].map(|name| root().join(name)));
    all
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut links = 0;
    for page in pages() {
        let text = read(&page);
        for target in targets(&text) {
            links += 1;
            let told = format!("{} links to {target}", page.display());
            // As the Registry has it: a page is a folder there.
            let target = target.strip_suffix('/').map_or_else(|| target.clone(), |page| format!("{page}.md"));
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let file = if path.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap_or(Path::new("")).join(path)
            };
            assert!(file.exists(), "{told}");
            assert!(heading.is_empty() || anchors(&read(&file)).iter().any(|name| name == heading), "{told}");
        }
    }
    assert!(links > 60, "{links} links");
}

#[test]
fn every_page_for_users_is_linked_from_readme() {
    let readme = read(&root().join("README.md"));
    for page in files(&root().join("docs"), "md") {
        let name = page.strip_prefix(root()).unwrap_or(&page).display().to_string();
        let is_below = name.starts_with("docs/decisions/") && !name.ends_with("README.md");
        let is_of_registry = name.ends_with("_index.md");
        assert!(
            is_below || is_of_registry || readme.contains(&format!("]({name})")),
            "README.md does not link {name}"
        );
    }
}

#[test]
fn anchors_are_those_of_github() {
    let page = "# A *page*, twice\n## `users` of `Cluster`\n```sh\n# none\n```\n## `users` of `Cluster`\n";
    assert_eq!(anchors(page), ["a-page-twice", "users-of-cluster", "users-of-cluster-1"]);
}
