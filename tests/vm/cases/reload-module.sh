# shellcheck shell=bash
# expect: 90 seconds per stage
# Devices are restored when their parent reappears: after reloading its module, and with a module that loads late at boot.

all_active() {
    local n
    for n in 1 2 3 4; do
        active "$(uuid "$n")" || return 1
    done
}
check_all() {
    local n
    poll 60 all_active || fail "the devices did not come back: $(ls /sys/bus/mdev/devices)"
    for n in 1 2 3 4; do
        device_is "$(uuid "$n")" mtty mtty-2
    done
    poll 60 no_jobs
    ! active "$(uuid 5)" || fail "the manual device was started"
}
restore_unit() { systemctl show -P "$1" vgpuctl-restore.service; }

stage_1() {
    local n round
    install_vgpuctl
    load mtty
    for n in 1 2 3 4; do
        vgpuctl create --type mtty-2 --parent mtty --uuid "$(uuid "$n")"
    done
    vgpuctl define --type mtty-2 --parent mtty --uuid "$(uuid 5)" --manual
    poll 60 no_jobs
    for round in 1 2; do
        modprobe -r mtty
        expect_equal "devices without their parent" 0 "$(active_count)"
        modprobe mtty
        check_all
        say "round $round: back"
    done
    no_failed_units

    # From now on, the module is loaded twenty seconds after the start.
    cat >/etc/systemd/system/late.service <<-'UNIT'
		[Service]
		Type=oneshot
		ExecStart=/usr/sbin/modprobe mtty
	UNIT
    cat >/etc/systemd/system/late.timer <<-'UNIT'
		[Timer]
		OnBootSec=20
		AccuracySec=100ms
		[Install]
		WantedBy=timers.target
	UNIT
    systemctl enable late.timer
}
# Late, but within the wait time of the unit: nothing has failed.
stage_2() {
    check_all
    expect_equal "vgpuctl-restore.service" success "$(restore_unit Result)"
    no_failed_units
    # Next time, the unit gives up before the module is loaded.
    mkdir -p /etc/systemd/system/{vgpuctl-restore,late}.service.d
    printf '[Service]\nEnvironment=VGPUCTL_RESTORE_WAIT=1\n' >/etc/systemd/system/vgpuctl-restore.service.d/wait.conf
    printf '[Unit]\nAfter=vgpuctl-restore.service\n' >/etc/systemd/system/late.service.d/order.conf
}
# Later than that: the unit has failed and reports the parent, and the devices are restored anyway.
stage_3() {
    poll 90 test -d /sys/class/mdev_bus/mtty
    check_all
    expect_equal "vgpuctl-restore.service" exit-code "$(restore_unit Result)"
    expect_equal "its exit status" 7 "$(restore_unit ExecMainStatus)"
    journalctl -b -u vgpuctl-restore.service -o cat | grep -w mtty || fail "the unit's journal does not name the parent"
    expect_equal "failed units" vgpuctl-restore.service "$(failed_units)"
}
