# shellcheck shell=bash
# expect: 90 seconds per stage
# A device that a process has open: remove fails immediately and names the process, and with --wait, waits until it ends.

# hold_open MODE NUMBER: holds a device in the background, with the pid in $holder. let_go ends it.
hold_open() {
    fifo=/tmp/fifo-$2
    rm -f "$fifo"
    mkfifo "$fifo"
    hold "$1" "$(uuid "$2")" "$fifo" >"$fifo.out" 2>&1 &
    holder=$!
    poll 20 grep -q '^held' "$fifo.out" || fail "hold: $(cat "$fifo.out")"
}
let_go() {
    echo >"$fifo"
    wait "$holder"
}
# refused NUMBER: remove fails quickly with "in use", and nothing changes.
refused() {
    local began status
    began=$(date +%s%N)
    status=$(status_of timeout 60 vgpuctl remove "$(uuid "$1")")
    took=$((($(date +%s%N) - began) / 1000000))
    say "answered after $took ms"
    expect_equal "exit status" 5 "$status"
    ((took < 10000)) || fail "remove took $took ms"
    active "$(uuid "$1")" || fail "the device is gone"
    [[ -f /etc/mdevctl.d/mtty/$(uuid "$1") ]] || fail "the definition is gone"
}
gone() {
    [[ ! -e /sys/bus/mdev/devices/$1 ]] || fail "$1 is still there"
    [[ -z $(find /etc/mdevctl.d -name "$1*" 2>/dev/null || true) ]] || fail "the definition of $1 is still there"
}

stage_1() {
    local mode n=0 status waiter
    install_vgpuctl
    load mtty vfio_iommu_type1
    for mode in device container group; do
        n=$((n + 1))
        say "--- held: $mode"
        vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid "$n")"
        hold_open "$mode" "$n"
        refused "$n"
        grep -wq "$holder" /tmp/output || fail "the answer does not name process $holder"
        let_go
        expect_equal "exit status once it is free" 0 "$(status_of vgpuctl remove "$(uuid "$n")")"
        gone "$(uuid "$n")"
    done

    say "--- held: device, by a process that has closed the group"
    vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid 10)"
    hold_open device-only 10
    refused 10
    let_go
    expect_equal "exit status once it is free" 0 "$(status_of vgpuctl remove "$(uuid 10)")"

    say "--- remove --wait"
    vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid 11)"
    hold_open device 11
    vgpuctl remove "$(uuid 11)" --wait 60 >/tmp/waited 2>&1 &
    waiter=$!
    sleep 5
    kill -0 "$waiter" 2>/dev/null || fail "remove --wait did not wait: $(cat /tmp/waited)"
    active "$(uuid 11)" || fail "the device went while it was held"
    let_go
    status=0
    wait "$waiter" || status=$?
    sed 's/^/  | /' /tmp/waited
    expect_equal "exit status of remove --wait" 0 "$status"
    gone "$(uuid 11)"

    say "--- --wait runs out"
    vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid 12)"
    hold_open device 12
    expect_equal "exit status" 5 "$(status_of timeout 60 vgpuctl remove "$(uuid 12)" --wait 3)"
    active "$(uuid 12)"
    let_go
    expect_equal "exit status once it is free" 0 "$(status_of vgpuctl remove "$(uuid 12)")"

    # Group numbers are reused: a process that still has the old group with this number open does not hold the new device.
    say "--- an old holder of the same group number"
    vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid 13)"
    hold_open group 13
    echo 1 >"/sys/bus/mdev/devices/$(uuid 13)/remove"
    vgpuctl create --type mtty-1 --parent mtty --uuid "$(uuid 14)"
    say "the holder has $(readlink "/proc/$holder/fd/"* | grep vfio | tr '\n' ' '); the new group: $(readlink "/sys/bus/mdev/devices/$(uuid 14)/iommu_group")"
    expect_equal "exit status" 0 "$(status_of vgpuctl remove "$(uuid 14)")"
    let_go

    # The kernel behaviour that this relies on: only a descriptor of the device makes `remove` block.
    for mode in group container; do
        say "--- the kernel, held: $mode"
        n=$((n + 1))
        uuid 2"$n" >/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create
        poll 20 active "$(uuid 2"$n")"
        hold_open "$mode" 2"$n"
        timeout 20 bash -c "echo 1 >/sys/bus/mdev/devices/$(uuid 2"$n")/remove" || fail "the write to remove blocked"
        [[ ! -e /sys/bus/mdev/devices/$(uuid 2"$n") ]]
        let_go
    done
}
