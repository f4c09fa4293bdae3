//! The plugin's process: says on its first line of output where it listens, and serves until it is told to
//! stop.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use clickhouse_provider::{Arguments, EngineLog, VERSION, ended, forwards, server};
use tokio::net::TcpListener;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The environment variable that says what is traced on the standard error. Not `RUST_LOG`: the engine shows
/// what is written there, and that of somebody's shell is about other programs.
const FILTER: &str = "PULUMI_CLICKHOUSE_LOG";

fn main() -> ExitCode {
    let arguments = Arguments::parse(std::env::args_os().skip(1));
    let done = if arguments.version {
        writeln!(io::stdout(), "{VERSION}")
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().and_then(
            |runtime| {
                let done = runtime.block_on(serve(arguments));
                // Calls that go on are left behind: the engine has stopped listening.
                runtime.shutdown_background();
                done
            },
        )
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "failed to serve: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let log = EngineLog::default();
    let stderr = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::registry()
        .with(fmt::layer().with_writer(io::stderr).with_ansi(false).with_filter(stderr))
        .with(log.clone().with_filter(filter_fn(forwards).with_max_level_hint(LevelFilter::DEBUG)))
        .init();
    if let Some(engine) = &arguments.engine {
        log.connect(engine);
    }
    // From the moment that the port is known, the engine may end this.
    let over = ended(arguments.engine)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    // The port is the only thing that may ever be written here: engines read it as the first line.
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", listener.local_addr()?.port())?;
    stdout.flush()?;
    drop(stdout);
    tokio::select! {
        served = server(log).serve(listener) => served,
        () = over => Ok(()),
    }
}
