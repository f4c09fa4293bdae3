//! The plugin's process as Pulumi starts and ends it.

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// How long an engine that is there may take to accept a connection.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(2);

/// How often, at last, to look whether the engine is there, once the standard input has ended.
const ENGINE_POLL_MAX: Duration = Duration::from_secs(5);

/// The command line: `[flags] [engine host:port]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Whether the version is asked for.
    pub version: bool,
    /// Where the engine that started this listens. Without it, an engine attaches later.
    pub engine: Option<String>,
}

impl Arguments {
    /// Reads the arguments behind the program's name. Flags that are not known here are passed over, since
    /// engines have some for all their plugins; of those, `--tracing` alone takes its value as the next
    /// argument.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--version") => parsed.version = true,
                Some("--tracing" | "-tracing") => _ = arguments.next(),
                Some(flag) if flag.starts_with('-') => {}
                Some(engine) => parsed.engine = Some(engine.to_owned()),
                None => {}
            }
        }
        parsed
    }
}

/// Takes the signals over at once; the future ends when the process is to end: at a signal, or when the
/// engine that started it is gone. Fails when the signals can't be had.
pub fn ended(engine: Option<String>) -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = signals()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = orphaned(engine) => tracing::info!("the engine has exited"),
        }
    })
}

#[cfg(unix)]
fn signals() -> io::Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

#[cfg(windows)]
fn signals() -> io::Result<(tokio::signal::windows::CtrlC, tokio::signal::windows::CtrlBreak)> {
    use tokio::signal::windows::{ctrl_break, ctrl_c};
    Ok((ctrl_c()?, ctrl_break()?))
}

/// Returns when the engine has exited. An engine that dies sends no signal, but our standard input ends with
/// it; since that can also be empty from the start, only an engine that does not answer any more either is
/// gone.
async fn orphaned(engine: Option<String>) {
    let Some(engine) = engine else { return std::future::pending().await };
    input_ended().await;
    let mut pause = Duration::from_millis(20);
    while answers(&engine).await {
        sleep(pause).await;
        pause = (pause * 2).min(ENGINE_POLL_MAX);
    }
}

async fn answers(engine: &str) -> bool {
    matches!(timeout(ACCEPT_TIMEOUT, TcpStream::connect(engine)).await, Ok(Ok(_)))
}

/// Returns when the standard input ends. A thread reads it, because such a read can't be given up and would
/// hold back the runtime's end.
async fn input_ended() {
    let (ended, end) = oneshot::channel();
    let reader = thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut buffer = [0; 64];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                Ok(_) | Err(_) => {}
            }
        }
        _ = ended.send(());
    });
    if reader.is_err() || end.await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Arguments {
        Arguments::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn the_engine_stands_behind_the_flags() {
        let engine = Some("127.0.0.1:34405".to_owned());
        let all = [
            "--logtostderr",
            "-v=3",
            "--tracing",
            "http://127.0.0.1:9411",
            "--new-flag=1",
            "127.0.0.1:34405",
        ];
        assert_eq!(parse(&all), Arguments { version: false, engine: engine.clone() });
        assert_eq!(parse(&["127.0.0.1:34405"]), Arguments { version: false, engine });
    }

    #[test]
    fn no_argument_means_that_an_engine_attaches() {
        assert_eq!(parse(&[]), Arguments::default());
        assert_eq!(parse(&["--logtostderr"]), Arguments::default());
    }

    #[test]
    fn the_version_has_a_long_flag_only() {
        assert!(parse(&["--version"]).version);
        assert!(!parse(&["-v=9"]).version);
    }
}
