//! No text stops a reader, and what it makes of one is a declaration that can be written.

use proptest::prelude::*;
use vgpuctl::declare::{Format, Source, import, parse, write};

use super::{gpus, source, told, without_lines};

const FORMATS: [Format; 5] = [
    Format::VgpuDeviceManager,
    Format::KubeVirt,
    Format::Nova,
    Format::Cyborg,
    Format::Proxmox,
];

fn read_every_way(text: &str) {
    let mut readings = vec![parse(&source(text))];
    let named = Source {
        name: "100.conf".to_owned(),
        text: text.to_owned(),
    };
    let mapping = Source {
        name: "pci.cfg".to_owned(),
        text: text.to_owned(),
    };
    for format in FORMATS {
        readings.push(import(format, std::slice::from_ref(&named), None, &gpus()));
        readings.push(import(
            format,
            std::slice::from_ref(&named),
            Some("a=b"),
            &gpus(),
        ));
    }
    readings.push(import(Format::Proxmox, &[mapping, named], None, &gpus()));
    for reading in readings {
        match reading {
            Ok(reading) => {
                let text = write(&reading.declaration, &reading.notes);
                let again = parse(&source(&text)).map_err(|error| told(&error));
                let again = again.map(|again| without_lines(again.declaration));
                assert_eq!(again, Ok(without_lines(reading.declaration)), "{text}");
            }
            Err(error) => assert!(!told(&error).is_empty()),
        }
    }
}

/// Pieces of which files of all the forms are made, so that more than the first line is reached.
const PIECES: [&str; 68] = [
    "<<: ",
    "but",
    "permittedHostDevices",
    "externalResourceProvider: true",
    "mdevNameSelector: GRID T4-1Q",
    "[mdev]",
    "device_spec = ",
    "010",
    "version",
    "=",
    " ",
    "1",
    "\n",
    "[[group]]",
    "name",
    "\"a\"",
    "type",
    "count",
    "per-gpu",
    "names",
    "vms",
    "uuids",
    "gpus",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "'",
    "max",
    "unlisted",
    "remove-on",
    "params",
    "attrs",
    "0x",
    "-",
    "\n  ",
    "\n- ",
    "v1",
    "vgpu-configs",
    "devices",
    "all",
    "vgpu-devices",
    "T4-1Q",
    "device-filter",
    "&a",
    "*a",
    "!!str",
    "|",
    ">",
    "#",
    "---",
    "mediatedDeviceTypes",
    "nodeMediatedDeviceTypes",
    "nodeSelector",
    "spec",
    "items",
    "nvidia-230",
    "enabled_mdev_types",
    "[devices]",
    "[mdev_nvidia-230]",
    "hostpci0: ",
    "81:00.0",
    "mdev=",
    "map ",
    "path=",
];

proptest! {
    #[test]
    fn any_text(text in "\\PC{0,200}|(?s).{0,200}") {
        read_every_way(&text);
    }

    #[test]
    fn any_text_of_the_right_pieces(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60),
    ) {
        read_every_way(&pieces.concat());
    }

    #[test]
    fn any_slip_in_a_right_file(at in 0..2000usize, with in "\\PC{0,3}|[\\x00-\\x7f]{0,3}", cut in 0..9usize) {
        for file in RIGHT {
            let mut text: Vec<char> = file.chars().collect();
            let at = at % (text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, with.chars());
            read_every_way(&text.into_iter().collect::<String>());
        }
    }
}

