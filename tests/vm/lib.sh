# shellcheck shell=bash
# Functions for all cases. Sourced inside the guest under `set -euo pipefail`; a stage fails at the first failing command.
export LC_ALL=C
exec 3>&1 # used by say and fail, even if a command's output is captured

say() { printf '%s\n' "$*" >&3; }
fail() {
    printf 'FAILED: %s (line %s)\n' "$*" "$(caller | cut -d' ' -f1)" >&3
    exit 1
}
trap 'say "stopped at line $LINENO: $BASH_COMMAND"' ERR
set -E
# expect_equal WHAT WANTED GOT: fails unless they are equal.
expect_equal() {
    [[ $2 == "$3" ]] || fail "$1: wanted '$2', got '$3'"
}
# uuid N: prints a fixed UUID for each N.
uuid() { printf '5a1e0000-0000-4000-8000-%012d' "$1"; }
# poll SECONDS COMMAND...: repeats the command until it succeeds; fails after a timeout.
poll() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}
# status_of COMMAND...: prints its exit status; its output goes to the log and to /tmp/output.
status_of() {
    local status=0
    "$@" >/tmp/output 2>&1 || status=$?
    sed 's/^/  | /' /tmp/output >&3
    printf '%s' "$status"
}
# install_vgpuctl: installs from the source tree, as a user would.
install_vgpuctl() { make -s -C /src install CARGO_TARGET_DIR=/share/target >&3 2>&1; }
# install_drop_in: the same, with mdevctl's names; the output is in /tmp/installed.
install_drop_in() {
    make -s -C /src install MDEVCTL=yes CARGO_TARGET_DIR=/share/target 2>&1 | tee /tmp/installed >&3
    [[ ! -e /share/debian ]] || stand_in
}
# install_packages VERSION: installs the packages built by `make deb` instead.
install_packages() {
    local package debs=()
    for package in vgpuctl vgpuctl-mdevctl; do
        debs+=("$(printf '%s\n' "/src/target/package/${package}_$1-"*.deb)")
        [[ -f ${debs[-1]} ]] || fail "${debs[-1]} is missing; run: make deb"
    done
    DEBIAN_FRONTEND=noninteractive dpkg --install "${debs[@]}" </dev/null >&3 2>&1
}
# stand_in: uses Debian's mdevctl instead of ours, for VGPUCTL_VM_MDEVCTL=debian. /share/stage_calls lists the calls.
stand_in() {
    mkdir -p /etc/mdevctl.d/scripts.d/{callouts,notifiers} # required by mdevctl
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
# only_ours: checks that there is no other mdevctl.
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
# device_is UUID PARENT TYPE: checks that it is active on this parent with this type.
device_is() {
    local real
    active "$1" || return 1
    real=$(readlink -f "/sys/bus/mdev/devices/$1")
    expect_equal "parent of $1" "$2" "$(basename "$(dirname "$real")")"
    expect_equal "type of $1" "$3" "$(basename "$(readlink -f "$real/mdev_type")")"
}
active_count() { { find /sys/bus/mdev/devices -mindepth 1 -maxdepth 1 2>/dev/null || true; } | wc -l; }
# load MODULE...: loads modules, and waits until udev and systemd have handled their parents.
load() {
    modprobe -a "$@"
    udevadm settle
    [[ ! -d /run/systemd/system ]] || poll 120 no_jobs || fail "what $* asked for does not end"
}
# no_failed_units: checks what an administrator would check after a boot.
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
# no_jobs: succeeds if systemd has no pending jobs.
no_jobs() { [[ -z $(systemctl list-jobs --no-legend) ]]; }
# made_times N UUID...: checks how often devices were created, from the kernel log.
made_times() {
    local times=$1 uuid
    shift
    for uuid; do
        expect_equal "how often $uuid was made" "$times" \
            "$(journalctl -b -k -o cat --no-pager | grep -c "$uuid: Adding to iommu group" || true)"
    done
    say "each of the $# was made $times time(s)"
}
# errors: prints the errors in the journal of this boot. no_errors_but PATTERN: checks that there are no others.
errors() { journalctl -b -p err -o short --no-pager -q | grep -v -- '^-- ' || true; }
no_errors_but() { expect_equal "errors in the journal but '$1'" "" "$(errors | grep -v "$1" || true)"; }
said_by() { journalctl -b -t "$1" -o cat --no-pager -q; }
