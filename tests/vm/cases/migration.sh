# shellcheck shell=bash
# expect: 90 seconds per stage
# A host with Debian's mdevctl package and its definitions: vgpuctl takes over, coexists with it, and is removed again.

theirs=/usr/bin/mdevctl
# Six devices that start at boot, one of them with an attribute, and a manual one.
all_there() {
    local n
    for n in 1 2 3 4 5 6; do
        poll 60 active "$(uuid "$n")" || fail "$(uuid "$n") did not come back"
        device_is "$(uuid "$n")" mtty "mtty-$((n % 2 + 1))"
    done
    poll 60 no_jobs
    udevadm settle
    expect_equal "power/control of the one with an attribute" on "$(cat "/sys/bus/mdev/devices/$(uuid 6)/power/control")"
    ! active "$(uuid 7)" || fail "the manual device was started"
    expect_equal "active devices" 6 "$(active_count)"
    made_times 1 "$(uuid 1)" "$(uuid 2)" "$(uuid 3)" "$(uuid 4)" "$(uuid 5)" "$(uuid 6)"
    no_failed_units
    expect_equal "definitions" "$(cat /root/definitions)" "$(definitions)"
}
definitions() { find /etc/mdevctl.d -type f -exec sha256sum {} + | sort; }
# listing COMMAND...: prints the output without the trailing empty line of this version.
listing() { "$@" | sed '/^$/d'; }

stage_1() {
    local n
    dpkg -i /opt/mdevctl.deb >&3
    load_at_boot mtty
    load mtty
    for n in 1 2 3 4 5 6; do
        "$theirs" define --auto --uuid "$(uuid "$n")" --parent mtty --type "mtty-$((n % 2 + 1))"
    done
    "$theirs" modify --uuid "$(uuid 6)" --addattr power/control --value on
    "$theirs" define --uuid "$(uuid 7)" --parent mtty --type mtty-1
    listing "$theirs" list --defined --verbose | tee /root/listed >&3
    expect_equal "definitions" 7 "$(grep -c '^5a1e' /root/listed)"
    definitions >/root/definitions
    dpkg --verify mdevctl >/root/verified # the guest has no manual pages and similar files
}
# The files of the package are unchanged.
package_is_whole() { expect_equal "dpkg --verify" "$(cat /root/verified)" "$(dpkg --verify mdevctl)"; }
# On Debian, the rule of the package uses a path that does not exist.
stage_2() {
    [[ -d /sys/class/mdev_bus/mtty ]]
    udevadm settle
    expect_equal "devices that the package brought back" 0 "$(active_count)"
    said_by mdevctl >&3
    said_by mdevctl | grep -q '/usr/sbin/mdevctl: not found'

    say "--- install"
    install_drop_in
    grep -qF "mdevctl for services: /usr/local/bin/mdevctl, which is vgpuctl" /tmp/installed
    grep -qF "/usr/bin/mdevctl belongs to another program and is not changed" /tmp/installed
    package_is_whole
    expect_equal "mdevctl in PATH" /usr/local/bin/mdevctl "$(type -P mdevctl)"
    expect_equal "what its list says" "$(cat /root/listed)" "$(listing mdevctl list --defined --verbose)"
}
stage_3() {
    all_there
    say "the journal has of errors:" && errors >&3
    no_errors_but 'mdevctl\[[0-9]*\]: .*/usr/sbin/mdevctl: not found$'
    listing mdevctl list >&3
    expect_equal "lines of list" 6 "$(listing mdevctl list | grep -c '^5a1e.* auto (defined)$')"

    say "--- the package's rule mended: the package's mdevctl where it looks"
    ln -s "$theirs" /usr/sbin/mdevctl
}
stage_4() {
    all_there
    # The rule of the package runs for everything with the parent's name (driver, class, device, module), and logs all
    # output of mdevctl as critical, also when only that package is installed. There are no other errors.
    said_by mdevctl | sed 's/^\[[^]]*\] *//' | sort | uniq -c >&3
    no_errors_but ' mdevctl\[[0-9]*\]: '
    say "--- and ours where it looks"
    ln -sf /usr/local/bin/mdevctl /usr/sbin/mdevctl
}
stage_5() {
    all_there
    said_by mdevctl >&3
    expect_equal "errors in the journal" "" "$(errors)"
    rm /usr/sbin/mdevctl

    say "--- uninstall"
    mdevctl modify --uuid "$(uuid 7)" --addattr power/control --value on
    mdevctl modify --uuid "$(uuid 7)" --delattr
    make -s -C /src uninstall CARGO_TARGET_DIR=/share/target >&3 2>&1
    hash -r
    package_is_whole
    expect_equal "every mdevctl in PATH" "$theirs" "$(type -ap mdevctl | grep -v '^/bin/' | paste -sd ' ')"
    expect_equal "what the package reads" "$(cat /root/listed)" "$(listing mdevctl list --defined --verbose | sed 's/ (active)$//')"
    [[ ! -e /usr/local/bin/lsmdev && ! -L /usr/local/bin/lsmdev ]]
}
