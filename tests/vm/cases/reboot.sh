# shellcheck shell=bash
# expect: 60 seconds per stage
# Twenty saved devices on three parents are restored after every reboot, with their UUIDs; three manual ones are not.

wanted() { # NUMBER PARENT TYPE. mtty: 20 of 24 ports; mdpy: 3 of 4; mbochs: 5 of 64.
    local n
    for n in 1 2 3 4 5 6 7 8; do echo "$n mtty mtty-2"; done
    for n in 9 10 11 12; do echo "$n mtty mtty-1"; done
    printf '%s\n' "13 mdpy mdpy-vga" "14 mdpy mdpy-xga" "15 mdpy mdpy-hd"
    for n in 16 17 18 19 20; do echo "$n mbochs mbochs-small"; done
}
manual() { printf '%s\n' "21 mtty mtty-1" "22 mdpy mdpy-hd" "23 mbochs mbochs-small"; }

stage_1() {
    install_vgpuctl
    save_devices
}
save_devices() {
    local n parent type
    load_at_boot mtty mdpy mbochs
    load mtty mdpy mbochs
    while read -r n parent type; do
        if ((n % 2)); then
            vgpuctl create --type "$type" --parent "$parent" --uuid "$(uuid "$n")"
        else
            vgpuctl define --type "$type" --parent "$parent" --uuid "$(uuid "$n")"
        fi
    done < <(wanted)
    while read -r n parent type; do
        vgpuctl define --type "$type" --parent "$parent" --uuid "$(uuid "$n")" --manual
    done < <(manual)
    expect_equal "definitions" 23 "$(find /etc/mdevctl.d -type f | wc -l)"
    expect_equal "devices made by create" 10 "$(active_count)"
}
after_reboot() {
    local n parent type
    while read -r n parent type; do
        poll 30 active "$(uuid "$n")" || fail "$(uuid "$n") ($type on $parent) did not come back"
        device_is "$(uuid "$n")" "$parent" "$type"
    done < <(wanted)
    # Every unit the parents asked for has ended by now, so whoever wanted to start a manual one would have.
    poll 60 no_jobs
    while read -r n parent type; do
        ! active "$(uuid "$n")" || fail "the manual $(uuid "$n") was started"
    done < <(manual)
    expect_equal "active devices" 20 "$(active_count)"
    expect_equal "definitions" 23 "$(find /etc/mdevctl.d -type f | wc -l)"
    no_failed_units
    expect_equal "lines of vgpuctl list --active" 20 "$(vgpuctl list --active | grep -c 5a1e0000)"
}
stage_2() { after_reboot; }
stage_3() { after_reboot; }
