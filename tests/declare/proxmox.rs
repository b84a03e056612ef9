//! Proxmox VE. What its own code makes of each file was seen by running qemu-server 9.2.6,
//! pve-guest-common 6.0.2 and pve-common 9.2.1.

use std::fmt::Write as _;

use vgpuctl::declare::{
    Format, GpuChoice, GpuFacts, GpuName, Members, Reading, Source, import, vm_devices,
};
use vgpuctl::model::proxmox_uuid;

use super::{gpus, in_short, told};

/// The host of the tests, with the sound of a graphics card in a slot of its own.
fn host() -> Vec<GpuFacts> {
    let mut gpus = gpus();
    let graphics = GpuFacts {
        id: "0000:84:00.0".parse().unwrap(),
        beside: vec!["0000:84:00.1".parse().unwrap()],
        ..gpus[1].clone()
    };
    gpus.push(graphics);
    gpus
}

fn read(files: &[(&str, &str)], node: Option<&str>) -> Result<Reading, Vec<String>> {
    let files = files.iter().map(|(name, text)| Source {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    });
    let files: Vec<Source> = files.collect();
    import(Format::Proxmox, &files, node, &host()).map_err(|error| told(&error))
}

/// A device of VM 100, or what becomes of it.
#[derive(Debug)]
enum Then {
    /// Each device: its number, type and addresses.
    Planned(&'static str),
    /// None, and this is said.
    Said(&'static str),
    /// The command fails with this.
    Refused(&'static str),
    /// Each device, and this is said.
    Both(&'static str, &'static str),
}
use Then::{Both, Planned, Refused, Said};

struct Case {
    /// 100.conf.
    conf: &'static str,
    /// mapping/pci.cfg.
    cfg: &'static str,
    /// What Proxmox VE makes of it on the node pve1.
    real: &'static str,
    /// What we do.
    ours: Then,
}

const fn vm(conf: &'static str, real: &'static str, ours: Then) -> Case {
    let cfg = "";
    Case {
        conf,
        cfg,
        real,
        ours,
    }
}

const MAPPED: &str = "hostpci0: mapping=gpu,mdev=nvidia-230\n";

const fn mapped(cfg: &'static str, real: &'static str, ours: Then) -> Case {
    let conf = MAPPED;
    Case {
        conf,
        cfg,
        real,
        ours,
    }
}

const ONE: &str = "0 nvidia-230 81:00.0";
const STARTS: &str = "makes the device";
const UNREAD: &str = "warns, starts without it";
const FAILS: &str = "does not start";

#[rustfmt::skip]
const CASES: &[Case] = &[
    // Which lines count.
    vm("hostpci0: 0000:81:00.0,mdev=nvidia-230\n", STARTS, Planned(ONE)),
    vm("hostpci0: 81:00.0,mdev=nvidia-230", STARTS, Planned(ONE)),
    vm("hostpci0:81:00.0,mdev=nvidia-230\n", STARTS, Planned(ONE)),
    vm("hostpci0:   81:00.0,mdev=nvidia-230  \n", STARTS, Planned(ONE)),
    vm("hostpci0: 81:00.0,mdev=nvidia-230\r\n[snap]\r\nhostpci1: 82:00.0,mdev=nvidia-230\r\n", STARTS, Planned(ONE)),
    vm("hostpci15: 81:00.0,mdev=nvidia-230\n", STARTS, Planned("15 nvidia-230 81:00.0")),
    vm("hostpci1: 82:00.0,mdev=nvidia-231\nhostpci0: 81:00.0,mdev=nvidia-230\n", STARTS, Planned("0 nvidia-230 81:00.0; 1 nvidia-231 82:00.0")),
    vm("hostpci16: 81:00.0,mdev=nvidia-230\n", UNREAD, Said("does not know \"hostpci16\", only hostpci0 to hostpci15")),
    vm("hostpci00: 81:00.0,mdev=nvidia-230\n", UNREAD, Said("does not know \"hostpci00\"")),
    vm("hostpci: 81:00.0,mdev=nvidia-230\n", UNREAD, Said("does not know \"hostpci\"")),
    vm("hostpcix: 81:00.0,mdev=nvidia-230\n", UNREAD, Said("does not know \"hostpcix\"")),
    vm(" hostpci0: 81:00.0,mdev=nvidia-230\n", UNREAD, Said("cannot read this line")),
    vm("hostpci0 : 81:00.0,mdev=nvidia-230\n", UNREAD, Said("cannot read this line")),
    vm("hostpci0=81:00.0,mdev=nvidia-230\n", UNREAD, Said("cannot read this line")),
    vm("hostpci0:\n", UNREAD, Said("cannot read this line")),
    vm("Hostpci0: 81:00.0,mdev=nvidia-230\n", UNREAD, Planned("")),
    vm("#hostpci0: 81:00.0,mdev=nvidia-230\n", "a description", Planned("")),
    vm("description: hostpci0: 81:00.0,mdev=nvidia-230\n", "a description", Planned("")),
    vm("# a%0Ahostpci0: 81:00.0,mdev=nvidia-230\nname: x\n", "a description", Planned("")),
    vm("[PENDING]\nhostpci0: 81:00.0,mdev=nvidia-230\n", "waits for a restart", Planned("")),
    vm("[pending]\nhostpci0: 81:00.0,mdev=nvidia-230\n", "waits for a restart", Planned("")),
    vm("name: x\n\n[before]\nhostpci0: 81:00.0,mdev=nvidia-230\n", "a snapshot", Planned("")),
    vm("[special:cloudinit]\nhostpci0: 81:00.0,mdev=nvidia-230\n", "informative only", Planned("")),
    vm("[special:fleecing]\nhostpci0: 81:00.0,mdev=nvidia-230\n", "not of the VM", Planned("")),
    vm("[9!]\nhostpci0: 81:00.0,mdev=nvidia-230\n", "an unknown section is skipped", Planned("")),
    vm("[before\nhostpci0: 81:00.0,mdev=nvidia-230\n", "no section: makes the device", Planned(ONE)),
    vm("[a] b\nhostpci0: 81:00.0,mdev=nvidia-230\n", "no section: makes the device", Planned(ONE)),
    // Twice the same key.
    vm("hostpci0: 82:00.0,mdev=nvidia-231\nhostpci0: 81:00.0,mdev=nvidia-230\n", "the last counts", Both(ONE, "100.conf:1: overridden by hostpci0 in line 2")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230\nhostpci0: 81:00.0,mdev=nvidia.1\n", "the last that can be read counts", Both(ONE, "100.conf:2: Proxmox VE ignores this line")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230\nhostpci0: 05:00.0\n", "the last counts: passed through whole", Said("overridden by hostpci0 in line 2")),
    // What a line may hold.
    vm("hostpci0: host=81:00.0,mdev=nvidia-230\n", STARTS, Planned(ONE)),
    vm("hostpci0: mdev=nvidia-230,x-vga=1,pcie=on,rombar=0,81:00.0\n", STARTS, Planned(ONE)),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,romfile=a.rom,vendor-id=0x10DE,device-id=0x1bb1,sub-vendor-id=0x10de,sub-device-id=0x11a3\n", STARTS, Planned(ONE)),
    vm("hostpci0: ,81:00.0,,mdev=nvidia-230, ,\n", STARTS, Planned(ONE)),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,driver=vfio\n", STARTS, Planned(ONE)),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,driver=keep\n", "uses a device that is there, makes none", Both(ONE, "start this one before the VM")),
    vm("hostpci0: 81:00.0, mdev=nvidia-230\n", UNREAD, Said("unknown key \" mdev\"")),
    vm("hostpci0: 81:00.0,mdev =nvidia-230\n", UNREAD, Said("unknown key \"mdev \"")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,foo=1\n", UNREAD, Said("unknown key \"foo\"")),
    vm("hostpci0: 81:00.0,MDEV=nvidia-230\n", UNREAD, Said("unknown key \"MDEV\"")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,pcie=maybe\n", UNREAD, Said("pcie cannot be \"maybe\"")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,vendor-id=10de\n", UNREAD, Said("vendor-id cannot be \"10de\"")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,driver=none\n", UNREAD, Said("driver cannot be")),
    vm("hostpci0: 81:00.0,mdev=\n", UNREAD, Said("\"mdev=\" lacks a key or a value")),
    vm("hostpci0: 81:00.0,=nvidia-230\n", UNREAD, Said("lacks a key or a value")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,mdev=nvidia-231\n", UNREAD, Said("mdev is set twice")),
    vm("hostpci0: 81:00.0,82:00.0,mdev=nvidia-230\n", UNREAD, Said("host is set twice")),
    vm("hostpci0: host=81:00.0,82:00.0,mdev=nvidia-230\n", UNREAD, Said("host is set twice")),
    vm("hostpci0: x,mdev=nvidia-230\n", UNREAD, Said("host cannot be \"x\"")),
    vm("hostpci0: 0000:8A:00.0,mdev=nvidia-230\n", UNREAD, Said("host cannot be \"0000:8A:00.0\"")),
    vm("hostpci0: 000:81:00.0,mdev=nvidia-230\n", UNREAD, Said("host cannot be")),
    vm("hostpci0: 1:00.0,mdev=nvidia-230\n", UNREAD, Said("host cannot be")),
    vm("hostpci0: 81:00.0; 82:00.0,mdev=nvidia-230\n", UNREAD, Said("host cannot be")),
    vm("hostpci0: 81:00.0;,mdev=nvidia-230\n", UNREAD, Said("host cannot be")),
    vm("hostpci0: mapping=g,mdev=nvidia-230\n", UNREAD, Said("mapping cannot be \"g\"")),
    vm("hostpci0: mapping=1gpu,mdev=nvidia-230\n", UNREAD, Said("mapping cannot be \"1gpu\"")),
    // Types.
    vm("hostpci0: 00:02.0,mdev=i915-GVTg_V5_4\n", STARTS, Planned("0 i915-GVTg_V5_4 00:02.0")),
    vm("hostpci0: 81:00.0,mdev=T4-1Q\n", FAILS, Said("T4-1Q is a type name; it expects the type id, nvidia-230")),
    vm("hostpci0: 81:00.0,mdev=GRID T4-1Q\n", FAILS, Said("expects the type id, nvidia-230")),
    vm("hostpci0: 81:00.0,mdev=nvidia-558\n", FAILS, Said("no type \"nvidia-558\" on 0000:81:00.0")),
    vm("hostpci0: 81:00.0,mdev=nvidia-0230\n", FAILS, Said("no type \"")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230 x\n", FAILS, Said("no type \"")),
    vm("hostpci0: 81:00.0,mdev=nvidia.230\n", UNREAD, Said("mdev cannot be \"nvidia.230\"")),
    vm("hostpci0: 81:00.0,mdev=nvidia/230\n", UNREAD, Said("mdev cannot be")),
    vm("hostpci0: 81:00.0,mdev=nvidia:230\n", UNREAD, Said("mdev cannot be")),
    vm("hostpci0: 81:00.0,pcie=1\n", "passed through whole", Planned("")),
    // Addresses.
    vm("hostpci0: 81:00,mdev=nvidia-230\n", "one function: makes the device", Planned(ONE)),
    vm("hostpci0: 0000:81:00,mdev=nvidia-230\n", "one function: makes the device", Planned(ONE)),
    vm("hostpci0: 84:00.0,mdev=nvidia-230\n", STARTS, Planned("0 nvidia-230 84:00.0")),
    vm("hostpci0: 84:00,mdev=nvidia-230\n", FAILS, Said("84:00 matches more than one function")),
    vm("hostpci0: 84:00.1,mdev=nvidia-230\n", FAILS, Said("0000:84:00.1 offers no vGPUs on this host")),
    vm("hostpci0: 81:00.0;82:00.0,mdev=nvidia-230\n", FAILS, Said("81:00.0;82:00.0 matches more than one function")),
    vm("hostpci0: 81:00.0;81:00.0,mdev=nvidia-230\n", FAILS, Said("matches more than one function")),
    vm("hostpci0: 05:00.0,mdev=nvidia-230\n", FAILS, Said("0000:05:00.0 offers no vGPUs on this host")),
    vm("hostpci0: 10000:81:00.0,mdev=nvidia-230\n", FAILS, Said("10000:81:00.0 offers no vGPUs on this host")),
    vm("hostpci0: 83:00.5,mdev=nvidia-557\n", "makes it on that function", Planned("0 nvidia-557 83:00.5")),
    vm("hostpci0: 83:00,mdev=nvidia-557\n", FAILS, Said("83:00 matches more than one function")),
    vm("hostpci0: 83:00.0,mdev=nvidia-557\n", FAILS, Said("only on its virtual functions: specify one, such as 0000:83:00.4")),
    vm("hostpci0: 83:00.5,mdev=nvidia-557\nhostpci1: 83:00.5,mdev=nvidia-557\n", FAILS, Said("it uses one function twice")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230\nhostpci1: 81:00.0,mdev=nvidia-230\n", STARTS, Planned("0 nvidia-230 81:00.0; 1 nvidia-230 81:00.0")),
    // What keeps the whole machine from starting.
    vm("hostpci0: mdev=nvidia-230\n", FAILS, Said("host or mapping is missing")),
    vm("hostpci0: 81:00.0,mapping=gpu,mdev=nvidia-230\n", FAILS, Said("host and mapping are mutually exclusive")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,legacy-igd=1\n", FAILS, Said("legacy-igd does not support mediated devices")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230,legacy-igd=0\n", STARTS, Planned(ONE)),
    vm("hostpci0: 81:00.0,mdev=nvidia-230\nhostpci1: 81:00.0,mdev=T4-1Q\n", FAILS, Said("nothing is planned for it")),
    vm("template: 1\nhostpci0: 81:00.0,mdev=nvidia-230\n", "a template never runs", Said("VM 100 is a template")),
    vm("hostpci0: 81:00.0,mdev=nvidia-230\ntemplate: yes\n", "a template never runs", Said("VM 100 is a template")),
    vm("template: 1\ntemplate: 0\nhostpci0: 81:00.0,mdev=nvidia-230\n", "the last counts", Planned(ONE)),
    vm("hostpci0: 81:00.0,mdev=nvidia-230\n[s]\ntemplate: 1\n", STARTS, Planned(ONE)),
    // Mappings.
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmdev 1\n", STARTS, Planned(ONE)),
    mapped("gpu\n\tmdev\n\tmap path=0000:81:00.0,node=pve1,id=10de:1eb8,iommugroup=3\n", STARTS, Planned(ONE)),
    mapped("gpu\n    description two; map x\n    map id=10de:1eb8,node=pve1,path=0000:81:00.0\n    mdev 1\n", STARTS, Planned(ONE)),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmap id=10de:1eb8,node=pve1,path=0000:82:00.0\n\tmdev 1\n", "the first of both that has room", Planned("0 nvidia-230 81:00.0 82:00.0")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve2,path=0000:81:00.0\n\tmap id=10de:1eb8,node=pve1,path=0000:82:00.0\n\tmdev 1\n", "on this node's", Planned("0 nvidia-230 82:00.0")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve2,path=0000:81:00.0\n\tmap id=10de:1eb8,node=pve3,path=0000:82:00.0\n\tmdev 1\n", FAILS, Refused("the mapping gpu has no entry for this node, pve1, only for pve2, pve3")),
    mapped("gpu\n\tmap id=10de:1eb8,node=PVE1,path=0000:81:00.0\n\tmdev 1\n", FAILS, Refused("has no entry for this node, pve1, only for PVE1")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1.lan,path=0000:81:00.0\n\tmdev 1\n", FAILS, Refused("only for no node")),
    mapped("gpu\n\tmap id=10de:1eb8,path=0000:81:00.0\n\tmdev 1\n", FAILS, Refused("only for no node")),
    mapped("gpu\n\tmap node=pve1,path=0000:81:00.0\n\tmdev 1\n", FAILS, Refused("only for no node")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=81:00.0\n\tmdev 1\n", FAILS, Refused("only for no node")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1, path=0000:81:00.0\n\tmdev 1\n", FAILS, Refused("only for no node")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n", FAILS, Said("the mapping gpu is not marked for mediated devices (mdev 1)")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmdev 0\n", FAILS, Said("not marked for mediated devices")),
    mapped("gpu\n\tmap id=10de:1bb3,node=pve1,path=0000:81:00.0\n\tmdev 1\n", FAILS, Said("the mapping gpu expects 10de:1bb3 at 0000:81:00.0, which is 10de:1eb8")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0;0000:82:00.0\n\tmdev 1\n", FAILS, Said("matches more than one function")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00\n\tmdev 1\n", "one function: makes the device", Planned(ONE)),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:84:00\n\tmdev 1\n", FAILS, Said("0000:84:00 matches more than one function")),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmap id=10de:1eb8,node=pve1,path=0000:05:00.0\n\tmdev 1\n", "fails for one alternative that is gone", Said("0000:05:00.0 of the mapping gpu offers no vGPUs on this host")),
    mapped("pci: gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmdev 1\n", FAILS, Refused("no mapping \"gpu\" in pci.cfg")),
    mapped("other\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmdev 1\n", FAILS, Refused("no mapping \"gpu\" in pci.cfg")),
    mapped("other\n\tmdev 1\ngpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n", "gpu belongs to other: does not start", Refused("no mapping \"gpu\"")),
    mapped("gpu\n\tmdev 1\n\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n", "the empty line ends it: does not start", Refused("only for no node")),
    mapped("# all\ngpu\n # one\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmdev 1\n\nother\n\tmdev 1\n", STARTS, Planned(ONE)),
    mapped("gpu\n\tmap id=10de:1eb8,node=pve1,path=0000:82:00.0\n\tmdev 1\n\ngpu\n\tmap id=10de:1eb8,node=pve1,path=0000:81:00.0\n\tmdev 1\n", "the last counts", Planned(ONE)),
    Case {
        conf: "hostpci0: mapping=vf,mdev=nvidia-557\n",
        cfg: "vf\n\tmap id=10de:2235,node=pve1,path=0000:83:00.4\n\tmap id=10de:2235,node=pve1,path=0000:83:00.6\n\tmdev 1\n",
        real: "on the first of both that is free",
        ours: Planned("0 nvidia-557 83:00.4 83:00.6"),
    },
    Case {
        conf: MAPPED,
        cfg: "",
        real: FAILS,
        ours: Said("the mapping gpu cannot be resolved; also pass the cluster's mapping/pci.cfg"),
    },
];

/// The devices of VM 100, by their numbers.
fn devices(reading: &Reading) -> String {
    let mut all: Vec<(u64, String)> = Vec::new();
    for group in &reading.declaration.groups {
        let (Members::Listed(members), GpuChoice::These(gpus)) = (&group.members, &group.gpus)
        else {
            panic!("{group:?}");
        };
        let mut line = group.type_name.clone();
        for gpu in gpus {
            let GpuName::Text(gpu) = gpu else {
                panic!("{group:?}");
            };
            write!(line, " {}", gpu.trim_start_matches("0000:")).unwrap();
        }
        for member in members {
            let (vmid, index) = member.vm().unwrap();
            assert_eq!((vmid, member.uuid), (100, proxmox_uuid(100, index).ok()));
            all.push((index, line.clone()));
        }
    }
    all.sort();
    let all: Vec<String> = all
        .iter()
        .map(|(at, line)| format!("{at} {line}"))
        .collect();
    all.join("; ")
}

#[test]
fn each_file_is_read_as_proxmox_reads_it() {
    for case in CASES {
        let mut files = vec![("etc/100.conf", case.conf)];
        if !case.cfg.is_empty() {
            files.push(("mapping/pci.cfg", case.cfg));
        }
        let reading = read(&files, Some("pve1"));
        let what = format!(
            "{}{}: Proxmox VE {}: {:?}",
            case.conf, case.cfg, case.real, case.ours
        );
        let (planned, said) = match &case.ours {
            Refused(why) => {
                let told = reading.expect_err(&what);
                assert!(told.join("\n").contains(why), "{what}: {told:?}");
                continue;
            }
            Planned(planned) => (*planned, None),
            Said(said) => ("", Some(*said)),
            Both(planned, said) => (*planned, Some(*said)),
        };
        let reading = reading.expect(&what);
        assert_eq!(devices(&reading), planned, "{what}: {:?}", reading.notes);
        let notes = reading.notes.join("\n");
        assert_eq!(notes.is_empty(), said.is_none(), "{what}: {notes}");
        assert!(notes.contains(said.unwrap_or_default()), "{what}: {notes}");
        if case.real == FAILS && !notes.contains("cannot be resolved") {
            assert!(notes.contains("does not start VM 100"), "{what}: {notes}");
        }
        let asked = vm_devices(case.conf).len();
        assert!(asked >= reading.declaration.groups.len(), "{what}");
    }
    println!(
        "proxmox: {} cases, all as Proxmox VE reads them",
        CASES.len()
    );
    assert!(CASES.len() >= 100, "{}", CASES.len());
}

const MACHINE: &str = "#a comment: hostpci9: 81:00.0,mdev=nvidia-1\nagent: 1\n\
    args: -uuid 00000000-0000-0000-0000-000000000100\n\
    hostpci0: 0000:81:00.0,mdev=nvidia-230,pcie=1\n\
    hostpci1: mdev=nvidia-230,x-vga=1,host=81:00.0\nhostpci2: 05:00.0,pcie=1\n\
    [PENDING]\nhostpci3: 81:00.0,mdev=nvidia-1\n\n[before]\nhostpci0: 81:00.0,mdev=nvidia-2\n";

#[test]
fn machines_get_the_devices_that_proxmox_would_make() {
    let reading = read(
        &[
            ("dir/100.conf", MACHINE),
            ("101.conf", "hostpci0: 81:00.0,mdev=nvidia-230\n"),
            ("102.conf", "hostpci0: 0000:83:00.5,mdev=nvidia-557\n"),
            ("103.conf", "memory: 2048\n"),
            ("104.conf", "hostpci5: 0000:83:00.5,mdev=nvidia-558\n"),
            ("105.conf", "hostpci0: 0000:81:00.0;82:00,mdev=nvidia-230\n"),
        ],
        None,
    )
    .unwrap();
    assert_eq!(
        in_short(&reading.declaration),
        [
            "nvidia-230: nvidia-230 100 100.1 101 on 81:00.0, manual",
            "nvidia-557: nvidia-557 102 on 83:00.5, manual",
            "nvidia-558: nvidia-558 104.5 on 83:00.5, manual",
            "Keep",
        ]
    );
    assert_eq!(
        reading.notes,
        [
            "dir/100.conf:3: args is ignored",
            "104.conf:1: 0000:83:00.5 is also used by VM 102: only one of them can run at a time",
            "105.conf:1: Proxmox VE does not start VM 105: 0000:81:00.0;82:00 matches more than one function; a mediated device needs exactly one; nothing is planned for it",
        ]
    );
}

#[test]
fn a_mapping_means_the_node_that_is_asked_for() {
    let cfg = "gpu\n\tmap id=10de:1eb8,node=a,path=0000:81:00.0\n\
        \tmap id=10de:1eb8,node=b,path=0000:82:00.0\n\tmap node=c\n\tmdev 1\n";
    let files = [("pci.cfg", cfg), ("100.conf", MAPPED)];
    for (node, on) in [("a", "81:00.0"), ("b", "82:00.0")] {
        let reading = read(&files, Some(node)).unwrap();
        assert_eq!(devices(&reading), format!("0 nvidia-230 {on}"));
        assert_eq!(
            reading.notes,
            ["pci.cfg:4: Proxmox VE ignores this line: id= is missing"]
        );
    }
    assert_eq!(
        read(&files, Some("c")).unwrap_err(),
        [
            "100.conf:1: the mapping gpu has no entry for this node, c, only for a, b (to use another node: \
             --select NODE)"
        ]
    );
    assert_eq!(
        read(&files, None).unwrap_err(),
        [
            "100.conf:1: the mapping gpu is per node, and the name of this node is not known: use --select NODE"
        ]
    );
}

#[test]
fn what_makes_no_sense_is_told() {
    for (name, wanted) in [
        (
            "vm.conf",
            "vm.conf: the file name does not contain the VM id",
        ),
        (
            "0100.conf",
            "0100.conf: the file name does not contain the VM id",
        ),
        (
            "99.conf",
            "99.conf: 99 is not a Proxmox VE VM id: valid ids are 100 to 999999999",
        ),
        (
            "1234567890123.conf",
            "1234567890123.conf: 1234567890123 is not a Proxmox VE VM id: valid ids are 100 to 999999999",
        ),
    ] {
        let text = "hostpci0: 81:00.0,mdev=nvidia-230\n";
        assert_eq!(read(&[(name, text)], None).unwrap_err(), [wanted], "{name}");
    }
    assert_eq!(
        read(&[("a/100.conf", ""), ("b/100.conf", "")], None).unwrap_err(),
        ["b/100.conf: VM 100 already has a file"]
    );
}
