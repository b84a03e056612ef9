# shellcheck shell=bash
# expect: 60 seconds per stage
# mdevctl's own rule starts the same devices on the same events. Both can be installed: nothing fails or is started twice.

# all_there TIMES: checks that each was created this often since the boot.
all_there() {
    local n
    local -a uuids=()
    for ((n = 1; n <= 10; n++)); do
        uuids+=("$(uuid "$n")")
        poll 60 active "$(uuid "$n")" || fail "$(uuid "$n") did not come back"
        device_is "$(uuid "$n")" mtty mtty-2
    done
    poll 60 no_jobs
    udevadm settle
    expect_equal "active devices" 10 "$(active_count)"
    expect_equal "free instances" 2 "$(cat /sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/available_instances)"
    made_times "$1" "${uuids[@]}"
    no_failed_units
    # The second one finds the device active. vgpuctl treats that as success; mdevctl, as called by its rule, logs it
    # as critical.
    no_errors_but ' mdevctl\[[0-9]*\]: '
    expect_equal "definitions" "$(cat /root/definitions)" "$(find /etc/mdevctl.d -type f -exec sha256sum {} + | sort)"
}
stage_1() {
    local n
    install_vgpuctl
    # The path used by its rule, which differs from that of Debian's package.
    cp -a /opt/mdevctl/usr/bin/mdevctl /usr/sbin/mdevctl
    cp /opt/mdevctl/usr/lib/udev/rules.d/*mdevctl*.rules /usr/lib/udev/rules.d/ 2>/dev/null ||
        cp /opt/mdevctl/lib/udev/rules.d/*mdevctl*.rules /usr/lib/udev/rules.d/
    mkdir -p /etc/mdevctl.d/scripts.d/{callouts,notifiers} # required by mdevctl
    udevadm control --reload
    load_at_boot mtty
    load mtty
    for ((n = 1; n <= 10; n++)); do
        vgpuctl define --type mtty-2 --parent mtty --uuid "$(uuid "$n")" >/dev/null
    done
    find /etc/mdevctl.d -type f -exec sha256sum {} + | sort >/root/definitions
}
stage_2() {
    all_there 1
    modprobe -r mtty
    modprobe mtty
    all_there 2
    say "of 20 starts vgpuctl made $(journalctl -b -u 'vgpuctl-restore*' -o cat --no-pager -q | grep -c '^started' || true), mdevctl the others"
    said_by mdevctl | sed 's/^\[[^]]*\] *//; s/5a1e[0-9a-f-]*/UUID/' | sort | uniq -c >&3
}
