//! What we believe of virtual functions: which of their vGPUs are ours, and what types are called.
//!
//! It lives in `/run` and is lost at a reboot, as the types on the functions are. A record counts
//! only while the function holds the type that it names.

use std::collections::BTreeMap;
use std::path::Path;

use log::debug;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::dir::Dir;
use crate::error::{Error, Result, Warnings, or_warn};
use crate::host::Host;
use crate::model::{ParentId, TypeId, parse_uuid};

/// That we gave a function a type, under this UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The device's UUID.
    pub uuid: Uuid,
    /// The type that the function was given.
    pub type_id: TypeId,
}

/// The records of one host.
pub struct Records<'h> {
    host: &'h Host,
}

impl<'h> Records<'h> {
    pub fn of(host: &'h Host) -> Records<'h> {
        Records { host }
    }

    /// What is written of a function. What makes no sense says nothing: the vGPU is a stranger's
    /// then, and nothing of it is changed unasked. What cannot be read is a warning, too.
    pub fn read(&self, vf: &ParentId, warnings: &mut Warnings) -> Option<Record> {
        let document = read(&self.host.vf_records(), vf.as_str(), warnings)?;
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        Some(Record {
            uuid: parse_uuid(text("uuid")?).ok()?,
            type_id: text("type")?.parse().ok()?,
        })
    }

    /// Notes whose a function's vGPU is going to be.
    ///
    /// # Errors
    /// What the kernel answered, with the path.
    pub fn write(&self, vf: &ParentId, record: &Record) -> Result<()> {
        let value = json!({ "uuid": record.uuid.to_string(), "type": record.type_id.as_str() });
        write(self.host, &self.host.vf_records(), vf.as_str(), &value)
    }

    /// The functions of which something is written.
    pub fn functions(&self, warnings: &mut Warnings) -> Vec<ParentId> {
        let entries = Dir::open_own(&self.host.vf_records()).and_then(|mut dir| dir.entries());
        let names = or_warn(entries, warnings).unwrap_or_default().into_iter();
        // A hidden one is the half of a record whose writer died.
        names
            .filter_map(|entry| entry.name.to_str()?.parse().ok())
            .filter(ParentId::is_pci_address)
            .collect()
    }

    /// Where a device is noted, in the order of the functions' addresses.
    pub fn of_uuid(&self, uuid: Uuid, warnings: &mut Warnings) -> Vec<(ParentId, Record)> {
        let functions = self.functions(warnings).into_iter();
        let noted = functions.filter_map(|vf| Some((self.read(&vf, warnings)?, vf)));
        noted
            .filter(|(record, _)| record.uuid == uuid)
            .map(|(record, vf)| (vf, record))
            .collect()
    }

    /// Takes back what was noted. A record that stays says nothing once the function is empty.
    pub fn forget(&self, vf: &ParentId) {
        let dir = self.host.vf_records();
        let gone = Dir::open_own(&dir).map(|dir| dir.unlink(vf.as_str()));
        if !matches!(gone, Ok(Ok(()))) {
            debug!("cannot remove {}/{vf}: {gone:?}", dir.display());
        }
    }

    /// The names of a GPU's types as they were when something of each could be created. What makes
    /// no sense is no name; what cannot be read is a warning.
    pub fn names(&self, gpu: &ParentId, warnings: &mut Warnings) -> BTreeMap<TypeId, String> {
        let document = read(&self.host.type_names(), gpu.as_str(), warnings);
        let document = document.unwrap_or_default();
        let known = document.iter().filter_map(|(id, name)| {
            let name = name.as_str()?.to_owned();
            Some((id.parse().ok()?, name))
        });
        known.collect()
    }

    /// Keeps the names that are new: a full GPU lists none. Whoever may not write, does not.
    pub fn remember_names<'a>(
        &self,
        gpu: &ParentId,
        names: impl Iterator<Item = (TypeId, &'a str)>,
    ) {
        let mut unread = Vec::new();
        let known = self.names(gpu, &mut unread);
        if let Some(error) = unread.first() {
            // What would be written lacks those that are there.
            debug!("types' names are not remembered: {error}");
            return;
        }
        let mut all = known.clone();
        all.extend(names.map(|(id, name)| (id, name.to_owned())));
        if all == known {
            return;
        }
        let all: Map<String, Value> = all
            .into_iter()
            .map(|(id, name)| (id.to_string(), Value::String(name)))
            .collect();
        let dir = self.host.type_names();
        if let Err(error) = write(self.host, &dir, gpu.as_str(), &Value::Object(all)) {
            debug!("types' names are not remembered: {error}");
        }
    }
}

fn read(dir: &Path, name: &str, warnings: &mut Warnings) -> Option<Map<String, Value>> {
    let bytes = Dir::open_own(dir).and_then(|dir| dir.read_bytes(name));
    serde_json::from_slice(&or_warn(bytes, warnings)?).ok()
}

fn write(host: &Host, dir: &Path, name: &str, value: &Value) -> Result<()> {
    let failed = |errno| Error::system("cannot write the record", dir.join(name), errno);
    let own = Dir::make_own_below(&host.locks(), dir).map_err(|error| match error.errno() {
        Some(errno) => failed(errno),
        None => error,
    })?;
    own.put(name, value.to_string().as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_that_cannot_be_read_are_told_and_not_written_over() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path());
        let records = Records::of(&host);
        let gpu: ParentId = "0000:41:00.0".parse().unwrap();
        let id = |text: &str| text.parse::<TypeId>().unwrap();
        let new = || [(id("nvidia-1"), "L40S-1Q")].into_iter();
        let path = host.type_names().join(gpu.as_str());
        let mut warnings = Vec::new();

        records.remember_names(&gpu, new());
        assert_eq!(
            records.names(&gpu, &mut warnings)[&id("nvidia-1")],
            "L40S-1Q"
        );
        assert_eq!(warnings, []);

        // Larger than any such file.
        let large = " ".repeat(2 << 20);
        fs::write(&path, &large).unwrap();
        records.remember_names(&gpu, new());
        assert_eq!(fs::read_to_string(&path).unwrap().len(), large.len());
        assert!(records.names(&gpu, &mut warnings).is_empty());
        assert_eq!(warnings[0].path(), Some(path.as_path()));

        // What makes no sense helps nobody.
        fs::write(&path, "{").unwrap();
        records.remember_names(&gpu, new());
        assert_eq!(records.names(&gpu, &mut Vec::new()).len(), 1);
    }
}
