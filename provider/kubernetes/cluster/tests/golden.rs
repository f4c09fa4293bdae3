//! What the inputs of each aspect render, as files: `UPDATE=1` writes them anew. A file has a program, and
//! behind it those objects that the smallest cluster does not have, or has otherwise.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::corpus::schema::Definitions;
use super::roundtrip::values::VALUES;
use super::*;
use crate::kubernetes::cluster::aspects::changes_nothing;
use crate::kubernetes::cluster::objects::{Part, TABLE};

const FOLDER: &str = "provider/kubernetes/cluster/tests/golden";
/// What stands before each object.
const NEXT: &str = "---\n";
/// The smallest cluster.
const PLAIN: &str = "plain";
/// Files with fields that only newer operators have.
const NEWER: [&str; 2] = ["hooks", "keeper-tls"];
/// Inputs that only say what the API server, or a run, does with what is rendered.
const NOT_RENDERED: [&str; 1] = ["allowDataLoss"];

#[test]
fn each_aspect_renders_what_its_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let plain = built(json!({"name": "db"}));
    let (older, newer) = (Definitions::in_force(), Definitions::of_release("0.27.1"));
    let (mut given, mut stale) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let head = text.split(NEXT).next().unwrap();
        let program: Value = serde_saphyr::from_str(head).unwrap();
        given.extend(program.as_object().unwrap().keys().cloned());
        let made = built(program);
        let mut wanted = head.to_owned();
        for row in TABLE {
            let Some(object) = made[row.part].as_ref() else { continue };
            if name == PLAIN || plain[row.part].as_ref() != Some(object) {
                wanted += NEXT;
                wanted += &serde_saphyr::to_string(object).unwrap();
            }
            let of_operator = matches!(row.part, Part::Installation | Part::Keeper);
            let older = older.iter().filter(|_| !NEWER.contains(&name.as_str()));
            for definitions in older.chain(&newer).filter(|_| of_operator) {
                assert_eq!(definitions.problems(object), Vec::<String>::new(), "{name}");
            }
        }
        if text != wanted {
            stale.push(name);
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&path, wanted).unwrap();
            }
        }
    }
    let first = |(path, _): &(&'static str, _)| path.split('.').next().unwrap_or_default();
    let all =
        VALUES.iter().map(first).filter(|input| !changes_nothing(input) && !NOT_RENDERED.contains(input));
    assert_eq!(all.filter(|input| !given.contains(*input)).collect::<BTreeSet<_>>(), BTreeSet::new());
    let is_updated = std::env::var_os("UPDATE").is_some();
    assert!(
        stale.is_empty() || is_updated,
        "{stale:?}: look at `git diff` after `UPDATE=1 cargo test --lib -- golden`"
    );
}
