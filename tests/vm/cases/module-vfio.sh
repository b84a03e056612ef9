# shellcheck shell=bash source=tests/vm/module.sh
# expect: 90 seconds per stage
# vgpuctl on a host with both frameworks: a P4 with mediated devices and an L40S with types assigned to virtual functions.
# Every command, then reboots: VFs enabled by `vfs enable --at-boot`, types 15 s late, guests afterwards; then devices that
# cannot start, and NVIDIA's program for VFs reporting success without doing anything.
. /src/tests/vm/module.sh

p4=$(gpu 1)
l40s=$(gpu 2)
current() { cat "$(pci "$(vf 2 "$1")")/nvidia/current_vgpu_type"; }
set_type() { put "$2" "$(pci "$(vf 2 "$1")")/nvidia/current_vgpu_type"; }
# currents N: prints the types on the first N functions.
currents() { for ((n = 0; n < $1; n++)); do current "$n"; done | paste -sd ' '; }
field() { vgpuctl show "$1" --json | jq -r ".device.$2"; }
defined() { find /etc/vgpuctl.d -type f -name '*-*' | wc -l; }
# journal_of UNIT: stores the unit's journal of this boot as the output to check.
journal_of() {
    journalctl --sync
    journalctl -b -o cat --no-pager -q -u "$1" >/tmp/output
    sed 's/^/  | /' /tmp/output >&3
}
# retried WORD: sriov-manage fails in this way until vgpuctl has reported its first attempt.
retried() {
    local pid
    echo "$1" >/run/sriov-manage
    vgpuctl vfs enable "$l40s" >/tmp/output 2>&1 &
    pid=$!
    poll 30 grep -q 'attempt 1 to switch' /tmp/output || fail "$1 is not reported: $(cat /tmp/output)"
    rm /run/sriov-manage
    wait "$pid" || fail "$1: $(cat /tmp/output)"
    sed 's/^/  | /' /tmp/output >&3
    said 'switched 32 virtual functions'
}

switching() {
    say "--- vfs"
    expect_equal "none are on" 0 "$(status_of vgpuctl vfs)"
    expect_equal "a type of functions that are off" 3 "$(status_of vgpuctl create --type nvidia-1153 --parent "$l40s")"
    said "vgpuctl vfs enable $l40s"
    retried unbindLock
    expect_equal "off" 0 "$(status_of vgpuctl vfs disable "$l40s")"
    retried no-vfs
    expect_equal "on, 32, none in use" "true 32 0" "$(vgpuctl vfs "$l40s" --json |
        jq -r '.gpus[0] | "\(.enabled == .total) \(.enabled) \([.functions[] | select(.type)] | length)"')"
    expect_equal "at boot too" 0 "$(status_of vgpuctl vfs enable "$l40s" --at-boot)"
    grep -qx 'vfs = enable' "/etc/vgpuctl.d/$l40s/gpu.conf"
}

