# shellcheck shell=bash source=tests/vm/module.sh
# expect: 90 seconds per stage
# vgpuctl on functions that are mediated-device parents (A40), and 32 functions that bind at once, which udev reports
# one by one: each device is started once, and no unit fails, with both frameworks.
. /src/tests/vm/module.sh

pf=$(gpu 1)
field() { vgpuctl show "$1" --json | jq -r ".device.$2"; }
# starts: prints how often each device was started by a unit of this kind since the last mark, by name.
mark() { journalctl --sync; from=$(date '+%Y-%m-%d %H:%M:%S.%6N'); }
since() { journalctl --sync; journalctl --since "$from" -o cat --no-pager -q "$@"; }
runs() { since -t systemd | grep -c '^Starting vgpuctl-restore@' || true; }
# bound_at_once: binds all functions with NVIDIA's program instead of vgpuctl, and waits for all requested units.
bound_at_once() {
    local began
    mark
    began=$(date +%s%N)
    /usr/lib/nvidia/sriov-manage -e ALL >/dev/null
    say "32 functions after $((($(date +%s%N) - began) / 1000000)) ms"
    udevadm settle
    poll 120 no_jobs
    say "all is done after $((($(date +%s%N) - began) / 1000000)) ms; runs of vgpuctl-restore@: $(runs)"
    no_failed_units
}

stage_1() {
    local n id all
    install_vgpuctl
    host a40
    modprobe vfio_iommu_type1

    say "--- functions that are parents: every verb"
    expect_equal "on" 0 "$(status_of vgpuctl vfs enable "$pf")"
    udevadm settle && poll 120 no_jobs
    expect_equal "one GPU" "1 mdev" "$(vgpuctl gpus --json | jq -r '"\(.gpus | length) \(.gpus[0].framework)"')"
    expect_equal "free 24Q, 16Q, 1Q" "2 3 32" "$(vgpuctl types --parent "$pf" --json | jq -r '[.parents[0].types[] |
        select(.id | IN("nvidia-565", "nvidia-564", "nvidia-557")) | "\(.id) \(.available)"] | sort | reverse |
        map(split(" ")[1]) | join(" ")')"
    id=$(vgpuctl create --type A40-16Q)
    device_is "$id" "$(vf 1 0)" nvidia-564
    expect_equal "another size" 4 "$(status_of vgpuctl create --type A40-24Q)"
    said 'holds 1 x A40-16Q'
    expect_equal "more than fit" 4 "$(status_of vgpuctl create --type A40-16Q --count 3)"
    expect_equal "as many as fit" 0 "$(status_of vgpuctl create --type A40-16Q --count 2)"
    expect_equal "stop" 0 "$(status_of vgpuctl stop "$id")"
    ! active "$id" || fail "it is still there"
    expect_equal "modify" 0 "$(status_of vgpuctl modify "$id" --attr nvidia/vgpu_params=frame_rate_limiter=0)"
    expect_equal "start" 0 "$(status_of vgpuctl start "$id")"
    expect_equal "its parameters" frame_rate_limiter=0 "$(cat "/sys/bus/mdev/devices/$id/nvidia/vgpu_params")"
    expect_equal "attach" 0 "$(status_of vgpuctl attach "$id")"
    said "type='mdev' managed='no'"
    hold_open "$id"
    expect_equal "in use" 5 "$(status_of vgpuctl remove "$id")"
    said "${holders[$id]}"
    let_go "$id"
    expect_equal "VFs of a GPU with devices" 5 "$(status_of vgpuctl vfs disable "$pf")"
    expect_equal "list" 3 "$(vgpuctl list --parent "$pf" --json | jq '.devices | length')"
    expect_equal "define" 0 "$(status_of vgpuctl define --type nvidia-564 --parent "$(vf 1 9)" --uuid "$(uuid 9)")"
    expect_equal "undefine" 0 "$(status_of vgpuctl undefine "$(uuid 9)")"
    mapfile -t all < <(vgpuctl list --json | jq -r '.devices[].uuid')
    expect_equal "remove" 0 "$(status_of vgpuctl remove "${all[@]}")"
    expect_equal "left" "0 0" "$(active_count) $(find /etc/mdevctl.d -type f | wc -l)"

    say "--- 32 parents at once"
    for n in 1 2 3 4; do
        vgpuctl define --type nvidia-563 --parent "$(vf 1 $((7 * n)))" --uuid "$(uuid "$n")"
    done
    expect_equal "off" 0 "$(status_of vgpuctl vfs disable "$pf")"
    bound_at_once
    for n in 1 2 3 4; do
        device_is "$(uuid "$n")" "$(vf 1 $((7 * n)))" nvidia-563
    done
    made_times 1 "$(uuid 1)" "$(uuid 2)" "$(uuid 3)" "$(uuid 4)"
    no_host

    say "--- 32 functions that take types at once"
    for n in 1 2 3 4; do vgpuctl undefine "$(uuid "$n")"; done
    host l40s framework=vfio
    vgpuctl vfs enable "$pf" >/dev/null # a definition depends on the framework of its GPU's functions
    udevadm settle
    poll 60 no_jobs
    for n in 11 12 13; do
        vgpuctl define --type nvidia-1153 --parent "$pf" --uuid "$(uuid "$n")"
    done
    vgpuctl define --type nvidia-1153 --parent "$(vf 1 31)" --uuid "$(uuid 14)"
    vgpuctl vfs disable "$pf" >/dev/null
    bound_at_once
    # The others are on the functions that were ready first, which are not necessarily the first ones.
    expect_equal "where the one of a function is" "$(vf 1 31)" "$(field "$(uuid 14)" vf)"
    since -u 'vgpuctl-restore@*' | grep -E 'nvidia-1153' | sort | uniq -c >&3
    expect_equal "how often each was started" "1 1 1 1" "$(for n in 11 12 13 14; do
        since -u 'vgpuctl-restore@*' | grep -c "started *$(uuid $n)" || true
    done | paste -sd ' ')"

    say "--- the same with one without capacity: reported once"
    vgpuctl vfs disable "$pf" >/tmp/output 2>&1 && fail "it switched off what is in use"
    vgpuctl stop "$(uuid 11)" "$(uuid 12)" "$(uuid 13)" "$(uuid 14)"
    vgpuctl define --type nvidia-1152 --parent "$pf" --uuid "$(uuid 15)"
    vgpuctl vfs disable "$pf"
    mark
    /usr/lib/nvidia/sriov-manage -e ALL >/dev/null
    udevadm settle
    poll 120 no_jobs
    say "runs: $(runs); failed: $(failed_units)"
    expect_equal "failed units" "vgpuctl-restore@$pf.service" "$(failed_units)"
    since -u "vgpuctl-restore@$pf.service" | grep "$(uuid 15)" >/tmp/output
    said "holds 4 x L40S-12Q"
}
