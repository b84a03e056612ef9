//! The parameters of NVIDIA's vGPUs: kept by name in the list of attributes, where mdevctl and
//! libvirt find them as one attribute, and written to the device as one line.

use nix::errno::Errno;

use super::Context;
use crate::error::{Error, Kind, Result, if_present};
use crate::model::{Attr, Definition, Device};
use crate::nvidia::params::{self, ParamEdit, Params};
use crate::sysfs::holders_line;

/// Whether this attribute holds the parameters.
pub fn holds_params(attr: &Attr) -> bool {
    attr.name.as_str() == params::ATTRIBUTE
}

/// The parameters among the attributes: each write replaces the whole line, so the last one counts.
pub fn params_in(attrs: &[Attr]) -> Params {
    let last = attrs.iter().rev().find(|attr| holds_params(attr));
    Params::parse(last.map_or("", |attr| attr.value.as_str()))
}

/// The attributes with these changes to the parameters; without any, or where they change nothing,
/// the list is left as it is, its spacing too.
///
/// # Errors
/// [`Kind::Usage`] where one parameter is given twice.
pub fn with_params(attrs: Vec<Attr>, edits: &[ParamEdit]) -> Result<Vec<Attr>> {
    params::refuse_doubles(edits)?;
    let before = params_in(&attrs);
    let after = before.edited(edits);
    if after == before {
        return Ok(attrs);
    }
    let place = attrs.iter().rposition(holds_params);
    let mut merged = Vec::new();
    for (at, attr) in attrs.into_iter().enumerate() {
        if !holds_params(&attr) {
            merged.push(attr);
        } else if Some(at) == place && !after.is_empty() {
            merged.push(Attr::new(params::ATTRIBUTE, &after.to_string())?);
        }
    }
    if place.is_none() {
        merged.push(Attr::new(params::ATTRIBUTE, &after.to_string())?);
    }
    Ok(merged)
}

/// Writes one attribute of a device, and explains what the driver says of parameters.
///
/// # Errors
/// What the kernel answered; [`Kind::InUse`], naming who uses the device.
pub fn write_attr(context: &Context<'_>, device: &Device, attr: &Attr) -> Result<()> {
    let framework = context.kernel.owning(device);
    framework
        .write_attr(device, attr)
        .map_err(|error| match holds_params(attr) {
            true => explained(context, device, error),
            false => error,
        })
}

/// What a device's driver means by refusing parameters.
fn explained(context: &Context<'_>, device: &Device, error: Error) -> Error {
    match error.errno() {
        Some(Errno::EPERM) => {
            let framework = context.kernel.owning(device);
            let nodes = framework.nodes(device);
            let holders = nodes.and_then(|nodes| context.kernel.holders(&nodes));
            let who = match holders {
                Ok(holders) if !holders.found.is_empty() => holders_line(&holders.found),
                _ => "a process that is not visible from here".to_owned(),
            };
            error.with_kind(Kind::InUse).hint(format!(
                "parameters can be set only while the device is not in use, but {who} has it open: \
                 shut the VM down, then repeat"
            ))
        }
        Some(Errno::E2BIG) => error.hint(format!(
            "the parameters are too long: the driver accepts at most {} characters",
            params::LONGEST - 1
        )),
        Some(Errno::ENOENT | Errno::ENOTDIR) => error.hint(format!(
            "the device has no such attribute, so it does not support vGPU parameters: is {} an \
             NVIDIA type?",
            device.type_id
        )),
        _ => error,
    }
}

/// The parameters that a device has now; `None` where it takes none or is gone.
///
/// # Errors
/// They are there and cannot be read.
pub fn params_now(context: &Context<'_>, device: &Device) -> Result<Option<Params>> {
    let framework = context.kernel.owning(device);
    let Some(nodes) = if_present(framework.nodes(device))? else {
        return Ok(None);
    };
    let line = context.kernel.attr_text(&nodes, params::ATTRIBUTE)?;
    Ok(line.map(|line| Params::parse(&line)))
}

/// What a device runs with, where that is not what its definition says. Whoever makes it without us
/// gives it no parameters.
pub fn other_params(context: &Context<'_>, definition: &Definition) -> Option<(Device, Params)> {
    let device = context.kernel.device(definition.uuid).ok()??;
    let is_its = device.parent == definition.parent && device.type_id == definition.type_id;
    let now = params_now(context, &device).ok()??;
    (is_its && now != params_in(&definition.attrs)).then_some((device, now))
}

/// Gives an idle device these parameters, in one write, unless it has them; whether it wrote.
///
/// # Errors
/// As [`write_attr`].
pub fn set_params(context: &Context<'_>, device: &Device, wanted: &Params) -> Result<bool> {
    match params_now(context, device) {
        Ok(Some(now)) if now == *wanted => return Ok(false),
        Ok(None) if wanted.is_empty() => return Ok(false),
        // What cannot be read may still be written.
        _ => {}
    }
    let attr = Attr::new(params::ATTRIBUTE, &wanted.to_string())?;
    write_attr(context, device, &attr).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(attrs: &[&str], edits: &[&str]) -> Vec<String> {
        let attrs = attrs.iter().map(|text| text.parse().unwrap()).collect();
        let edits: Vec<ParamEdit> = edits.iter().map(|text| text.parse().unwrap()).collect();
        let merged = with_params(attrs, &edits).unwrap();
        merged.iter().map(Attr::to_string).collect()
    }

    #[test]
    fn the_parameters_stay_one_attribute_in_its_place() {
        const P: &str = "nvidia/vgpu_params";
        for (attrs, edits, wanted) in [
            (vec![], vec!["a=1", "b=2"], vec![format!("{P}=a=1, b=2")]),
            (vec![], vec!["a="], vec![]),
            (
                vec!["x=1"],
                vec!["a=1"],
                vec!["x=1".into(), format!("{P}=a=1")],
            ),
            (
                vec!["nvidia/vgpu_params=a=0,b=1", "x=1"],
                vec!["a=1"],
                vec![format!("{P}=a=1, b=1"), "x=1".into()],
            ),
            (
                vec!["nvidia/vgpu_params=a=0,b=1"],
                vec!["b=1"],
                vec![format!("{P}=a=0,b=1")],
            ),
            (
                vec!["nvidia/vgpu_params=a=0", "x=1"],
                vec!["a="],
                vec!["x=1".into()],
            ),
            (
                vec!["nvidia/vgpu_params=a=0", "x=1", "nvidia/vgpu_params=b=0"],
                vec!["c=1"],
                vec!["x=1".into(), format!("{P}=b=0, c=1")],
            ),
            (vec!["nvidia/vgpu_params="], vec![], vec![format!("{P}=")]),
        ] {
            assert_eq!(merged(&attrs, &edits), wanted, "{attrs:?} {edits:?}");
        }
    }
}
