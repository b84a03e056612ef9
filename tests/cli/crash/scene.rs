//! The two kinds of places on which a command is killed: a parent of mediated devices, and a GPU
//! whose functions take types.

use std::fs::{self, OpenOptions};
use std::io::Write;

use serde_json::Value;

use super::UUID;
use crate::harness::SimHost;

/// What a device has.
pub const ATTRIBUTE: &str = "disable_vnc=1";

/// A host, and a device on it that one command is about.
pub trait Scene {
    /// A host that has just booted.
    fn start(&self) -> SimHost;
    /// Where definitions are kept, and under which parent the device's own is.
    fn place(&self) -> (&'static str, &'static str);
    /// The virtual function that the device is on, where it is on one.
    fn function(&self) -> Option<&'static str> {
        None
    }

    fn type_id(&self) -> &'static str;
    /// What others have on the host, made anew after a reboot.
    fn make_others(&self, host: &SimHost);
    /// The device and its attribute, made without the program.
    fn make(&self, host: &SimHost);
    /// The attribute as the simulated driver has it; `None` where the device is not active.
    fn attribute(&self, host: &SimHost) -> Option<String>;
    /// What others have is as it was.
    fn check_others(&self, host: &SimHost, at: &str);
}

/// On a Tesla P4.
pub struct OnP4;

/// On one of three functions of an L40S, the first of which another program has given a type of the
/// same size.
pub struct OnFunction;

const P4: &str = "0000:81:00.0";
const P4_TYPE: &str = "nvidia-63";

impl Scene for OnP4 {
    fn start(&self) -> SimHost {
        SimHost::start("two-p4")
    }

    fn place(&self) -> (&'static str, &'static str) {
        ("etc/mdevctl.d", P4)
    }

    fn type_id(&self) -> &'static str {
        P4_TYPE
    }

    fn make_others(&self, _host: &SimHost) {}

    fn make(&self, host: &SimHost) {
        let types = format!("sys/class/mdev_bus/{P4}/mdev_supported_types");
        tell_kernel(host, &format!("{types}/{P4_TYPE}/create"), UUID);
        let params = format!("sys/bus/mdev/devices/{UUID}/nvidia/vgpu_params");
        tell_kernel(host, &params, &format!("{ATTRIBUTE}\n"));
    }

    fn attribute(&self, host: &SimHost) -> Option<String> {
        let device = host.path("sys/bus/mdev/devices").join(UUID);
        let target = fs::read_link(device.join("mdev_type")).ok()?;
        assert_eq!(target.file_name().unwrap(), P4_TYPE);
        let status = host.status();
        let devices = status["devices"].as_array().unwrap();
        let own = devices.iter().find(|device| device["uuid"] == UUID)?;
        Some(own["vgpu_params"].as_str().unwrap().to_owned())
    }

    fn check_others(&self, host: &SimHost, at: &str) {
        let status = host.status();
        let mut devices = status["devices"].as_array().unwrap().iter();
        assert!(devices.all(|device| device["uuid"] == UUID), "{at}");
    }
}

const L40S: &str = "0000:41:00.0";
const ANOTHERS: &str = "0000:41:00.4";
const ANOTHERS_TYPE: u64 = 1163;
const OWN: &str = "0000:41:00.5";
const OWN_TYPE: u64 = 1153;

impl Scene for OnFunction {
    fn start(&self) -> SimHost {
        SimHost::with_l40s(1, 3)
    }

    fn place(&self) -> (&'static str, &'static str) {
        ("etc/vgpuctl.d", L40S)
    }

    fn function(&self) -> Option<&'static str> {
        Some(OWN)
    }

    fn type_id(&self) -> &'static str {
        "nvidia-1153"
    }

    fn make_others(&self, host: &SimHost) {
        set_type(host, ANOTHERS, ANOTHERS_TYPE);
    }

    fn make(&self, host: &SimHost) {
        let notes = host.path("run/vgpuctl/vfs");
        fs::create_dir_all(&notes).unwrap();
        let note = serde_json::json!({ "type": self.type_id(), "uuid": UUID });
        fs::write(notes.join(OWN), note.to_string()).unwrap();
        set_type(host, OWN, OWN_TYPE);
        let params = format!("sys/bus/pci/devices/{OWN}/nvidia/vgpu_params");
        tell_kernel(host, &params, &format!("{ATTRIBUTE}\n"));
    }

    fn attribute(&self, host: &SimHost) -> Option<String> {
        let own: Vec<Value> = with_type(host, OWN_TYPE);
        assert!(own.len() < 2, "made twice: {own:?}");
        let own = own.first()?;
        Some(own["vgpu_params"].as_str().unwrap().to_owned())
    }

    fn check_others(&self, host: &SimHost, at: &str) {
        let anothers = with_type(host, ANOTHERS_TYPE);
        assert_eq!(anothers.len(), 1, "{at}: {anothers:?}");
        assert_eq!(anothers[0]["id"], ANOTHERS, "{at}");
        assert_eq!(anothers[0]["vgpu_params"], "", "{at}");
    }
}

/// The functions that have that type, as the simulated driver says.
fn with_type(host: &SimHost, number: u64) -> Vec<Value> {
    let mut status = host.status();
    let mut all = status["vendor_vfs"].take().as_array().unwrap().clone();
    all.retain(|vf| vf["type"] == number);
    all
}

fn set_type(host: &SimHost, vf: &str, number: u64) {
    let file = format!("sys/bus/pci/devices/{vf}/nvidia/current_vgpu_type");
    tell_kernel(host, &file, &number.to_string());
}

fn tell_kernel(host: &SimHost, file: &str, value: &str) {
    OpenOptions::new()
        .write(true)
        .open(host.path(file))
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .unwrap();
}
