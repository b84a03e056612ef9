# shellcheck shell=bash source=tests/vm/module.sh
# expect: 90 seconds per stage
# The sandbox of the units: devices of both frameworks are restored at boot, with callout scripts, sriov-manage and nvidia-smi
# running in the sandbox, which denies what none of them needs; a user gets a vGPU through the socket;
# and a drop-in as in docs/security.md grants a script more permissions.
. /src/tests/vm/module.sh

pf=$(gpu 1)
seen=/run/seen
# as_run NAME: prints the environment in which a program was run.
as_run() { grep -m 1 "^$1 " $seen || fail "$1 did not run under a unit"; }
as_alice() { runuser -u alice -- vgpuctl request "$@"; }
# told: prints the messages of the units in this boot.
told() {
    journalctl --sync
    journalctl -b -o cat --no-pager -q -u 'vgpuctl-restore*' | sed 's/^/  | /' >&3
}
all_there() {
    local n
    poll 60 no_jobs
    told
    for n in 1 2; do device_is "$(uuid "$n")" mtty mtty-2; done
    for n in 3 4; do
        expect_equal "the type of $(uuid "$n")" nvidia-1153 "$(vgpuctl show "$(uuid "$n")" --json |
            jq -r '.device | select(.active) | .type')"
    done
    no_failed_units
}

