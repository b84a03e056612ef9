//! `attach --apply`: a device added to a libvirt domain's configuration, through `virsh`.

use std::sync::Arc;

use uuid::Uuid;

use super::attach::{Prepared, prepare};
use super::{Answer, AttachRequest, Context};
use crate::attach::{Display, devices_xml, taken_by};
use crate::error::{Error, Kind, Result};
use crate::model::{TypeId, parse_uuid};
use crate::scripts::{Domain, Lifetime, Unread, Virsh};
use crate::store::Location;

/// When the domain gets the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At its next start.
    NextStart,
    /// Now, and at every start.
    Now,
}

/// Which device, and which domain.
#[derive(Debug, Clone)]
pub struct ApplyRequest {
    /// Which device, and how.
    pub attach: AttachRequest,
    /// The domain's name or UUID.
    pub domain: String,
    /// libvirt's connection, as `qemu:///system`.
    pub connect: Option<String>,
    /// When.
    pub when: When,
    /// Show what would be done without changing anything.
    pub dry_run: bool,
}

/// A domain that has, or would have, a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Which device.
    pub at: Location,
    /// Its type.
    pub type_id: TypeId,
    /// The type's name for people, where the parent tells it.
    pub type_name: Option<Arc<str>>,
    /// The domain's name.
    pub domain: String,
    /// The domain's UUID.
    pub domain_uuid: Uuid,
    /// When it gets the device.
    pub when: When,
    /// The elements that were added to its XML, or would be.
    pub elements: Vec<String>,
    /// Whether that was done, and not only planned.
    pub done: bool,
}

/// Adds the device to the domain.
///
/// # Errors
/// The device or the domain is not there; this domain, or another, has the device already; what
/// virsh said.
pub fn attach_to_domain(context: &Context<'_>, request: &ApplyRequest) -> Result<Answer<Applied>> {
    if !context.host.is_this_one() && request.connect.is_none() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{} is not this host's root: cannot tell which libvirt to use",
                context.host.root().display()
            ),
        )
        .hint("specify it with --connect, for example: --connect qemu:///system"));
    }
    let mut prepared = prepare(context, &request.attach)?;
    check_possible(&prepared, request)?;
    let virsh = Virsh::to(request.connect.clone());
    let (domains, unread) = virsh.domains()?;
    let domain = named(&domains, &unread, &request.domain)?;
    let uuid = prepared.shown.at.uuid;
    check_free(&domains, domain, &prepared)?;
    if request.when == When::Now && domain.live.is_none() {
        return Err(Error::new(
            Kind::Failed,
            format!("domain {} is not running", domain.name),
        )
        .hint("leave out --live: it gets the device when it starts"));
    }
    let unknown = |(domain, error): &Unread| {
        format!("cannot tell whether domain {domain} uses {uuid}: {error}")
    };
    prepared.notes.extend(unread.iter().map(unknown));
    let elements = devices_xml(&prepared.attachment);
    if !request.dry_run {
        add(&virsh, domain, &elements, request.when)?;
        look(&virsh, domain, uuid)?;
    }
    Ok(outcome_of(prepared, domain, request, elements))
}

fn check_possible(prepared: &Prepared, request: &ApplyRequest) -> Result<()> {
    let uuid = prepared.shown.at.uuid;
    if let Some(vf) = prepared.shown.vf() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "--apply supports only mediated devices, but {uuid} is the virtual function {vf}"
            ),
        )
        .hint("without --apply, attach prints what `virsh attach-device --config` takes"));
    }
    if request.attach.identity.is_some() {
        return Err(Error::new(
            Kind::Usage,
            "virsh cannot add a device with another identity to a domain",
        )
        .hint("leave out --apply, and paste the XML with: virsh edit"));
    }
    if request.when == When::NextStart {
        return Ok(());
    }
    if request.attach.display == Display::WithRamFb {
        return Err(Error::new(
            Kind::Usage,
            "a device with ramfb cannot be added while the domain is running",
        )
        .hint("leave out --live, or --ramfb"));
    }
    if prepared.shown.running.is_none() {
        return Err(Error::new(Kind::Failed, format!("{uuid} is not active"))
            .hint(format!("vgpuctl start {uuid}")));
    }
    Ok(())
}

