//! What is wrong with a file, all of it at once and each with its line.

use vgpu_host::error::{Error, Hint, Kind};

/// More are not shown: a file that is wrong throughout is of another kind.
const MOST_SHOWN: usize = 20;

/// A text, and what to call it in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's name, as the user gave it.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// The faults of one file.
#[derive(Debug, Clone, Default)]
pub struct Faults(Vec<(usize, String)>);

impl Faults {
    /// One more, in this line (from 1).
    pub fn add(&mut self, line: usize, message: impl Into<String>) {
        self.0.push((line, message.into()));
    }

    /// One more: why this cannot be, with what to do about it.
    pub fn add_error(&mut self, line: usize, error: &Error) {
        let mut message = error.to_string();
        for hint in error.all_hints() {
            // The others are about a host, and none of them is read here.
            if let Hint::Text(text) = hint {
                message += "; ";
                message += text;
            }
        }
        self.add(line, message);
    }

    /// Those of a part of the file.
    pub fn add_all(&mut self, others: Faults) {
        self.0.extend(others.0);
    }

    /// The first of the file, with its line.
    pub fn first(&self) -> Option<(usize, &str)> {
        let first = self.0.iter().min_by_key(|(line, _)| *line)?;
        Some((first.0, &first.1))
    }

    /// All as one failure, in the order of the file's lines.
    ///
    /// # Errors
    /// Always, unless there are none.
    pub fn settle(mut self, file: &str) -> Result<(), Error> {
        self.0.sort_by_key(|(line, _)| *line);
        let found = self.0.len();
        let told = self.0.into_iter().take(MOST_SHOWN);
        let mut told = told
            .map(|(line, message)| Error::new(Kind::Failed, format!("{file}:{line}: {message}")));
        let Some(first) = told.next() else {
            return Ok(());
        };
        let mut others: Vec<Error> = told.collect();
        if found > MOST_SHOWN {
            let more = format!("{file}: {} more errors", found - MOST_SHOWN);
            others.push(Error::new(Kind::Failed, more));
        }
        Err(first.and_others(others))
    }
}
