# shellcheck shell=bash
# Functions for the cases with the stand-in for NVIDIA's host driver (see module/README.md). Sourced from /src.

parameters=/sys/module/nvidia/parameters
# gpu N: prints the address of the Nth GPU. vf N M: that of its VF M (virtfnM).
gpu() { printf '0001:%x:00.0' $((0x80 + $1)); }
vf() { printf '0001:%x:%02x.%x' $((0x80 + $1)) $((($2 + 4) / 8)) $((($2 + 4) % 8)); }
pci() { printf '/sys/bus/pci/devices/%s' "$1"; }
# types_of PARENT; type_dir PARENT TYPE: the directory of one of its types.
types_of() { printf '/sys/class/mdev_bus/%s/mdev_supported_types' "$1"; }
type_dir() { printf '/sys/class/mdev_bus/%s/mdev_supported_types/%s' "$1" "$2"; }
available() { cat "$(type_dir "$1" "$2")/available_instances"; }
# sizes_of GPU: prints whether it has vGPUs of several sizes: Enabled, Disabled or N/A.
sizes_of() { nvidia-smi -q -i "$1" | sed -n 's/^ *vGPU Heterogeneous Mode *: //p'; }
# knob NAME VALUE: sets a parameter of the driver.
knob() { printf '%s\n' "$2" >"$parameters/$1"; }
# host CARDS [OPTION...]: sets the GPUs of the machine and the driver options, for this and later boots.
host() {
    local cards=$1
    shift
    # At boot, udev loads the driver for the GPU, as on a real host.
    {
        printf 'options fake_gpus cards=%s vfs=%s\n' "$cards" "${vfs:-32}"
        ((!$#)) || printf 'options nvidia %s\n' "$*"
    } >/etc/modprobe.d/stand-in.conf
    load_at_boot fake_gpus
    # Load the driver first: udev, which would load it for a GPU, has been observed to use older options.
    load nvidia fake_gpus
}
# no_host: removes the GPUs and the driver, before a `host` with others. The GPUs first, so that none is left for which
# udev could load the driver again.
no_host() { modprobe -r fake_gpus && udevadm settle && modprobe -r nvidia; }
# errno_of COMMAND...: prints the name of the error of its single write(2), or 0.
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
# put VALUE FILE: writes with a single write, for errno_of.
put() { printf '%s\n' "$1" >"$2"; }
# hold_open NAME: opens a device by UUID or PCI address like a virtual machine; let_go NAME closes it.
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
# said PATTERN: checks the last output of status_of.
said() { grep -qE -- "$1" /tmp/output || fail "not said: $1"; }
# seconds_of PATTERN: prints when the kernel first logged it in this boot.
seconds_of() { dmesg | sed -n "s/^\[ *\([0-9]*\)\..*$1.*/\1/p" | head -n 1; }
