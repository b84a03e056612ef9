//! How a declaration's text sets GPUs up.

use std::ops::Range;
use std::str::FromStr;

use toml::de::DeTable;

use super::read_parts::gpus;
use super::table::{Reader, Value, get};
use super::{GpuChoice, GpuName, GpuSetup};
use vgpu_host::error::Error;
use vgpu_host::store::{FunctionsAtBoot, Sizes};
use vgpu_host::text::said;

/// The set-up in a table; nothing where it is too faulty to be one.
pub fn read_gpu<'t>(
    reader: &mut Reader<'t>,
    span: Range<usize>,
    table: &DeTable<'t>,
) -> Option<GpuSetup> {
    let keys = ["gpus", "vfs", "mig", "mixed-sizes", "scheduler"];
    reader.only(table, "[[gpu]]", &keys);
    let switches = [
        ("all", FunctionsAtBoot::Enable),
        ("leave", FunctionsAtBoot::Leave),
    ];
    let functions = get(table, "vfs").and_then(|value| reader.word("vfs", value, &switches));
    let mig = get(table, "mig").map(|value| {
        let items = reader.list("mig", "[\"3g.40gb\", \"2g.20gb\"]", value);
        let items = items.unwrap_or_default().into_iter();
        items
            .filter_map(|item| parsed(reader, "mig", item))
            .collect()
    });
    let sizes = get(table, "mixed-sizes").and_then(|value| sizes(reader, value));
    let scheduler = get(table, "scheduler").and_then(|value| parsed(reader, "scheduler", value));
    let gpus = match (get(table, "gpus"), gpus(reader, table)) {
        (Some(value), GpuChoice::These(names)) => {
            if names.iter().any(|name| matches!(name, GpuName::Index(_))) {
                let message = "[[gpu]] takes addresses and models, not numbers: write gpus = \"0000:81:00.0\"";
                reader.fault(value.span(), message);
            }
            names
        }
        (Some(value), GpuChoice::Any) => {
            if value.get_ref().as_str() == Some("any") {
                reader.fault(
                    value.span(),
                    "[[gpu]] takes the addresses or models of GPUs, not \"any\"",
                );
            }
            return None;
        }
        (None, _) => {
            let message = "[[gpu]] does not say which GPU: write gpus = \"0000:81:00.0\"";
            reader.fault(span, message);
            return None;
        }
    };
    Some(GpuSetup {
        gpus,
        functions,
        mig,
        sizes,
        scheduler,
        line: reader.line(span),
    })
}

fn sizes<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Sizes> {
    match value.get_ref().as_bool() {
        Some(true) => Some(Sizes::Mixed),
        Some(false) => Some(Sizes::AsTheyAre),
        None => {
            let message = format!(
                "mixed-sizes takes true or false, not {}",
                said(value.get_ref())
            );
            reader.fault(value.span(), message);
            None
        }
    }
}

fn parsed<'t, T: FromStr<Err = Error>>(
    reader: &mut Reader<'t>,
    what: &str,
    value: &Value<'t>,
) -> Option<T> {
    match reader.text(what, value)?.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            reader.faults.add_error(reader.line(value.span()), &error);
            None
        }
    }
}