verbs() {
    local id
    say "--- types, gpus, create, list, show"
    expect_equal "types" 22 "$(vgpuctl types --parent "$l40s" --json | jq '.parents[0].types | length')"
    expect_equal "frameworks" "mdev vfio" "$(vgpuctl gpus --json | jq -r '[.gpus[].framework] | join(" ")')"
    id=$(vgpuctl create --type L40S-12Q)
    expect_equal "type on virtfn0" 1153 "$(current 0)"
    expect_equal "shown" "$(vf 2 0) NVIDIA L40S-12Q true auto" \
        "$(vgpuctl list --json | jq -r '.devices[] | "\(.vf) \(.type_name) \(.active) \(.start)"')"
    expect_equal "its VFIO device" "/dev/vfio/devices/$(ls "$(pci "$(vf 2 0)")/vfio-dev")" "$(field "$id" vfio_device)"
    expect_equal "another size" 4 "$(status_of vgpuctl create --type L40S-8Q)"
    said 'holds 1 x L40S-12Q'
    say "--- stop, start, modify, define, undefine, remove"
    expect_equal "stop" "0 0" "$(status_of vgpuctl stop "$id") $(current 0)"
    expect_equal "parameters" 0 "$(status_of vgpuctl modify "$id" --attr nvidia/vgpu_params=frame_rate_limiter=0 --manual)"
    expect_equal "restore leaves a manual one" "0 0" "$(status_of vgpuctl restore) $(current 0)"
    expect_equal "start" "0 1153" "$(status_of vgpuctl start "$id") $(current 0)"
    expect_equal "its parameters" frame_rate_limiter=0 "$(cat "$(pci "$(vf 2 0)")/nvidia/vgpu_params")"
    expect_equal "define" 0 "$(status_of vgpuctl define --type nvidia-1153 --parent "$l40s" --uuid "$(uuid 9)")"
    expect_equal "restore" "0 1153 1153" "$(status_of vgpuctl restore) $(currents 2)"
    expect_equal "undefine" "0 1153" "$(status_of vgpuctl undefine "$(uuid 9)") $(current 1)"
    expect_equal "stop" "0 0" "$(status_of vgpuctl stop "$(vf 2 1)") $(current 1)"
    say "--- attach"
    expect_equal "attach" 0 "$(status_of vgpuctl attach "$id")"
    said "type='pci' managed='no'"
    said "<address domain='0x0001' bus='0x82' slot='0x00' function='0x4'/>"
    say "--- mdevctl knows nothing of it"
    expect_equal "mdevctl list" "0 " "$(status_of mdevctl list) $(cat /tmp/output)"
    expect_equal "mdevctl list -d" "0 " "$(status_of mdevctl list -d) $(cat /tmp/output)"
    expect_equal "mdevctl types" "$p4 0" "$(mdevctl types | grep '^0') $(mdevctl types | grep -c L40S)"
    say "--- held open, and the plugin that leaves"
    hold_open "$(vf 2 0)"
    expect_equal "in use" 5 "$(status_of vgpuctl remove "$id")"
    said "${holders[$(vf 2 0)]}"
    expect_equal "VFs of a GPU in use" 5 "$(status_of vgpuctl vfs disable "$l40s")"
    expect_equal "it is still there" "1153 1" "$(current 0) $(defined)"
    let_go "$(vf 2 0)"
    expect_equal "the driver is busy now" EBUSY "$(errno_of set_type 0 0)"
    expect_equal "waited for" "0 0 0" "$(status_of vgpuctl remove "$id") $(current 0) $(defined)"
    say "--- the driver refuses"
    knob fail_creates 1
    expect_equal "refused" "1 0 0" "$(status_of vgpuctl create --type L40S-12Q) $(current 0) $(defined)"
    said 'Input/output error \(EIO\)'
}

stale() {
    say "--- another one's VF"
    expect_equal "on one VF" 0 "$(status_of vgpuctl create --type L40S-12Q --parent "$(vf 2 5)" --uuid "$(uuid 8)")"
    expect_equal "stop" 0 "$(status_of vgpuctl stop "$(uuid 8)")"
    set_type 5 1163
    expect_equal "restore" 7 "$(status_of vgpuctl restore)"
    said "failed +$(uuid 8).*$(vf 2 5) already holds nvidia-1163, which was created by another program and is not changed"
    expect_equal "start" 4 "$(status_of vgpuctl start "$(uuid 8)")"
    expect_equal "remove" 0 "$(status_of vgpuctl remove "$(uuid 8)")"
    expect_equal "it is left alone" 1163 "$(current 5)"
    expect_equal "listed without a name of ours" "null nvidia-1163" "$(vgpuctl list --json |
        jq -r --arg vf "$(vf 2 5)" '.devices[] | select(.vf == $vf) | "\(.uuid) \(.type)"')"
    set_type 5 0
}

