//! What files declare: vgpuctl's own form and other programs'.

mod toml;

use vgpuctl::declare::{Declaration, Source};
use vgpuctl::error::Error;

fn source(text: &str) -> Source {
    Source {
        name: "f".to_owned(),
        text: text.to_owned(),
    }
}

/// All that an error says of a file, a line each.
fn told(error: &Error) -> Vec<String> {
    let all = std::iter::once(error).chain(error.others());
    all.map(Error::to_string).collect()
}

/// The same, wherever it stands in its file.
fn without_lines(mut declaration: Declaration) -> Declaration {
    declaration
        .groups
        .iter_mut()
        .for_each(|group| group.line = 0);
    declaration
}
