# shellcheck shell=bash
# expect: 60 seconds per stage
# A stopped device is not started again by events other than a registration of its parent.

stage_1() {
    install_vgpuctl
    load_at_boot mtty
    load mtty
    vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid 1)"
    vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid 2)"
}
stage_2() {
    poll 30 active "$(uuid 1)"
    poll 30 active "$(uuid 2)"
    poll 60 no_jobs
    vgpuctl stop "$(uuid 1)"
    local what
    for what in "udevadm trigger --action=change" "udevadm trigger --action=add" "udevadm trigger --action=change" \
        "systemctl daemon-reload" "udevadm trigger --action=add" "systemctl daemon-reexec" "udevadm trigger --action=add"; do
        say "$what"
        $what
        udevadm settle --timeout=120
        sleep 1
        poll 60 no_jobs
        ! active "$(uuid 1)" || fail "$what started it again"
    done
    active "$(uuid 2)"
    # After a new registration, the device is started again.
    modprobe -r mtty
    modprobe mtty
    poll 30 active "$(uuid 1)"
}
