# shellcheck shell=bash
# What every case may use. Sourced inside the guest under `set -euo pipefail`; a stage fails at its first failing command.
export LC_ALL=C
exec 3>&1 # say and fail speak there, also where a command's output is captured

say() { printf '%s\n' "$*" >&3; }
fail() {
    printf 'FAILED: %s (line %s)\n' "$*" "$(caller | cut -d' ' -f1)" >&3
    exit 1
}
trap 'say "stopped at line $LINENO: $BASH_COMMAND"' ERR
set -E
# The check a stage makes: expect_equal WHAT WANTED GOT.
expect_equal() {
    [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"
}
# uuid N: the same every time, and different for each N.
uuid() { printf '5a1e0000-0000-4000-8000-%012d' "$1"; }
# poll SECONDS COMMAND...: until the command succeeds; fails when the time is up.
poll() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}
# status_of COMMAND...: its exit status on stdout; its output goes to the log and to /tmp/output.
status_of() {
    local status=0
    "$@" >/tmp/output 2>&1 || status=$?
    sed 's/^/  | /' /tmp/output >&3
    printf '%s' "$status"
}
# install_vgpuctl: as a user would, from the source tree.
install_vgpuctl() { make -s -C /src install CARGO_TARGET_DIR=/share/target >&3 2>&1; }
# install_drop_in: the same, with mdevctl's names; what it said is in /tmp/installed.
install_drop_in() {
    make -s -C /src install MDEVCTL=yes CARGO_TARGET_DIR=/share/target 2>&1 | tee /tmp/installed >&3
    [[ ! -e /share/debian ]] || stand_in
}
# install_packages VERSION: the packages that `make deb` made, in place of the installation above.
install_packages() {
    local package debs=()
    for package in vgpuctl vgpuctl-mdevctl; do
        debs+=("$(printf '%s\n' "/src/target/package/${package}_$1-"*.deb)")
        [[ -f ${debs[-1]} ]] || fail "${debs[-1]} is missing; run: make deb"
    done
    DEBIAN_FRONTEND=noninteractive dpkg --install "${debs[@]}" </dev/null >&3 2>&1
}
# stand_in: Debian's mdevctl in the place of ours, for VGPUCTL_VM_MDEVCTL=debian. /share/stage_calls says how it was called.
stand_in() {
    mkdir -p /etc/mdevctl.d/scripts.d/{callouts,notifiers} # it does nothing without
    rm /usr/local/bin/mdevctl
    cat >/usr/local/bin/mdevctl <<'SCRIPT'
#!/bin/bash
input=
if [[ " $* " == *" --jsonfile=/dev/stdin "* ]]; then input=$(cat); fi
/opt/mdevctl/usr/bin/mdevctl "$@" <<<"$input" >"/tmp/out.$$" 2>"/tmp/err.$$"
status=$?
printf 'argv:%s\nstdin: %s\nstatus: %s\nstdout: %s\nstderr: %s\n\n' "$(printf ' <%s>' "$@")" "$input" "$status" \
    "$(tr -d '\n' <"/tmp/out.$$")" "$(cat "/tmp/err.$$")" >>/share/stage_calls
cat "/tmp/out.$$"
cat "/tmp/err.$$" >&2
rm "/tmp/out.$$" "/tmp/err.$$"
exit "$status"
SCRIPT
    chmod 755 /usr/local/bin/mdevctl
}
# only_ours: no other mdevctl is in the way.
only_ours() {
    local name
    for name in mdevctl lsmdev; do
        expect_equal "every $name in PATH" "/usr/local/bin/$name" "$(type -ap "$name" | paste -sd ' ')"
        [[ -e /share/debian || /usr/local/bin/$name -ef /usr/local/bin/vgpuctl ]] || fail "$name is not vgpuctl"
    done
}
# load_at_boot MODULE...
load_at_boot() { printf '%s\n' "$@" >/etc/modules-load.d/parents.conf; }
active() { [[ -e /sys/bus/mdev/devices/$1/mdev_type ]]; }
# device_is UUID PARENT TYPE: active, there, of that type.
device_is() {
    local real
    active "$1" || return 1
    real=$(readlink -f "/sys/bus/mdev/devices/$1")
    expect_equal "parent of $1" "$2" "$(basename "$(dirname "$real")")"
    expect_equal "type of $1" "$3" "$(basename "$(readlink -f "$real/mdev_type")")"
}
active_count() { { find /sys/bus/mdev/devices -mindepth 1 -maxdepth 1 2>/dev/null || true; } | wc -l; }
# load MODULE...: and what udev and systemd do about their parents is done.
load() {
    modprobe -a "$@"
    udevadm settle
    [[ ! -d /run/systemd/system ]] || poll 120 no_jobs || fail "what $* asked for does not end"
}
# no_failed_units: what an administrator looks at after a boot.
no_failed_units() {
    local units
    units=$(systemctl --failed --no-legend --plain)
    [[ -z $units ]] || {
        say "$units"
        systemctl status --no-pager --full --failed >&3 || true
        return 1
    }
}
failed_units() { systemctl --failed --no-legend --plain | awk '{ print $1 }' | paste -sd ' '; }
# no_jobs: systemd has nothing more to start.
no_jobs() { [[ -z $(systemctl list-jobs --no-legend) ]]; }
# made_times N UUID...: the kernel tells of each device that is made.
made_times() {
    local times=$1 uuid
    shift
    for uuid; do
        expect_equal "how often $uuid was made" "$times" \
            "$(journalctl -b -k -o cat --no-pager | grep -c "$uuid: Adding to iommu group" || true)"
    done
    say "each of the $# was made $times time(s)"
}
# errors: what is in the journal of this boot as an error. no_errors_but PATTERN: nothing else is.
errors() { journalctl -b -p err -o short --no-pager -q | grep -v -- '^-- ' || true; }
no_errors_but() { expect_equal "errors in the journal but '$1'" "" "$(errors | grep -v "$1" || true)"; }
said_by() { journalctl -b -t "$1" -o cat --no-pager -q; }
