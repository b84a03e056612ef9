//! Whether a document is as docs/vgpuctl.schema.json says. Programs are to ignore keys that they do not
//! know; here there must be none. Only what that schema uses is understood.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

/// What the program's types say.
pub fn schema() -> Value {
    vgpuctl::output::schema().to_value()
}

/// What a whole answer, error or line of `watch` is, such as "#/$defs/TypesAnswer"; fails where it is
/// none of those that the schema has.
#[track_caller]
pub fn kind(document: &Value) -> String {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema);
    let mut faults = String::new();
    for kind in SCHEMA["anyOf"].as_array().unwrap() {
        let name = kind["$ref"].as_str().unwrap();
        match Form(&SCHEMA).holds(kind, document) {
            Ok(()) => return name.to_owned(),
            Err(why) => faults += &format!("{name}: {why}\n"),
        }
    }
    panic!("not as docs/vgpuctl.schema.json says:\n{faults}{document:#}");
}

/// The whole schema, to which its references lead.
struct Form<'s>(&'s Value);

impl<'s> Form<'s> {
    /// That a value is as its schema says, and has no other keys.
    fn holds(&self, schema: &'s Value, value: &Value) -> Result<(), String> {
        let known = self.known(schema, value)?;
        let mut keys = value.as_object().into_iter().flat_map(|map| map.keys());
        match keys.find(|key| !known.contains(key.as_str())) {
            Some(key) => Err(format!("{key:?} is not in the schema")),
            None => Ok(()),
        }
    }

    /// The keys that the schema knows of those that an object has.
    fn known<'v>(&self, schema: &'s Value, value: &'v Value) -> Result<BTreeSet<&'v str>, String> {
        let mut known = BTreeSet::new();
        if let Some(at) = schema["$ref"].as_str() {
            let target = self.0.pointer(at.strip_prefix('#').unwrap()).unwrap();
            known.extend(self.known(target, value)?);
        }
        for all in ["anyOf", "oneOf"] {
            let Some(all) = schema[all].as_array() else {
                continue;
            };
            let tried = all.iter().map(|one| self.known(one, value));
            let (fit, misfit): (Vec<_>, Vec<_>) = tried.partition(Result::is_ok);
            let fit: Vec<BTreeSet<&str>> = fit.into_iter().map(Result::unwrap).collect();
            if fit.is_empty() {
                let why: Vec<String> = misfit.into_iter().map(Result::unwrap_err).collect();
                return Err(format!("({})", why.join("; or ")));
            }
            known.extend(fit.into_iter().flatten());
        }
        is_of_type(&schema["type"], value)?;
        if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
            return Err(format!("{value} is not {constant}"));
        }
        for key in schema["required"].as_array().into_iter().flatten() {
            let key = key.as_str().unwrap();
            value
                .get(key)
                .ok_or_else(|| format!("{key:?} is missing"))?;
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let named = schema.pointer(&format!("/properties/{key}"));
            let other = Some(&schema["additionalProperties"]).filter(|other| other.is_object());
            if let Some(schema) = named.or(other) {
                self.holds(schema, value)
                    .map_err(|why| format!("{key}: {why}"))?;
                known.insert(key.as_str());
            }
        }
        if schema["items"].is_object() {
            let mut items = value.as_array().into_iter().flatten();
            items.try_for_each(|item| self.holds(&schema["items"], item))?;
        }
        Ok(known)
    }
}

fn is_of_type(types: &Value, value: &Value) -> Result<(), String> {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema names the type {other}"),
    };
    let fits = match types {
        Value::Null => true,
        Value::Array(types) => types.iter().any(is),
        only => is(only),
    };
    fits.then_some(())
        .ok_or_else(|| format!("{value} is not {types}"))
}
