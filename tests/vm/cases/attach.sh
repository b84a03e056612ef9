# shellcheck shell=bash source=tests/vm/module.sh
# expect: 240 seconds per stage
# guest: libvirt-qemu
# The output of vgpuctl attach works: QEMU opens the device, libvirt accepts the XML and starts the domain.
. /src/tests/vm/module.sh

# monitor COMMANDS QEMU-ARGUMENTS: runs QEMU with a stopped machine without other devices; prints the monitor's answers to the
# commands, one per line. The arguments are evaluated by a shell, as if pasted by a user.
monitor() {
    local arguments=$2
    # The last line may end with a continuation, so nothing must follow it.
    printf '%s\nquit\n' "$1" | bash -c "timeout 120 qemu-system-x86_64 -accel tcg -machine q35 -m 64 -nodefaults -display none \
        -S -monitor stdio $arguments" >/tmp/monitor 2>&1 || fail "QEMU refused: $arguments: $(cat /tmp/monitor)"
    tr -d '\r' </tmp/monitor
}
printed() { vgpuctl attach "$@" 2>/dev/null; }
has() { grep -qF -- "$2" <<<"$1" || fail "'$2' is missing in: $1"; }

qemu_opens_it() {
    local answer
    say "--- QEMU, mtty"
    answer=$(monitor $'info uuid\ninfo qtree\ninfo pci' "$(printed "$(uuid 1)" -f qemu)")
    has "$answer" "$(uuid 1)"
    has "$answer" "dev: vfio-pci"
    has "$answer" "sysfsdev = \"/sys/bus/mdev/devices/$(uuid 1)\""
    has "$answer" "PCI device 4348:3253"
    say "--- QEMU, another identity"
    answer=$(monitor "info pci" "$(printed "$(uuid 1)" -f qemu --present-as 10de:1bb1:10de:11a3)")
    has "$answer" "PCI device 10de:1bb1"
    has "$answer" "PCI subsystem 10de:11a3"
    say "--- QEMU, a display"
    has "$(monitor "info qtree" "$(printed "$(uuid 2)" -f qemu --display on)")" 'display = "on"'
    has "$(monitor "info qtree" "$(printed "$(uuid 2)" -f qemu --display off)")" 'display = "off"'
    answer=$(monitor "info qtree" "$(printed "$(uuid 2)" -f qemu --ramfb)")
    has "$answer" "dev: vfio-pci-nohotplug"
    has "$answer" "ramfb = true"
    say "--- QEMU, Looking Glass"
    answer=$(monitor $'info memdev\ninfo qtree' "$(printed "$(uuid 2)" -f qemu --looking-glass 1920x1080 --ramfb)")
    has "$answer" "dev: ivshmem-plain"
    has "$answer" "size:  33554432"
    expect_equal "the shared file's size" 33554432 "$(stat -c %s /dev/shm/looking-glass)"
    rm /dev/shm/looking-glass
    say "--- QEMU, the arguments in one line"
    answer=$(printed "$(uuid 2)" -f qemu --looking-glass 640x480 | tr -d '\\\n')
    has "$(monitor "info memdev" "$answer")" "size:  16777216"
    rm /dev/shm/looking-glass
    say "--- an mtty has no display, and QEMU says so"
    if (monitor "info qtree" "$(printed "$(uuid 1)" -f qemu --display on)") >/dev/null 2>&1; then
        fail "QEMU took a display that is none"
    fi
}

