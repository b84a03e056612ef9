//! What to paste, with its places where there are several.

use crate::attach::{Block, Place};
use crate::nvidia::short_name;
use crate::ops::{Applied, Attached, When};
use crate::text::on_one_line;

/// For people: one piece as it is, several each under a comment that says where it belongs.
pub fn text(attached: &Attached) -> String {
    match attached.blocks.as_slice() {
        [only] => only.text.clone(),
        several => several
            .iter()
            .map(under_its_place)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn under_its_place(block: &Block) -> String {
    let Block {
        place,
        whereto,
        text,
    } = block;
    match place {
        Place::DomainDevices | Place::DomainEnd => format!("<!-- {whereto} -->\n{text}"),
        Place::WindowsGuest => format!("; {whereto}\n{text}"),
        _ => format!("# {whereto}\n{text}"),
    }
}

/// What a dry run would do, and the XML that it would add; nothing for what was done.
pub fn planned(applied: &Applied) -> String {
    match applied.done {
        true => String::new(),
        false => format!(
            "would {}:\n{}",
            whole(applied, "attach"),
            applied.elements.concat()
        ),
    }
}

/// What was done.
pub fn sentence(applied: &Applied) -> Option<String> {
    applied.done.then(|| whole(applied, "attached"))
}

/// "attached 83b8... (P4-1Q) to domain web, from its next start on".
fn whole(applied: &Applied, verb: &str) -> String {
    let name = applied.type_name.as_deref().map(short_name);
    let name = name.unwrap_or(applied.type_id.as_str());
    let when = match applied.when {
        When::NextStart => "from its next start on",
        When::Now => "now and at every start",
    };
    let (uuid, domain) = (applied.at.uuid, &applied.domain);
    on_one_line(format!("{verb} {uuid} ({name}) to domain {domain}, {when}")).into_owned()
}
