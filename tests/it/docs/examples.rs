//! The pages of the examples: what is needed, how each is run and removed, made from its programs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::{files, generates, read, replace_from, root, settle};

const LANGUAGES: [&str; 4] = ["yaml", "typescript", "python", "go"];
const MARK: &str = "steps";
const SOURCE: &str = "Pulumi.yaml";

/// A key of a program's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: String,
    /// What the comments above it say.
    says: String,
    default: Option<String>,
    is_secret: bool,
}

/// The keys that a YAML program declares. A comment goes for all keys up to the next one.
fn keys(program: &str) -> Vec<Key> {
    let (mut keys, mut comment, mut is_in_comment) = (Vec::<Key>::new(), String::new(), false);
    let lines = program.lines().skip_while(|line| *line != "config:").skip(1);
    for line in lines.take_while(|line| line.starts_with("  ")) {
        if let Some(text) = line.strip_prefix("  # ") {
            comment = if is_in_comment { format!("{comment} {text}") } else { text.to_owned() };
            is_in_comment = true;
            continue;
        }
        is_in_comment = false;
        let Some((name, value)) = line.trim().split_once(':') else { continue };
        match (line.strip_prefix("    "), keys.last_mut()) {
            (None, _) => keys.push(Key {
                name: name.to_owned(),
                says: comment.clone(),
                default: None,
                is_secret: false,
            }),
            (Some(_), Some(key)) if name == "default" => key.default = Some(value.trim().to_owned()),
            (Some(_), Some(key)) if name == "secret" => key.is_secret = value.trim() == "true",
            _ => {}
        }
    }
    keys
}

/// The languages that an example is written in.
fn languages(folder: &Path) -> Vec<&'static str> {
    LANGUAGES.into_iter().filter(|language| folder.join(language).is_dir()).collect()
}

/// How an example is run and removed.
fn steps(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let languages = languages(folder);
    let keys = keys(&read(&folder.join("yaml/Pulumi.yaml")));
    let mut text =
        "## Run it\n\nIt takes [Pulumi](https://www.pulumi.com/docs/iac/download-install/), and a \
        Kubernetes cluster with\n[the operator](../../docs/installation-configuration.md#the-operator). \
        Pulumi fetches the plugin by itself.\n\n"
            .to_owned();
    writeln!(text, "```sh\ncd examples/{name}/yaml\npulumi install\npulumi stack init dev").unwrap();
    for key in keys.iter().filter(|key| key.default.is_none()) {
        let secret = if key.is_secret { "--secret " } else { "" };
        writeln!(text, "pulumi config set {secret}{} …", key.name).unwrap();
    }
    text += "pulumi up\n```\n\n";
    let others: Vec<_> = languages.iter().filter(|language| **language != "yaml").collect();
    let beside: Vec<_> = others.iter().map(|language| format!("`{language}`")).collect();
    writeln!(text, "The same program is in {}: another folder, the same commands.\n", beside.join(", "))
        .unwrap();
    if !keys.is_empty() {
        text += "| `pulumi config set` | default | what it is |\n| --- | --- | --- |\n";
        for key in &keys {
            let default = key.default.as_ref().map(|text| format!("`{text}`"));
            let default = default.as_deref().unwrap_or("must be given");
            writeln!(text, "| `{}` | {default} | {} |", key.name, key.says).unwrap();
        }
        text.push('\n');
    }
    text += "Kubeconfig and context are those of kubectl. `pulumi config set clickhouse:context NAME` \
        names another context,\n`clickhouse:namespace` another namespace; \
        [all keys](../../docs/installation-configuration.md#configuration).\n\n";
    writeln!(
        text,
        "Until the first release neither packages nor plugin are published: \
        `cargo examples --out DIR {name}` puts this example\ninto `DIR/{name}` with packages made from this \
        repository, and says how the plugin is installed.\n\n\
        ## Remove it\n\n```sh\npulumi destroy\npulumi stack rm dev\n```"
    )
    .unwrap();
    text
}

fn folders() -> Vec<std::path::PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// What the program says that it is.
fn description(folder: &Path) -> String {
    let program: Value = serde_saphyr::from_str(&read(&folder.join("yaml/Pulumi.yaml"))).unwrap();
    program["description"].as_str().unwrap().to_owned()
}

#[test]
fn every_example_says_how_it_is_run_and_removed() {
    for folder in folders() {
        settle(&folder.join("README.md"), |page| replace_from(page, MARK, SOURCE, &steps(&folder)));
    }
}

#[test]
fn every_example_says_what_it_is_and_what_destroy_leaves() {
    if generates() {
        return;
    }
    for folder in folders() {
        let page = read(&folder.join("README.md"));
        assert!(
            page.contains(&description(&folder)),
            "{} is not `{}`",
            folder.display(),
            description(&folder)
        );
        let left = page.split("pulumi stack rm dev\n```\n").nth(1).unwrap_or_default();
        assert!(left.contains("`destroy`"), "{} does not say what is left", folder.display());
    }
}

#[test]
fn the_table_has_every_example() {
    let table = |page: &str| {
        let mut table = "| example | what it shows | languages |\n| --- | --- | --- |\n".to_owned();
        for folder in folders() {
            let name = folder.file_name().unwrap().to_str().unwrap();
            let languages = languages(&folder).join(", ");
            writeln!(table, "| [{name}]({name}) | {} | {languages} |", description(&folder)).unwrap();
        }
        replace_from(page, "examples", SOURCE, &table)
    };
    settle(&root().join("examples/README.md"), table);
}

#[test]
fn every_program_of_an_example_has_the_same_description() {
    for folder in folders() {
        for file in files(&folder, "yaml").iter().filter(|file| file.ends_with("Pulumi.yaml")) {
            let said = format!("description: {}\n", description(&folder));
            assert!(read(file).contains(&said), "{} is not {said}", file.display());
        }
    }
}

#[test]
fn a_comment_goes_for_the_keys_below_it() {
    let program = "config:\n  # One:\n  # two.\n  a:\n    type: string\n    default: x\n  b:\n    \
        secret: true\n  # C.\n  c:\n    type: string\nresources:\n  d: {}\n";
    let key = |name: &str, says: &str, default: Option<&str>, is_secret| Key {
        name: name.to_owned(),
        says: says.to_owned(),
        default: default.map(str::to_owned),
        is_secret,
    };
    let expected = [
        key("a", "One: two.", Some("x"), false),
        key("b", "One: two.", None, true),
        key("c", "C.", None, false),
    ];
    assert_eq!(keys(program), expected);
}
