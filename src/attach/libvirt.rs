//! A device as XML of a libvirt domain (libvirt's formatdomain documentation and its RNG schema),
//! and finding devices in such XML.

use uuid::Uuid;

use super::xml::Element;
use super::{Attachment, Display, SharedMemory, Source};

/// What libvirt lets users name devices by begins so.
pub const LIBVIRT_ALIAS_PREFIX: &str = "ua-";

/// The namespace of what is handed through to QEMU.
const QEMU_NAMESPACE: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// The elements that belong within `<devices>`, shared memory last.
pub fn devices_xml(attachment: &Attachment) -> Vec<String> {
    let mut elements = vec![hostdev(attachment).render()];
    elements.extend(attachment.memory.as_ref().map(|m| shmem(m).render()));
    elements
}

fn hostdev(attachment: &Attachment) -> Element {
    let hostdev = Element::new("hostdev").with("mode", "subsystem");
    let (hostdev, address) = match &attachment.source {
        Source::Mdev { uuid, model, .. } => (
            with_display(
                // With managed='yes' libvirt would neither make nor remove it: it refuses.
                hostdev
                    .with("type", "mdev")
                    .with("managed", "no")
                    .with("model", model.as_str()),
                attachment.display,
            ),
            Element::new("address").with("uuid", uuid),
        ),
        // It must stay on its vendor's driver, so libvirt must not bind it to another.
        Source::Vf { address, .. } => (
            hostdev.with("type", "pci").with("managed", "no"),
            Element::new("address")
                .with("domain", format!("{:#06x}", address.domain))
                .with("bus", format!("{:#04x}", address.bus))
                .with("slot", format!("{:#04x}", address.slot))
                .with("function", format!("{:#x}", address.function)),
        ),
    };
    let hostdev = hostdev.holding(Element::new("source").holding(address));
    match attachment.identity {
        Some(_) => hostdev.holding(Element::new("alias").with("name", alias(&attachment.source))),
        None => hostdev,
    }
}

fn with_display(hostdev: Element, display: Display) -> Element {
    match display {
        Display::Unsaid => hostdev,
        Display::Off => hostdev.with("display", "off"),
        Display::On => hostdev.with("display", "on"),
        Display::WithRamFb => hostdev.with("display", "on").with("ramfb", "on"),
    }
}

fn shmem(memory: &SharedMemory) -> Element {
    Element::new("shmem")
        .with("name", &memory.name)
        .holding(Element::new("model").with("type", "ivshmem-plain"))
        .holding(
            Element::new("size")
                .with("unit", "M")
                .saying(memory.size_mib),
        )
}

/// A name of the device's own within its domain.
fn alias(source: &Source) -> String {
    match source {
        Source::Mdev { uuid, .. } => format!("{LIBVIRT_ALIAS_PREFIX}{uuid}"),
        // An alias has letters, digits, '-' and '_'.
        Source::Vf { address, .. } => format!(
            "{LIBVIRT_ALIAS_PREFIX}vf-{}",
            address.to_string().replace([':', '.'], "-")
        ),
    }
}

/// The element that gives the device another identity; it belongs at the end of `<domain>`. It
/// brings its namespace along, so `<domain>` need not name it.
pub fn override_xml(attachment: &Attachment) -> Option<String> {
    let identity = attachment.identity?;
    let mut frontend = Element::new("qemu:frontend");
    for (name, id) in identity.named() {
        frontend = frontend.holding(
            Element::new("qemu:property")
                .with("name", format!("x-pci-{name}"))
                .with("type", "unsigned")
                .with("value", id),
        );
    }
    let device = Element::new("qemu:device")
        .with("alias", alias(&attachment.source))
        .holding(frontend);
    let wrapper = Element::new("qemu:override")
        .with("xmlns:qemu", QEMU_NAMESPACE)
        .holding(device);
    Some(wrapper.render())
}

/// Whether a domain's XML, as libvirt writes it, has the mediated device of that UUID.
pub fn taken_by(domain_xml: &str, uuid: Uuid) -> bool {
    let wanted = uuid.to_string();
    let hostdevs = domain_xml.split("<hostdev").skip(1);
    hostdevs
        .filter_map(|rest| rest.split("</hostdev>").next())
        .flat_map(|hostdev| hostdev.split("<address").skip(1))
        .filter_map(|address| attribute(address.split('>').next()?, "uuid"))
        .any(|found| found.eq_ignore_ascii_case(&wanted))
}

