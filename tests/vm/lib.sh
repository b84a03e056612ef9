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
