//! `cargo bench-up`: what the provider costs, measured, beside its budgets. Nothing fails for being slow.
#![expect(clippy::disallowed_types, reason = "it plays the engine, which speaks to the plugin on the wire")]

mod machine;
mod operations;
mod plugin;
mod table;
mod waits;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fake_engine::pb;
use testbed::pulumi::Pulumi;
use testbed::requests::Requests;
use testbed::{Operator, Testbed, cargo};

use self::machine::Busy;
use self::operations::{Cost, Operation, Wall};
use self::plugin::{Binary, shake_hands};
use self::table::{Table, median, time};
use crate::terminal::{heading, say};

/// How often the plugin is started.
const STARTS: usize = 25;
/// How many clusters the programs have.
const SIZES: [usize; 3] = [1, 20, 100];
/// How often the operations on one cluster are measured: they are short, and so differ much.
const ROUNDS: usize = 5;
/// How many clusters wait at once.
const WAITING: usize = 1000;
/// How many clusters are made one after the other, to see how soon a wait ends.
const AWAITED: usize = 10;

/// Measures all of it and prints the table: of the plugin as it is released, or of one that is built already.
pub(crate) async fn run(built: Option<&str>) -> Result<ExitCode> {
    let busy = Busy::begin()?;
    let began = Instant::now();
    let path = built.map_or_else(cargo::dist_plugin, |path| Ok(std::path::absolute(path)?))?;
    say("→ a control plane");
    let testbed = Testbed::alone(Operator::StandIn).await?;
    let mut counted = testbed.counted().await?;
    let binary = Binary { path, kubeconfig: counted.kubeconfig().to_owned() };
    let home = tempfile::tempdir()?;
    let pulumi = Pulumi::install(home.path(), &binary.path)?;
    let mut table = Table::default();

    say("→ starts");
    starts(&binary, &mut table).await?;
    // Nothing happens to what is made there, so that the plugin's work alone is measured.
    let quiet = testbed.namespace().await?;
    quiet.set_fault("silent").await?;
    for clusters in SIZES {
        say(&format!("→ {clusters} {}", noun(clusters)));
        let costs = operations::costs(&pulumi, &binary, &mut counted, quiet.name(), clusters).await?;
        let rounds = if clusters == 1 { ROUNDS } else { 1 };
        let mut walls = Vec::new();
        for _ in 0..rounds {
            walls.extend(operations::walls(&pulumi, counted.kubeconfig(), quiet.name(), clusters).await?);
        }
        for cost in &costs {
            report(&mut table, clusters, cost, &walls);
        }
    }
    say("→ waits");
    let latencies = waits::latencies(&binary, &testbed.namespace().await?, AWAITED).await?;
    table.time(
        format!("`Completed` → created, median of {AWAITED}"),
        median(latencies),
        Some(Duration::from_millis(100)),
        "",
    );
    let memory = waits::memory(&binary, &mut counted, &quiet, WAITING).await?;
    table.memory(format!("{WAITING} clusters waiting at once: memory"), memory, Some(60));

    say(&format!("measured in {:.0} s; {} all in all\n", began.elapsed().as_secs_f64(), busy.end()?));
    table.print();
    heading("\nWalls grow with whatever else the machine does; CPU time, memory and requests much less so.");
    Ok(ExitCode::SUCCESS)
}

async fn starts(binary: &Binary, table: &mut Table) -> Result<()> {
    let size = std::fs::metadata(&binary.path)
        .with_context(|| format!("failed to look at `{}`", binary.path.display()))?
        .len();
    let megabytes = |tenths: u64| format!("{}.{} MB", tenths / 10, tenths % 10);
    table.budgeted("size of the program", megabytes(size / 100_000), megabytes(140), size <= 14_000_000, "");
    let (mut ports, mut handshakes, mut schemas) = (Vec::new(), Vec::new(), Vec::new());
    let (mut memory, mut length) = (0, 0);
    let busy = Busy::begin()?;
    for _ in 0..STARTS {
        let plugin = binary.start()?;
        ports.push(plugin.until_port);
        let mut client = shake_hands(&plugin).await?;
        handshakes.push(plugin.started.elapsed());
        memory = machine::memory(plugin.id())?.now;
        let asked = Instant::now();
        let schema = client.get_schema(pb::GetSchemaRequest::default()).await?.into_inner().schema;
        schemas.push(asked.elapsed());
        length = schema.len();
    }
    let busy = busy.end()?;
    table.time(format!("start → port, median of {STARTS}"), median(ports), None, &busy);
    table.time(
        format!("start → Handshake, median of {STARTS}"),
        median(handshakes),
        Some(Duration::from_millis(5)),
        &busy,
    );
    table.time(
        format!("GetSchema, median of {STARTS}"),
        median(schemas),
        Some(Duration::from_millis(10)),
        &busy,
    );
    table.budgeted("size of the schema", format!("{} KB", length / 1000), "300 KB", length <= 300_000, "");
    table.memory("memory after the Handshake", memory, None);
    Ok(())
}

