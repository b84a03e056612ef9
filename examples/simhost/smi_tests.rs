//! MIG through `nvidia-smi`, and what it means for virtual functions.

use nix::errno::Errno;

use super::*;
use crate::hostfile;
use crate::vf::VfFile;

const GPU: &str = "0000:41:00.0";
const VFS: [&str; 3] = ["0000:41:00.4", "0000:41:00.5", "0000:41:00.6"];

fn host(file: &str) -> Host {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hosts");
    Host::new(hostfile::read(&std::path::Path::new(folder).join(file)).unwrap())
}

fn smi(host: &mut Host, line: &str) -> (u8, String) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Printed { text, status } = host.nvidia_smi(&words);
    (status, text)
}

const QUERY: &str =
    "--query-gpu=index,pci.bus_id,mig.mode.current,mig.mode.pending --format=csv,noheader";

fn mode(host: &mut Host) -> String {
    smi(host, QUERY).1
}

fn creatable(host: &Host, vf: &str) -> Vec<String> {
    let text = host.read_vf(vf, VfFile::Creatable).unwrap();
    let lines = text.lines().skip(1);
    let names = lines.map(|line| line.split_once(" : ").unwrap().1);
    names
        .map(|name| name.trim_start_matches("NVIDIA ").to_owned())
        .collect()
}

fn set(host: &mut Host, vf: &str, data: &str) -> Result<(), Errno> {
    match host.begin_set(vf, data.as_bytes())? {
        Some(ticket) => host.finish_set(&ticket),
        None => Ok(()),
    }
}

#[test]
fn an_h200_answers_as_recorded() {
    let mut host = host("h200.toml");
    let profiles = include_str!("../../crates/vgpu-host/src/smi/fixtures/h200-lgip.txt");
    let placements = include_str!("../../crates/vgpu-host/src/smi/fixtures/h200-lgipp.txt");
    assert_eq!(smi(&mut host, "mig -lgip"), (0, profiles.to_owned()));
    assert_eq!(smi(&mut host, "mig -lgipp"), (0, placements.to_owned()));
    let none = (0, "No MIG-enabled devices found.\n".to_owned());
    assert_eq!(smi(&mut host, "mig -lgi"), none);
    let unknown = (6, "No devices were found\n".to_owned());
    assert_eq!(smi(&mut host, "mig -lgi -i 7"), unknown);
    assert_eq!(mode(&mut host), "0, 00000000:41:00.0, Disabled, Disabled\n");
    assert_eq!(
        smi(&mut host, "--query-gpu=color --format=csv,noheader").0,
        2
    );
    let mut other = super::tests::host("l40s.toml");
    assert_eq!(mode(&mut other), "0, 00000000:41:00.0, [N/A], [N/A]\n");
}

