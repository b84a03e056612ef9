//! Which vGPUs a group of a declaration's text has.

use std::collections::HashSet;
use std::ops::Range;

use toml::de::DeTable;

use super::identity::{Member, MemberKey};
use super::table::{Reader, Value, get};
use super::{Amount, LARGEST, Members};
use vgpu_host::error::{Error, Result};
use vgpu_host::model::parse_uuid;
use vgpu_host::text::{said, whole};

const WAYS: [&str; 5] = ["count", "per-gpu", "names", "vms", "uuids"];

/// The members, said in exactly one way.
pub fn members<'t>(
    reader: &mut Reader<'t>,
    place: &str,
    span: Range<usize>,
    table: &DeTable<'t>,
) -> Option<Members> {
    let given = WAYS.iter().filter_map(|way| Some((*way, get(table, way)?)));
    let given: Vec<(&str, &Value<'t>)> = given.collect();
    let (way, value) = match given.as_slice() {
        [one] => *one,
        [] => {
            let message = format!(
                "{place} does not say which vGPUs it has: write count = 2, or one of per-gpu, names, vms, uuids"
            );
            reader.fault(span, message);
            return None;
        }
        [(first, _), (second, value), ..] => {
            let message = format!("{place} has {first} and {second}: only one of them is allowed");
            reader.fault(value.span(), message);
            return None;
        }
    };
    match way {
        "count" => reader.number("count", value, LARGEST).map(Members::Count),
        "per-gpu" => per_gpu(reader, value).map(Members::PerGpu),
        "names" => listed(reader, way, "[\"alice\", \"bob\"]", value, named),
        "vms" => listed(reader, way, "[100, \"101:1\"]", value, of_vm),
        _ => listed(
            reader,
            way,
            "[\"83b8f4f2-509f-382f-3c1e-e6bfe0fa1001\"]",
            value,
            given_uuid,
        ),
    }
}

fn per_gpu<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Amount> {
    if value.get_ref().as_str() == Some("max") {
        return Some(Amount::MAX);
    }
    if let Some(table) = value.get_ref().as_table() {
        reader.only(table, "per-gpu", &["max"]);
        let Some(most) = get(table, "max") else {
            reader.fault(value.span(), "per-gpu lacks max: { max = 4 }");
            return None;
        };
        return reader.number("max", most, LARGEST).map(Amount::UpTo);
    }
    if !value.get_ref().is_integer() {
        let message = format!(
            "per-gpu takes a number, \"max\" or {{ max = 4 }}, not {}",
            said(value.get_ref())
        );
        reader.fault(value.span(), message);
        return None;
    }
    reader
        .number("per-gpu", value, LARGEST)
        .map(Amount::Exactly)
}

/// How one item of a list is read; nothing for a value of the wrong kind.
type ReadItem = fn(&mut Reader<'_>, &Value<'_>) -> Option<Result<Member>>;

fn listed<'t>(
    reader: &mut Reader<'t>,
    what: &str,
    example: &str,
    value: &Value<'t>,
    read: ReadItem,
) -> Option<Members> {
    let items = reader.list(what, example, value)?;
    let (mut members, mut keys) = (Vec::new(), HashSet::new());
    for item in items {
        let at = reader.line(item.span());
        match read(reader, item) {
            None => {
                let message = format!(
                    "{what} takes a list such as {example}, which cannot contain {}",
                    said(item.get_ref())
                );
                reader.faults.add(at, message);
            }
            Some(Err(error)) => reader.faults.add_error(at, &error),
            Some(Ok(member)) if !keys.insert(member.key.clone()) => {
                reader
                    .faults
                    .add(at, format!("{what} has {} twice", member.key));
            }
            Some(Ok(member)) => members.push(member),
        }
    }
    Some(Members::Listed(members))
}

fn named(reader: &mut Reader<'_>, item: &Value<'_>) -> Option<Result<Member>> {
    let Some(table) = item.get_ref().as_table() else {
        let key = item.get_ref().as_str()?.parse::<MemberKey>();
        return Some(key.map(Member::named));
    };
    reader.only(table, "a name with its UUID", &["name", "uuid"]);
    let text = |key| get(table, key)?.get_ref().as_str();
    let (name, uuid) = (text("name")?, text("uuid")?);
    let member = |name: &str, uuid: &str| {
        Ok::<_, Error>(Member {
            key: name.parse()?,
            uuid: Some(parse_uuid(uuid)?),
        })
    };
    Some(member(name, uuid))
}

fn of_vm(_: &mut Reader<'_>, item: &Value<'_>) -> Option<Result<Member>> {
    let value = item.get_ref();
    if let Some(id) = whole(value) {
        return Some(Member::of_vm(u64::try_from(id).ok()?, 0));
    }
    let text = value.as_str()?;
    let (id, index) = text.split_once(':').unwrap_or((text, "0"));
    Some(Member::of_vm(digits(id)?, digits(index)?))
}

/// A number as people write it, without a sign.
fn digits(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

fn given_uuid(_: &mut Reader<'_>, item: &Value<'_>) -> Option<Result<Member>> {
    let uuid = parse_uuid(item.get_ref().as_str()?);
    Some(uuid.map(Member::given))
}
