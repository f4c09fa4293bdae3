//! Everything that is tested, in order, to its end whatever fails.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, ResourceExt as _};
use testbed::cargo::cargo;
use testbed::engine::wheels::WHEELS;
use testbed::tools::{self, Tool};
use testbed::{borrowed, engine};

use crate::simulate;
use crate::terminal::{complain, heading, say};

/// Runs it. The exit code says whether all of it passed.
pub(crate) fn run() -> ExitCode {
    let started = Instant::now();
    let mut failed = Vec::new();
    let mut step = |name: &'static str, run: &mut dyn FnMut() -> Result<bool>| {
        heading(&format!("── {name}"));
        let began = Instant::now();
        let passed = run().unwrap_or_else(|error| {
            complain(&format!("{error:#}"));
            false
        });
        say(&format!("{} {name} ({:.0} s)\n", if passed { "✓" } else { "✗" }, began.elapsed().as_secs_f64()));
        if !passed {
            failed.push(name);
        }
        passed
    };
    step("format", &mut || passes(&["fmt", "--all", "--check"]));
    step("lints", &mut || {
        passes(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
    });
    // Of the whole workspace, so that dependencies have the features that they have in the other suites:
    // nothing is compiled twice.
    step("unit and integration tests", &mut || {
        passes(&["test", "--workspace", "--lib", "--bins", "--test", "it", "--quiet"])
    });
    step("simulated lives", &mut simulate::all);
    let built = step("tools", &mut || {
        for tool in [Tool::ControlPlane, Tool::Pulumi, Tool::LanguageHosts, Tool::SdkGenerator] {
            tools::build(tool)?;
        }
        for absent in [engine::install().err(), engine::install_older().err()].into_iter().flatten() {
            say(&format!("{absent}; tests that would ask it are left out"));
        }
        for wheel in WHEELS.into_iter().filter(|wheel| wheel.judges) {
            if let Err(error) = wheel.install() {
                say(&format!("{error:#}; ClickHouse {} judges no configuration here", wheel.release));
            }
        }
        Ok(true)
    });
    if built {
        step("the simulated API server beside a real one", &mut simulate::beside_a_real_server);
        step("ClickHouse's settings", &mut || {
            passes(&["test", "--package", "testbed", "--test", "settings", "--quiet"])
        });
        step("the testbed itself", &mut || on_a_control_plane("itself"));
        step("end-to-end tests", &mut || on_a_control_plane("e2e"));
    }
    let passed = failed.is_empty();
    let took = format!("{:.0} s", started.elapsed().as_secs_f64());
    heading(&if passed {
        format!("all passed in {took}")
    } else {
        format!("failed after {took}: {}", failed.join(", "))
    });
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn passes(arguments: &[&str]) -> Result<bool> {
    Ok(cargo(arguments).status()?.success())
}

/// Runs the end-to-end tests on the cluster of a context of the user's kubeconfig, with the operator and the
/// pods that are there, and deletes the namespaces that they made. Tests of what only the testbed can do are
/// left out, each with a line.
pub(crate) async fn run_on(context: &str) -> Result<ExitCode> {
    for tool in [Tool::Pulumi, Tool::SdkGenerator] {
        tools::build(tool)?;
    }
    let run = std::process::id().to_string();
    let mut suite = cargo(&["test", "--package", "testbed", "--test", "e2e"]);
    suite.env(borrowed::CONTEXT, context).env(borrowed::RUN_ID, &run);
    let passed = suite.status()?.success();
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let client = Client::try_from(kube::Config::from_kubeconfig(&options).await?)?;
    let made = ListParams::default().labels(&format!("{}={run}", borrowed::RUN));
    let namespaces: Api<Namespace> = Api::all(client);
    for namespace in namespaces.list(&made).await? {
        namespaces.delete(&namespace.name_any(), &DeleteParams::default()).await?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One of the testbed's suites: a process whose tests share one control plane. They wait more than they
/// compute.
fn on_a_control_plane(suite: &str) -> Result<bool> {
    let mut command = cargo(&["test", "--package", "testbed", "--test", suite]);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", "8");
    }
    Ok(command.status()?.success())
}
