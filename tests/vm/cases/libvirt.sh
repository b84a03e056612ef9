# shellcheck shell=bash
# expect: 150 seconds per stage
# guest: libvirt
# libvirt's daemon with vgpuctl as the only mdevctl: a virsh session, a reboot, and the restored devices.
# shellcheck source=SCRIPTDIR/../libvirt.sh
. /src/tests/vm/libvirt.sh

stage_1() {
    install_for_libvirt
    only_ours
    session_before_reboot
}
stage_2() { session_after_reboot; }
