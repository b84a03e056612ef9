# shellcheck shell=bash
# expect: 150 seconds per stage
# guest: libvirt-trixie
# The package vgpuctl-mdevctl instead of mdevctl, on which libvirt in Debian 13 depends: dpkg accepts it, libvirt's
# running daemon continues to work, and a virsh session works as with the original.
# shellcheck source=SCRIPTDIR/../libvirt.sh
. /src/tests/vm/libvirt.sh

stage_1() {
    expect_equal "the original" installed "$(dpkg-query -W -f '${db:Status-Status}' mdevctl)"
    systemctl start libvirtd
    install_packages "$(sed -n 's/^version = "\(.*\)"$/\1/p' /src/Cargo.toml)"
    expect_equal "what dpkg complains of" "" "$(dpkg --audit)"
    expect_equal "the original" "" "$(dpkg-query -W -f '${db:Status-Status}' mdevctl 2>/dev/null | grep -x installed || true)"
    expect_equal "the original's program" /usr/bin/mdevctl "$(type -P mdevctl)"
    [[ /usr/bin/mdevctl -ef /usr/bin/vgpuctl ]] || fail "mdevctl is not vgpuctl"
    session_before_reboot
}
stage_2() {
    session_after_reboot
    # libvirt depends on mdevctl, which our package provides.
    expect_equal "removing what libvirt depends on" 1 "$(status_of dpkg --remove vgpuctl-mdevctl)"
    grep -q 'libvirt.* depends on mdevctl' /tmp/output
    grep -q 'vgpuctl-mdevctl which provides mdevctl is to be removed' /tmp/output
    expect_equal "what dpkg complains of" "" "$(dpkg --audit)"
}
