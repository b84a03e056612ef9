# shellcheck shell=bash source=tests/vm/module.sh
# expect: 150 seconds per stage
# guest: libvirt
# libvirt treats the stand-in's GPUs as vGPU hosts: it lists types by name, and starts and destroys a vGPU through vgpuctl as mdevctl.
. /src/tests/vm/module.sh

nodedev() { virsh -q -c nodedev:///system "nodedev-$@"; }
pci_name() { local name=pci_$1 && printf '%s' "${name//[:.]/_}"; }

stage_1() {
    local parent
    install_drop_in
    host p4,a40 framework=mdev
    parent=$(pci_name "$(gpu 1)")
    systemctl start libvirtd
    poll 120 eval 'nodedev list --cap mdev_types | grep -qx "$parent *"' || fail "not listed: $(nodedev list)"
    nodedev dumpxml "$parent" >/tmp/parent.xml
    grep -q "<product id='0x1bb3'" /tmp/parent.xml || fail "$(cat /tmp/parent.xml)"
    grep -A 4 "<type id='nvidia-63'>" /tmp/parent.xml | tee /tmp/type.xml >&3
    grep -q '<name>GRID P4-1Q</name>' /tmp/type.xml
    grep -q '<availableInstances>8</availableInstances>' /tmp/type.xml
    ! nodedev list --cap mdev_types | grep -q "$(pci_name "$(gpu 2)")" || fail "a PF is listed as a parent"

    cat >/tmp/device.xml <<XML
<device>
  <parent>$parent</parent>
  <capability type='mdev'>
    <type id='nvidia-63'/>
    <uuid>$(uuid 1)</uuid>
  </capability>
</device>
XML
    nodedev create /tmp/device.xml >&3
    device_is "$(uuid 1)" "$(gpu 1)" nvidia-63
    expect_equal "1Q left" 7 "$(available "$(gpu 1)" nvidia-63)"
    nodedev destroy "mdev_$(uuid 1 | tr - _)_$(gpu 1 | tr :. _)" >&3
    expect_equal "1Q again" 8 "$(available "$(gpu 1)" nvidia-63)"

    say "--- VFs are parents too"
    /usr/lib/nvidia/sriov-manage -e ALL
    poll 60 eval 'nodedev list --cap mdev_types | grep -q "$(pci_name "$(vf 2 0)")"' || fail "VFs are not listed"
    nodedev dumpxml "$(pci_name "$(gpu 2)")" | grep -A 2 "virt_functions" >&3
    no_failed_units
}