/// The domain of that UUID, else of that name, which somebody may have chosen to look like a UUID.
fn named<'d>(domains: &'d [Domain], unread: &[Unread], name: &str) -> Result<&'d Domain> {
    if let Ok(uuid) = parse_uuid(name) {
        if let Some(domain) = domains.iter().find(|domain| domain.uuid == uuid) {
            return Ok(domain);
        }
        if let Some((_, error)) = unread.iter().find(|(one, _)| *one == uuid) {
            return Err(error.clone());
        }
    }
    let by_name: Vec<&Domain> = domains.iter().filter(|one| one.name == name).collect();
    match by_name.as_slice() {
        [domain] => Ok(domain),
        [] => {
            let names: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
            let unread: Vec<Error> = unread.iter().map(|(_, error)| error.clone()).collect();
            let error = Error::new(Kind::NotFound, format!("libvirt has no domain {name:?}"));
            let error = error.hint(match names.as_slice() {
                [] => "it has no domains; use --connect for another libvirt".to_owned(),
                names => format!("available domains: {}", names.join(", ")),
            });
            Err(error.with_unread(&unread))
        }
        several => {
            let uuids: Vec<String> = several.iter().map(|one| one.uuid.to_string()).collect();
            let count = several.len();
            let message = format!("libvirt has {count} domains named {name:?}");
            let hint = format!("specify it by its UUID: {}", uuids.join(", "));
            Err(Error::new(Kind::Usage, message).hint(hint))
        }
    }
}

/// Two virtual machines with one device is what makes the second one fail to start.
fn check_free(domains: &[Domain], chosen: &Domain, prepared: &Prepared) -> Result<()> {
    let uuid = prepared.shown.at.uuid;
    let has_it = |domain: &&Domain| has(domain, |xml| taken_by(xml, uuid));
    if let Some(owner) = domains.iter().find(has_it) {
        let name = &owner.name;
        let error = Error::new(Kind::Failed, format!("domain {name} already has {uuid}"));
        return Err(match owner.uuid == chosen.uuid {
            true => error,
            false => error
                .hint("only one virtual machine can use a mediated device")
                .hint(format!(
                    "remove it from {name} (virsh edit {name}), or create another: vgpuctl create \
                     --type {} --parent {}",
                    prepared.type_id, prepared.shown.at.parent
                )),
        });
    }
    let Some(memory) = &prepared.attachment.memory else {
        return Ok(());
    };
    let start = format!("<shmem name='{}'", memory.name);
    match has(chosen, |xml| xml.contains(&start)) {
        true => Err(Error::new(
            Kind::Failed,
            format!(
                "domain {} already has shared memory named {}",
                chosen.name, memory.name
            ),
        )
        .hint("leave out --looking-glass")),
        false => Ok(()),
    }
}

fn has(domain: &Domain, test: impl Fn(&str) -> bool) -> bool {
    test(&domain.config) || domain.live.as_deref().is_some_and(test)
}

/// Adds the elements, the device last; where one fails, those before it are taken back.
fn add(virsh: &Virsh, domain: &Domain, elements: &[String], when: When) -> Result<()> {
    let lifetime = match when {
        When::NextStart => Lifetime::Config,
        When::Now => Lifetime::LiveAndConfig,
    };
    let mut added: Vec<&String> = Vec::new();
    for element in elements.iter().rev() {
        if let Err(error) = virsh.attach(domain, element, lifetime) {
            let taken_back = added
                .iter()
                .rev()
                .try_for_each(|element| virsh.detach(domain, element, lifetime));
            return Err(error.and_clean_up(taken_back));
        }
        added.push(element);
    }
    Ok(())
}

/// Looks whether the domain has it now.
fn look(virsh: &Virsh, domain: &Domain, uuid: Uuid) -> Result<()> {
    match taken_by(&virsh.again(domain)?.config, uuid) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Failed,
            format!(
                "virsh added {uuid} to domain {}, but the domain does not have it",
                domain.name
            ),
        )),
    }
}

fn outcome_of(
    prepared: Prepared,
    domain: &Domain,
    request: &ApplyRequest,
    elements: Vec<String>,
) -> Answer<Applied> {
    let Prepared {
        shown,
        type_id,
        warnings,
        mut notes,
        ..
    } = prepared;
    if request.when == When::NextStart && domain.live.is_some() {
        notes.push(format!(
            "domain {} is running: it gets the device when it is shut down and started again",
            domain.name
        ));
    }
    Answer {
        value: Applied {
            at: shown.at,
            type_id,
            type_name: shown.vgpu_type.and_then(|t| t.name),
            domain: domain.name.clone(),
            domain_uuid: domain.uuid,
            when: request.when,
            elements,
            done: !request.dry_run,
        },
        warnings,
        notes,
    }
}
