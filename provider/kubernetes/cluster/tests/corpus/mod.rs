//! Installations that others have made: each is imported, looked at, changed in one thing, and deleted, and
//! is as it should be after each step. `CLICKHOUSE_OPERATOR_CRDS` names the operator's definitions, by which
//! objects are validated as by a real API server; `CORPUS` part of the names of the installations to try,
//! else it is all; `CORPUS_FOLDER` another folder of YAML files to take them from, each file with any number
//! of documents, of which those of kinds that the provider knows count.

mod change;
mod compare;
mod credentials;
mod drift;
mod installation;
mod life;
mod meaning;
mod model;
pub(super) mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use self::life::{Adopted, Outcome, QUIET};
use self::meaning::Change;
use self::schema::Definitions;
use crate::kubernetes::meta::Kind;

/// The changes that are refused with the reason, each with the installations: where hosts are written out one
/// by one, or come from several templates, only the installation's own words tell what is meant.
const REFUSED: [(&str, &[&str]); 5] = [
    (
        "shards",
        &[
            "layout-replica-shards",
            "layout-shard-list",
            "layout-shard-names",
            "net-secure",
            "settings-levels",
            "storage-by-cluster",
            "whole-chart-zones",
        ],
    ),
    (
        "replicas",
        &[
            "layout-replica-list",
            "layout-replica-shards",
            "layout-shard-list",
            "layout-shard-names",
            "layout-zones",
            "net-secure",
            "pod-canary",
            "settings-levels",
            "whole-chart-zones",
        ],
    ),
    ("version", OF_SEVERAL_TEMPLATES),
    ("memory", OF_SEVERAL_TEMPLATES),
    ("size", &["storage-by-cluster"]),
];

/// The installations whose hosts' pods come from several templates, or from elsewhere.
const OF_SEVERAL_TEMPLATES: &[&str] = &[
    "layout-replica-list",
    "layout-replica-shards",
    "layout-shard-names",
    "layout-zones",
    "pod-canary",
    "pod-elsewhere",
    "whole-chart-zones",
];

