# shellcheck shell=bash source=tests/vm/module.sh
# expect: 60 seconds per stage
# The stand-in's GPUs as mediated-device parents provide the same interface as NVIDIA's driver. Plain shell, no vgpuctl.
. /src/tests/vm/module.sh

# heard PATTERN...: checks that each is among the uevents.
heard() {
    local pattern
    for pattern; do
        poll 20 grep -qE "$pattern" /tmp/uevents || fail "no event: $pattern"
    done
}
create() { put "$(uuid "$1")" "$(type_dir "$2" "$3")/create"; }
remove() { put 1 "/sys/bus/mdev/devices/$(uuid "$1")/remove"; }
params() { printf '/sys/bus/mdev/devices/%s/nvidia/vgpu_params' "$(uuid "$1")"; }

stage_1() {
    local n writer
    udevadm monitor --kernel --property >/tmp/uevents 2>&1 &
    poll 20 grep -q KERNEL /tmp/uevents
    host p4,p4,p40,gtx1080ti

    say "--- four GPUs"
    expect_equal "parents" "$(gpu 1) $(gpu 2) $(gpu 3) $(gpu 4)" "$(ls /sys/class/mdev_bus | paste -sd ' ')"
    expect_equal "ids" "0x10de:0x1bb3 0x10de:0x1bb3 0x10de:0x1b38 0x10de:0x1b06" "$(for n in 1 2 3 4; do
        echo "$(cat "$(pci "$(gpu $n)")/vendor"):$(cat "$(pci "$(gpu $n)")/device")"
    done | paste -sd ' ')"
    expect_equal "numbers of types" "14 14 25 25" "$(for n in 1 2 3 4; do
        find "$(types_of "$(gpu $n)")/" -mindepth 1 -maxdepth 1 | wc -l
    done | paste -sd ' ')"
    heard "^change@/devices/pci0001:81/$(gpu 1)$|^KERNEL.* change .*/$(gpu 1) \(pci\)" '^MDEV_STATE=registered'
    expect_equal "registered" 4 "$(grep -c '^MDEV_STATE=registered' /tmp/uevents)"

    say "--- a type"
    cd "$(type_dir "$(gpu 1)" nvidia-63)"
    expect_equal "name" "GRID P4-1Q" "$(cat name)"
    expect_equal "description" \
        "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=8" "$(cat description)"
    expect_equal "device_api" vfio-pci "$(cat device_api)"
    expect_equal "modes" "200 444 444" "$(stat -c %a create name available_instances | paste -sd ' ')"
    expect_equal "a 1080 Ti's largest type" "GRID P40-24Q" "$(cat "$(type_dir "$(gpu 4)" nvidia-53)/name")"
    cd /

    say "--- one framebuffer size a GPU, any series"
    expect_equal "at first" "8 4 8 1" "$(for n in 63 64 67 66; do available "$(gpu 1)" nvidia-$n; done | paste -sd ' ')"
    create 1 "$(gpu 1)" nvidia-63
    device_is "$(uuid 1)" "$(gpu 1)" nvidia-63
    expect_equal "beside one 1Q" "7 0 7 0" \
        "$(for n in 63 64 67 66; do available "$(gpu 1)" nvidia-$n; done | paste -sd ' ')"
    expect_equal "on the other P4" 8 "$(available "$(gpu 2)" nvidia-63)"
    expect_equal "another size" EIO "$(errno_of create 2 "$(gpu 1)" nvidia-64)"
    expect_equal "the same UUID elsewhere" EEXIST "$(errno_of create 1 "$(gpu 3)" nvidia-46)"
    expect_equal "no UUID" EINVAL "$(errno_of put rubbish "$(type_dir "$(gpu 1)" nvidia-63)/create")"
    for n in 2 3 4; do create "$n" "$(gpu 1)" nvidia-67; done
    for n in 5 6 7 8; do create "$n" "$(gpu 1)" nvidia-63; done
    expect_equal "when it is full" "0 0" "$(for n in 63 67; do available "$(gpu 1)" nvidia-$n; done | paste -sd ' ')"
    expect_equal "one more" EIO "$(errno_of create 9 "$(gpu 1)" nvidia-63)"
    [[ ! -e /sys/bus/mdev/devices/$(uuid 9) ]] || fail "a refused device is there"
    for n in 1 2 3 4 5 6 7 8; do remove "$n"; done
    expect_equal "all sizes again" "8 4 1" "$(for n in 63 64 66; do available "$(gpu 1)" nvidia-$n; done | paste -sd ' ')"

    say "--- a device"
    create 1 "$(gpu 1)" nvidia-63
    heard "add .*/$(uuid 1) \(mdev\)" "bind .*/$(uuid 1) \(mdev\)"
    expect_equal "driver" nvidia-vgpu-vfio "$(basename "$(readlink -f "/sys/bus/mdev/devices/$(uuid 1)/driver")")"
    put "frame_rate_limiter=0, disable_vnc=1" "$(params 1)"
    put "enable_uvm=1" "$(params 1)"
    expect_equal "a write replaces all" "enable_uvm=1" "$(cat "$(params 1)")"
    expect_equal "too long" E2BIG "$(errno_of put "$(printf '%02000d' 1)" "$(params 1)")"
    expect_equal "and nothing changed" "enable_uvm=1" "$(cat "$(params 1)")"
    printf 'enable_uvm=10' >"$(params 1)"
    expect_equal "the last character is lost" "enable_uvm=1" "$(cat "$(params 1)")"
    put " " "$(params 1)"
    expect_equal "a space clears" " " "$(cat "$(params 1)")"

    say "--- held open"
    modprobe vfio_iommu_type1
    hold_open "$(uuid 1)"
    expect_equal "parameters in use" EPERM "$(errno_of put "enable_uvm=1" "$(params 1)")"
    expect_equal "the module is in use" 1 "$(modprobe -r nvidia >/dev/null 2>&1 || echo $?)"
    remove 1 &
    writer=$!
    poll 20 eval '[[ ! -e /sys/bus/mdev/devices/$(uuid 1) ]]'
    sleep 1
    kill -0 "$writer" || fail "remove did not wait for the holder"
    expect_equal "it still counts" "7 0" "$(for n in 63 64; do available "$(gpu 1)" nvidia-$n; done | paste -sd ' ')"
    expect_equal "its UUID is taken" EEXIST "$(errno_of create 1 "$(gpu 2)" nvidia-63)"
    let_go "$(uuid 1)"
    wait "$writer"
    poll 20 eval '[[ $(available "$(gpu 1)" nvidia-63) == 8 ]]' || fail "it counts after the holder went"

    say "--- refused, slow, not to be opened"
    knob fail_creates 2
    expect_equal "first" EIO "$(errno_of create 1 "$(gpu 1)" nvidia-63)"
    knob fail_errno 110
    expect_equal "second" ETIMEDOUT "$(errno_of create 1 "$(gpu 1)" nvidia-63)"
    expect_equal "nothing is left" 8 "$(available "$(gpu 1)" nvidia-63)"
    knob create_delay_ms 4000
    create 1 "$(gpu 1)" nvidia-63 &
    writer=$!
    poll 20 eval '[[ -e /sys/bus/mdev/devices/$(uuid 1) ]]'
    ! active "$(uuid 1)" || fail "it has its type before create has returned"
    wait "$writer"
    device_is "$(uuid 1)" "$(gpu 1)" nvidia-63
    knob create_delay_ms 0
    knob open_errno 5
    expect_equal "opened" 1 "$(hold device "$(uuid 1)" /dev/null >/tmp/output 2>&1 || echo $?)"
    grep -q 'Input/output error' /tmp/output
    knob open_errno 0

    say "--- the driver goes and comes back"
    no_host
    heard '^MDEV_STATE=unregistered'
    [[ -z $(ls /sys/class/mdev_bus 2>/dev/null) ]] || fail "parents are left"
    [[ ! -e $(pci "$(gpu 1)") ]] || fail "the GPU is left"
    host p40 types_after_ms=-1
    [[ -z $(ls /sys/class/mdev_bus) ]] || fail "types are there before nvidia-vgpud has run"
    knob publish 1
    expect_equal "types" 25 "$(find "$(types_of "$(gpu 1)")/" -mindepth 1 -maxdepth 1 | wc -l)"
    expect_equal "1Q" 24 "$(available "$(gpu 1)" nvidia-46)"
    no_host
    ! dmesg | grep -E 'BUG|WARNING:|Oops|refcount' || fail "the kernel complains"
}
