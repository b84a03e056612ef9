# shellcheck shell=bash
# expect: 200 seconds per stage
# A hundred rounds of create and remove leave nothing behind.

leftovers() { { find /etc/mdevctl.d /run/vgpuctl /tmp /dev/shm -mindepth 1 2>/dev/null || true; } | sort; }

stage_1() {
    local types=(mtty-2 mdpy-vga mbochs-small) round made first
    install_vgpuctl
    load mtty mdpy mbochs
    for ((round = 1; round <= 100; round++)); do
        made=$(vgpuctl create --type "${types[round % 3]}" 2>/root/said) || fail "round $round: $(cat /root/said)"
        [[ -e /sys/bus/mdev/devices/$made/mdev_type ]] || fail "round $round: no device $made"
        vgpuctl remove "$made" >/root/said 2>&1 || fail "round $round: $(cat /root/said)"
        [[ ! -e /sys/bus/mdev/devices/$made ]] || fail "round $round: $made is still there"
        [[ $round != 3 ]] || first=$(leftovers)
    done
    expect_equal "devices" 0 "$(active_count)"
    expect_equal "what is in /etc/mdevctl.d" "" "$(find /etc/mdevctl.d -mindepth 1 2>/dev/null || true)"
    # The lock of a parent is kept, so the last round is compared with the third, when each parent has been used.
    expect_equal "files and directories after three rounds and after a hundred" "$first" "$(leftovers)"
    for type in mtty/mdev_supported_types/mtty-2:12 mdpy/mdev_supported_types/mdpy-vga:4 mbochs/mdev_supported_types/mbochs-small:64; do
        expect_equal "free instances of ${type%:*}" "${type#*:}" "$(cat "/sys/class/mdev_bus/${type%:*}/available_instances")"
    done
    no_failed_units
}