/// Adds the rows of one operation.
fn report(table: &mut Table, clusters: usize, cost: &Cost, walls: &[Wall]) {
    let what = format!("{clusters} {}, {}", noun(clusters), cost.operation);
    let walls: Vec<&Wall> = walls.iter().filter(|wall| wall.operation == cost.operation).collect();
    let alone = median(walls.iter().map(|wall| wall.engine_alone).collect());
    let busy = walls.last().map(|wall| wall.busy.clone()).unwrap_or_default();
    let details = format!("engine alone {}; {busy}", time(alone));
    if clusters == 1 {
        let above = median(walls.iter().map(|wall| wall.ours.saturating_sub(wall.engine_alone)).collect());
        table.time(
            format!("{what}: above the engine alone"),
            above,
            Some(Duration::from_millis(100)),
            &details,
        );
    } else {
        let wall = median(walls.iter().map(|wall| wall.ours).collect());
        table.time(format!("{what}: wall"), wall, wall_budget(clusters, cost.operation), &details);
    }
    let cpu_budget = (clusters == 100).then_some(Duration::from_millis(300));
    table.time(format!("{what}: CPU of the plugin"), cost.cpu, cpu_budget, "");
    let memory_budget = match clusters {
        1 => Some(12),
        100 => Some(20),
        _ => None,
    };
    table.memory(format!("{what}: memory"), cost.memory, memory_budget);
    let requests = &cost.requests;
    let figure = format!("{what}: requests");
    match request_budget(clusters, cost.operation) {
        Some(budget) => {
            let holds = requests.total() <= budget + watching(requests);
            table.budgeted(figure, requests.total(), budget, holds, &requests.to_string());
        }
        None => table.plain(figure, requests.total(), &requests.to_string()),
    }
}

fn wall_budget(clusters: usize, operation: Operation) -> Option<Duration> {
    let seconds = match (clusters, operation) {
        (100, Operation::Up | Operation::Destroy) => 4.0,
        (100, Operation::UnchangedUp) => 1.8,
        (100, Operation::Refresh) => 2.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(seconds))
}

/// One read a process tells which Kubernetes cluster it is.
const IDENTITY: usize = 1;
/// Each of a cluster's three objects is written once. Two are read before; the Secret is made without its
/// data instead, which tells whether it is there, and of two programs lets one win.
const UP: usize = 6;
/// Each object is read.
const REFRESH: usize = 3;
/// Each object is deleted. Before that the Secret is read: its annotation tells whether a later create has
/// taken the cluster over, and no delete can be made to depend on an annotation.
const DESTROY: usize = 4;

/// How many requests an operation may make, besides those of shared watches.
fn request_budget(clusters: usize, operation: Operation) -> Option<usize> {
    match operation {
        Operation::Preview => None,
        Operation::Up => Some(UP * clusters + IDENTITY),
        Operation::UnchangedUp => Some(0),
        Operation::Refresh => Some(REFRESH * clusters + IDENTITY),
        Operation::Destroy => Some(DESTROY * clusters + IDENTITY),
    }
}

/// How many of the requests are the shared watches': they don't grow with the clusters.
fn watching(requests: &Requests) -> usize {
    requests
        .0
        .iter()
        .filter(|(request, _)| ["list", "watch"].contains(&request.verb.as_str()))
        .map(|(_, count)| count)
        .sum()
}

fn noun(clusters: usize) -> &'static str {
    if clusters == 1 { "cluster" } else { "clusters" }
}
