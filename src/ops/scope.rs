//! What a parent's name covers: the parent, its virtual functions, or one of them.

use super::Context;
use super::list::Listed;
use crate::error::{Result, Warnings};
use crate::model::{Definition, FrameworkKind, ParentId};

/// The parents under which devices and definitions count as being on a name.
pub struct Scope {
    name: ParentId,
    /// The parent of that name, or the parents that are functions of the GPU of that name. A
    /// function that takes a type stands for its GPU here, where its definition would be.
    homes: Vec<ParentId>,
    /// Whether only what sits on one virtual function counts.
    is_one_function: bool,
}

impl Scope {
    /// What `name` covers. One that is not there now covers the definitions under that name.
    pub fn of(context: &Context<'_>, name: &ParentId) -> Scope {
        let found = context.kernel.parents_named(name, &mut Vec::new());
        let found = found.unwrap_or_default();
        let is_one_function = found
            .iter()
            .any(|parent| parent.framework == FrameworkKind::Vfio && parent.gpu.is_some());
        let mut homes: Vec<ParentId> = found.iter().map(|p| p.home().clone()).collect();
        if !homes.contains(name) {
            homes.push(name.clone());
        }
        Scope {
            name: name.clone(),
            homes,
            is_one_function,
        }
    }

    /// Adds what has definitions and is a virtual function of the GPU of that name, though it may
    /// not be there now.
    ///
    /// # Errors
    /// Definitions cannot be listed at all.
    pub fn add_functions(
        &mut self,
        context: &Context<'_>,
        gpu_of: &impl Fn(&ParentId) -> ParentId,
    ) -> Result<()> {
        for at in context.store.index(&mut Vec::new())? {
            if !self.homes.contains(&at.parent) && gpu_of(&at.parent) == self.name {
                self.homes.push(at.parent);
            }
        }
        Ok(())
    }

    /// The definitions in it that can be read. On one function those may be that name no other.
    ///
    /// # Errors
    /// They cannot be listed at all.
    pub fn definitions(
        &self,
        context: &Context<'_>,
        warnings: &mut Warnings,
    ) -> Result<Vec<Definition>> {
        let mut all = Vec::new();
        for home in &self.homes {
            all.extend(context.store.of_parent(home, warnings)?);
        }
        if self.is_one_function {
            let may_be_here = |vf: &ParentId| *vf == self.name;
            all.retain(|definition| definition.vf.as_ref().is_none_or(may_be_here));
        }
        Ok(all)
    }

    /// Whether definitions under this name are in it.
    pub fn names(&self, home: &ParentId) -> bool {
        self.homes.contains(home)
    }

    /// Whether it has this device.
    pub fn has(&self, one: &Listed) -> bool {
        match self.is_one_function {
            true => {
                let names = [one.vf(), one.defined_vf.as_ref(), Some(&one.parent)];
                names.contains(&Some(&self.name))
            }
            false => self.names(&one.parent),
        }
    }
}
