# shellcheck shell=bash
# expect: 150 seconds a stage
# guest: libvirt
# libvirt's daemon with vgpuctl as the only mdevctl: a session of virsh, a reboot, and what came back.
# shellcheck source=SCRIPTDIR/../libvirt.sh
. /src/tests/vm/libvirt.sh

stage_1() {
    install_for_libvirt
    only_ours
    session_before_reboot
}
stage_2() { session_after_reboot; }
