# shellcheck shell=bash
# expect: 60 seconds per stage
# make install and make uninstall: everything installed is removed again, and definitions are kept.

everything() { find / -xdev \( -path /var -o -path /root -o -path /tmp \) -prune -o -print | sort; }

stage_1() {
    everything >/tmp/before
    install_vgpuctl
    everything >/tmp/with
    say "installed:" && comm -13 /tmp/before /tmp/with >&3
    expect_equal "the unit" enabled "$(systemctl is-enabled vgpuctl-restore.service)"
    expect_equal "the timer, which is for those who want it" disabled "$(systemctl is-enabled vgpuctl-metrics.timer || true)"
    expect_equal "the socket, which needs a group first" disabled "$(systemctl is-enabled vgpuctl-delegate.socket || true)"
    # The guest has no manual pages, so ignore man's error.
    systemd-analyze verify vgpuctl-restore.service vgpuctl-restore@mtty.service vgpuctl-metrics.service vgpuctl-metrics.timer \
        vgpuctl-delegate.socket vgpuctl-delegate@1.service >/tmp/verify 2>&1 || true
    expect_equal "complaints of systemd-analyze verify" "" "$(grep -v "Command 'man " /tmp/verify || true)"
    load mtty
    vgpuctl define --type mtty-1 --parent mtty --uuid "$(uuid 1)"
    install_vgpuctl # installing again changes nothing
    make -s -C /src uninstall CARGO_TARGET_DIR=/share/target
    everything >/tmp/after
    expect_equal "what is left" "$(printf '%s\n' /etc/mdevctl.d /etc/mdevctl.d/mtty "/etc/mdevctl.d/mtty/$(uuid 1)")" \
        "$(comm -13 /tmp/before /tmp/after )"
    expect_equal "what else is gone" "" "$(comm -23 /tmp/before /tmp/after)"
    load_at_boot mtty
}
# No traces at the next boot.
stage_2() {
    [[ -f /etc/mdevctl.d/mtty/$(uuid 1) ]]
    [[ -d /sys/class/mdev_bus/mtty ]]
    expect_equal "active devices" 0 "$(active_count)"
    no_failed_units
}
