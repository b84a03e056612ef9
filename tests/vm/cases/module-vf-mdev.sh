# shellcheck shell=bash source=tests/vm/module.sh
# expect: 60 seconds per stage
# The stand-in's GPU with virtual functions that are parents of one mediated device each; and sriov-manage.
. /src/tests/vm/module.sh

create() { put "$(uuid "$1")" "$(type_dir "$2" "$3")/create"; }
vf_count() { find "$(pci "$(gpu 1)")/" -name 'virtfn*' | wc -l; }
# over VFS TYPE: prints available_instances of a type on each VF, as one word.
over() {
    local n
    for ((n = 0; n < $1; n++)); do available "$(vf 1 "$n")" "$2"; done | paste -sd ''
}

stage_1() {
    local n pf began
    vfs=4 host a40
    pf=$(pci "$(gpu 1)")

    say "--- before there are VFs"
    expect_equal "driver of the PF" nvidia "$(basename "$(readlink -f "$pf/driver")")"
    expect_equal "parents" "" "$(ls /sys/class/mdev_bus)"
    expect_equal "possible VFs" 4 "$(cat "$pf/sriov_totalvfs")"
    expect_equal "a raw write" ENOENT "$(errno_of put 4 "$pf/sriov_numvfs")"

    say "--- sriov-manage"
    echo no-vfs >/run/sriov-manage
    expect_equal "success without VFs" 0 "$(status_of /usr/lib/nvidia/sriov-manage -e "$(gpu 1)")"
    expect_equal "VFs" 0 "$(vf_count)"
    echo unbindLock >/run/sriov-manage
    expect_equal "an NVML client is there" 1 "$(status_of /usr/lib/nvidia/sriov-manage -e ALL)"
    grep -q "Cannot obtain unbindLock for $(gpu 1)" /tmp/output
    rm /run/sriov-manage
    expect_equal "no such GPU" 1 "$(status_of /usr/lib/nvidia/sriov-manage -e 0001:ff:00.0)"
    expect_equal "it works" 0 "$(status_of /usr/lib/nvidia/sriov-manage -e ALL)"
    expect_equal "again" 0 "$(status_of /usr/lib/nvidia/sriov-manage -e "$(gpu 1)")"
    expect_equal "VFs" "4 4" "$(vf_count) $(cat "$pf/sriov_numvfs")"
    expect_equal "where virtfn0 and physfn lead" "$(vf 1 0) $(gpu 1)" \
        "$(basename "$(readlink -f "$pf/virtfn0")") $(basename "$(readlink -f "$pf/virtfn0/physfn")")"
    expect_equal "parents" "0001:81:00.4 0001:81:00.5 0001:81:00.6 0001:81:00.7" "$(ls /sys/class/mdev_bus | paste -sd ' ')"
    expect_equal "a VF's ids" "0x10de 0x2235" "$(cat "$pf/virtfn3/vendor" "$pf/virtfn3/device" | paste -sd ' ')"

    say "--- one vGPU a VF, one size a GPU, max_instance over all VFs"
    expect_equal "16Q" "NVIDIA A40-16Q max_instance=3" "$(cat "$(type_dir "$(vf 1 0)" nvidia-564)/name") $(grep -o \
        'max_instance=.*' "$(type_dir "$(vf 1 0)" nvidia-564)/description")"
    expect_equal "free 16Q" 1111 "$(over 4 nvidia-564)"
    create 1 "$(vf 1 1)" nvidia-564
    expect_equal "free 16Q after one" 1011 "$(over 4 nvidia-564)"
    expect_equal "free 24Q" 0000 "$(over 4 nvidia-565)"
    expect_equal "another size" EIO "$(errno_of create 2 "$(vf 1 0)" nvidia-565)"
    expect_equal "a second on one VF" EIO "$(errno_of create 2 "$(vf 1 1)" nvidia-564)"
    create 2 "$(vf 1 0)" nvidia-564
    create 3 "$(vf 1 3)" nvidia-574
    expect_equal "free 16Q after three" 0000 "$(over 4 nvidia-564)"
    expect_equal "a fourth" EIO "$(errno_of create 4 "$(vf 1 2)" nvidia-564)"
    device_is "$(uuid 2)" "$(vf 1 0)" nvidia-564
    for n in 1 2 3; do put 1 "/sys/bus/mdev/devices/$(uuid $n)/remove"; done
    expect_equal "free 24Q when all are gone" 1111 "$(over 4 nvidia-565)"

    say "--- VFs off"
    create 1 "$(vf 1 0)" nvidia-566
    expect_equal "off" 0 "$(status_of /usr/lib/nvidia/sriov-manage -d "$(gpu 1)")"
    expect_equal "VFs, parents, devices" "0 0 0" "$(vf_count) $(find /sys/class/mdev_bus/ -type l | wc -l) $(active_count)"
    no_host

    say "--- as many VFs as a real one has"
    host a40
    began=$(date +%s%N)
    /usr/lib/nvidia/sriov-manage -e ALL
    say "32 VFs in $((($(date +%s%N) - began) / 1000000)) ms"
    expect_equal "VFs, parents" "32 32" "$(vf_count) $(find /sys/class/mdev_bus/ -type l | wc -l)"
    expect_equal "the last one" 1 "$(available 0001:81:04.3 nvidia-557)"
    no_host
    ! dmesg | grep -E 'BUG|WARNING:|Oops|refcount' || fail "the kernel complains"
}