stage_1() {
    local unit exposure
    install_vgpuctl
    say "--- exposure"
    for unit in vgpuctl-restore vgpuctl-restore@mtty vgpuctl-metrics vgpuctl-delegate@1; do
        exposure=$(systemd-analyze security "$unit.service" --no-pager | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
        say "$unit.service: $exposure"
        [[ $exposure =~ ^(3\.[0-5]|[0-2]\.[0-9])$ ]] || fail "$unit.service: more than 3.5"
    done

    # Each external program records what it was able to do.
    cat >/usr/local/bin/what-i-may <<'SCRIPT'
#!/bin/bash
line="$1 $(sed -n 's/^\(CapBnd\|NoNewPrivs\|Seccomp\):\t/\1=/p' /proc/self/status | paste -sd ' '):"
may() { if "${@:2}" >/dev/null 2>&1; then line+=" $1"; fi; }
may etc touch /etc/inventory/it-was-here
may usr touch /usr/it-was-here
may home test -e /root/secret
may module modprobe -q mdpy
may mount mount -t tmpfs none /mnt
may network test /proc/self/ns/net -ef /proc/1/ns/net
may clock date -s now
may chown chown 1:1 /run/own
may definitions touch /etc/mdevctl.d/mtty/.it-was-here
may sysfs test -w /sys/bus/pci/rescan
may run touch /run/it-was-here
may var touch /var/lib/it-was-here
echo "$line" >>/run/seen
umount /mnt 2>/dev/null
exit 0
SCRIPT
    mkdir -p /etc/inventory /etc/mdevctl.d/{mtty,scripts.d/callouts}
    cat >/etc/mdevctl.d/scripts.d/callouts/sees <<'SCRIPT'
#!/bin/bash
cat >/dev/null
while getopts t:e:a:s:u:p: flag; do [[ $flag != e ]] || event=$OPTARG; done
[[ $event != pre ]] || /usr/local/bin/what-i-may callout
exit 0
SCRIPT
    sed -i '2i /usr/local/bin/what-i-may sriov-manage' /usr/lib/nvidia/sriov-manage
    sed -i '2i /usr/local/bin/what-i-may nvidia-smi' /usr/bin/nvidia-smi
    chmod 755 /usr/local/bin/what-i-may /etc/mdevctl.d/scripts.d/callouts/sees
    touch /root/secret
    echo 'f /run/own - - - -' >/etc/tmpfiles.d/own.conf
    touch /run/own

    /usr/local/bin/what-i-may administrator
    expect_equal "outside of a unit" "etc usr home module mount network clock chown definitions sysfs run var" \
        "$(as_run administrator | sed 's/.*: //')"
    rm /etc/inventory/it-was-here /usr/it-was-here /var/lib/it-was-here /etc/mdevctl.d/mtty/.it-was-here $seen

    host l40s framework=vfio
    load_at_boot fake_gpus mtty
    load mtty
    expect_equal "functions at boot" 0 "$(status_of vgpuctl vfs enable "$pf" --at-boot)"
    echo 'mixed-sizes = yes' >>"/etc/vgpuctl.d/$pf/gpu.conf"
    for n in 1 2; do vgpuctl define --type mtty-2 --parent mtty --uuid "$(uuid "$n")"; done
    for n in 3 4; do vgpuctl define --type nvidia-1153 --parent "$pf" --uuid "$(uuid "$n")"; done
}
stage_2() {
    local name
    all_there
    sed 's/^/  | /' $seen >&3
    # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN; these determine its permissions.
    for name in callout sriov-manage nvidia-smi; do
        expect_equal "$name" "$name CapBnd=0000000000280006 NoNewPrivs=1 Seccomp=2: definitions sysfs run var" "$(as_run $name)"
    done
    # The contents of /run/vgpuctl are kept when the units end.
    [[ -d /run/vgpuctl ]] || fail "/run/vgpuctl is gone"
    expect_equal "stop and start by hand" "0 0" "$(status_of vgpuctl stop "$(uuid 1)") $(status_of vgpuctl start "$(uuid 1)")"

    say "--- a user's own vGPU"
    groupadd --system vgpu-users
    useradd --groups vgpu-users alice
    mkdir /etc/vgpuctl /etc/systemd/system/vgpuctl-delegate@.service.d
    printf '[[allow]]\ngroup = "vgpu-users"\ntypes = ["mtty-1"]\ndevices = 1\n' >/etc/vgpuctl/policy.toml
    printf '[Service]\nReadWritePaths=%s\n' $seen >/etc/systemd/system/vgpuctl-delegate@.service.d/callouts.conf
    sed -i '/^callout /d' $seen
    systemctl daemon-reload
    systemctl start vgpuctl-delegate.socket
    expect_equal "one" 0 "$(status_of as_alice create --type mtty-1)"
    own=$(head -n 1 /tmp/output)
    device_is "$own" mtty mtty-1
    expect_equal "its definition" "644 root $(id -u alice)" \
        "$(stat -c '%a %U' "/etc/mdevctl.d/mtty/$own") $(jq '."vgpuctl-owner"' "/etc/mdevctl.d/mtty/$own")"
    expect_equal "callout" "callout CapBnd=0000000000280006 NoNewPrivs=1 Seccomp=2: definitions sysfs run" "$(as_run callout)"
    expect_equal "a second one" 6 "$(status_of as_alice create --type mtty-1)"
    expect_equal "another type" 6 "$(status_of as_alice create --type mtty-2)"
    expect_equal "root's" 3 "$(status_of as_alice remove "$(uuid 1)")"
    expect_equal "stop" 0 "$(status_of as_alice stop "$own")"
    expect_equal "active after stop" 1 "$(status_of active "$own")"
    expect_equal "start" 0 "$(status_of as_alice start "$own")"
    device_is "$own" mtty mtty-1
    expect_equal "remove" 0 "$(status_of as_alice remove "$own")"
    [[ ! -e /etc/mdevctl.d/mtty/$own ]] || fail "its definition is still there"
    journalctl --sync
    journalctl -b -o cat --no-pager -q -u 'vgpuctl-delegate@*' | sed 's/^/  | /' >&3
    expect_equal "requests in the log" 7 "$(journalctl -b -o cat --no-pager -q -u 'vgpuctl-delegate@*' | grep -c '^user .* (alice): ')"
    all_there

    say "--- more, by a drop-in"
    for name in vgpuctl-restore vgpuctl-restore@; do
        mkdir -p "/etc/systemd/system/$name.service.d"
        cat >"/etc/systemd/system/$name.service.d/callouts.conf" <<'UNIT'
[Service]
CapabilityBoundingSet=CAP_CHOWN
PrivateNetwork=no
ReadWritePaths=/etc/inventory
UNIT
    done
}
stage_3() {
    all_there
    sed 's/^/  | /' $seen >&3
    expect_equal "callout" "callout CapBnd=0000000000280007 NoNewPrivs=1 Seccomp=2: etc network chown definitions sysfs run var" \
        "$(as_run callout)"
}
