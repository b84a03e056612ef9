# shellcheck shell=bash source=tests/vm/module.sh
# expect: 60 seconds per stage
# The stand-in's GPU whose virtual functions are vendor-specific VFIO devices: nvidia/ and its errors.
. /src/tests/vm/module.sh

file() { printf '%s/nvidia/%s' "$(pci "$(vf 1 "$1")")" "$2"; }
# set_type VF ID: assigns a type; creatable VF: prints the ids.
set_type() { put "$2" "$(file "$1" current_vgpu_type)"; }
placements() { for n; do cat "$(file "$n" placement_id)"; done | paste -sd ' '; }
# listed_of ID...: prints those that the third VF lists.
listed_of() { { creatable 2 | tr ' ' '\n'; printf '%s\n' "$@"; } | sort | uniq -d | paste -sd ' '; }
mix_sizes() { nvidia-smi vgpu -shm 1 -i "$1"; }
creatable() { sed -n 's/^\([0-9]*\) *: NVIDIA L40S-.*/\1/p' "$(file "$1" creatable_vgpu_types)" | paste -sd ' '; }

stage_1() {
    udevadm monitor --kernel --property >/tmp/uevents 2>&1 &
    poll 20 grep -q KERNEL /tmp/uevents
    vfs=4 host l40s framework=vfio types_after_ms=-1
    [[ ! -e $(pci "$(gpu 1)")/nvidia ]] || fail "the PF has nvidia/"
    /usr/lib/nvidia/sriov-manage -e ALL
    for event in add bind; do
        poll 20 grep -q "$event .*/$(vf 1 0) (pci)" /tmp/uevents || fail "no event: $event"
    done
    ! grep -q '^MDEV_STATE' /tmp/uevents || fail "an event of the other framework"

    say "--- a VF"
    expect_equal "driver" nvidia "$(basename "$(readlink -f "$(pci "$(vf 1 0)")/driver")")"
    expect_equal "files" "creatable_vgpu_types current_vgpu_type gpu_instance_id placement_id vgpu_params warm_update" \
        "$(ls "$(pci "$(vf 1 0)")/nvidia" | paste -sd ' ')"
    expect_equal "modes" "444 644" \
        "$(stat -c %a "$(file 0 creatable_vgpu_types)" "$(file 0 current_vgpu_type)" | paste -sd ' ')"
    [[ -d $(pci "$(vf 1 0)")/vfio-dev && -e $(pci "$(vf 1 0)")/iommu_group ]] || fail "no VFIO device"
    expect_equal "before nvidia-vgpud has run" "ID    : vGPU Name" "$(cat "$(file 0 creatable_vgpu_types)")"
    expect_equal "a type then" EIO "$(errno_of set_type 0 1147)"
    knob publish 1
    expect_equal "first lines" "ID    : vGPU Name,1145  : NVIDIA L40S-1B" \
        "$(head -n 2 "$(file 0 creatable_vgpu_types)" | paste -sd ',')"
    expect_equal "types" 22 "$(creatable 0 | wc -w)"
    knob header 0
    expect_equal "without headings" "1145  : NVIDIA L40S-1B" "$(head -n 1 "$(file 0 creatable_vgpu_types)")"
    knob header 1
    expect_equal "current" 0 "$(cat "$(file 0 current_vgpu_type)")"
    expect_equal "placement_id of none" ENXIO "$(errno_of cat "$(file 0 placement_id)")"
    expect_equal "gpu_instance_id of none" ENXIO "$(errno_of cat "$(file 0 gpu_instance_id)")"

    say "--- errors"
    expect_equal "0 when none is set" EPERM "$(errno_of set_type 0 0)"
    expect_equal "no number" EINVAL "$(errno_of set_type 0 L40S-1Q)"
    expect_equal "unknown" EIO "$(errno_of set_type 0 63)"
    expect_equal "16Q" 0 "$(errno_of set_type 0 1154)"
    expect_equal "current" 1154 "$(cat "$(file 0 current_vgpu_type)")"
    expect_equal "the same again" EPERM "$(errno_of set_type 0 1154)"
    expect_equal "another, while one is set" EPERM "$(errno_of set_type 0 1147)"
    expect_equal "another size on a sibling" EIO "$(errno_of set_type 1 1147)"
    expect_equal "creatable on a sibling, and here" "1154 1164, " "$(creatable 1), $(creatable 0)"
    set_type 1 1164
    set_type 2 1154
    expect_equal "creatable when it is full" "" "$(creatable 3)"
    expect_equal "one more" EIO "$(errno_of set_type 3 1154)"
    expect_equal "placements" "0 16 32" "$(for n in 0 1 2; do cat "$(file $n placement_id)"; done | paste -sd ' ')"

    say "--- parameters, in use, leaving"
    put "frame_rate_limiter=0, disable_vnc=1" "$(file 0 vgpu_params)"
    put "frame_rate_limiter=0" "$(file 0 vgpu_params)"
    expect_equal "a write replaces all" "frame_rate_limiter=0" "$(cat "$(file 0 vgpu_params)")"
    expect_equal "too long" E2BIG "$(errno_of put "$(printf '%02000d' 1)" "$(file 0 vgpu_params)")"
    modprobe vfio_iommu_type1
    expect_equal "opened without a type" 1 "$(hold device "$(vf 1 3)" /dev/null >/tmp/output 2>&1 || echo $?)"
    hold_open "$(vf 1 0)"
    expect_equal "0 while it is open" EPERM "$(errno_of set_type 0 0)"
    expect_equal "parameters while it is open" EPERM "$(errno_of put "enable_uvm=1" "$(file 0 vgpu_params)")"
    knob plugin_exit_ms 8000
    let_go "$(vf 1 0)"
    expect_equal "0 while the plugin leaves" EBUSY "$(errno_of set_type 0 0)"
    expect_equal "it is still there" 1154 "$(cat "$(file 0 current_vgpu_type)")"
    poll 60 eval '[[ $(errno_of set_type 0 0) == 0 ]]' || fail "0 never worked"
    expect_equal "current" 0 "$(cat "$(file 0 current_vgpu_type)")"
    expect_equal "0 once more" EPERM "$(errno_of set_type 0 0)"
    expect_equal "its parameters went with it" "" "$(cat "$(file 0 vgpu_params)")"
    set_type 1 0
    set_type 2 0
    expect_equal "types" 22 "$(creatable 0 | wc -w)"

    say "--- refused, mixed sizes"
    knob fail_creates 1
    knob fail_errno 110
    expect_equal "refused" ETIMEDOUT "$(errno_of set_type 0 1147)"
    expect_equal "mixed sizes" Disabled "$(sizes_of "$(gpu 1)")"
    set_type 0 1152
    expect_equal "not while it has a vGPU" 3 "$(status_of mix_sizes "$(gpu 1)")"
    set_type 0 0
    expect_equal "now" "0 Enabled" "$(status_of mix_sizes "$(gpu 1)") $(sizes_of "$(gpu 1)")"
    set_type 0 1152
    set_type 1 1154
    expect_equal "8Q, 16Q" "0 32" "$(placements 0 1)"
    expect_equal "24Q fits nowhere" EIO "$(errno_of set_type 2 1155)"
    expect_equal "of 8, 12, 16, 24 and 48Q, listed" "1152 1153" "$(listed_of 1152 1153 1154 1155 1156)"
    for n in 0 1; do set_type $n 0; done
    set_type 0 1155
    set_type 1 1154
    set_type 2 1152
    expect_equal "24Q, 16Q, 8Q" "0 32 24" "$(placements 0 1 2)"
    for n in 0 1 2; do set_type $n 0; done
    for n in 0 1 2 3; do set_type $n 1152; done
    expect_equal "8Q" "0 16 24 40" "$(placements 0 1 2 3)"
    for n in 0 1 2 3; do set_type $n 0; done
    for n in 0 1; do set_type $n 1147; done
    expect_equal "1Q" "0 5" "$(placements 0 1)"
    expect_equal "of 16 and 24Q, listed while there are two" 1154 "$(listed_of 1154 1155)"
    expect_equal "24Q" "0 24" "$(errno_of set_type 2 1155) $(placements 2)"
    put 20 "$(file 3 placement_id)"
    expect_equal "8Q at an id of another size" EIO "$(errno_of set_type 3 1152)"
    put 16 "$(file 3 placement_id)"
    expect_equal "8Q at its second id" "0 16" "$(errno_of set_type 3 1152) $(placements 3)"

    say "--- VFs off and on: all is forgotten"
    /usr/lib/nvidia/sriov-manage -d ALL
    [[ ! -e $(pci "$(vf 1 0)") ]] || fail "a VF is left"
    /usr/lib/nvidia/sriov-manage -e ALL
    expect_equal "current" "0 0 0 0" "$(for n in 0 1 2 3; do cat "$(file $n current_vgpu_type)"; done | paste -sd ' ')"
    expect_equal "mixed sizes" Disabled "$(sizes_of "$(gpu 1)")"
    mix_sizes "$(gpu 1)"
    /usr/lib/nvidia/sriov-manage -e ALL
    expect_equal "enabled again, though they were on" Disabled "$(sizes_of "$(gpu 1)")"
    no_host
    ! dmesg | grep -E 'BUG|WARNING:|Oops|refcount' || fail "the kernel complains"
}
