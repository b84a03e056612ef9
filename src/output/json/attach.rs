//! What to paste for one device, and what was added to a domain.

use schemars::JsonSchema;
use serde::Serialize;

use super::each;
use crate::attach;
use crate::ops::{self, When};

/// The answer of `attach`.
#[derive(Serialize, JsonSchema)]
pub struct Attach<'a> {
    /// What to paste.
    pub attach: Attached<'a>,
}

/// What to paste for a device.
#[derive(Serialize, JsonSchema)]
pub struct Attached<'a> {
    /// Its UUID.
    uuid: String,
    /// Its parent.
    parent: &'a str,
    /// The type's id.
    r#type: &'a str,
    /// The type's name.
    type_name: Option<&'a str>,
    /// Whether it exists in the kernel.
    active: bool,
    /// `libvirt`, `qemu` or `proxmox`.
    format: &'a str,
    /// The pieces to paste.
    blocks: Vec<Block<'a>>,
    /// QEMU's arguments, without a shell's quotes; empty for other formats.
    arguments: &'a [String],
}

/// A piece to paste.
#[derive(Serialize, JsonSchema)]
struct Block<'a> {
    /// Where it belongs, as a word: `domain-devices`, `domain-end`, `qemu-command`, `proxmox-config`,
    /// `proxmox-config-older`, `linux-guest` or `windows-guest`.
    place: &'a str,
    /// The same for people: a file, or what to open.
    r#where: &'a str,
    /// The text.
    text: &'a str,
}

/// The answer of `attach --apply`.
#[derive(Serialize, JsonSchema)]
pub struct AttachApply<'a> {
    /// What was added to a domain.
    pub applied: Applied<'a>,
}

/// A device that was added to a domain.
#[derive(Serialize, JsonSchema)]
pub struct Applied<'a> {
    /// Its UUID.
    uuid: String,
    /// Its parent.
    parent: &'a str,
    /// The type's id.
    r#type: &'a str,
    /// The type's name.
    type_name: Option<&'a str>,
    /// The domain's name.
    domain: &'a str,
    /// The domain's UUID.
    domain_uuid: String,
    /// Whether it was added to the running domain too.
    live: bool,
    /// The elements that were added to the domain's XML.
    xml: &'a [String],
    /// `attached`, or `would-attach` with --dry-run.
    result: &'a str,
}

impl<'a> From<&'a ops::Attached> for Attached<'a> {
    fn from(attached: &'a ops::Attached) -> Self {
        Attached {
            uuid: attached.at.uuid.to_string(),
            parent: attached.at.parent.as_str(),
            r#type: attached.type_id.as_str(),
            type_name: attached.type_name.as_deref(),
            active: attached.active,
            format: attached.format.as_str(),
            blocks: each(&attached.blocks),
            arguments: &attached.arguments,
        }
    }
}

impl<'a> From<&'a attach::Block> for Block<'a> {
    fn from(block: &'a attach::Block) -> Self {
        Block {
            place: block.place.as_str(),
            r#where: &block.whereto,
            text: &block.text,
        }
    }
}

impl<'a> From<&'a ops::Applied> for Applied<'a> {
    fn from(applied: &'a ops::Applied) -> Self {
        Applied {
            uuid: applied.at.uuid.to_string(),
            parent: applied.at.parent.as_str(),
            r#type: applied.type_id.as_str(),
            type_name: applied.type_name.as_deref(),
            domain: &applied.domain,
            domain_uuid: applied.domain_uuid.to_string(),
            live: applied.when == When::Now,
            xml: &applied.elements,
            result: match applied.done {
                true => "attached",
                false => "would-attach",
            },
        }
    }
}
