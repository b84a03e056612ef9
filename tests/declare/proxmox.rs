//! Proxmox VE.

use vgpuctl::declare::{Format, Members, Reading, Source, import};
use vgpuctl::model::proxmox_uuid;

use super::{gpus, in_short, told};

fn read(files: &[(&str, &str)]) -> Result<Reading, Vec<String>> {
    let files = files.iter().map(|(name, text)| Source {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    });
    let files: Vec<Source> = files.collect();
    import(Format::Proxmox, &files, None, &gpus()).map_err(|error| told(&error))
}

const MACHINE: &str = "#a comment: hostpci9: 81:00.0,mdev=nvidia-1\nagent: 1\n\
    args: -uuid 00000000-0000-0000-0000-000000000100\n\
    hostpci0: 0000:81:00.0,mdev=nvidia-230,pcie=1\n\
    hostpci1: mdev=nvidia-230,x-vga=1,host=81:00.0\nhostpci2: 05:00.0,pcie=1\n\
    [PENDING]\nhostpci3: 81:00.0,mdev=nvidia-1\n\n[before]\nhostpci0: 81:00.0,mdev=nvidia-2\n";

#[test]
fn machines_get_the_devices_that_proxmox_would_make() {
    let reading = read(&[
        ("dir/100.conf", MACHINE),
        (
            "101.conf",
            "hostpci0: 81:00.0,mdev=nvidia-230\nhostpci5: 81:00.0;82:00,mdev=nvidia-230\n",
        ),
        ("102.conf", "hostpci0: 0000:83:00.5,mdev=nvidia-557\n"),
        ("103.conf", "memory: 2048\n"),
    ])
    .unwrap();
    assert_eq!(
        in_short(&reading.declaration),
        [
            "nvidia-230: nvidia-230 100 100.1 101 on 81:00.0, manual",
            "nvidia-230.2: nvidia-230 101.5 on 81:00.0 82:00.0, manual",
            "nvidia-557: nvidia-557 102 on 83:00.0, manual",
            "Keep",
        ]
    );
    let Members::Listed(members) = &reading.declaration.groups[0].members else {
        panic!("{reading:?}");
    };
    assert_eq!(members[1].uuid, proxmox_uuid(100, 1).ok());
    assert_eq!(
        reading.notes,
        [
            "dir/100.conf:3: args is not looked at",
            "102.conf:1: 0000:83:00.5 is a function of 0000:83:00.0, where any will do",
        ]
    );
}

#[test]
fn a_mapping_is_resolved_where_it_is_given() {
    let machine = ("100.conf", "hostpci0: mapping=gpu,mdev=nvidia-230\n");
    let reading = read(&[machine]).unwrap();
    assert_eq!(in_short(&reading.declaration), ["Keep"]);
    assert_eq!(
        reading.notes,
        ["100.conf:1: the mapping gpu cannot be resolved; give the cluster's mapping/pci.cfg too"]
    );
    let mapping = "gpu\n\tdescription two cards\n\tmap id=10de:1eb8,node=a,path=0000:81:00.0\n\
        \tmap id=10de:1eb8,node=b,path=0000:02:00.0\n\tmdev 1\n\nother\n\tmap node=a,path=0000:82:00\n";
    for mapping in [mapping.to_owned(), format!("pci: {mapping}")] {
        let reading = read(&[("mapping/pci.cfg", &mapping), machine]).unwrap();
        assert_eq!(
            in_short(&reading.declaration),
            ["nvidia-230: nvidia-230 100 on 81:00.0, manual", "Keep"]
        );
    }
    assert_eq!(
        read(&[("pci.cfg", "x\n"), machine]).unwrap_err(),
        ["100.conf:1: there is no mapping \"gpu\" in pci.cfg"]
    );
}

#[test]
fn what_makes_no_sense_is_told() {
    for (name, text, wanted) in [
        (
            "vm.conf",
            "",
            "vm.conf: the file's name does not say the VM's id",
        ),
        (
            "1.conf",
            "hostpci0: x,mdev=a",
            "1.conf:1: \"x\" is no PCI address",
        ),
        (
            "1.conf",
            "hostpci0: mdev=a",
            "1.conf:1: the line says neither an address nor a mapping",
        ),
        (
            "1.conf",
            "hostpci0: 81:00.0,mdev=",
            "1.conf:1: mdev= takes a type, not an empty one",
        ),
        (
            "1.conf",
            "hostpcix: 81:00.0,mdev=a",
            "1.conf:1: hostpci has no number",
        ),
        (
            "1.conf",
            "hostpci0: 81:00.0,mdev=a\nhostpci0: 81:00.0,mdev=a",
            "1.conf:2: hostpci0 is there twice",
        ),
        (
            "1234567890123.conf",
            "hostpci0: 81:00.0,mdev=a",
            "1234567890123.conf:1: VM 1234567890123 with index 0 has no UUID of Proxmox's form",
        ),
    ] {
        assert_eq!(read(&[(name, text)]).unwrap_err(), [wanted], "{text}");
    }
    assert_eq!(
        read(&[("a/1.conf", ""), ("b/1.conf", "")]).unwrap_err(),
        ["b/1.conf: VM 1 has a file already"]
    );
}
