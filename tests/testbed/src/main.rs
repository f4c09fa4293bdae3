//! The `testbed` command, called by the aliases `cargo quickstart`, `cargo test-all`, `cargo bench-up` and `cargo sdks`.

mod cli;

use std::process::ExitCode;

use cli::say;

const USAGE: &str = "usage:
  cargo quickstart [--context NAME]    a ClickHouse cluster by Pulumi: here, or in a cluster of your kubeconfig
  cargo quickstart status              what is there
  cargo quickstart kubectl ARGUMENTS   kubectl on its cluster
  cargo quickstart pulumi ARGUMENTS    pulumi on its stack
  cargo quickstart down                takes all of it away
  cargo test-all                       everything that is tested
  cargo bench-up                       what it costs, measured
  cargo sdks                           schema.json and the SDKs, anew";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["quickstart"] => cli::quickstart::up(None).await,
        ["quickstart", "--context", context] => cli::quickstart::up(Some(context)).await,
        ["quickstart", "status"] => cli::quickstart::status(),
        ["quickstart", "kubectl", rest @ ..] => cli::quickstart::kubectl(rest),
        ["quickstart", "pulumi", rest @ ..] => cli::quickstart::pulumi(rest),
        ["quickstart", "down"] => cli::quickstart::down(),
        ["stand-ins", kubeconfig] => Box::pin(cli::stand_ins::run(kubeconfig)).await,
        ["test-all"] => Ok(cli::test_all::run()),
        ["bench-up"] => Box::pin(cli::bench::run()).await,
        ["sdks"] => cli::sdks::run(),
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            cli::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