# domain NAME DEVICES [END]: creates a file with its XML.
domain() {
    local file=/tmp/$1.xml
    cat >"$file" <<XML
<domain type='qemu'>
  <name>$1</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <graphics type='vnc'/>
    <memballoon model='none'/>
$2
  </devices>
${3:-}
</domain>
XML
    printf '%s' "$file"
}
block() { # PLACE ARGUMENTS...: prints the block for that place
    vgpuctl attach "${@:2}" --json | jq -j --arg place "$1" '.attach.blocks[] | select(.place == $place).text'
}
vir() { virsh -q -c qemu:///system "$@"; }

libvirt_takes_it() {
    local display glass identity file count=0 within end uuid
    say "--- virsh define --validate, every combination"
    for display in "" "--display on" "--display off" --ramfb; do
        for glass in "" "--looking-glass nvfbc" "--looking-glass 1920x1080"; do
            for identity in "" "--present-as 10de:1bb1" "--present-as 10de:1bb1:10de:11a3"; do
                # shellcheck disable=SC2086 # words
                within=$(block domain-devices "$(uuid 2)" $display $glass $identity)
                # shellcheck disable=SC2086
                end=$(block domain-end "$(uuid 2)" $display $glass $identity)
                file=$(domain combination "$within" "$end")
                vir define --validate "$file" >/tmp/define 2>&1 || fail "$display $glass $identity: $(cat /tmp/define "$file")"
                vir dumpxml --inactive combination >/tmp/dumped
                grep -qF "$(uuid 2)" /tmp/dumped || fail "$display $glass $identity: the device is not in $(cat /tmp/dumped)"
                expect_equal "shmem, $display $glass $identity" "$([[ -z $glass ]] || echo 1)" "$(grep -c '<shmem ' /tmp/dumped | grep -v '^0$' || true)"
                expect_equal "overrides, $display $glass $identity" "$([[ -z $identity ]] || echo 1)" "$(grep -c '<qemu:override>' /tmp/dumped | grep -v '^0$' || true)"
                vir undefine combination >/dev/null
                count=$((count + 1))
            done
        done
    done
    say "$count combinations"
    say "--- virt-xml-validate"
    file=$(domain combination "$(block domain-devices "$(uuid 2)" --ramfb --looking-glass nvfbc --present-as 10de:1bb1)" \
        "$(block domain-end "$(uuid 2)" --ramfb --looking-glass nvfbc --present-as 10de:1bb1)")
    virt-xml-validate "$file" domain >&3
}

libvirt_takes_a_function() {
    local id glass identity file count=0
    say "--- virsh define --validate, a virtual function"
    host l40s framework=vfio
    vgpuctl vfs enable "$(gpu 1)"
    id=$(vgpuctl create --type L40S-12Q)
    for glass in "" "--looking-glass nvfbc"; do
        for identity in "" "--present-as 10de:1bb1"; do
            # shellcheck disable=SC2086 # words
            file=$(domain function "$(block domain-devices "$id" $glass $identity)" "$(block domain-end "$id" $glass $identity)")
            vir define --validate "$file" >/tmp/define 2>&1 || fail "$glass $identity: $(cat /tmp/define "$file")"
            vir dumpxml --inactive function >/tmp/dumped
            has "$(cat /tmp/dumped)" "<hostdev mode='subsystem' type='pci' managed='no'>"
            has "$(cat /tmp/dumped)" "<address domain='0x0001' bus='0x81' slot='0x00' function='0x4'/>"
            virt-xml-validate "$file" domain >&3
            vir undefine function >/dev/null
            count=$((count + 1))
        done
    done
    say "$count combinations"
    vgpuctl remove "$id"
}

libvirt_starts_it() {
    local answer end
    say "--- a domain with another identity runs"
    end=$(block domain-end "$(uuid 1)" --present-as 10de:1bb1)
    vir define --validate "$(domain disguised "$(block domain-devices "$(uuid 1)" --present-as 10de:1bb1 --looking-glass 640x480)" "$end")" >/dev/null
    vir start --paused disguised >/dev/null || fail "it does not start: $(tail -n 5 /var/log/libvirt/qemu/disguised.log)"
    has "$(vir qemu-monitor-command disguised --hmp "info pci")" "PCI device 10de:1bb1"
    has "$(vir qemu-monitor-command disguised --hmp "info qtree")" "sysfsdev = \"/sys/bus/mdev/devices/$(uuid 1)\""
    has "$(vgpuctl show "$(uuid 1)")" "VM disguised"
    has "$(vgpuctl attach "$(uuid 1)" 2>&1)" "VM disguised"
    vir destroy disguised >/dev/null
    vir undefine disguised >/dev/null
}

apply() { status_of vgpuctl attach "$(uuid "$1")" --apply "${@:2}"; }
apply_adds_it() {
    local answer
    say "--- --apply"
    vir define "$(domain web "")" >/dev/null
    vir define "$(domain mail "")" >/dev/null
    expect_equal "dry run" 0 "$(apply 1 web --dry-run)"
    ! grep -qF "$(uuid 1)" <(vir dumpxml web) || fail "the dry run was none"
    expect_equal "apply" 0 "$(apply 1 web --looking-glass 640x480)"
    has "$(vir dumpxml --inactive web)" "<address uuid='$(uuid 1)'/>"
    has "$(vir dumpxml --inactive web)" "<shmem name='looking-glass'>"
    expect_equal "apply again" 1 "$(apply 1 web)"
    has "$(cat /tmp/output)" "domain web already has $(uuid 1)"
    expect_equal "apply to another" 1 "$(apply 1 mail)"
    has "$(cat /tmp/output)" "domain web already has $(uuid 1)"
    expect_equal "unknown domain" 3 "$(apply 1 wbe)"
    has "$(cat /tmp/output)" "available domains: mail, web"
    expect_equal "live on one that does not run" 1 "$(apply 3 web --live)"
    vir start --paused web >/dev/null || fail "it does not start: $(tail -n 5 /var/log/libvirt/qemu/web.log)"
    has "$(vgpuctl show "$(uuid 1)")" "VM web"
    say "--- --apply --live"
    expect_equal "live" 0 "$(apply 3 web --live)"
    answer=$(vir qemu-monitor-command web --hmp "info qtree")
    has "$answer" "sysfsdev = \"/sys/bus/mdev/devices/$(uuid 1)\""
    has "$answer" "sysfsdev = \"/sys/bus/mdev/devices/$(uuid 3)\""
    has "$(vir dumpxml --inactive web)" "<address uuid='$(uuid 3)'/>"
    say "--- errors of libvirt are reported"
    vgpuctl stop "$(uuid 4)"
    expect_equal "an inactive device, from the next start on" 0 "$(apply 4 mail --display on)"
    if vir start --paused mail 2>/dev/null; then
        fail "mail started without its device"
    fi
    vgpuctl start "$(uuid 4)"
    vir start --paused mail >/dev/null || fail "it does not start: $(tail -n 5 /var/log/libvirt/qemu/mail.log)"
    vir destroy mail >/dev/null
    vir destroy web >/dev/null
    systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service
    expect_equal "no daemon" 1 "$(apply 1 mail)"
    has "$(cat /tmp/output)" "virsh list failed: "
}

stage_1() {
    install_vgpuctl
    load mtty mdpy vfio_iommu_type1
    vgpuctl create --type mtty-1 --uuid "$(uuid 1)"
    vgpuctl create --type mdpy-vga --uuid "$(uuid 2)"
    vgpuctl create --type mtty-2 --uuid "$(uuid 3)"
    vgpuctl create --type mdpy-xga --uuid "$(uuid 4)"
    qemu-system-x86_64 --version >&3
    virsh --version=short >&3
    qemu_opens_it
    libvirt_takes_it
    libvirt_takes_a_function
    libvirt_starts_it
    apply_adds_it
}
