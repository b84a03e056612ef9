//! What the kernel says of the types of mediated devices: a directory for each, with a file for each
//! fact (kernel Documentation/driver-api/vfio-mediated-device.rst).

use crate::dir::Dir;
use crate::error::{Error, Kind, Result, Warnings, or_warn};
use crate::model::{TypeId, VgpuType};
use crate::text::quoted;

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

    /// Reads one type; what cannot be read of it becomes a warning and stays unknown.
    pub fn whole_type(&mut self, id: TypeId, warnings: &mut Warnings) -> VgpuType {
        self.of_type(&id);
        let name = self.optional("name", warnings);
        let description = self.optional("description", warnings);
        let device_api = self.required("device_api", warnings);
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

    fn read(&mut self, file: &str) -> Result<String> {
        self.path.truncate(self.folder);
        self.path.push_str(file);
        self.types.read_text(&self.path)
    }

    /// A file that a type may have.
    fn optional(&mut self, file: &str, warnings: &mut Warnings) -> Option<String> {
        or_warn(self.read(file), warnings).filter(|text| !text.is_empty())
    }

    /// A file that every type has.
    fn required(&mut self, file: &str, warnings: &mut Warnings) -> Option<String> {
        let fault = match self.read(file) {
            Ok(text) if !text.is_empty() => return Some(text),
            Ok(_) => Error::new(Kind::Failed, "the file is empty").at(self.types.join(&self.path)),
            Err(error) => error,
        };
        warnings.push(fault);
        None
    }

    /// How many instances can be made now.
    pub fn free(&mut self, warnings: &mut Warnings) -> Option<u32> {
        let text = self.required("available_instances", warnings)?;
        let free = text.trim().parse().ok();
        if free.is_none() {
            let message = format!("{} is not a number of instances", quoted(&text));
            warnings.push(Error::new(Kind::Failed, message).at(self.types.join(&self.path)));
        }
        free
    }
}