stage_1() {
    local n
    install_drop_in
    host p4,l40s framework=vfio
    modprobe vfio_iommu_type1
    switching
    verbs
    stale
    no_failed_units
    say "--- for the next boot: four on each GPU, those of the L40S on any VF but one"
    for n in 1 2 3 4; do
        vgpuctl define --type nvidia-64 --parent "$p4" --uuid "$(uuid "$n")"
        vgpuctl define --type nvidia-1153 --parent "$([[ $n == 2 ]] && vf 2 7 || echo "$l40s")" --uuid "$(uuid "1$n")"
    done
    cat >/etc/systemd/system/libvirt-guests.service <<'UNIT'
[Unit]
Description=Stands for what starts guests: sees which devices are there
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'cat /sys/bus/mdev/devices/*/mdev_type/name /sys/bus/pci/devices/*/nvidia/current_vgpu_type | sort | uniq -c >/var/tmp/guests'
[Install]
WantedBy=multi-user.target
UNIT
    systemctl enable libvirt-guests.service
    host p4,l40s framework=vfio types_after_ms=15000
}
stage_2() {
    local n bound published
    bound=$(seconds_of "$p4: \[10de:1bb3\]")
    published=$(seconds_of "$p4: MDEV: Registered")
    say "the GPUs were there after $bound s, their types after $published s"
    ((published >= bound + 14)) || fail "the types were not late, so this proves nothing"
    expect_equal "what guests found" "28 0,4 1153,4 GRID P4-2Q" "$(sed 's/^ *//' /var/tmp/guests | sort | paste -sd ,)"
    poll 60 no_jobs
    for n in 1 2 3 4; do
        device_is "$(uuid "$n")" "$p4" nvidia-64
    done
    # The functions publish their types one by one, so it is not known in advance which ones are used.
    expect_equal "the one that a definition names" "$(vf 2 7)" "$(field "$(uuid 12)" vf)"
    # Definitions with a function come first, then the others in UUID order.
    expect_equal "the GPU's memory in the order of starts" "12 0 24 36" "$(for n in 11 12 13 14; do
        cat "$(pci "$(field "$(uuid $n)" vf)")/nvidia/placement_id"
    done | paste -sd ' ')"
    no_failed_units
    journalctl -b -o short-monotonic --no-pager -u 'vgpuctl-restore*' | grep -E 'started|enabled|Finished' >&3
    say "--- one more on each, of another size; and at boot NVIDIA's program does nothing and says it worked"
    vgpuctl define --type nvidia-63 --parent "$p4" --uuid "$(uuid 5)"
    vgpuctl define --type nvidia-1152 --parent "$l40s" --uuid "$(uuid 15)"
    echo 'f /run/sriov-manage - - - - no-vfs' >/etc/tmpfiles.d/sriov-manage.conf
    mkdir -p /etc/systemd/system/vgpuctl-restore.service.d
    printf '[Service]\nEnvironment=VGPUCTL_RESTORE_WAIT=20\n' >/etc/systemd/system/vgpuctl-restore.service.d/wait.conf
    host p4,l40s framework=vfio
}
stage_3() {
    # The fifth on the P4 fails in both.
    expect_equal "without VFs" "vgpuctl-restore.service vgpuctl-restore@$p4.service" "$(failed_units)"
    journal_of vgpuctl-restore.service
    said 'attempt 3 to switch'
    said "$l40s still has no virtual functions after [0-9]+ attempts in [0-9]+ s"
    expect_equal "the P4's are there" 4 "$(active_count)"
    rm /run/sriov-manage
    expect_equal "again" 1 "$(status_of systemctl restart vgpuctl-restore.service)"
    journal_of vgpuctl-restore.service
    said "failed +$(uuid 5).*holds 4 x P4-2Q"
    said "failed +$(uuid 15).*holds 4 x L40S-12Q"
    poll 60 no_jobs
    expect_equal "on the P4" 4 "$(active_count)"
    expect_equal "on the L40S" "28 0,4 1153" "$(currents 32 | tr ' ' '\n' | sort | uniq -c | sed 's/^ *//' | paste -sd ,)"
    expect_equal "the one that a definition names" "$(vf 2 7)" "$(field "$(uuid 12)" vf)"
}
