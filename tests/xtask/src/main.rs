//! The project's own commands; the aliases in `.cargo/config.toml` name them.

mod bench;
mod database;
mod quickstart;
mod release;
mod sdks;
mod settings;
mod simulate;
mod stand_ins;
mod terminal;
mod test_all;

use std::process::ExitCode;

use terminal::{complain, say};

const USAGE: &str = "usage:
  cargo quickstart [--context NAME]    a ClickHouse cluster by Pulumi: here, or in a cluster of your \
  kubeconfig
  cargo quickstart status              what is there
  cargo quickstart query STATEMENT     what ClickHouse answers, by the stack's own login
  cargo quickstart client              a prompt for such statements
  cargo quickstart kubectl ARGUMENTS   kubectl on its cluster
  cargo quickstart pulumi ARGUMENTS    pulumi on its stack
  cargo quickstart down                takes all of it away
  cargo test-all                       everything that is tested
  cargo test-all --context NAME        the end-to-end tests, in a cluster of your kubeconfig
  cargo bench-up [PLUGIN]              what it costs, measured
  cargo simulate [--seed N] [--minutes M]
                                       lives of simulated clusters in which things go wrong
  cargo sdks                           schema.json and the SDKs, generated
  cargo identity                       what names the repository or the version, after Cargo.toml
  cargo release                        whether this commit can be released, and why not
  cargo archives --out DIR [TARGET …]  the plugin's archives, with notices, SBOM and checksums
  cargo archives --out DIR --built DIR the same of plugins that are built already, in folders of their targets
  cargo packages                       the SDKs for npm, PyPI and Go, in target/packages
  cargo examples --out DIR [NAME …]    the examples with these packages, to be tried before a release
  cargo picture                        docs/first-up.svg, of a first `pulumi up` on a testbed
  cargo settings                       the catalogue of ClickHouse's settings, asked of its engines
  cargo settings judge [COUNT [SEED]]  the preview's verdict on configurations beside the engines'";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["quickstart"] => quickstart::up(None).await,
        ["quickstart", "--context", context] => quickstart::up(Some(context)).await,
        ["quickstart", "status"] => quickstart::status(),
        ["quickstart", "query", words @ ..] if !words.is_empty() => quickstart::query(&words.join(" ")).await,
        ["quickstart", "client"] => quickstart::client().await,
        ["quickstart", "kubectl", rest @ ..] => quickstart::kubectl(rest),
        ["quickstart", "pulumi", rest @ ..] => quickstart::pulumi(rest),
        ["quickstart", "down"] => quickstart::down(),
        ["stand-ins", kubeconfig, rest @ ..] => {
            Box::pin(stand_ins::run(kubeconfig, rest.first().copied())).await
        }
        ["test-all"] => Ok(test_all::run()),
        ["test-all", "--context", context] => test_all::run_on(context).await,
        ["bench-up"] => Box::pin(bench::run(None)).await,
        ["bench-up", plugin] => Box::pin(bench::run(Some(plugin))).await,
        ["sdks"] => sdks::run(),
        ["identity"] => release::identity(),
        ["release"] => release::check(),
        ["archives", "--out", out, "--built", built] => release::pack(out, built),
        ["archives", "--out", out, targets @ ..] => release::archives(out, targets),
        ["packages"] => release::packages(),
        ["examples", "--out", out, names @ ..] => release::examples(out, names),
        ["picture"] => picture().await,
        ["settings"] => settings::generate(),
        ["settings", "judge"] => settings::judge(None, None),
        ["settings", "judge", count] => settings::judge(Some(count), None),
        ["settings", "judge", count, seed] => settings::judge(Some(count), Some(seed)),
        ["simulate", rest @ ..] => simulate::run(rest),
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The terminal of the first `up` of the program that README begins with.
async fn picture() -> anyhow::Result<ExitCode> {
    testbed::picture::make("replicated").await?;
    say("docs/first-up.txt is recorded, and docs/first-up.svg drawn");
    Ok(ExitCode::SUCCESS)
}
