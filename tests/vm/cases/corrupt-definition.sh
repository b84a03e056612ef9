# shellcheck shell=bash
# expect: 60 seconds per stage
# One unreadable definition does not affect the others, and the unit that failed because of it names the file.

path=/etc/mdevctl.d/mtty/$(uuid 7)

stage_1() {
    local n
    install_vgpuctl
    load_at_boot mtty
    load mtty
    for ((n = 1; n <= 20; n++)); do
        vgpuctl define --type mtty-1 --parent mtty --uuid "$(uuid "$n")" >/dev/null
    done
    [[ -f $path ]] || fail "no definition at $path: $(find /etc/mdevctl.d)"
    printf '{ "mdev_type": "mtty-1", "start": "au' >"$path"
}
stage_2() {
    local n
    for ((n = 1; n <= 20; n++)); do
        if ((n != 7)); then
            poll 30 active "$(uuid "$n")" || fail "$(uuid "$n") did not come back"
            device_is "$(uuid "$n")" mtty mtty-1
        fi
    done
    poll 60 no_jobs
    expect_equal "active devices" 19 "$(active_count)"
    expect_equal "vgpuctl-restore.service" failed "$(systemctl show -P ActiveState vgpuctl-restore.service)"
    expect_equal "its exit status" 7 "$(systemctl show -P ExecMainStatus vgpuctl-restore.service)"
    journalctl -b -u vgpuctl-restore.service -o cat | grep -F "$path" || {
        journalctl -b -u vgpuctl-restore.service --no-pager
        fail "the unit's journal does not name $path"
    }
}
