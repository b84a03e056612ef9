# shellcheck shell=bash
# expect: 60 seconds per stage
# init: /usr/local/lib/vm/udev-only
# Without systemd, udev runs vgpuctl directly: for a parent that existed before udev, and for one that appears later.

stage_1() {
    install_vgpuctl
    echo mtty >/etc/early-modules
    load_at_boot mdpy
    load mtty mdpy
    vgpuctl define --type mtty-2 --parent mtty --uuid "$(uuid 1)"
    vgpuctl define --type mtty-2 --parent mtty --uuid "$(uuid 2)" --manual
    vgpuctl define --type mdpy-vga --parent mdpy --uuid "$(uuid 3)"
}
stage_2() {
    [[ ! -d /run/systemd/system ]]
    poll 60 active "$(uuid 1)" || fail "the device of a parent from before udev did not come back"
    poll 60 active "$(uuid 3)" || fail "the device of a parent from after udev did not come back"
    device_is "$(uuid 1)" mtty mtty-2
    device_is "$(uuid 3)" mdpy mdpy-vga
    udevadm settle
    ! active "$(uuid 2)" || fail "the manual device was started"
}
