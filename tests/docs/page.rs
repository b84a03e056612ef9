//! A page of the documentation: which commands it has, and what it says that they answer.

use std::path::Path;

/// A page.
pub struct Page {
    /// Its name, for messages.
    pub name: String,
    pub blocks: Vec<Block>,
}

/// A place with commands.
pub enum Block {
    /// Commands with their answers, as in a terminal.
    Session(Session),
    /// A command on its own, with its line.
    Single(usize, String),
}

/// Commands typed one after the other on one host.
pub struct Session {
    /// Whether the page asks for a new host before it.
    pub is_first: bool,
    /// The file in `examples/hosts` that describes the host.
    pub host: String,
    pub steps: Vec<Step>,
}

/// A command and its answer.
pub struct Step {
    pub line: usize,
    pub command: String,
    pub answer: Vec<String>,
}

impl Block {
    pub fn session(&self) -> Option<&Session> {
        match self {
            Block::Session(session) => Some(session),
            Block::Single(..) => None,
        }
    }

    /// The single commands.
    pub fn commands(&self) -> Option<(usize, String)> {
        match self {
            Block::Session(_) => None,
            Block::Single(line, command) => Some((*line, command.clone())),
        }
    }
}

impl Page {
    pub fn read(path: &Path) -> Page {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let blocks = match path.extension().is_some_and(|e| e == "md") {
            true => markdown(&text),
            false => manual(&text),
        };
        Page { name, blocks }
    }
}

/// The examples of a manual page, between `.EX` and `.EE`, as far as they are command lines.
fn manual(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut is_example = false;
    for (at, line) in text.lines().enumerate() {
        match line {
            ".EX" => is_example = true,
            ".EE" => is_example = false,
            _ if is_example => {
                let command = line
                    .replace("\\-", "-")
                    .replace("\\(aq", "'")
                    .replace("\\e", "\\");
                if looks_like_a_command(&command) {
                    blocks.push(Block::Single(at + 1, command));
                }
            }
            _ => {}
        }
    }
    blocks
}

/// In a manual page, examples are also files and answers.
fn looks_like_a_command(line: &str) -> bool {
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    ["vgpuctl ", "mdevctl ", "lsmdev", "systemctl ", "dmesg "]
        .iter()
        .any(|begin| line.starts_with(begin))
}

fn markdown(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut host, mut is_first) = ("two-p4".to_owned(), true);
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        if let Some(named) = line.trim().strip_prefix("<!-- host: ") {
            host = named.trim_end_matches(" -->").to_owned();
            is_first = true;
        }
        if !begins_code(&lines, at) {
            blocks.extend(in_line(at + 1, line));
            at += 1;
            continue;
        }
        let end = end_of_code(&lines, at);
        let code: Vec<(usize, &str)> = (at..end).map(|i| (i + 1, lines[i].trim_start())).collect();
        if code.iter().any(|(_, line)| line.starts_with("$ ")) {
            let steps = steps(&lines[at..end], at);
            blocks.push(Block::Session(Session {
                is_first,
                host: host.clone(),
                steps,
            }));
            is_first = false;
        } else {
            let commands = code.iter().filter(|(_, line)| !line.is_empty());
            blocks.extend(commands.map(|(at, line)| Block::Single(*at, without_comment(line))));
        }
        at = end;
    }
    blocks
}

/// Code is indented by four spaces, more in a list, and follows an empty line. Two spaces between words keep
/// remarks of a table of commands from it.
fn begins_code(lines: &[&str], at: usize) -> bool {
    let is_after_blank = at == 0 || lines[at - 1].trim().is_empty();
    is_after_blank && indent(lines[at]) >= 4 && !lines[at].trim().is_empty()
}

fn end_of_code(lines: &[&str], at: usize) -> usize {
    let mut end = at;
    while end < lines.len() && (indent(lines[end]) >= 4 || lines[end].trim().is_empty()) {
        end += 1;
    }
    end
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// "make build     what it does" and "make build   # what it does" are commands with a remark.
fn without_comment(line: &str) -> String {
    let command = line.split("  ").next().unwrap_or_default();
    command
        .split(" # ")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// `vgpuctl ...` within a line, of a table above all.
fn in_line(at: usize, line: &str) -> Vec<Block> {
    let quoted = line.split('`').skip(1).step_by(2);
    let quoted = quoted.map(|code| code.replace("\\|", "|"));
    quoted
        .filter(|code| {
            let code = code.strip_prefix("sudo ").unwrap_or(code);
            code.starts_with("vgpuctl ") || code.contains("| vgpuctl ")
        })
        .map(|code| Block::Single(at, code))
        .collect()
}

fn steps(lines: &[&str], first: usize) -> Vec<Step> {
    let margin = lines
        .iter()
        .filter(|l| !l.trim().is_empty())
        .map(|l| indent(l))
        .min()
        .unwrap_or(0);
    let mut steps: Vec<Step> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let line = line.get(margin..).unwrap_or_default();
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step {
                line: first + at + 1,
                command: command.to_owned(),
                answer: Vec::new(),
            }),
            (None, Some(step)) => step.answer.push(line.trim_end().to_owned()),
            (None, None) => panic!("line {}: an answer without a command", first + at + 1),
        }
    }
    for step in &mut steps {
        while step.answer.last().is_some_and(String::is_empty) {
            step.answer.pop();
        }
    }
    steps
}

impl Step {
    /// Whether this is what the page says; a line `...` stands for any lines, and a UUID for any other.
    pub fn compare(&self, said: &str) -> Result<(), String> {
        let said: Vec<String> = said
            .lines()
            .map(|line| anonymous(line.trim_end()))
            .collect();
        let page: Vec<String> = self.answer.iter().map(|line| anonymous(line)).collect();
        let mut rest = said.as_slice();
        let mut may_skip = false;
        for line in &page {
            if line == "..." {
                may_skip = true;
                continue;
            }
            let reach = if may_skip {
                rest.len()
            } else {
                rest.len().min(1)
            };
            match rest[..reach].iter().position(|found| found == line) {
                Some(at) => rest = &rest[at + 1..],
                None => {
                    return Err(format!(
                        "the page has\n{line}\nthe program says\n{}",
                        said.join("\n")
                    ));
                }
            }
            may_skip = false;
        }
        match rest.is_empty() || may_skip {
            true => Ok(()),
            false => Err(format!("the program also says\n{}", rest.join("\n"))),
        }
    }
}

/// The line with every UUID made the same.
fn anonymous(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(found) = rest
            .get(..36)
            .filter(|text| uuid::Uuid::try_parse(text).is_ok())
        {
            // Those that mean a VM of Proxmox VE are not made up.
            out.push_str(if found.starts_with("00000000-") {
                found
            } else {
                "UUID"
            });
            rest = &rest[36..];
        } else {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    out
}