/// The value of an attribute, given what stands between a tag's name and its end.
fn attribute<'x>(tag: &'x str, name: &str) -> Option<&'x str> {
    let (_, rest) = tag.split_once(&format!(" {name}="))?;
    let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    rest[1..].split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{ap, mdev, memory, vf};
    use super::*;

    #[test]
    fn a_mediated_device_is_a_hostdev_of_its_model() {
        assert_eq!(
            devices_xml(&mdev()),
            ["\
<hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>
  <source>
    <address uuid='83b8f4f2-509f-382f-3c1e-e6bfe0fa1001'/>
  </source>
</hostdev>
"]
        );
        assert!(devices_xml(&ap())[0].contains("model='vfio-ap'>"));
    }

    #[test]
    fn its_screen_is_said_in_two_attributes() {
        for (display, said) in [
            (Display::Unsaid, "model='vfio-pci'>"),
            (Display::Off, "model='vfio-pci' display='off'>"),
            (Display::On, "model='vfio-pci' display='on'>"),
            (
                Display::WithRamFb,
                "model='vfio-pci' display='on' ramfb='on'>",
            ),
        ] {
            let xml = devices_xml(&Attachment { display, ..mdev() }).concat();
            assert!(xml.contains(said), "{xml}");
        }
    }

    #[test]
    fn a_virtual_function_is_a_pci_device_that_libvirt_must_not_rebind() {
        assert_eq!(
            devices_xml(&vf()).concat(),
            "\
<hostdev mode='subsystem' type='pci' managed='no'>
  <source>
    <address domain='0x10000' bus='0x81' slot='0x01' function='0x4'/>
  </source>
</hostdev>
"
        );
    }

    #[test]
    fn another_identity_is_an_override_of_the_device_by_its_alias() {
        let identity = Some("10de:1bb1:10de:11a3".parse().unwrap());
        let attachment = Attachment { identity, ..mdev() };
        let alias = "'ua-83b8f4f2-509f-382f-3c1e-e6bfe0fa1001'";
        assert!(devices_xml(&attachment)[0].contains(&format!("<alias name={alias}/>")));
        assert_eq!(
            override_xml(&attachment).unwrap(),
            format!(
                "\
<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <qemu:device alias={alias}>
    <qemu:frontend>
      <qemu:property name='x-pci-vendor-id' type='unsigned' value='4318'/>
      <qemu:property name='x-pci-device-id' type='unsigned' value='7089'/>
      <qemu:property name='x-pci-sub-vendor-id' type='unsigned' value='4318'/>
      <qemu:property name='x-pci-sub-device-id' type='unsigned' value='4515'/>
    </qemu:frontend>
  </qemu:device>
</qemu:override>
"
            )
        );
        assert!(override_xml(&mdev()).is_none());
        let xml = devices_xml(&Attachment { identity, ..vf() }).concat();
        assert!(xml.contains("'ua-vf-10000-81-01-4'"), "{xml}");
    }

    #[test]
    fn shared_memory_is_an_element_of_its_own() {
        let mut memory = memory();
        memory.name = "a'<b".into();
        let memory = Some(memory);
        let xml = devices_xml(&Attachment { memory, ..mdev() });
        assert_eq!(
            xml[1],
            "\
<shmem name='a&apos;&lt;b'>
  <model type='ivshmem-plain'/>
  <size unit='M'>32</size>
</shmem>
"
        );
    }

    #[test]
    fn a_device_is_found_in_a_hostdev_and_nowhere_else() {
        let uuid: Uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".parse().unwrap();
        let domain = |inner: &str| format!("<domain><devices>{inner}</devices></domain>");
        for (inner, wanted) in [
            (devices_xml(&mdev()).concat(), true),
            (
                format!(
                    "<hostdev type=\"mdev\">\n<source><address  uuid=\"{}\"/></source></hostdev>",
                    uuid.to_string().to_uppercase()
                ),
                true,
            ),
            (format!("<x><address uuid='{uuid}'/></x>"), false),
            (
                format!("<hostdev></hostdev><x><address uuid='{uuid}'/></x>"),
                false,
            ),
            (
                format!("<hostdev><address type='pci' note='{uuid}'/></hostdev>"),
                false,
            ),
            ("<hostdev><address uuid=".into(), false),
            ("<hostdev><address uuid=é'".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(taken_by(&domain(&inner), uuid), wanted, "{inner}");
        }
    }
}
