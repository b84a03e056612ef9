//! The one type that fits a framebuffer and a series. Where none or several fit, nothing is guessed.

use super::Context;
use super::capacity::label;
use super::choose::types_to_come;
use super::types::{ParentTypes, TypeFilter, TypesRequest, types};
use crate::error::{Error, Kind, Result};
use crate::model::{ParentId, TypeId, VgpuType};
use crate::nvidia::{Series, size};

/// How many types a message names at most.
const NAMED: usize = 8;

/// What a type is to be; one of both, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeWants {
    /// Exactly this much framebuffer, in MiB.
    pub framebuffer_mib: Option<u64>,
    /// Of this series.
    pub series: Option<Series>,
}

impl TypeWants {
    /// "of series Q with 2 GiB".
    fn words(self) -> String {
        let series = self.series.map(|series| format!("of series {series}"));
        let framebuffer = self
            .framebuffer_mib
            .map(|mib| format!("with {}", size(mib)));
        let words: Vec<String> = series.into_iter().chain(framebuffer).collect();
        words.join(" ")
    }

    fn fits(self, vgpu_type: &VgpuType) -> bool {
        let name = vgpu_type.name_parts();
        let is_size = |mib: u64| vgpu_type.framebuffer_mib() == Some(mib);
        let is_of = |series| name.as_ref().is_some_and(|name| name.series == series);
        self.framebuffer_mib.is_none_or(is_size) && self.series.is_none_or(is_of)
    }
}

/// A type and the parents that offer it.
struct Candidate {
    vgpu_type: VgpuType,
    parents: Vec<ParentId>,
}

/// The type that fits, on all parents or on the `only` one. The same type on several parents is one.
///
/// # Errors
/// [`Kind::NotFound`] where none fits, with those that come near; [`Kind::Usage`] where several do,
/// with all of them.
pub fn pick_type(
    context: &Context<'_>,
    wants: TypeWants,
    only: Option<&ParentId>,
) -> Result<TypeId> {
    let request = TypesRequest {
        parent: only.cloned(),
        filter: TypeFilter::default(),
    };
    let answer = types(context, &request).map_err(|error| match (error.kind(), only) {
        (Kind::NotFound, Some(_)) => error.hint(
            "types can be looked up only while the parent is present: specify the type's id with \
             --type",
        ),
        _ => error,
    })?;
    let all = candidates(answer.value);
    let mut fitting = all.iter().filter(|one| wants.fits(&one.vgpu_type));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one.vgpu_type.id.clone()),
        (Some(_), Some(_)) => Err(several(wants, &all, only)),
        (None, _) => {
            let to_come = match (only, all.is_empty()) {
                (None, false) => types_to_come(context),
                _ => Vec::new(),
            };
            let error = none(wants, &all, only).hints(to_come);
            Err(error.with_unread(&answer.warnings).hints(answer.notes))
        }
    }
}

fn candidates(parents: Vec<ParentTypes>) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::new();
    for ParentTypes { parent, types, .. } in parents {
        for vgpu_type in types {
            match all.iter_mut().find(|one| one.vgpu_type.id == vgpu_type.id) {
                Some(known) => known.parents.push(parent.id.clone()),
                None => all.push(Candidate {
                    vgpu_type,
                    parents: vec![parent.id.clone()],
                }),
            }
        }
    }
    all.sort_by(|a, b| a.vgpu_type.id.cmp(&b.vgpu_type.id));
    all
}

fn several(wants: TypeWants, all: &[Candidate], only: Option<&ParentId>) -> Error {
    let fitting: Vec<&Candidate> = all.iter().filter(|c| wants.fits(&c.vgpu_type)).collect();
    let on_all = fitting.iter().all(|c| c.parents == fitting[0].parents);
    let named: Vec<String> = fitting
        .iter()
        .map(|candidate| match on_all {
            true => label(&candidate.vgpu_type),
            false => format!(
                "{} on {}",
                label(&candidate.vgpu_type),
                joined(&candidate.parents)
            ),
        })
        .collect();
    let place = only
        .map(|parent| format!(" on {parent}"))
        .unwrap_or_default();
    let error = Error::new(
        Kind::Usage,
        format!(
            "ambiguous: {} types {}{place}",
            fitting.len(),
            wants.words()
        ),
    )
    .hint(format!("choose one with --type: {}", shortened(named)));
    match (wants.series, wants.framebuffer_mib, only) {
        (None, ..) => error.hint("or specify the series: --series"),
        (_, None, _) => error.hint("or specify the framebuffer size: --framebuffer"),
        (.., None) if !on_all => error.hint("or specify the parent: --parent"),
        _ => error,
    }
}

fn none(wants: TypeWants, all: &[Candidate], only: Option<&ParentId>) -> Error {
    let who = match only {
        Some(parent) => format!("{parent} has"),
        None => "no parent has".to_owned(),
    };
    let what = match only {
        Some(_) => format!("{who} no type {}", wants.words()),
        None => format!("{who} a type {}", wants.words()),
    };
    let error = Error::new(Kind::NotFound, what);
    if all.is_empty() {
        return error;
    }
    let part = |part: TypeWants| -> Vec<String> {
        let near = all.iter().filter(|c| part.fits(&c.vgpu_type));
        near.map(|c| label(&c.vgpu_type)).collect()
    };
    let both = wants.series.is_some() && wants.framebuffer_mib.is_some();
    let near = [
        TypeWants {
            framebuffer_mib: None,
            ..wants
        },
        TypeWants {
            series: None,
            ..wants
        },
    ];
    let near = near.into_iter().filter(|_| both);
    let hints: Vec<String> = near
        .map(|one| (one, part(one)))
        .filter(|(_, named)| !named.is_empty())
        .map(|(one, named)| format!("{}: {}", one.words(), shortened(named)))
        .collect();
    match hints.is_empty() {
        true => error.hint("see all types: vgpuctl types"),
        false => error.hints(hints),
    }
}

fn joined(parents: &[ParentId]) -> String {
    let names: Vec<&str> = parents.iter().map(ParentId::as_str).collect();
    names.join(" and ")
}

fn shortened(mut named: Vec<String>) -> String {
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    let text = named.join(", ");
    match more {
        0 => text,
        _ => format!("{text} and {more} more"),
    }
}
