//! What the kernel says of the types of mediated devices: a directory for each, with a file for each
//! fact (kernel Documentation/driver-api/vfio-mediated-device.rst).

use std::sync::Arc;

use crate::dir::Dir;
use crate::error::{Error, Kind, Result, Warnings, or_warn};
use crate::model::{TypeId, VgpuType};
use crate::text::quoted;

const EMPTY: &str = "the file is empty";

/// The types of a parent that has been read before: those of an equal GPU have the same texts.
pub struct KnownTypes<'t> {
    types: &'t [VgpuType],
    /// The one that is expected to be asked for next.
    next: usize,
}

impl<'t> KnownTypes<'t> {
    /// Those, in natural order.
    pub fn of(types: &'t [VgpuType]) -> KnownTypes<'t> {
        KnownTypes { types, next: 0 }
    }

    /// The one of that name, with its place among them.
    pub fn find(&mut self, id: &str) -> Option<(usize, &'t VgpuType)> {
        let (before, after) = self.types.split_at_checked(self.next)?;
        let mut in_turn = after.iter().chain(before);
        let passed = in_turn.position(|known| known.id.as_str() == id)?;
        let place = (self.next + passed) % self.types.len();
        self.next = place + 1;
        self.types.get(place).map(|known| (place, known))
    }
}

/// The files of types, of one after the other.
pub struct TypeFiles<'d> {
    types: &'d Dir,
    /// The path of a file below the directory of types: one place for all of them.
    path: String,
    /// How much of it is the directory of one type.
    folder: usize,
}

impl<'d> TypeFiles<'d> {
    /// Those in the directory of a parent's types.
    pub fn of(types: &'d Dir) -> TypeFiles<'d> {
        TypeFiles {
            types,
            path: String::new(),
            folder: 0,
        }
    }

    /// From now on, those of this type.
    pub fn of_type(&mut self, id: &TypeId) -> &mut TypeFiles<'d> {
        self.path.clear();
        self.path.push_str(id.as_str());
        self.path.push('/');
        self.folder = self.path.len();
        self
    }

    /// Reads one type, whose texts may be `known` from another parent: they are read all the same,
    /// but not kept twice. What cannot be read of it becomes a warning and stays unknown.
    pub fn whole_type(
        &mut self,
        id: TypeId,
        known: Option<&VgpuType>,
        warnings: &mut Warnings,
    ) -> VgpuType {
        let known = |text: fn(&VgpuType) -> &Option<Arc<str>>| known.and_then(|t| text(t).as_ref());
        self.of_type(&id);
        let name = self.optional("name", known(|t| &t.name), warnings);
        let description = self.optional("description", known(|t| &t.description), warnings);
        let device_api = self.required("device_api", known(|t| &t.device_api), warnings);
        let available = self.free(warnings);
        VgpuType {
            id,
            name,
            description,
            available,
            at_least: available.unwrap_or_default(),
            device_api,
        }
    }

    /// The name of the type.
    pub fn name(&mut self, warnings: &mut Warnings) -> Option<Arc<str>> {
        self.optional("name", None, warnings)
    }

    fn set_file(&mut self, file: &str) {
        self.path.truncate(self.folder);
        self.path.push_str(file);
    }

    fn read(&mut self, file: &str, known: Option<&Arc<str>>) -> Result<Arc<str>> {
        self.set_file(file);
        self.types.read_shared(&self.path, known)
    }

    /// A file that a type may have.
    fn optional(
        &mut self,
        file: &str,
        known: Option<&Arc<str>>,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>> {
        or_warn(self.read(file, known), warnings).filter(|text| !text.is_empty())
    }

    /// A file that every type has.
    fn required(
        &mut self,
        file: &str,
        known: Option<&Arc<str>>,
        warnings: &mut Warnings,
    ) -> Option<Arc<str>> {
        let fault = match self.read(file, known) {
            Ok(text) if !text.is_empty() => return Some(text),
            Ok(_) => self.fault(EMPTY.to_owned()),
            Err(error) => error,
        };
        warnings.push(fault);
        None
    }

    /// How many instances can be made now.
    pub fn free(&mut self, warnings: &mut Warnings) -> Option<u32> {
        self.set_file("available_instances");
        let number = |text: &str| match text.trim_ascii().parse() {
            Ok(number) => Ok(number),
            Err(_) if text.is_empty() => Err(EMPTY.to_owned()),
            Err(_) => Err(format!("{} is not a number of instances", quoted(text))),
        };
        let free = self.types.text_of(self.path.as_ref(), number);
        let free = free.and_then(|free| free.map_err(|what| self.fault(what)));
        free.map_err(|error| warnings.push(error)).ok()
    }

    /// What is wrong with the file that was read last.
    fn fault(&self, what: String) -> Error {
        Error::new(Kind::Failed, what).at(self.types.join(&self.path))
    }
}
