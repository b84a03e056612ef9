//! Kubernetes: the GPU operator, the vGPU device manager, KubeVirt.

use super::{Known, PLAIN, Voice};

pub(super) const KNOWN: &[Known] = &[
    Known {
        code: "k8s-no-parents",
        told_by: &["no parent devices found for GPU at index"],
        follows: &[
            "gsp-firmware-missing",
            "k8s-readonly-sys",
            "rm-*",
            "module-*",
            "build-*",
        ],
        cause: "the vGPU device manager finds nothing to divide on that GPU. Three causes are known: it started before \
                the virtual functions were enabled; the host uses vendor-specific VFIO (Ada and newer, or kernel 6.8 \
                with vGPU 17), which has no mediated devices; or the GPU did not start because its GSP firmware is \
                missing.",
        next: "on the node: no mdev_bus in /sys/class = vendor-specific VFIO, take a device manager that knows it; dmesg with `firmware load \
               for nvidia/... failed` = firmware; otherwise VFs: ls /sys/bus/pci/devices/<PF>/virtfn*, then restart \
               the device manager's pod",
        source: "https://github.com/NVIDIA/gpu-operator/pull/2002",
        ..PLAIN
    },
    Known {
        code: "k8s-no-mdev",
        told_by: &[
            "unable to read MDEV devices directory",
            "error getting all vGPU devices",
        ],
        follows: &["rm-*", "module-*", "build-*", "gsp-*"],
        cause: "the node's kernel has no mediated devices: the vGPU host driver is not loaded (look at the \
                vgpu-manager pod), or the host uses vendor-specific VFIO, which has none.",
        next: "kubectl logs of the nvidia-vgpu-manager pod: did its driver install and load? On a kernel 6.8 or newer with an SR-IOV card, \
               take a device manager that knows vendor-specific VFIO",
        source: "https://github.com/NVIDIA/gpu-operator/issues/591",
        ..PLAIN
    },
    Known {
        code: "k8s-vgpu-config",
        told_by: &[
            "Failed to apply vGPU config",
            "unable to apply config * exit status 1",
            "error setting VGPU config:",
            "error parsing config file * vgpu",
            "Unable to validate the selected vGPU configuration",
            "is not present in the configuration file",
            "vGPU type * is not supported on GPU",
            "vgpu.config.state=failed",
        ],
        needs: &["vgpu"],
        follows: &[
            "k8s-*",
            "gsp-firmware-missing",
            "create-*",
            "size-mix",
            "rm-*",
        ],
        voice: Voice::Alone,
        cause: "the vGPU device manager could not apply the configuration that the node's label \
                nvidia.com/vgpu.config names. The line before gives its reason: a name that is not in the ConfigMap, a \
                type that this GPU does not offer, a vGPU in use by a VM, or no devices to divide.",
        next: "compare the label with the names in the ConfigMap and the type with what the node offers (vgpuctl \
               types); shut VMs with vGPUs down before changing the configuration",
        source: "https://github.com/NVIDIA/vgpu-device-manager",
        ..PLAIN
    },
    Known {
        code: "k8s-validation-stuck",
        told_by: &[
            "waiting for /run/nvidia/validations",
            "vgpu-manager-ready: No such file",
            "validations/vgpu-manager-ready",
            "waiting for nvidia vGPU Manager",
            "waiting for vGPU manager",
        ],
        follows: &[
            "rm-*",
            "module-*",
            "build-*",
            "kernel-headers",
            "gsp-*",
            "sriov-*",
        ],
        cause: "a pod waits for the mark that the sandbox-validator writes once the vGPU manager works. Either the vGPU \
                manager's pod did not get its driver up, or the validator does not run there (its node labels are not \
                `true`).",
        next: "kubectl logs of nvidia-vgpu-manager first. If that is fine: kubectl label node <N> --overwrite \
               nvidia.com/gpu.deploy.sandbox-validator=true nvidia.com/gpu.deploy.sandbox-device-plugin=true",
        source: "https://github.com/NVIDIA/gpu-driver-container/issues/979",
        ..PLAIN
    },
    Known {
        code: "k8s-vfs-missing",
        told_by: &["waiting for VFs: 0/"],
        unless: &[
            "VFs enabled on",
            "waiting for VFs: 1",
            "waiting for VFs: 2",
            "waiting for VFs: 3",
            "waiting for VFs: 4",
            "waiting for VFs: 5",
            "waiting for VFs: 6",
            "waiting for VFs: 7",
            "waiting for VFs: 8",
            "waiting for VFs: 9",
        ],
        cause: "the validator waits for virtual functions and none appears: this card cannot have any (no SR-IOV: M10, P4, P40, \
                V100), which some operator releases do not know; or sriov-manage did not make them (it can end with 0 all the \
                same, above all right after the driver was loaded).",
        next: "lspci -vv of the GPU shows an SR-IOV capability or not. Without: another operator release. With: on the node, \
               /usr/lib/nvidia/sriov-manage -e ALL again after some seconds, and the vgpu-manager pod's log",
        source: "https://github.com/NVIDIA/gpu-operator/issues/2365",
        ..PLAIN
    },
    Known {
        code: "k8s-readonly-sys",
        told_by: &["firmware_class/parameters/path: Read-only"],
        cause: "the container's /sys is read-only, so the driver container cannot tell the kernel where its GSP firmware is.",
        next: "use GPU operator 24.6 or newer, which mounts that file; or copy the firmware to the host's /lib/firmware/nvidia",
        source: "https://github.com/NVIDIA/gpu-operator/issues/761",
        ..PLAIN
    },
    Known {
        code: "k8s-no-runtime",
        told_by: &[
            "no runtime for nvidia is configured",
            "unknown runtime * nvidia",
            "unknown or invalid runtime name: nvidia",
        ],
        cause: "the container runtime has no entry `nvidia` yet. Usually a consequence: the toolkit pod has not run because \
                the driver or vGPU manager pod is not ready; otherwise the toolkit wrote to another place than this \
                distribution's containerd reads (k3s, rke2, microk8s).",
        next: "kubectl get pods of the operator: mend the first one that fails (driver, vgpu-manager, toolkit); then the \
               toolkit's CONTAINERD_CONFIG and CONTAINERD_SOCKET",
        source: "https://github.com/NVIDIA/gpu-operator/issues/413",
        ..PLAIN
    },
    Known {
        code: "k8s-no-nvml",
        told_by: &[
            "Failed to initialize NVML: could not load NVML library",
            "Failed to start nvml with error: could not load NVML library",
            "Detected non-NVML platform: could not load NVML library",
            "NVML not detected: could not load NVML library",
            "did you set the docker default runtime to nvidia",
            "did you configure the NVIDIA Container Toolkit",
            "nvml init failed: ERROR_LIBRARY_NOT_FOUND",
            "Failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND",
        ],
        excused: &["Detected Tegra platform"],
        follows: &[
            "k8s-no-runtime",
            "k8s-driver-conflict",
            "k8s-validation-stuck",
            "module-*",
            "build-*",
            "secure-boot",
            "nouveau-*",
        ],
        cause: "the device plugin's container has no libnvidia-ml.so.1, which comes from the node's driver. Either the pod was \
                started by a runtime other than nvidia (not the default, and no runtimeClassName: nvidia), which would have \
                mounted it; or the node has no driver (and, without a GPU, the pod does not belong there).",
        next: "on that node: nvidia-smi. It works = the runtime: nvidia-ctk runtime configure --runtime=containerd (or docker) \
               --set-as-default and restart that runtime, or give the pods runtimeClassName: nvidia (k3s, rke2). It fails or is \
               missing = the driver: install it there; no GPU = keep the plugin off by a nodeSelector",
        source: "https://github.com/NVIDIA/k8s-device-plugin/issues/303",
        ..PLAIN
    },
    Known {
        code: "kubevirt-not-permitted",
        told_by: &[
            "is not permitted in permittedHostDevices",
            "not permitted in permittedHostDevices",
            "HostDevices feature gate is not enabled",
            "GPU feature gate is not enabled",
            "Host Devices feature gate is not enabled",
        ],
        cause: "KubeVirt does not let VMs use that device: its resource name is not in permittedHostDevices, or the \
                feature gate (GPU, HostDevices) is off.",
        next: "add mdevNameSelector (the type's name as the kernel has it, with blanks) and resourceName under \
               permittedHostDevices.mediatedDevices, and the feature gate, in the KubeVirt resource",
        source: "https://kubevirt.io/user-guide",
        ..PLAIN
    },
    Known {
        code: "kubevirt-resource-not-set",
        told_by: &["PCI_RESOURCE_* not set for resource"],
        excused: &["Synced vmi"],
        cause: "the VM's pod got no device for that resource: the name in permittedHostDevices is not the one that the \
                device plugin advertises, or the plugin handed out nothing (KubeVirt looks for PCI_RESOURCE_ for PCI \
                devices and for MDEV_PCI_RESOURCE_ for mediated ones).",
        next: "kubectl get node -o json | jq .items[].status.allocatable: is the resource there with a number above 0, \
               under exactly this name? Is the device under mediatedDevices or pciHostDevices as it should be?",
        source: "https://github.com/kubevirt/kubevirt/issues/11135",
        ..PLAIN
    },
    Known {
        code: "k8s-insufficient",
        told_by: &[
            "Insufficient nvidia.com/",
            "Insufficient intel.com/",
            "Insufficient *.com/*GVTg",
        ],
        cause: "no node has such a vGPU free: none was made (the device manager or KubeVirt has not divided the GPU), all \
                are in use, or the resource's name in the VM differs from the one the node advertises.",
        next: "kubectl describe node <N>: is the resource under Allocatable, with which number, and how much is under \
               Allocated? Not listed: the device manager's and device plugin's logs",
        source: "https://github.com/kubevirt/kubevirt/issues/9740",
        ..PLAIN
    },
    Known {
        code: "kubevirt-field",
        told_by: &[
            "unknown field pciHostDevices",
            "unknown field mediatedDevices",
            "unknown field mediatedDevicesTypes",
            "unknown field mediatedDeviceTypes",
        ],
        cause: "the KubeVirt resource has a field in the wrong place, or one that this release spells otherwise \
                (mediatedDevicesTypes became mediatedDeviceTypes).",
        next: "pciHostDevices and mediatedDevices belong under spec.configuration.permittedHostDevices; the types under \
               mediatedDevicesConfiguration",
        source: "https://github.com/NVIDIA/kubevirt-gpu-device-plugin/issues/51",
        ..PLAIN
    },
    Known {
        code: "k8s-no-uvm",
        told_by: &[
            "failed to load module nvidia-uvm",
            "Module nvidia-uvm not found",
            "nvidia_uvm * not found in directory",
        ],
        cause: "the module nvidia-uvm is not there, which CUDA in containers needs. The vGPU host (vgpu-kvm) driver has \
                none: on a node with it, only VMs can use the GPU (`CUDA Version: N/A` in nvidia-smi shows it). With a plain \
                or guest driver, its installation is incomplete.",
        next: "node for VMs: label it nvidia.com/gpu.workload.config=vm-vgpu; node for containers: install the data-centre \
               driver, or in a VM the guest (grid) driver, instead of the host driver",
        source: "https://github.com/NVIDIA/gpu-operator/issues/1923",
        ..PLAIN
    },
    Known {
        code: "k8s-driver-conflict",
        told_by: &[
            "GPU driver is already installed on host",
            "driver-manager * Failed to uninstall nvidia driver components",
            "Could not unload NVIDIA driver kernel modules, driver is in use",
        ],
        follows: &["module-in-use"],
        cause: "the driver's pod cannot replace the driver because it is in use: by a VM with a vGPU, another pod, or a \
                driver installed on the node itself.",
        next: "shut down the VMs and pods that use the GPU; uninstall a driver of the node's own, or switch the \
               operator's driver off (driver.enabled=false)",
        source: "https://github.com/NVIDIA/k8s-driver-manager",
        ..PLAIN
    },
];
