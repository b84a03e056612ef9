//! What to type, where distributions differ.

use std::path::PathBuf;

use super::Step;
use super::facts::kernel::Distro;
use vgpu_host::host::Host;

/// Where packages put a file, of the places where it may lie: the fourth.
pub fn usual(places: &[PathBuf], name: &str) -> PathBuf {
    places.get(3).map(|dir| dir.join(name)).unwrap_or_default()
}

/// Puts words on the kernel's command line.
pub fn kernel_arguments(distro: Distro, arguments: &str) -> Vec<Step> {
    let by_hand = |file: &str| Step::Do(format!("add `{arguments}` to {file}"));
    let grub = by_hand("GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub");
    let mut steps = match distro {
        Distro::RedHat => vec![run(&format!(
            "grubby --update-kernel=ALL --args=\"{arguments}\""
        ))],
        Distro::Debian => vec![grub, run("update-grub")],
        Distro::Proxmox => vec![
            by_hand(
                "GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, or to /etc/kernel/cmdline if \
                 the host boots with systemd-boot",
            ),
            run("proxmox-boot-tool refresh; update-grub"),
        ],
        Distro::Other => vec![by_hand(
            "the kernel command line in the boot loader configuration",
        )],
    };
    steps.push(run("reboot"));
    steps
}

/// Writes a drop-in of a service: the lines of its [Service] section, as printf takes them.
pub fn drop_in(host: &Host, unit: &str, file: &str, lines: &str) -> Step {
    let dir = host.own_name(&host.drop_ins(unit));
    let dir = dir.display();
    run(&format!(
        "mkdir -p {dir} && printf '[Service]\\n{lines}\\n' > {dir}/{file}"
    ))
}

/// Rebuilds the initramfs, so that the next boot knows modprobe's settings.
pub fn new_initramfs(distro: Distro) -> Vec<Step> {
    let command = match distro {
        Distro::Debian | Distro::Proxmox => "update-initramfs -u -k all",
        Distro::RedHat => "dracut --force",
        Distro::Other => {
            return vec![
                Step::Do("rebuild the initramfs with your distribution's tool".to_owned()),
                run("reboot"),
            ];
        }
    };
    vec![run(command), run("reboot")]
}

/// Installs the headers of a kernel.
pub fn headers(distro: Distro, release: &str) -> Step {
    match distro {
        Distro::Proxmox => run(&format!("apt install proxmox-headers-{release}")),
        Distro::Debian => run(&format!("apt install linux-headers-{release}")),
        Distro::RedHat => run(&format!("dnf install kernel-devel-{release}")),
        Distro::Other => Step::Do(format!("install the headers of kernel {release}")),
    }
}

fn run(command: &str) -> Step {
    Step::Run(command.to_owned())
}
