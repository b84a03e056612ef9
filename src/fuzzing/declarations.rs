//! Files that declare a host, in the form of our own, and what its users may have.

use crate::declare::{self, Declaration, Policy, Source};
use crate::error::{Error, Result};

/// Files that declare a host: what is written says what was read.
pub fn plans(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match declared(text) {
        Ok(read) => is_written_as_read(&read, &["a remark".to_owned()]),
        // A broken file is told of by its lines.
        Err(error) => assert!(
            faults(&error).all(|fault| fault.contains(NAME)),
            "{error:?}"
        ),
    }
    let source = Source {
        name: NAME.to_owned(),
        text: text.to_owned(),
    };
    if let Err(error) = Policy::parse(&source) {
        assert!(
            faults(&error).all(|fault| fault.contains(NAME)),
            "{error:?}"
        );
    }
}

const NAME: &str = "plan.toml";

/// The file that it is written as declares the same.
pub fn is_written_as_read(read: &Declaration, remarks: &[String]) {
    let text = declare::write(read, remarks);
    assert_eq!(declared(&text).as_ref(), Ok(read), "{text}");
}

/// All that is wrong, in words.
pub fn faults(error: &Error) -> impl Iterator<Item = String> {
    let all = std::iter::once(error).chain(error.others());
    all.map(Error::to_string)
}

/// What a file means, wherever in it each group stands.
fn declared(text: &str) -> Result<Declaration> {
    let source = Source {
        name: NAME.to_owned(),
        text: text.to_owned(),
    };
    declare::parse(&source).map(|reading| without_lines(reading.declaration))
}

/// The same, wherever it stands in its file.
pub fn without_lines(mut declaration: Declaration) -> Declaration {
    for group in &mut declaration.groups {
        group.line = 0;
    }
    declaration
}
