# shellcheck shell=bash
# expect: 120 seconds per stage
# The packages: installed, rebooted, upgraded, removed, purged. The devices of the case `reboot` come back from them.
# shellcheck source=SCRIPTDIR/reboot.sh
. /src/tests/vm/cases/reboot.sh

ours=$(sed -n 's/^version = "\(.*\)"$/\1/p' /src/Cargo.toml)
next=$(sed -n 's/^NEXT := //p' /src/Makefile)
# All files that a package could leave behind; without dpkg's own data, logs, and files written at every boot.
everything() {
    find / -xdev \( -path /root -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/lib/dpkg -o -path /var/cache \
        -o -path /var/lib/systemd/random-seed -o -path '/var/lib/systemd/timers' -o -path '/var/lib/systemd/catalog*' \) -prune -o -print | sort
}
definitions() { (cd /etc/mdevctl.d && find . -type f -exec sha256sum {} + | sort -k 2); }
# The inode number of each device, which changes if it is recreated.
devices() { stat -L -c '%i %n' /sys/bus/mdev/devices/* | sort; }
unit() { systemctl is-enabled vgpuctl-restore.service 2>/dev/null || true; }
version() { dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" | sed 's/-0vgpuctl1$//'; }
installed_version_is() {
    expect_equal "vgpuctl" "installed $1" "$(version vgpuctl)"
    expect_equal "vgpuctl-mdevctl" "installed $1" "$(version vgpuctl-mdevctl)"
    expect_equal "what dpkg complains of" "" "$(dpkg --audit)"
}
# Checks that the files are those of the packages, not of another installation.
answers_from_the_package() {
    expect_equal "vgpuctl" /usr/bin/vgpuctl "$(type -P vgpuctl)"
    [[ $(type -P mdevctl) -ef /usr/bin/vgpuctl && $(type -P lsmdev) -ef /usr/bin/vgpuctl ]] || fail "mdevctl or lsmdev is not vgpuctl"
    expect_equal "lines of mdevctl list" 20 "$(mdevctl list | grep -c 5a1e0000)"
    expect_equal "lines of lsmdev" 20 "$(lsmdev | grep -c 5a1e0000)"
    expect_equal "lines of mdevctl list --defined" 23 "$(mdevctl list --defined | grep -c 5a1e0000)"
    mdevctl types --parent mtty | grep -q mtty-2
}
# upgrade VERSION UNIT: checks that it changes nothing on the host; UNIT is the state of the unit set by the administrator.
upgrade() {
    devices >/root/devices
    definitions >/root/definitions
    systemctl show -P ActiveEnterTimestampMonotonic vgpuctl-restore.service >/root/ran
    install_packages "$1"
    installed_version_is "$1"
    expect_equal "devices after the upgrade" "$(cat /root/devices)" "$(devices)"
    expect_equal "definitions after the upgrade" "$(cat /root/definitions)" "$(definitions)"
    expect_equal "the unit after the upgrade" "$2" "$(unit)"
    expect_equal "when the unit ran" "$(cat /root/ran)" "$(systemctl show -P ActiveEnterTimestampMonotonic vgpuctl-restore.service)"
    no_failed_units
}

stage_1() {
    everything >/root/before
    install_packages "$ours"
    installed_version_is "$ours"
    everything >/root/with
    say "installed:" && comm -13 /root/before /root/with >&3
    expect_equal "the unit" enabled "$(unit)"
    [[ -d /etc/mdevctl.d ]] || fail "there is no folder that libvirt could watch"
    systemd-analyze verify vgpuctl-restore.service vgpuctl-restore@mtty.service >/tmp/verify 2>&1 || true
    expect_equal "complaints of systemd-analyze verify" "" "$(grep -v "Command 'man " /tmp/verify || true)"
    save_devices
}
stage_2() {
    after_reboot
    answers_from_the_package
    upgrade "$next" enabled
    systemctl disable vgpuctl-restore.service
    upgrade "$next" disabled
    systemctl enable vgpuctl-restore.service
    upgrade "$next" enabled
}
stage_3() {
    local left
    after_reboot
    answers_from_the_package
    devices >/root/devices
    definitions >/root/definitions

    say "--- removed"
    dpkg --remove vgpuctl-mdevctl vgpuctl >&3 2>&1
    expect_equal "devices after the removal" "$(cat /root/devices)" "$(devices)"
    expect_equal "definitions after the removal" "$(cat /root/definitions)" "$(definitions)"
    [[ -z $(type -P vgpuctl mdevctl lsmdev) ]] || fail "a program is left"

    say "--- installed again, then purged"
    install_packages "$next"
    expect_equal "the unit" enabled "$(unit)"
    dpkg --purge vgpuctl-mdevctl vgpuctl >&3 2>&1
    everything >/root/after
    left=$(comm -13 /root/before /root/after | grep -v -e '^/etc/mdevctl.d\(/\|$\)' -e '^/etc/modules-load.d/parents.conf$' || true)
    expect_equal "what is left" "" "$left"
    expect_equal "what else is gone" "" "$(comm -23 /root/before /root/after)"
    expect_equal "definitions after the purge" "$(cat /root/definitions)" "$(definitions)"
    expect_equal "devices after the purge" "$(cat /root/devices)" "$(devices)"
    no_failed_units
}
# No traces at the next boot.
stage_4() {
    expect_equal "definitions" 23 "$(definitions | wc -l)"
    expect_equal "active devices" 0 "$(active_count)"
    no_failed_units
}
