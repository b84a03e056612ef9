# shellcheck shell=bash source=tests/vm/module.sh
# expect: 90 seconds per stage
# vgpuctl on GPUs with mediated devices (two Tesla P4, a P40 and an unlocked GTX 1080 Ti) from a user's view, and its
# definitions after reboots with types that appear late: 15 s after the driver, or after nvidia-vgpud has run.
. /src/tests/vm/module.sh

defined() { find /etc/mdevctl.d -type f -name '*-*' | wc -l; }

stage_1() {
    local id
    install_vgpuctl
    host p4,p4,p40,gtx1080ti

    say "--- types, gpus"
    expect_equal "types" 0 "$(status_of vgpuctl types)"
    said 'P4-1Q .*1 GiB'
    expect_equal "types in all" "14 14 25 25" \
        "$(vgpuctl types --json | jq -r '[.parents[].types | length | tostring] | join(" ")')"
    expect_equal "one of them" '["nvidia-63","GRID P4-1Q",1024,8,8]' "$(vgpuctl types --json | jq -c \
        '.parents[0].types[] | select(.id == "nvidia-63") | [.id, .name, .framebuffer_mib, .available, .max_instances]')"
    expect_equal "gpus" 0 "$(status_of vgpuctl gpus)"
    said "$(gpu 1) .*nvidia"
    said "$(gpu 4) "

    say "--- the shortest create, the size rule"
    id=$(vgpuctl create --type nvidia-63)
    device_is "$id" "$(gpu 1)" nvidia-63
    expect_equal "another size on that GPU" 4 "$(status_of vgpuctl create --type nvidia-64 --parent "$(gpu 1)")"
    said 'holds 1 x P4-1Q'
    said "$(gpu 2) is free, with room for 4"
    expect_equal "the same, anywhere" 0 "$(status_of vgpuctl create --type nvidia-64 --uuid "$(uuid 2)")"
    device_is "$(uuid 2)" "$(gpu 2)" nvidia-64
    expect_equal "more than fit" 4 "$(status_of vgpuctl create --type nvidia-63 --count 8)"
    expect_equal "as many as fit" 0 "$(status_of vgpuctl create --type nvidia-63 --count 7)"
    expect_equal "a P40 type" 0 "$(status_of vgpuctl create --type P40-12Q --parent "$(gpu 4)" --uuid "$(uuid 4)")"
    device_is "$(uuid 4)" "$(gpu 4)" nvidia-52
    expect_equal "listed" 10 "$(vgpuctl list --active --json | jq '.devices | length')"

    say "--- stop, start, show, modify, define, restore, undefine, attach"
    expect_equal "stop" 0 "$(status_of vgpuctl stop "$id")"
    ! active "$id" || fail "it is still there"
    expect_equal "modify" 0 "$(status_of vgpuctl modify "$id" --manual)"
    expect_equal "restore" 0 "$(status_of vgpuctl restore)"
    ! active "$id" || fail "a manual one was restored"
    expect_equal "start" 0 "$(status_of vgpuctl start "$id")"
    device_is "$id" "$(gpu 1)" nvidia-63
    expect_equal "show" "GRID P4-1Q true manual" \
        "$(vgpuctl show "$id" --json | jq -r '.device | "\(.type_details.name) \(.active) \(.start)"')"
    expect_equal "attach" 0 "$(status_of vgpuctl attach "$id")"
    said "type='mdev' managed='no'"
    expect_equal "modify again" 0 "$(status_of vgpuctl modify "$id" --auto)"
    expect_equal "define" 0 "$(status_of vgpuctl define --type P4-2Q --parent "$(gpu 2)" --uuid "$(uuid 6)")"
    expect_equal "restore" 0 "$(status_of vgpuctl restore)"
    device_is "$(uuid 6)" "$(gpu 2)" nvidia-64
    expect_equal "undefine" 0 "$(status_of vgpuctl undefine "$(uuid 6)")"
    device_is "$(uuid 6)" "$(gpu 2)" nvidia-64
    expect_equal "remove" 0 "$(status_of vgpuctl remove "$(uuid 6)")"

    say "--- the driver refuses, is slow"
    knob fail_creates 1
    expect_equal "EIO" 1 "$(status_of vgpuctl create --type P40-2Q --parent "$(gpu 3)" --uuid "$(uuid 3)")"
    said 'Input/output error \(EIO\)'
    said 'hint:.*dmesg'
    knob fail_creates 1
    knob fail_errno 110
    expect_equal "ETIMEDOUT" 1 "$(status_of vgpuctl create --type P40-2Q --parent "$(gpu 3)" --uuid "$(uuid 3)")"
    said 'ETIMEDOUT'
    said 'hint:.*nvidia-vgpu-mgr'
    expect_equal "definitions" 10 "$(defined)"
    ! [[ -e /sys/bus/mdev/devices/$(uuid 3) ]] || fail "a refused device is there"
    knob create_delay_ms 4000
    expect_equal "four seconds" 0 "$(status_of vgpuctl create --type P40-2Q --parent "$(gpu 3)" --uuid "$(uuid 3)" \
        --attr nvidia/vgpu_params=frame_rate_limiter=0)"
    device_is "$(uuid 3)" "$(gpu 3)" nvidia-47
    expect_equal "its parameters" frame_rate_limiter=0 "$(cat "/sys/bus/mdev/devices/$(uuid 3)/nvidia/vgpu_params")"
    knob create_delay_ms 0

    say "--- remove"
    modprobe vfio_iommu_type1
    hold_open "$(uuid 2)"
    expect_equal "in use" 5 "$(status_of timeout 60 vgpuctl remove "$(uuid 2)")"
    said "${holders[$(uuid 2)]}"
    let_go "$(uuid 2)"
    expect_equal "free" 0 "$(status_of vgpuctl remove "$(uuid 2)")"
    expect_equal "all sizes again" 1 "$(available "$(gpu 2)" nvidia-66)"
    expect_equal "definitions" 10 "$(defined)"
    no_failed_units
    host p4,p4,p40,gtx1080ti types_after_ms=15000
}
all_back() {
    poll 60 no_jobs
    expect_equal "active devices" 10 "$(active_count)"
    device_is "$(uuid 3)" "$(gpu 3)" nvidia-47
    device_is "$(uuid 4)" "$(gpu 4)" nvidia-52
    expect_equal "parameters" frame_rate_limiter=0 "$(cat "/sys/bus/mdev/devices/$(uuid 3)/nvidia/vgpu_params")"
    expect_equal "P4-1Q" 0 "$(available "$(gpu 1)" nvidia-63)"
    no_failed_units
}
stage_2() {
    local bound published
    bound=$(seconds_of "$(gpu 1): \[10de:1bb3\]")
    published=$(seconds_of "$(gpu 1): MDEV: Registered")
    say "the GPU was there after $bound s, its types after $published s"
    ((published >= bound + 14)) || fail "the types were not late, so this proves nothing"
    all_back
    host p4,p4,p40,gtx1080ti types_after_ms=-1
    cat >/etc/systemd/system/nvidia-vgpud.service <<'UNIT'
[Unit]
Description=Stands for the daemon that publishes the types and exits
After=systemd-udev-settle.service
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'until [[ -e /sys/bus/pci/drivers/nvidia/0001:84:00.0 ]]; do sleep 0.2; done; sleep 5; echo 1 >/sys/module/nvidia/parameters/publish'
[Install]
WantedBy=multi-user.target
UNIT
    systemctl enable nvidia-vgpud.service
}
stage_3() {
    expect_equal "nvidia-vgpud has run" success "$(systemctl show -p Result --value nvidia-vgpud.service)"
    all_back
}
