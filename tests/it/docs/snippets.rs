//! Programs in the pages are those of `examples/`, word for word: the end-to-end tests run them.

use std::fmt::Write as _;
use std::path::Path;

use super::{files, of_users, read, root, settle};

/// What begins a line that names the file whose whole text the next code block is.
const WHOLE: &str = "<!-- program: ";

/// The languages of programs, and what their files end with.
const KINDS: [(&str, &str); 4] = [("yaml", "yaml"), ("typescript", "ts"), ("python", "py"), ("go", "go")];

/// A code block of a page.
#[derive(Debug)]
struct Block<'a> {
    language: &'a str,
    lines: Vec<&'a str>,
    /// Whether it is in a part that is generated.
    is_generated: bool,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut found, mut open, mut is_generated) = (Vec::new(), None::<Block>, false);
    for line in page.lines() {
        if let Some(mut block) = open.take() {
            if line.trim() == "```" {
                found.push(block);
            } else {
                block.lines.push(line);
                open = Some(block);
            }
        } else if let Some(language) = line.trim_start().strip_prefix("```") {
            open = Some(Block { language, lines: Vec::new(), is_generated });
        } else if line.starts_with("<!-- ") && line.contains(": made from ") {
            is_generated = true;
        } else if line.starts_with("<!-- end of ") {
            is_generated = false;
        }
    }
    assert!(open.is_none(), "a code block does not end");
    found
}

/// Whether the lines stand in a file one after the other, whatever their indentation.
fn holds(file: &str, lines: &[&str]) -> bool {
    let same = |window: &[&str]| {
        let of = |line: &str| line.len() - line.trim_start().len();
        let (here, there) = (of(lines[0]), of(window[0]));
        window.iter().zip(lines).all(|(line, wanted)| match (line.get(there..), wanted.get(here..)) {
            (Some(line), Some(wanted)) => line == wanted,
            _ => line.trim().is_empty() && wanted.trim().is_empty(),
        })
    };
    let file: Vec<_> = file.lines().collect();
    !lines.is_empty() && file.windows(lines.len()).any(same)
}

/// The page with the whole programs put in again.
fn with_programs(page: &str) -> String {
    let mut made = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        made += line;
        made.push('\n');
        let Some(path) = line.strip_prefix(WHOLE).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        made.push('\n');
        let program = read(&root().join(path));
        let fence = lines.by_ref().find(|line| line.starts_with("```")).expect("a code block");
        assert!(lines.by_ref().any(|line| line == "```"), "the code block of {path} does not end");
        writeln!(made, "{fence}\n{}\n```", program.trim_end()).unwrap();
    }
    made
}

#[test]
fn whole_programs_are_the_examples() {
    for file in of_users() {
        settle(&file, with_programs);
    }
}

#[test]
fn every_program_is_a_part_of_an_example() {
    let examples = KINDS.map(|(language, kind)| {
        let found = files(&root().join("examples"), kind);
        (language, found.iter().map(|file| read(file)).collect::<Vec<_>>())
    });
    let mut programs = 0;
    for file in of_users() {
        let page = read(&file);
        for block in blocks(&page) {
            let name = file.strip_prefix(root()).unwrap_or(Path::new("")).display();
            let known = ["sh", "bash", "text", "sql", ""];
            let Some((_, texts)) = examples.iter().find(|(language, _)| *language == block.language) else {
                assert!(known.contains(&block.language), "{name}: a program in {}?", block.language);
                continue;
            };
            let is_found = block.is_generated || texts.iter().any(|text| holds(text, &block.lines));
            assert!(is_found, "{name}: no example has these lines\n{}", block.lines.join("\n"));
            programs += 1;
        }
    }
    assert!(programs > 10, "{programs} programs");
}

#[test]
fn a_part_may_be_indented_otherwise_and_nothing_else() {
    let file = "resources:\n  db:\n    tls:\n      on: true\n\n    pod: 1\n";
    assert!(holds(file, &["tls:", "  on: true", "", "pod: 1"]));
    for other in [&["tls:", "on: true"][..], &["tls:", "pod: 1"], &["tls"], &[]] {
        assert!(!holds(file, other), "{other:?}");
    }
}