/// The rows of a table: what became of each step of each installation.
type Table = BTreeMap<String, Vec<(&'static str, Outcome)>>;

#[expect(clippy::print_stdout, reason = "the table is for whoever runs the test")]
fn show(table: &Table) {
    let titles: Vec<_> = table.values().next().into_iter().flatten().map(|(title, _)| *title).collect();
    let line = |name: &str, cells: &[&str]| {
        cells.iter().fold(format!("{name:<26}"), |line, cell| format!("{line}{cell:>9}"))
    };
    println!("{}", line("", &titles));
    for (name, row) in table {
        let cell = |(_, outcome): &(_, Outcome)| match outcome {
            Outcome::Without => "-",
            Outcome::Right => "ok",
            Outcome::Forced => "forced",
            Outcome::Refused(_) => "refused",
            Outcome::Unneeded(_) => "REFUSED",
            Outcome::Wrong(_) => "WRONG",
        };
        println!("{}", line(name, &row.iter().map(cell).collect::<Vec<_>>()));
    }
    for (name, row) in table {
        for (title, outcome) in row {
            match outcome {
                Outcome::Refused(reason) => println!("{name} · {title}: refused: {reason}"),
                Outcome::Unneeded(reason) => println!("{name} · {title}: REFUSED: {reason}"),
                Outcome::Wrong(wrong) => println!("{name} · {title}: WRONG: {wrong}"),
                _ => {}
            }
        }
    }
    for (index, title) in titles.iter().enumerate() {
        let of = |is: fn(&Outcome) -> bool| table.values().filter(|row| is(&row[index].1)).count();
        println!(
            "{title}: {} ok, {} forced, {} refused, {} REFUSED, {} WRONG, {} without",
            of(|outcome| *outcome == Outcome::Right),
            of(|outcome| *outcome == Outcome::Forced),
            of(|outcome| matches!(outcome, Outcome::Refused(_))),
            of(|outcome| matches!(outcome, Outcome::Unneeded(_))),
            of(|outcome| matches!(outcome, Outcome::Wrong(_))),
            of(|outcome| *outcome == Outcome::Without),
        );
    }
}

fn cells(table: &Table) -> impl Iterator<Item = &Outcome> {
    table.values().flatten().map(|(_, outcome)| outcome)
}

#[tokio::test(start_paused = true)]
async fn every_installation_is_adopted_as_it_is() {
    let definitions = Definitions::in_force().map(Arc::new);
    let mut table = Table::new();
    for case in installation::chosen() {
        let outcomes = life::adopt(&case, definitions.as_ref()).await;
        table.insert(case.name.clone(), QUIET.into_iter().zip(outcomes).collect());
    }
    show(&table);
    assert!(cells(&table).all(|outcome| *outcome == Outcome::Right), "see the table");
}

#[tokio::test(start_paused = true)]
async fn every_change_is_made_exactly_or_refused_with_the_reason() {
    let definitions = Definitions::in_force().map(Arc::new);
    let mut table = Table::new();
    for case in installation::chosen() {
        let (adopted, mut row) = (Adopted::new(&case, definitions.as_ref()).await, Vec::new());
        for change in Change::ALL {
            row.push((change.title(), Box::pin(change::change(&adopted, change)).await));
        }
        table.insert(case.name.clone(), row);
    }
    show(&table);
    assert!(
        cells(&table).all(|outcome| !matches!(outcome, Outcome::Wrong(_) | Outcome::Unneeded(_))),
        "see the table"
    );
    if installation::are_all() {
        for (title, expected) in REFUSED {
            let is_refused = |row: &[(&str, Outcome)]| {
                row.iter().any(|cell| cell.0 == title && matches!(cell.1, Outcome::Refused(_)))
            };
            let refused: Vec<_> =
                table.iter().filter(|(_, row)| is_refused(row)).map(|(name, _)| name.as_str()).collect();
            assert_eq!(refused, expected, "{title}");
        }
        // Not everything has an override to take out.
        let without = cells(&table).filter(|outcome| **outcome == Outcome::Without).count();
        assert!(without <= table.len() / 2, "{without} could not be tried");
    }
}

#[tokio::test(start_paused = true)]
async fn every_drift_is_told_and_taken_back_and_none_fails_a_refresh() {
    let definitions = Definitions::in_force().map(Arc::new);
    let mut table = Table::new();
    for case in installation::chosen() {
        let (adopted, mut row) = (Adopted::new(&case, definitions.as_ref()).await, Vec::new());
        for (title, drift) in drift::DRIFTS {
            row.push((title, Box::pin(drift::drift(&adopted, drift)).await));
        }
        table.insert(case.name.clone(), row);
    }
    show(&table);
    assert!(
        cells(&table)
            .all(|outcome| matches!(outcome, Outcome::Right | Outcome::Without | Outcome::Refused(_))),
        "see the table"
    );
}

/// What the harness lets pass: a cluster that this provider has made is known through and through.
#[tokio::test(start_paused = true)]
async fn a_cluster_of_ours_is_changed_exactly() {
    let definitions = Definitions::in_force().map(Arc::new);
    for program in [
        json!({"name": "db", "shards": 2}),
        json!({"name": "db", "shards": 2, "replicas": 2, "labels": {"team": "a"}}),
    ] {
        let case = life::made(program, definitions.as_ref()).await;
        let adopted = Adopted::new(&case, definitions.as_ref()).await;
        for change in Change::ALL.into_iter().filter(|change| *change != Change::Override) {
            let outcome = Box::pin(change::change(&adopted, change)).await;
            // Replicas take coordination, which the first one has none of.
            let refused = change == Change::Replicas && matches!(outcome, Outcome::Refused(_));
            assert!(outcome == Outcome::Right || refused, "{}: {outcome:?}", change.title());
        }
    }
}

#[test]
fn the_corpus_is_what_the_operator_takes() {
    let Some(definitions) = Definitions::in_force() else { return };
    for case in installation::all() {
        let newer = case.release.as_ref().map(|release| Definitions::of_release(release));
        let definitions = match &newer {
            Some(None) => continue,
            Some(Some(newer)) => newer,
            None => &definitions,
        };
        for object in &case.objects {
            let problems = definitions.problems(object);
            assert!(problems.is_empty(), "{}: {problems:?}", case.name);
        }
    }
}

#[test]
fn the_corpus_uses_every_property_that_the_operator_knows() {
    let Some(definitions) = Definitions::in_force() else { return };
    let (mut known, mut used) = (BTreeSet::new(), BTreeSet::new());
    schema::properties(definitions.spec(Kind::Installation), "spec", &mut known);
    let cases = installation::all();
    for case in &cases {
        schema::used(&case.installation()["spec"], "spec", &mut used);
    }
    assert!(
        cases.len() >= 60 && known.len() > 300,
        "{} installations, {} properties",
        cases.len(),
        known.len()
    );
    assert_eq!(known.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_corpus_has_one_installation_in_each_file_and_no_two_of_a_name() {
    let cases = installation::all();
    let places: BTreeSet<_> = cases.iter().map(installation::Case::id).collect();
    assert_eq!(places.len(), cases.len());
    for case in &cases {
        let count = case.objects.iter().filter(|object| Kind::of(object) == Some(Kind::Installation)).count();
        assert!(
            count == 1
                && case.objects.iter().all(
                    |object| Kind::of(object).is_some() && object["metadata"]["namespace"] != json!(null)
                ),
            "{}",
            case.name
        );
    }
}
