//! The few words of HTTP that one asks an engine.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password, in clear text.
    pub password: String,
}

/// The body of a successful answer to a GET with more `headers`, a line each; `None` when there is no such
/// answer.
pub(crate) async fn get(port: u16, path: &str, headers: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    exchange(port, &request).await.ok().filter(|answer| answer.status == 200).map(|answer| answer.body)
}

/// The answer to a statement, in the format that it asks for.
///
/// Fails with what ClickHouse says when it refuses the login or the statement.
pub(super) async fn query(port: u16, login: &Login, statement: &str) -> Result<String> {
    let Login { user, password } = login;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: {user}\r\nX-ClickHouse-Key: \
            {password}\r\nContent-Length: {}\r\n\r\n{statement}",
        statement.len()
    );
    let answer = exchange(port, &request).await?;
    if answer.status != 200 {
        bail!("{}", answer.body.trim());
    }
    Ok(answer.body)
}

struct Answer {
    status: u16,
    body: String,
}

async fn exchange(port: u16, request: &str) -> Result<Answer> {
    let exchanged = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut received = Vec::new();
        // It is this side that closes: a forwarded connection is reset by the other's end, even of an answer
        // that is whole.
        loop {
            if let Some(answer) = answer(&received)? {
                return anyhow::Ok(answer);
            }
            if stream.read_buf(&mut received).await? == 0 {
                bail!("the connection ended before the answer");
            }
        }
    };
    tokio::time::timeout(PATIENCE, exchanged).await.context("no answer")?
}

/// The answer in what was received so far; `None` while it is not whole.
fn answer(received: &[u8]) -> Result<Option<Answer>> {
    let Some((head, body)) = split(received, b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(head).to_lowercase();
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("not an answer in HTTP")?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map(|length| length.trim().parse::<usize>())
        .transpose()?;
    let body = match length {
        Some(length) => body.get(..length).map(<[u8]>::to_vec),
        None => chunks(body)?,
    };
    Ok(body.map(|body| Answer { status, body: String::from_utf8_lossy(&body).into_owned() }))
}

/// A body that comes in chunks, each after its length; `None` while the last one is missing.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some((length, after)) = split(rest, b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(length)?.trim(), 16)?;
        let (Some(chunk), Some(next)) = (after.get(..length), after.get(length + 2..)) else {
            return Ok(None);
        };
        if length == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(chunk);
        rest = next;
    }
    Ok(None)
}

fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(received: &str) -> Option<String> {
        answer(received.as_bytes()).unwrap().map(|answer| answer.body)
    }

    #[test]
    fn an_answer_is_whole_once_its_length_or_its_last_chunk_is_there() {
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nOk."), None);
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nOk.\n").as_deref(), Some("Ok.\n"));
        assert_eq!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), None);
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
                .as_deref(),
            Some("abcd")
        );
    }
}
