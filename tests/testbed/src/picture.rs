//! What a terminal has shown, as a picture: `docs/first-up.svg` of the recording `docs/first-up.txt`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::programs::{Language, Program};
use crate::pulumi::Pulumi;
use crate::tools::workspace_directory;
use crate::{Operator, Testbed, cargo};

/// How a line is set: a column's width, a line's height, and the margin.
const COLUMN: usize = 8;
const LINE: usize = 19;
const MARGIN: usize = 18;

const STYLE: &str = "rect { fill: #f6f8fa; stroke: #d1d9e0 } \
    text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328; \
    white-space: pre } \
    .made { fill: #1a7f37 } .head { font-weight: 600 } \
    @media (prefers-color-scheme: dark) { rect { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } \
    .made { fill: #3fb950 } }";

/// The recording.
pub fn recording() -> PathBuf {
    workspace_directory().join("docs/first-up.txt")
}

/// Its picture.
pub fn drawn() -> PathBuf {
    workspace_directory().join("docs/first-up.svg")
}

/// Runs `pulumi up` on an example in YAML for the first time, on a testbed of its own; what it prints, below
/// the command.
pub async fn record(example: &str) -> Result<String> {
    let testbed = Testbed::alone(Operator::StandIn).await?;
    let home = tempfile::tempdir()?;
    let pulumi = Pulumi::install(home.path(), &cargo::plugin()?)?;
    let Program::Yaml(stack) = Program::with(&testbed, &pulumi, &[], example, Language::Yaml).await? else {
        bail!("programs in YAML run on the command line");
    };
    let run = stack.up().await?.succeeded()?;
    stack.destroy().await?.succeeded()?;
    Ok(format!("$ {}\n{}", run.command, run.stdout))
}

/// The lines that are shown: all but the engine's signs of life, and no two empty ones after each other.
fn shown(recording: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    for line in recording.trim_end().lines().filter(|line| !line.starts_with("@ ")) {
        if !(line.is_empty() && lines.last().is_some_and(|last: &&str| last.is_empty())) {
            lines.push(line.trim_end());
        }
    }
    lines
}

/// The picture of a recording, for light and dark pages.
pub fn svg(recording: &str) -> String {
    let lines = shown(recording);
    let columns = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let (width, height) = (columns * COLUMN + 2 * MARGIN, lines.len() * LINE + 2 * MARGIN);
    let mut body = String::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let class = match line {
            line if line.starts_with(" + ") => "made",
            line if line.starts_with("$ ") || (!line.starts_with(' ') && line.ends_with(':')) => "head",
            _ => "",
        };
        let y = MARGIN + index * LINE + 13;
        // Failure is impossible: it is written to a string.
        let _ = writeln!(body, "  <text x=\"{MARGIN}\" y=\"{y}\" class=\"{class}\">{}</text>", escaped(line));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
        aria-label=\"pulumi up\">\n  <style>{STYLE}</style>\n  \
        <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{body}</svg>\n",
        width - 1,
        height - 1
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Records an example's first `up`, and draws it.
pub async fn make(example: &str) -> Result<()> {
    let recorded = record(example).await?;
    std::fs::write(drawn(), svg(&recorded)).context("failed to write the picture")?;
    std::fs::write(recording(), recorded).context("failed to write the recording")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The text of a picture, line by line.
    fn said(picture: &str) -> Vec<String> {
        let lines = picture.lines().filter_map(|line| line.trim().strip_prefix("<text "));
        let text = |line: &str| Some(line.split_once('>')?.1.strip_suffix("</text>")?.to_owned());
        let plain = |text: String| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        lines.filter_map(text).map(plain).collect()
    }

    #[test]
    fn the_picture_says_what_the_recorded_run_said() {
        let recorded = fs::read_to_string(recording()).unwrap();
        let picture = fs::read_to_string(drawn()).unwrap();
        let lines = recorded.lines().filter(|line| !line.is_empty() && !line.starts_with("@ "));
        assert_eq!(said(&picture), lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>());
        assert_eq!(picture, svg(&recorded), "draw it again with `cargo picture`");
        assert!(recorded.contains("db created (") && recorded.contains("http://db-"), "{recorded}");
    }

    #[test]
    fn signs_of_life_are_left_out_and_marks_are_text() {
        let picture = svg("$ pulumi up\n\n\n@ updating....\n +  <a> & b\nOutputs:\n");
        assert_eq!(said(&picture), ["$ pulumi up", " +  <a> & b", "Outputs:"]);
        assert!(picture.contains("class=\"made\"> +  &lt;a&gt; &amp; b<"), "{picture}");
        assert_eq!(shown("a\n\n\nb\n\n"), ["a", "", "b"]);
    }
}
