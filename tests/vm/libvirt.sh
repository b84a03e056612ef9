# shellcheck shell=bash
# Shared by the cases with libvirt. Sourced by the case inside the guest, after lib.sh.

# virsh_ ARGUMENT...: runs virsh; command and output also go to the log, as a readable session.
virsh_() {
    local status=0
    say "\$ virsh $*"
    virsh -c nodedev:///system "$@" >/tmp/virsh 2>&1 || status=$?
    sed '/^$/d; s/^/    /' /tmp/virsh >&3
    cat /tmp/virsh
    return "$status"
}
# refused ARGUMENT...: expects virsh to fail; its output is in /tmp/virsh.
refused() {
    if virsh_ "$@" >/dev/null; then
        fail "virsh $* was not refused"
    fi
}
name_of() { printf 'mdev_%s_mtty' "${1//-/_}"; }
uuid_of() { # NAME
    local name=${1#mdev_}
    name=${name%_mtty}
    printf '%s' "${name//_/-}"
}
definition_of() { printf '/etc/mdevctl.d/mtty/%s' "$1"; }
# xml TYPE [UUID [ATTRIBUTE VALUE]...]: creates a file with the device's XML.
xml() {
    local file type=$1 uuid=${2:-}
    shift $(($# < 2 ? $# : 2))
    file=$(mktemp /tmp/XXXXXXXX.xml)
    {
        printf "<device>\n  <parent>%s</parent>\n  <capability type='mdev'>\n    <type id='%s'/>\n" "$(cat /root/parent)" "$type"
        [[ -z $uuid ]] || printf '    <uuid>%s</uuid>\n' "$uuid"
        while (($#)); do
            printf "    <attr name='%s' value='%s'/>\n" "$1" "$2"
            shift 2
        done
        printf '  </capability>\n</device>\n'
    } >"$file"
    printf '%s' "$file"
}
listed() { virsh -q -c nodedev:///system nodedev-list --cap mdev "${@:2}" | grep -qx "$(name_of "$1") *"; }
not_listed() { ! listed "$@"; }
# within SECONDS WHAT COMMAND...: polls, and prints how long it took.
within() {
    local began limit=$1 what=$2
    shift 2
    began=$(date +%s%N)
    poll "$limit" "$@" || fail "$what: not in $limit s"
    say "$what: after $((($(date +%s%N) - began) / 1000000)) ms"
}
# info_is UUID WORD VALUE: checks a line of nodedev-info.
info_is() {
    poll 30 info_says "$@" || fail "nodedev-info of $1: wanted '$2: $3', got $(virsh -q -c nodedev:///system nodedev-info "$(name_of "$1")" 2>&1)"
}
info_says() { virsh -q -c nodedev:///system nodedev-info "$(name_of "$1")" | grep -qE "^$2: +$3\$"; }
dumpxml_has() { virsh -q -c nodedev:///system nodedev-dumpxml "${@:3}" "$(name_of "$1")" | grep -qF "$2"; }
# wait_for_libvirt: waits until it lists mtty.
wait_for_libvirt() {
    poll 120 types_listed || fail "virsh does not list mtty"
    virsh -q -c nodedev:///system nodedev-list --cap mdev_types | tr -d ' ' | grep -m 1 mtty >/root/parent
}
types_listed() { virsh -q -c nodedev:///system nodedev-list --cap mdev_types | grep -q mtty; }
has_update() { virsh help nodedev-update >/dev/null 2>&1; }
# A script for one attribute of mtty-1, of the device's power management, the only one that can be set.
install_callout() {
    local scripts=/etc/mdevctl.d/scripts.d/callouts
    mkdir -p "$scripts"
    cat >"$scripts/mtty.sh" <<'SCRIPT'
#!/bin/bash
while getopts t:e:a:s:u:p: option; do
    case $option in t) type=$OPTARG ;; e) event=$OPTARG ;; a) action=$OPTARG ;; u) uuid=$OPTARG ;; *) ;; esac
done
[[ $type == mtty-1 ]] || exit 2
control=/sys/bus/mdev/devices/$uuid/power/control
input=$(cat)
case "$event $action" in
    "get capabilities") echo '{"supports":{"version":2,"actions":["start","stop","define","undefine","modify","attributes","capabilities"],"events":["pre","post","get","live","notify"]}}' ;;
    "get attributes") printf '[{"power/control":"%s"}]\n' "$(cat "$control")" ;;
    "live modify")
        unknown=$(jq -r '[.attrs[] | keys[]] - ["power/control"] | first // empty' <<<"$input")
        [[ -z $unknown ]] || { echo "$unknown cannot be changed" >&2; exit 1; }
        jq -r '.attrs[]["power/control"]' <<<"$input" >"$control"
        ;;
esac
SCRIPT
    chmod 755 "$scripts/mtty.sh"
}
# shown COMMAND...: also writes its output to the log.
shown() {
    "$@" >/tmp/shown
    cat /tmp/shown >&3
    cat /tmp/shown
}
# json FILE FILTER
json() { jq -r "$2" "$1"; }

# install_for_libvirt: if the daemon is already running, restarts it as `make install` recommends.
install_for_libvirt() {
    install_drop_in
    if systemctl --quiet is-active libvirtd.service; then
        grep -F "systemctl restart libvirtd" /tmp/installed
        systemctl restart libvirtd
    fi
}
# session_before_reboot: after install_for_libvirt.
session_before_reboot() {
    local name uuid made
    install_callout
    load_at_boot mtty
    load mtty
    wait_for_libvirt
    virsh --version=short >&3

    say "--- types"
    virsh_ nodedev-list --cap mdev_types >/dev/null
    virsh_ nodedev-dumpxml "$(cat /root/parent)" >/tmp/parent.xml
    grep -qF "<type id='mtty-1'>" /tmp/parent.xml
    grep -qF "<type id='mtty-2'>" /tmp/parent.xml

    say "--- define, with a UUID"
    virsh_ nodedev-define "$(xml mtty-1 "$(uuid 1)")" | grep -qF "$(name_of "$(uuid 1)")"
    expect_equal "the definition" "mtty-1 manual" "$(json "$(definition_of "$(uuid 1)")" '.mdev_type + " " + .start')"
    shown vgpuctl list --defined | grep -q "$(uuid 1)" || fail "vgpuctl list knows nothing of what virsh defined"
    info_is "$(uuid 1)" Active no
    info_is "$(uuid 1)" Persistent yes
    info_is "$(uuid 1)" Autostart no
    ! active "$(uuid 1)" || fail "define started it"

    say "--- define, without"
    name=$(virsh_ nodedev-define "$(xml mtty-2)" | sed -n "s/.*'\(mdev_[0-9a-f_]*_mtty\)'.*/\1/p")
    made=$(uuid_of "$name")
    [[ $made =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]] || fail "virsh made '$name' of what mdevctl printed"
    expect_equal "the definition" mtty-2 "$(json "$(definition_of "$made")" .mdev_type)"
    virsh_ nodedev-undefine "$name" >/dev/null
    [[ ! -e $(definition_of "$made") ]] || fail "the definition of $made is still there"
    within 30 "$made gone from virsh" not_listed "$made" --all

    say "--- define with an attribute"
    virsh_ nodedev-define "$(xml mtty-1 "$(uuid 2)" power/control on)" >/dev/null
    expect_equal "attributes" '[{"power/control":"on"}]' "$(jq -c .attrs "$(definition_of "$(uuid 2)")")"
    virsh_ nodedev-dumpxml "$(name_of "$(uuid 2)")" | grep -qF "<attr name='power/control' value='on'/>"

    say "--- the same again with another value"
    if has_update; then
        virsh_ nodedev-define "$(xml mtty-1 "$(uuid 2)" power/control auto)" >/dev/null
        expect_equal "attributes" '[{"power/control":"auto"}]' "$(jq -c .attrs "$(definition_of "$(uuid 2)")")"
        virsh_ nodedev-define "$(xml mtty-1 "$(uuid 2)" power/control on)" >/dev/null
    else # older versions of libvirt call `define` again, newer ones call `modify`
        refused nodedev-define "$(xml mtty-1 "$(uuid 2)" power/control auto)"
        grep -q "$(uuid 2)" /tmp/virsh || fail "the definition that is there already is not named"
    fi
    expect_equal "attributes" '[{"power/control":"on"}]' "$(jq -c .attrs "$(definition_of "$(uuid 2)")")"

    say "--- start"
    virsh_ nodedev-start "$(name_of "$(uuid 2)")" >/dev/null
    device_is "$(uuid 2)" mtty mtty-1
    expect_equal "power/control in sysfs" on "$(cat "/sys/bus/mdev/devices/$(uuid 2)/power/control")"
    info_is "$(uuid 2)" Active yes
    within 60 "the active device's attribute in virsh" dumpxml_has "$(uuid 2)" "<attr name='power/control' value='on'/>"
    virsh_ nodedev-dumpxml "$(name_of "$(uuid 2)")" >/dev/null
    virsh_ nodedev-info "$(name_of "$(uuid 2)")" >/dev/null
    refused nodedev-start "$(name_of "$(uuid 2)")"

    say "--- destroy"
    virsh_ nodedev-destroy "$(name_of "$(uuid 2)")" >/dev/null
    [[ ! -e /sys/bus/mdev/devices/$(uuid 2) ]] || fail "it is still there"
    info_is "$(uuid 2)" Active no
    refused nodedev-destroy "$(name_of "$(uuid 2)")"

    say "--- autostart"
    virsh_ nodedev-autostart "$(name_of "$(uuid 1)")" >/dev/null
    expect_equal "start" auto "$(json "$(definition_of "$(uuid 1)")" .start)"
    info_is "$(uuid 1)" Autostart yes
    virsh_ nodedev-autostart --disable "$(name_of "$(uuid 1)")" >/dev/null
    expect_equal "start" manual "$(json "$(definition_of "$(uuid 1)")" .start)"
    info_is "$(uuid 1)" Autostart no
    virsh_ nodedev-autostart "$(name_of "$(uuid 1)")" >/dev/null

    say "--- create: transient"
    virsh_ nodedev-create "$(xml mtty-1 "$(uuid 3)" power/control on)" >/dev/null
    device_is "$(uuid 3)" mtty mtty-1
    expect_equal "power/control in sysfs" on "$(cat "/sys/bus/mdev/devices/$(uuid 3)/power/control")"
    [[ ! -e $(definition_of "$(uuid 3)") ]] || fail "a transient device has a definition"
    shown vgpuctl list | grep -q "$(uuid 3)" || fail "vgpuctl list knows nothing of what virsh created"
    info_is "$(uuid 3)" Persistent no
    virsh_ nodedev-destroy "$(name_of "$(uuid 3)")" >/dev/null
    within 60 "$(uuid 3) gone from virsh" not_listed "$(uuid 3)" --all
    name=$(virsh_ nodedev-create "$(xml mtty-2)" | sed -n "s/.*\(mdev_[0-9a-f_]*_mtty\).*/\1/p")
    uuid=$(uuid_of "$name")
    device_is "$uuid" mtty mtty-2
    virsh_ nodedev-destroy "$name" >/dev/null

    say "--- refusals reach the user"
    refused nodedev-create "$(xml mtty-9 "$(uuid 4)")"
    grep -q mtty-9 /tmp/virsh || fail "the type that was refused is not named"
    refused nodedev-create "$(xml mtty-1 "$(uuid 4)" no_such_attribute 1)"
    grep -q no_such_attribute /tmp/virsh || fail "the attribute that was refused is not named"
    expect_equal "devices after refusals" 0 "$(active_count)"
    refused nodedev-undefine "$(name_of "$(uuid 4)")"

    say "--- what vgpuctl does is in virsh"
    vgpuctl define --type mtty-1 --parent mtty --uuid "$(uuid 5)"
    within 60 "vgpuctl define -> nodedev-list --inactive" listed "$(uuid 5)" --inactive
    vgpuctl create --type mtty-2 --parent mtty --uuid "$(uuid 6)"
    within 60 "vgpuctl create -> nodedev-list" listed "$(uuid 6)"
    info_is "$(uuid 6)" Persistent yes
    info_is "$(uuid 6)" Autostart yes
    vgpuctl remove "$(uuid 6)"
    within 60 "vgpuctl remove -> nodedev-list --all" not_listed "$(uuid 6)" --all
    vgpuctl undefine "$(uuid 5)"
    within 60 "vgpuctl undefine -> nodedev-list --all" not_listed "$(uuid 5)" --all
    virsh_ nodedev-list --cap mdev --all >/dev/null
    quiet_journal
}
# Of the two definitions made by virsh, the one with autostart is active again.
session_after_reboot() {
    poll 60 active "$(uuid 1)" || fail "the definition with autostart did not come back"
    device_is "$(uuid 1)" mtty mtty-1
    wait_for_libvirt
    within 60 "$(uuid 1) in nodedev-list" listed "$(uuid 1)"
    within 60 "$(uuid 2) in nodedev-list --inactive" listed "$(uuid 2)" --inactive
    info_is "$(uuid 1)" Active yes
    info_is "$(uuid 1)" Autostart yes
    ! active "$(uuid 2)" || fail "the manual one was started"
    virsh_ nodedev-list --cap mdev --all >/dev/null
    virsh_ nodedev-info "$(name_of "$(uuid 1)")" >/dev/null
    expect_equal "active devices" 1 "$(active_count)"
    no_failed_units
    quiet_journal
}
# quiet_journal: libvirt logs no errors about mdevctl's output, except for requests of the user that it refused.
quiet_journal() {
    local complaints
    complaints=$(journalctl -b -t libvirtd -o cat --no-pager | grep -iE 'mdevctl.*(fail|unexpected|format|JSON)|JSON.*(fail|unexpected)' || true)
    expect_equal "libvirt's complaints of mdevctl" "" "$complaints"
}
