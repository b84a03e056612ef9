# shellcheck shell=bash
# expect: 60 seconds per stage
# A parent that is registered before udev runs (drivers in an initramfs) is found by coldplug.

stage_1() {
    install_vgpuctl
    systemctl disable vgpuctl-restore.service # test udev alone
    load mtty
    vgpuctl define --type mtty-1 --parent mtty --uuid "$(uuid 1)"
    modprobe -r mtty
    udevadm settle
    poll 60 no_jobs
    systemctl stop systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udevd.service
    modprobe mtty
    systemctl start systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udevd.service
    udevadm settle
    ! active "$(uuid 1)" || fail "udev heard of the parent, so this proves nothing"
    systemctl restart systemd-udev-trigger.service
    poll 60 active "$(uuid 1)" || fail "coldplug did not bring the device back"
    device_is "$(uuid 1)" mtty mtty-1
    no_failed_units
}