#[test]
fn a_type_is_refused_where_our_own_form_would_refuse_it() {
    let file = |format, name: &str| match format {
        Format::VgpuDeviceManager => format!(
            "version: v1\nvgpu-configs: {{a: [{{devices: all, vgpu-devices: {{{name}: 2}}}}]}}\n"
        ),
        Format::KubeVirt => format!("mediatedDeviceTypes: [{name}]\n"),
        Format::Nova => format!("[devices]\nenabled_mdev_types = {name}\n"),
        Format::Cyborg => format!("[mdev]\ndevice_spec = {{\"mdev_type\": \"{name}\"}}\n"),
        Format::Proxmox => format!("hostpci0: 81:00.0,mdev={name}\n"),
    };
    for format in FORMATS {
        let (longest, longer) = ("x".repeat(240), "x".repeat(241));
        read_every_way(&file(format, &longest));
        let named = Source {
            name: "100.conf".to_owned(),
            text: file(format, &longer),
        };
        let told = import(format, &[named], None, &gpus()).map_err(|error| told(&error));
        let faults = match told {
            // Proxmox VE starts no machine of such a type.
            Ok(reading) if format == Format::Proxmox => {
                assert!(reading.declaration.groups.is_empty(), "{reading:?}");
                reading.notes
            }
            told => told.unwrap_err(),
        };
        let is_placed = |fault: &String| fault.starts_with("100.conf:");
        assert!(faults.iter().all(is_placed), "{format:?}: {faults:?}");
    }
}

const RIGHT: [&str; 6] = [
    "version = 1\nunlisted = { remove-on = [0, \"Tesla P4\"], but = [\"nvidia-63\"] }\n[[group]]\nname = \"a\"\ntype = \"P4-1Q\"\n\
     per-gpu = { max = 3 }\nparams = { frame_rate_limiter = 0 }\nattrs = [\"x=1\"]\n\
     [[group]]\nname = \"b\"\ntype = \"t\"\nvms = [100, \"101:1\"]\ngpus = [0, \"81:00.0\"]\n",
    "version: v1\nvgpu-configs:\n  a: &a\n  - device-filter: [\"0x1EB810DE\"]\n    devices: [0, 1]\n    vgpu-devices: {\"T4-1Q\": 16}\n",
    "spec:\n  configuration:\n    mediatedDevicesConfiguration:\n      mediatedDeviceTypes: [nvidia-222, GRID_T4-1Q]\n      nodeMediatedDeviceTypes:\n      - nodeSelector: {a: b}\n        mediatedDeviceTypes: [nvidia-223]\n",
    "[devices]\nenabled_mdev_types = nvidia-230, nvidia-231\n[mdev_nvidia-230]\ndevice_addresses = 0000:81:00.0,\n  0000:82:00.0\nmax_instances = 4\n",
    "[agent]\nenabled_drivers = mdev_driver\n[mdev]\ndevice_spec = [{\"address\": \"0000:8?:00.*\", \"mdev_type\": \"nvidia-230\"},\n  {\"vendor_id\": \"10de\", \"mdev_types\": [\"nvidia-557\"]}]\n",
    "hostpci0: 0000:81:00.0,mdev=nvidia-230,pcie=1\nhostpci1: mapping=x,mdev=nvidia-231\n[snap]\nhostpci2: 1\n",
];

#[test]
fn a_long_file_of_anything_is_answered() {
    const SIZE: usize = 1 << 15;
    for piece in [
        "[",
        "{",
        "a: ",
        "- ",
        "\"",
        "'",
        "&a ",
        "*a ",
        "? ",
        "!",
        "#",
        "a\n",
        "a=",
        "[a]\n",
        "x,",
        "[[group]]\n",
        "a.",
        "{a: ",
        "\n",
        "\t",
        "\r",
        ": ",
        "a: &a [*a",
        "hostpci0: a,mdev=b\n",
        "|\n",
    ] {
        read_every_way(&piece.repeat(SIZE / piece.len()));
    }
    let many = |line: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        let mut n = 0;
        while text.len() < SIZE - 200 {
            text += &line(n);
            n += 1;
        }
        text
    };
    for text in [
        many(&|n| format!("k{n}: 1\n")),
        many(&|n| format!("k{n} = 1\n")),
        format!("mediatedDeviceTypes: [{}x]", many(&|n| format!("t{n},"))),
        format!(
            "[devices]\nenabled_mdev_types = {}",
            many(&|n| format!("t{n},"))
        ),
        format!(
            "version = 1\nunlisted = {{ remove-on = [{}] }}",
            many(&|n| format!("\"{n}x\","))
        ),
        format!(
            "version: v1\nvgpu-configs:\n{}",
            many(&|n| format!(" c{n}: [{{devices: all, vgpu-devices: {{a: 1}}}}]\n"))
        ),
    ] {
        read_every_way(&text);
    }
}
