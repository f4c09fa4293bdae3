//! The rules of the Pulumi Registry for `docs/_index.md` and `docs/installation-configuration.md`, as its own
//! checks have them.

use std::fmt::Write as _;

use serde_json::Value;

use super::{links, read, replace, root, schema, settle};

const LANGUAGES: [&str; 4] = ["typescript", "python", "go", "yaml"];
/// A page's description is a search result's.
const META: usize = 160;

fn text<'a>(schema: &'a Value, pointer: &str) -> &'a str {
    schema.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The names of the packages, one for each language.
pub(super) fn packages(schema: &Value) -> String {
    let mut table = "| language | package |\n| --- | --- |\n".to_owned();
    for (language, pointer) in [
        ("TypeScript, JavaScript", "/language/nodejs/packageName"),
        ("Python", "/language/python/packageName"),
        ("Go", "/language/go/importBasePath"),
    ] {
        let name = text(schema, pointer);
        // PyPI has the name that `pip` takes.
        let name = if language == "Python" { name.replace('_', "-") } else { name.to_owned() };
        writeln!(table, "| {language} | `{name}` |").unwrap();
    }
    table
}

/// The command that installs the plugin of this version.
pub(super) fn plugin(schema: &Value) -> String {
    let server = match text(schema, "/pluginDownloadURL") {
        "" => String::new(),
        url => format!(" --server {url}"),
    };
    format!("```bash\npulumi plugin install resource clickhouse {}{server}\n```", text(schema, "/version"))
}

/// The pages that the Registry does not show, by their headings.
fn others(schema: &Value) -> String {
    let repository = text(schema, "/repository");
    let mut list = String::new();
    for file in super::files(&root().join("docs"), "md") {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let page = read(&file);
        // Pages with front matter are the Registry's own; a decision is for those who work on the provider.
        let Some(heading) = page.lines().next().and_then(|line| line.strip_prefix("# ")) else { continue };
        if name.contains("decisions/") {
            continue;
        }
        if repository.is_empty() {
            writeln!(list, "- {heading}: `{name}`").unwrap();
        } else {
            writeln!(list, "- [{heading}]({repository}/blob/main/{name})").unwrap();
        }
    }
    list
}

/// The front matter of a page, and what comes after it.
fn parts(page: &str) -> (Vec<(&str, &str)>, &str) {
    let rest = page.strip_prefix("---\n").expect("a page begins with its front matter");
    let (matter, body) = rest.split_once("\n---\n").expect("the front matter ends");
    (matter.lines().filter_map(|line| line.split_once(": ")).collect(), body)
}

#[test]
fn the_overview_names_the_other_pages() {
    let file = root().join("docs/_index.md");
    settle(&file, |page| replace(page, "pages", &others(&schema())));
}

#[test]
fn the_pages_are_in_the_form_of_the_registry() {
    let schema = schema();
    for name in ["_index", "installation-configuration"] {
        let page = read(&root().join(format!("docs/{name}.md")));
        let (matter, body) = parts(&page);
        let of = |key| matter.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value.trim());
        assert_eq!(of("layout"), "package", "{name}");
        let meta = of("meta_desc");
        assert!(!meta.is_empty() && meta.len() <= META, "{name}: {} characters", meta.len());
        let title = text(&schema, "/displayName");
        if name == "_index" {
            assert_eq!(of("title"), title);
        } else {
            assert!(of("title").starts_with(title), "{name}: {}", of("title"));
        }
        // The title is the only heading of the first level, and none below it is left out.
        let mut level = 1;
        let mut is_code = false;
        for line in body.lines() {
            is_code ^= line.starts_with("```");
            let next = line.bytes().take_while(|byte| *byte == b'#').count();
            if !is_code && next > 0 {
                assert!(next > 1 && next <= level + 1, "{name}: {line}");
                level = next;
            }
        }
        assert!(!is_code, "{name}: a code block does not end");
        for link in links::targets(body) {
            let is_here = link.starts_with('#') || link == "./installation-configuration/";
            assert!(is_here, "{name}: the Registry does not have {link}");
        }
        assert!(!body.contains("<a ") && !body.contains("<img"), "{name}: HTML links stay as they are");
        assert!(!body.contains("!["), "{name}: images are not taken along");
    }
}

#[test]
fn the_overview_has_a_program_in_each_language() {
    let page = read(&root().join("docs/_index.md"));
    let count = |text: &str| page.matches(text).count();
    let chooser = format!("{{{{< chooser language \"{}\" >}}}}", LANGUAGES.join(","));
    assert_eq!((count(&chooser), count("{{< chooser "), count("{{< /chooser >}}")), (1, 1, 1));
    assert_eq!((count("{{% choosable "), count("{{% /choosable %}}")), (4, 4));
    for language in LANGUAGES {
        let begin = format!("{{{{% choosable language {language} %}}}}");
        let (_, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
        let (program, _) = rest.split_once("{{% /choosable %}}").unwrap();
        assert!(program.contains(&format!("\n```{language}\n")), "{language}");
    }
}

#[test]
fn the_schema_has_a_category_of_the_registry() {
    let schema = schema();
    let keywords: Vec<_> = schema["keywords"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let categories: Vec<_> = keywords.iter().filter(|word| word.starts_with("category/")).collect();
    assert_eq!(categories, [&"category/database"]);
    assert!(keywords.contains(&"kind/native"), "{keywords:?}");
    assert!(!text(&schema, "/description").is_empty() && !text(&schema, "/license").is_empty());
}

#[test]
fn the_pages_name_the_version_of_the_schema() {
    let version = schema()["version"].as_str().unwrap().to_owned();
    for page in super::of_users() {
        for command in read(&page).split("pulumi plugin install resource clickhouse ").skip(1) {
            let told = command.split_whitespace().next().unwrap_or_default();
            assert_eq!(told, version, "{}", page.display());
        }
    }
}
