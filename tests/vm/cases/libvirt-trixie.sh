# shellcheck shell=bash
# expect: 150 seconds a stage
# guest: libvirt-trixie
# The same session with the next Debian's libvirt, and what only that has: nodedev-update.
# shellcheck source=SCRIPTDIR/../libvirt.sh
. /src/tests/vm/libvirt.sh

# edited SED: what one edits of the definition, as virsh gives it, in a file.
edited() {
    local file
    file=$(mktemp /tmp/XXXXXXXX.xml)
    virsh -q -c nodedev:///system nodedev-dumpxml --inactive "$(name_of "$(uuid 2)")" | sed "$1" >"$file"
    printf '%s' "$file"
}
updated() { edited "s|\(<attr name='power/control' value='\)[a-z]*|\1$1|"; }
control() { cat "/sys/bus/mdev/devices/$(uuid 2)/power/control"; }
saved() { jq -c .attrs "$(definition_of "$(uuid 2)")"; }

stage_1() { session_before_reboot; }
stage_2() {
    session_after_reboot
    local name
    name=$(name_of "$(uuid 2)")

    say "--- nodedev-update of the definition"
    virsh_ nodedev-update "$name" "$(updated auto)" --config >/dev/null
    expect_equal "saved" '[{"power/control":"auto"}]' "$(saved)"
    virsh_ nodedev-dumpxml "$name" --inactive | grep -qF "<attr name='power/control' value='auto'/>"

    say "--- and of an active device"
    virsh_ nodedev-start "$name" >/dev/null
    expect_equal "in sysfs" auto "$(control)"
    virsh_ nodedev-update "$name" "$(updated on)" --live >/dev/null
    expect_equal "in sysfs" on "$(control)"
    expect_equal "saved" '[{"power/control":"auto"}]' "$(saved)"
    within 60 "the new value in virsh" dumpxml_has "$(uuid 2)" "<attr name='power/control' value='on'/>"

    say "--- and of both"
    virsh_ nodedev-update "$name" "$(updated auto)" --config --live >/dev/null
    expect_equal "in sysfs" auto "$(control)"
    virsh_ nodedev-update "$name" "$(updated on)" --config --live >/dev/null
    expect_equal "in sysfs" on "$(control)"
    expect_equal "saved" '[{"power/control":"on"}]' "$(saved)"

    say "--- refused: another type, and an active device without the script"
    refused nodedev-update "$name" "$(edited "s|<type id='mtty-1'/>|<type id='mtty-2'/>|")" --config
    rm /etc/mdevctl.d/scripts.d/callouts/mtty.sh
    refused nodedev-update "$name" "$(updated auto)" --live
    expect_equal "in sysfs" on "$(control)"
    virsh_ nodedev-destroy "$name" >/dev/null
}