#[test]
fn a_type_fits_while_a_gpu_instance_of_its_profile_is_free() {
    let mut host = host("h100-mig.toml");
    assert_eq!(smi(&mut host, "mig -lgi").0, 6);
    assert!(creatable(&host, VFS[0]).is_empty());
    assert_eq!(set(&mut host, VFS[0], "2003"), Err(Errno::EIO));
    let (status, text) = smi(&mut host, "mig -i 0 -cgi 9,1g.10gb:6 -C");
    assert_eq!(status, 0, "{text}");
    assert!(text.contains(
        "Successfully created GPU instance ID  2 on GPU  0 using profile MIG 3g.40gb (ID  9)\n"
    ));
    let row = "|   0  MIG 3g.40gb            9        2          0:4     |\n";
    assert!(smi(&mut host, "mig -lgi").1.contains(row));
    assert_eq!(creatable(&host, VFS[0]), ["H100XM-1-10C", "H100XM-3-40C"]);

    assert_eq!(set(&mut host, VFS[1], "2007"), Ok(()));
    assert_eq!(creatable(&host, VFS[0]), ["H100XM-1-10C"]);
    assert!(creatable(&host, VFS[1]).is_empty());
    assert_eq!(
        host.read_vf(VFS[1], VfFile::GpuInstance),
        Ok("2\n".to_owned())
    );
    assert_eq!(host.read_vf(VFS[0], VfFile::GpuInstance), Err(Errno::ENXIO));
    assert_eq!(set(&mut host, VFS[2], "2007"), Err(Errno::EIO));

    // What is used stays; a compute instance goes before its GPU instance.
    assert_eq!(smi(&mut host, "mig -dci -gi 2").0, 19);
    assert_eq!(smi(&mut host, "mig -dgi -gi 13").0, 19);
    assert_eq!(smi(&mut host, "mig -dci -gi 13").0, 0);
    assert_eq!(smi(&mut host, "mig -dgi -gi 13").0, 0);
    assert_eq!(smi(&mut host, "mig -dgi -gi 13").0, 6);
    assert_eq!(set(&mut host, VFS[1], "0"), Ok(()));
    assert_eq!(creatable(&host, VFS[1]), ["H100XM-3-40C"]);
    let full = smi(&mut host, "mig -cgi 4g.40gb");
    assert_eq!(full.0, 23, "{full:?}");
    assert!(full.1.contains("Insufficient Resources"));
}

#[test]
fn switching_functions_and_a_reboot_destroy_instances() {
    let mut host = host("h100-mig.toml");
    assert_eq!(smi(&mut host, "mig -cgi 19").0, 0);
    // Functions that are on already are not switched.
    host.sriov_manage("-e", GPU).unwrap();
    assert_eq!(smi(&mut host, "mig -lgi").0, 0);
    host.sriov_manage("-d", GPU).unwrap();
    assert_eq!(smi(&mut host, "mig -lgi").0, 6);
    assert_eq!(mode(&mut host), "0, 00000000:41:00.0, Enabled, Enabled\n");
    host.sriov_manage("-e", GPU).unwrap();
    assert_eq!(smi(&mut host, "mig -cgi 19").0, 0);
    host.reboot();
    assert_eq!(mode(&mut host), "0, 00000000:41:00.0, Disabled, Disabled\n");
    assert_eq!(creatable(&host, VFS[0]), ["H100XM-40C", "H100XM-80C"]);
}

#[test]
fn the_mode_changes_only_while_functions_are_off() {
    let mut host = host("h200.toml");
    let refused = smi(&mut host, "-i 00000000:41:00.0 -mig 1");
    assert_eq!(refused.0, 19, "{refused:?}");
    host.sriov_manage("-d", GPU).unwrap();
    assert_eq!(smi(&mut host, &format!("-i {GPU} -mig 1")).0, 0);
    assert_eq!(mode(&mut host), "0, 00000000:41:00.0, Enabled, Enabled\n");
    host.sriov_manage("-e", GPU).unwrap();
    assert!(creatable(&host, VFS[0]).is_empty());
    assert_eq!(smi(&mut host, &format!("-mig 0 -i {GPU}")).0, 19);
    // Before Hopper, it waits for a reset.
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/hosts/h200.toml"
    ));
    let older = text
        .unwrap()
        .replace("\"h200\"", "\"a100-40\"")
        .replace("18gb", "5gb");
    let older = older
        .replace("35gb", "10gb")
        .replace("71gb", "20gb")
        .replace("141gb", "40gb");
    let mut host = Host::new(hostfile::parse(&older).unwrap());
    let (status, text) = smi(&mut host, &format!("-i {GPU} -mig 1"));
    assert_eq!(status, 0);
    assert!(text.contains("pending enable state"), "{text}");
    assert_eq!(mode(&mut host), "0, 00000000:41:00.0, Disabled, Enabled\n");
    host.reboot();
    assert_eq!(mode(&mut host), "0, 00000000:41:00.0, Enabled, Enabled\n");
}
