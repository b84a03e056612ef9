#!/usr/bin/env bash
# mdevctl 1.4.0 writes a definition in place: it empties the file, writes it anew, and asks for no fsync, neither of the
# file nor of its folder. Where the power goes after the command has returned, the definition may be empty, or not there:
# on ext4 and XFS, with the disk replayed write by write, most disks in between held such a file. One empty definition
# then keeps `list --defined` from listing any.
# Prints the system calls that touch the definition, and what is listed beside an empty one; fails if that changes.
# Needs Rust and strace.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cargo install --quiet --locked --root "$work" --version 1.4.0 mdevctl
uuid=5a1e0000-0000-4000-8000-000000000001
root=$work/host
mkdir -p "$root"/{etc,usr/lib}/mdevctl{,.d}/scripts.d/{callouts,notifiers} "$root/sys/class/mdev_bus"
export MDEVCTL_ENV_ROOT=$root RUST_BACKTRACE=0
traced() { strace -f -qq -o "$work/trace" -e trace=openat,fsync,fdatasync,sync_file_range,rename,renameat,renameat2 "$work/bin/mdevctl" "$@"; }
# calls: those that name the definition, without the folders and the numbers; and all that would make it last.
calls() { sed -En "s/^[0-9]+ +(openat)\(.*$uuid\", ([A-Z_|]+).*/\1 \2/p; s/^[0-9]+ +(f(data)?sync|sync_file_range|rename[a-z0-9]*)\(.*/\1/p" "$work/trace"; }

traced define --uuid "$uuid" --parent 0000:81:00.0 --type nvidia-63 --auto
defined=$(calls | grep -v 'O_RDONLY' || true)
traced modify --uuid "$uuid" --addattr nvidia/vgpu_params --value frame_rate_limiter=0
modified=$(calls | grep -v 'O_RDONLY' || true)
: >"$root/etc/mdevctl.d/0000:81:00.0/${uuid%1}2"
listed=$("$work/bin/mdevctl" list --defined 2>&1) && status=0 || status=$?
printf 'define: %s\nmodify: %s\nbeside an empty definition: %s (exit status %s)\n' "$defined" "$modified" "$listed" "$status"
in_place='openat O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC'
[[ $defined == "$in_place" && $modified == "$in_place" && $status == 1 && $listed != *"$uuid"* ]]
