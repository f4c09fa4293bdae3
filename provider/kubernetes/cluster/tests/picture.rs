//! docs/objects.svg, the picture of a cluster's objects and their order, is made from the table of objects.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::kubernetes::cluster::objects::{Await, Part, Row, Stage, TABLE};

/// How many boxes stand side by side, and their sizes.
const ACROSS: usize = 4;
const BOX: (usize, usize) = (228, 58);
const GAP: usize = 12;
const LEFT: usize = 150;
const WIDTH: usize = LEFT + ACROSS * (BOX.0 + GAP) + GAP;

const STYLE: &str = "text { font: 13px system-ui, sans-serif; fill: #1f2328 } .kind { font-weight: 600 } \
    .name { font: 12px ui-monospace, monospace } .note { font-size: 11px; fill: #59636e } \
    rect { fill: #f6f8fa; stroke: #59636e } .asked { stroke-dasharray: 5 4 } \
    path { stroke: #59636e; fill: none } \
    @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .note { fill: #9198a1 } \
    rect { fill: #151b23; stroke: #9198a1 } path { stroke: #9198a1 } }";

/// What a stage is called.
fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Namespace => "first",
        Stage::Claim => "claims the name",
        Stage::BeforeHosts => "before the hosts",
        Stage::Hosts => "the hosts",
        Stage::AfterHosts => "after the hosts",
    }
}

/// What comes of an object that is waited for.
fn note(row: &Row) -> &'static str {
    match row.awaited {
        Await::Nothing => "",
        Await::Members => "waits for its members",
        Await::Hosts => "waits for every host",
        Await::Address => "with ingress: its address, at the end",
    }
}

fn text(svg: &mut String, (x, y): (usize, usize), class: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(svg, "  <text x=\"{x}\" y=\"{y}\" class=\"{class}\">{escaped}</text>").unwrap();
}

fn draw(svg: &mut String, row: &Row, (x, y): (usize, usize), is_general: bool) {
    let object = row.object("<namespace>", "<name>");
    let class = if is_general { "always" } else { "asked" };
    let (width, height) = BOX;
    writeln!(
        svg,
        "  <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\" class=\"{class}\"/>"
    )
    .unwrap();
    text(svg, (x + 10, y + 19), "kind", object.kind.name());
    text(svg, (x + 10, y + 35), "name", &object.name);
    text(svg, (x + 10, y + 50), "note", note(row));
}

/// The kinds in the order in which they are deleted: an arrow between those that are not deleted at once.
fn deletion(rows: &[&Row]) -> String {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.leaves);
    let mut said = String::new();
    for group in rows.chunk_by(|one, other| one.leaves == other.leaves) {
        let mut kinds: Vec<_> = group.iter().map(|row| row.object("", "").kind.name()).collect();
        kinds.dedup();
        let arrow = if said.is_empty() { "" } else { " → " };
        write!(
            said,
            "{arrow}{}",
            if kinds.len() > 3 { "what else there is".to_owned() } else { kinds.join(", ") }
        )
        .unwrap();
    }
    said
}

fn picture() -> String {
    let plain = cluster(json!({"name": "db"}));
    let rows: Vec<_> = TABLE.iter().filter(|row| row.part != Part::Quota).collect();
    let (mut body, mut y) = (String::new(), 24);
    for stage in Stage::ALL {
        let of_stage: Vec<_> = rows.iter().filter(|row| row.stage == stage).collect();
        if y > 24 {
            writeln!(body, "  <path d=\"M{x} {}v18m-5 -6l5 6l5 -6\"/>", y - 24, x = LEFT + BOX.0 / 2)
                .unwrap();
        }
        text(&mut body, (GAP, y + 34), "kind", title(stage));
        for (index, row) in of_stage.iter().enumerate() {
            let place = (LEFT + index % ACROSS * (BOX.0 + GAP), y + index / ACROSS * (BOX.1 + GAP));
            draw(&mut body, row, place, row.is_wanted(&plain));
        }
        if stage == Stage::Hosts {
            let x = LEFT + BOX.0 + GAP;
            text(&mut body, (x, y + 26), "note", "of which the operator makes StatefulSets, pods, volumes,");
            text(&mut body, (x, y + 42), "note", "Services and ConfigMaps");
        }
        y += of_stage.len().div_ceil(ACROSS) * (BOX.1 + GAP) + 18;
    }
    text(
        &mut body,
        (GAP, y + 4),
        "note",
        "dashed: where a cluster has one. Those side by side are written at once.",
    );
    text(&mut body, (GAP, y + 22), "note", &format!("A delete goes: {}", deletion(&rows)));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
        aria-label=\"The objects of a cluster and their order\">\n  <style>{STYLE}</style>\n{body}</svg>\n",
        y + 36
    )
}

#[test]
fn the_picture_is_that_of_the_table_of_objects() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/objects.svg");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, picture()).unwrap();
    } else {
        let committed = fs::read_to_string(&file).unwrap();
        assert!(
            picture() == committed,
            "docs/objects.svg is stale; make it with `UPDATE=1 cargo test --lib picture`"
        );
    }
}

#[test]
fn the_picture_has_every_object_in_the_order_of_its_stage() {
    let picture = picture();
    let mut last = 0;
    for stage in Stage::ALL {
        let at = picture.find(title(stage)).unwrap();
        assert!(at > last, "{stage:?}");
        last = at;
    }
    for row in TABLE.iter().filter(|row| row.part != Part::Quota) {
        assert!(picture.contains(row.object("", "").kind.name()), "{:?}", row.part);
    }
    assert_eq!(
        picture.matches("class=\"asked\"/>").count() + picture.matches("class=\"always\"/>").count(),
        14
    );
    assert_eq!(picture.matches("class=\"always\"/>").count(), 3, "Secret, Service and installation");
}
