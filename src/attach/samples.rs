//! Devices for the tests of this folder.

use super::{Attachment, Display, Model, SharedMemory, Source};

pub fn mdev() -> Attachment {
    plain(Source::Mdev {
        uuid: "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".parse().unwrap(),
        parent: "0000:81:00.0".parse().unwrap(),
        type_id: "nvidia-63".parse().unwrap(),
        model: Model::Pci,
        sysfs: "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".into(),
    })
}

pub fn ap() -> Attachment {
    plain(Source::Mdev {
        uuid: "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".parse().unwrap(),
        parent: "matrix".parse().unwrap(),
        type_id: "vfio_ap-passthrough".parse().unwrap(),
        model: Model::Ap,
        sysfs: "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".into(),
    })
}

pub fn vf() -> Attachment {
    plain(Source::Vf {
        address: "10000:81:01.4".parse().unwrap(),
        type_id: "nvidia-1147".parse().unwrap(),
        sysfs: "/sys/bus/pci/devices/10000:81:01.4".into(),
    })
}

pub fn memory() -> SharedMemory {
    SharedMemory {
        size_mib: 32,
        name: "looking-glass".into(),
        path: "/dev/shm/looking-glass".into(),
    }
}

fn plain(source: Source) -> Attachment {
    Attachment {
        source,
        display: Display::Unsaid,
        identity: None,
        memory: None,
    }
}
