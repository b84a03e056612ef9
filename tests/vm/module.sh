# shellcheck shell=bash
# For the cases on the stand-in for NVIDIA's host driver; module/README.md says what it imitates. Sourced from /src.

parameters=/sys/module/nvidia/parameters
# gpu N: the address of the Nth GPU. vf N M: of its VF M, which is virtfnM.
gpu() { printf '0001:%x:00.0' $((0x80 + $1)); }
vf() { printf '0001:%x:%02x.%x' $((0x80 + $1)) $((($2 + 4) / 8)) $((($2 + 4) % 8)); }
pci() { printf '/sys/bus/pci/devices/%s' "$1"; }
# types_of PARENT, and one of its types: type_dir PARENT TYPE.
types_of() { printf '/sys/class/mdev_bus/%s/mdev_supported_types' "$1"; }
type_dir() { printf '/sys/class/mdev_bus/%s/mdev_supported_types/%s' "$1" "$2"; }
available() { cat "$(type_dir "$1" "$2")/available_instances"; }
# knob NAME VALUE: of the driver.
knob() { printf '%s\n' "$2" >"$parameters/$1"; }
# host CARDS [OPTION...]: at this and every later boot the machine has these GPUs, and the driver these options.
host() {
    local cards=$1
    shift
    # At boot the driver comes as on a real host: udev loads it for the GPU.
    {
        printf 'options fake_gpus cards=%s vfs=%s\n' "$cards" "${vfs:-32}"
        ((!$#)) || printf 'options nvidia %s\n' "$*"
    } >/etc/modprobe.d/stand-in.conf
    load_at_boot fake_gpus
    # The driver first: udev, which loads it for a GPU, has been seen to use older options.
    load nvidia fake_gpus
}
# no_host: the GPUs and the driver go, as before a `host` with others. The GPUs first, so that none is left for which
# udev could load the driver again.
no_host() { modprobe -r fake_gpus && udevadm settle && modprobe -r nvidia; }
# errno_of COMMAND...: the name of the error that its one write(2) met, or 0.
errno_of() {
    local said
    if said=$({ "$@"; } 2>&1); then
        echo 0
        return
    fi
    case $said in
        *"Operation not permitted"*) echo EPERM ;;
        *"Device or resource busy"*) echo EBUSY ;;
        *"Input/output error"*) echo EIO ;;
        *"Invalid argument"*) echo EINVAL ;;
        *"Argument list too long"*) echo E2BIG ;;
        *"No such device or address"*) echo ENXIO ;;
        *"No such file or directory"*) echo ENOENT ;;
        *"No space left on device"*) echo ENOSPC ;;
        *"File exists"*) echo EEXIST ;;
        *"Connection timed out"*) echo ETIMEDOUT ;;
        *) echo "?: $said" ;;
    esac
}
# put VALUE FILE: one write, as errno_of wants it.
put() { printf '%s\n' "$1" >"$2"; }
# hold_open NAME: by UUID or PCI address, as a virtual machine does; let_go NAME ends it.
declare -A holders=()
hold_open() {
    local fifo=/tmp/hold-$1
    rm -f "$fifo"
    mkfifo "$fifo"
    hold device "$1" "$fifo" >"$fifo.out" 2>&1 &
    holders[$1]=$!
    poll 20 grep -q '^held' "$fifo.out" || fail "hold: $(cat "$fifo.out")"
}
let_go() {
    echo >"/tmp/hold-$1"
    wait "${holders[$1]}"
}
# said PATTERN: in the last answer of status_of.
said() { grep -qE -- "$1" /tmp/output || fail "not said: $1"; }
# seconds_of PATTERN: when the kernel first said it, in this boot.
seconds_of() { dmesg | sed -n "s/^\[ *\([0-9]*\)\..*$1.*/\1/p" | head -n 1; }
