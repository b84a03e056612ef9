# shellcheck shell=bash source=tests/vm/module.sh
# expect: 90 seconds per stage
# As module-mixed-sizes, with a declaration: 4 + 4 + 8 GiB on an L40S, beside 24. In the order of their UUIDs the last has
# a place at 24, but its type, of which two fit, is not listed any more once there are three vGPUs. After a reboot all
# four are active again, and there is nothing to apply.
. /src/tests/vm/module.sh

pf=$(gpu 1)
declaration=/etc/vgpuctl/vgpus.toml
# all EXPRESSION: prints it for each active device, in the order of UUIDs.
all() { vgpuctl list --active --json | jq -r ".devices | sort_by(.uuid)[] | $1"; }
# group TYPE N...: prints the group of these UUIDs.
group() {
    local type=$1 list=
    shift
    for n; do list+="\"$(uuid "$n")\", "; done
    printf '[[group]]\nname = "%s"\ntype = "L40S-%s"\nuuids = [%s]\n' "$type" "$type" "${list%, }"
}
# placements: prints the type and placement ID of each, in the order of placements.
placements() {
    all '"\(.vf) \(.type_name)"' | while read -r vf name; do
        echo "$(cat "$(pci "$vf")/nvidia/placement_id") ${name#NVIDIA L40S-}"
    done | sort -n | paste -sd ,
}
there() {
    expect_equal "mode" Enabled "$(sizes_of "$pf")"
    expect_equal "active" "$(for n in 1 2 3 4; do uuid "$n"; echo; done)" "$(all .uuid)"
    expect_equal "types" "4Q,4Q,8Q,24Q" "$(all .type_name | sed 's/NVIDIA L40S-//' | paste -sd ,)"
    expect_equal "placements" "0 24Q,24 8Q,32 4Q,36 4Q" "$(placements)"
    expect_equal "nothing to do" 0 "$(status_of vgpuctl plan $declaration)"
}

stage_1() {
    install_vgpuctl
    host l40s framework=vfio
    mkdir -p /etc/vgpuctl "/etc/vgpuctl.d/$pf"
    printf 'vfs = enable\nmixed-sizes = yes\n' >"/etc/vgpuctl.d/$pf/gpu.conf"
    expect_equal "what the boot unit does, now" 0 "$(status_of vgpuctl restore)"
    {
        echo 'version = 1'
        group 4Q 1 2
        group 8Q 3
        group 24Q 4
    } >$declaration
    expect_equal "apply" 0 "$(status_of vgpuctl apply $declaration --yes)"
    there
    all .vf >/var/tmp/functions
}
after_reboot() {
    poll 120 no_jobs
    journalctl --sync
    journalctl -b -o cat --no-pager -q -u 'vgpuctl-restore*' | sed 's/^/  | /' >&3
    no_failed_units
    there
    expect_equal "functions" "$(cat /var/tmp/functions)" "$(all .vf)"
}
stage_2() { after_reboot; }
