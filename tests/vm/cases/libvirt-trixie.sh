# shellcheck shell=bash
# expect: 150 seconds per stage
# guest: libvirt-trixie
# The same session with libvirt in Debian 13, together with the mdevctl that its package depends on; and a feature of that
# version: nodedev-update.
# shellcheck source=SCRIPTDIR/../libvirt.sh
. /src/tests/vm/libvirt.sh

# Log each call of the package's mdevctl.
theirs=/usr/bin/mdevctl
calls=/root/calls-of-theirs
note_calls_of_theirs() {
    dpkg-divert --local --rename --divert "$theirs.real" --add "$theirs" >&3
    printf '#!/bin/bash\necho "$(cat "/proc/$PPID/comm"): mdevctl $*" >>%s\nexec %s.real "$@"\n' "$calls" "$theirs" >"$theirs"
    chmod 755 "$theirs"
}
theirs_is_called() { grep -q '^libvirtd: mdevctl list' "$calls"; }
# It is never called after `make install`.
theirs_is_idle() {
    [[ -e /share/debian ]] || expect_equal "calls of the package's mdevctl" "" "$(cat "$calls" 2>/dev/null || true)"
}

# edited SED: creates a file with the edited definition from virsh.
edited() {
    local file
    file=$(mktemp /tmp/XXXXXXXX.xml)
    virsh -q -c nodedev:///system nodedev-dumpxml --inactive "$(name_of "$(uuid 2)")" | sed "$1" >"$file"
    printf '%s' "$file"
}
updated() { edited "s|\(<attr name='power/control' value='\)[a-z]*|\1$1|"; }
control() { cat "/sys/bus/mdev/devices/$(uuid 2)/power/control"; }
attr() { printf "<attr name='power/control' value='%s'/>" "$1"; }
# saved_is TYPE START VALUE: checks the file, the output of vgpuctl, and virsh.
saved_is() {
    local file said
    file=$(definition_of "$(uuid 2)")
    said=$(vgpuctl show --json "$(uuid 2)" | jq -r '.device | "\(.definition) \(.type) \(.start) \(.attrs | map("\(.name)=\(.value)") | join(" "))"')
    expect_equal "$file" "$1 $2 [{\"power/control\":\"$3\"}]" "$(json "$file" '"\(.mdev_type) \(.start) \(.attrs | tojson)"')"
    expect_equal "vgpuctl show" "$file $1 $2 power/control=$3" "$said"
    virsh_ nodedev-dumpxml "$name" --inactive >/tmp/saved.xml
    grep -qF "$(attr "$3")" /tmp/saved.xml || fail "virsh does not know that $3 is saved"
    grep -qF "<type id='$1'" /tmp/saved.xml || fail "virsh does not know that $1 is saved"
}
# runs_with VALUE: checks sysfs and virsh.
runs_with() {
    expect_equal "in sysfs" "$1" "$(control)"
    within 60 "power/control $1 of the active device in virsh" dumpxml_has "$(uuid 2)" "$(attr "$1")"
    virsh_ nodedev-dumpxml "$name" >/dev/null
}
# refused_with WORDS ARGUMENT...: checks the error, and that nothing changed.
refused_with() {
    local words=$1
    shift
    refused "$@"
    grep -qF "$words" /tmp/virsh || fail "virsh does not say '$words'"
}

stage_1() {
    note_calls_of_theirs
    systemctl restart libvirtd
    poll 60 theirs_is_called || fail "libvirt calls another mdevctl than the package's, so this proves nothing"
    install_for_libvirt
    grep -qF "mdevctl for services: /usr/local/bin/mdevctl, which is vgpuctl" /tmp/installed
    grep -qF "$theirs belongs to another program and is not changed" /tmp/installed
    rm "$calls"
    session_before_reboot
    theirs_is_idle
}
stage_2() {
    local name
    name=$(name_of "$(uuid 2)")
    session_after_reboot

    say "--- nodedev-update of the definition"
    saved_is mtty-1 manual on
    virsh_ nodedev-update "$name" "$(updated auto)" --config >/dev/null
    saved_is mtty-1 manual auto
    virsh_ nodedev-update "$name" "$(updated on)" >/dev/null # the definition of an inactive device
    saved_is mtty-1 manual on
    virsh_ nodedev-update "$name" "$(edited "s|<type id='mtty-1'/>|<type id='mtty-2'/>|")" --config >/dev/null
    saved_is mtty-2 manual on
    virsh_ nodedev-update "$name" "$(edited "s|<type id='mtty-2'/>|<type id='mtty-1'/>|")" --config >/dev/null
    virsh_ nodedev-update "$name" "$(updated auto)" --config >/dev/null
    saved_is mtty-1 manual auto

    say "--- and of an active device"
    virsh_ nodedev-start "$name" >/dev/null
    runs_with auto
    virsh_ nodedev-update "$name" "$(updated on)" --live >/dev/null
    runs_with on
    saved_is mtty-1 manual auto
    virsh_ nodedev-update "$name" "$(updated auto)" >/dev/null # for an active device, the live one
    runs_with auto

    say "--- and of both"
    virsh_ nodedev-update "$name" "$(updated on)" --config --live >/dev/null
    runs_with on
    saved_is mtty-1 manual on

    say "--- refused by libvirt"
    refused_with "type mismatch (current type 'mtty-1')" \
        nodedev-update "$name" "$(edited "s|<type id='mtty-1'/>|<type id='mtty-2'/>|")" --live
    refused_with "uuid mismatch" \
        nodedev-update "$name" "$(edited "s|<uuid>.*</uuid>|<uuid>$(uuid 8)</uuid>|")" --config
    refused_with "parent address mismatch (current parent address 'mtty')" \
        nodedev-update "$name" "$(edited "s|<parent>.*</parent>|<parent>$(virsh -q -c nodedev:///system nodedev-list --cap pci | awk 'NR == 1 { print $1 }')</parent>|")" --config
    virsh_ nodedev-create "$(xml mtty-1 "$(uuid 3)")" >/dev/null
    virsh_ nodedev-dumpxml "$(name_of "$(uuid 3)")" >/tmp/transient.xml
    refused_with "transient node devices do not have any persistent config" \
        nodedev-update "$(name_of "$(uuid 3)")" /tmp/transient.xml --config
    virsh_ nodedev-destroy "$(name_of "$(uuid 3)")" >/dev/null

    say "--- refused by ours, in its words: what the script does not know, and without the script"
    refused_with "no_such_attribute cannot be changed" \
        nodedev-update "$name" "$(edited "s|power/control|no_such_attribute|")" --config --live
    rm /etc/mdevctl.d/scripts.d/callouts/mtty.sh
    refused_with "Unable to modify mediated device: " nodedev-update "$name" "$(updated auto)" --live
    expect_equal "in sysfs" on "$(control)"
    saved_is mtty-1 manual on
    virsh_ nodedev-destroy "$name" >/dev/null
    refused_with "not active" nodedev-update "$name" "$(updated auto)" --live

    say "--- nodedev-update does not know of autostart, and says manual"
    virsh_ nodedev-autostart "$name" >/dev/null
    virsh_ nodedev-update "$name" "$(updated auto)" --config >/dev/null
    saved_is mtty-1 manual auto
    theirs_is_idle
    quiet_journal
}
