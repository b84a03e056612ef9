# shellcheck shell=bash source=tests/vm/module.sh
# expect: 90 seconds per stage
# An L40S with `vfs = enable` and `mixed-sizes = yes`, which a reboot resets. Its vGPUs of 8, 16 and 24 GiB, in the order
# of their UUIDs, leave no place for the last: 8 starts at 0, 16 at 32, 24 only at 0 or 24. The boot unit brings all of
# them back, each on its function, also if their types are listed 15 s after the functions are there.
. /src/tests/vm/module.sh

pf=$(gpu 1)
field() { vgpuctl show "$1" --json | jq -r ".device.$2"; }
# all FIELD: prints it for each device.
all() { for n in 1 2 3; do field "$(uuid "$n")" "$1"; done | paste -sd ' '; }
placements() { for n in 1 2 3; do cat "$(pci "$(field "$(uuid "$n")" vf)")/nvidia/placement_id"; done | paste -sd ' '; }

stage_1() {
    install_vgpuctl
    host l40s framework=vfio
    expect_equal "functions, at boot too" 0 "$(status_of vgpuctl vfs enable "$pf" --at-boot)"
    echo 'mixed-sizes = yes' >>"/etc/vgpuctl.d/$pf/gpu.conf"
    expect_equal "what the boot unit does, now" 0 "$(status_of vgpuctl restore)"
    expect_equal "mode" Enabled "$(sizes_of "$pf")"

    say "--- the largest first, so that all fit; the smallest has the first UUID"
    expect_equal "24Q" 0 "$(status_of vgpuctl create --type L40S-24Q --parent "$(vf 1 9)" --uuid "$(uuid 3)")"
    expect_equal "16Q" 0 "$(status_of vgpuctl create --type L40S-16Q --parent "$(vf 1 20)" --uuid "$(uuid 2)")"
    expect_equal "8Q" 0 "$(status_of vgpuctl create --type L40S-8Q --parent "$(vf 1 4)" --uuid "$(uuid 1)")"
    expect_equal "placements" "24 32 0" "$(placements)"

    say "--- in the order of UUIDs"
    expect_equal "stop" 0 "$(status_of vgpuctl stop "$(uuid 1)" "$(uuid 2)" "$(uuid 3)")"
    expect_equal "8Q, 16Q" 0 "$(status_of vgpuctl start "$(uuid 1)" "$(uuid 2)")"
    expect_equal "24Q" 4 "$(status_of vgpuctl start "$(uuid 3)")"
}
after_reboot() {
    poll 120 no_jobs
    journalctl --sync
    journalctl -b -o cat --no-pager -q -u 'vgpuctl-restore*' >/tmp/units
    sed 's/^/  | /' /tmp/units >&3
    no_failed_units
    expect_equal "mode" Enabled "$(sizes_of "$pf")"
    expect_equal "active" "true true true" "$(all active)"
    expect_equal "types" "nvidia-1152 nvidia-1154 nvidia-1155" "$(all type)"
    expect_equal "functions" "$(vf 1 4) $(vf 1 20) $(vf 1 9)" "$(all vf)"
    expect_equal "placements" "24 32 0" "$(placements)"
    expect_equal "nothing else" 3 "$(vgpuctl list --active --json | jq '.devices | length')"
    for n in 1 2 3; do
        expect_equal "starts by the units" 1 "$(grep -cE "^started +$(uuid "$n")" /tmp/units || true)"
    done
}
stage_2() {
    after_reboot
    host l40s framework=vfio types_after_ms=15000
}
stage_3() { after_reboot; }
