# shellcheck shell=bash source=tests/vm/module.sh
# expect: 480 seconds per stage
# init: /usr/local/lib/vm/udev-only
# needs: mdevctl 1.4.0
# A power failure at any write. Definitions are on a small file system on dm-log-writes, which logs every write and
# flush; vgpuctl changes them, and the log is then replayed (guest/replay.c) up to every write and flush, and with the
# loss of each single write that a disk's cache may lose. Each resulting disk is mounted, as after a crash. A definition must be as
# before or as after the interrupted command, and as after it once the command has returned; and `restore` starts the rest.
# The same is then done with mdevctl 1.4.0, and the state of its definitions is printed.
. /src/tests/vm/module.sh

work=/run/power
live=$work/live           # the file system that is written to by the tools
recovered=$work/recovered # the one that is checked
reference=/share/mdevctl  # provided by tests/vm/run

# --- the two tools, with /etc on the tested file system --------------------------------------------------------------
ours() { /share/target/release/vgpuctl "$@"; }
theirs() { "$reference" "$@"; }
# declared GPU: prints a declaration of two devices on a GPU.
declared() {
    printf 'version = 1\n[[group]]\nname = "desk"\ntype = "nvidia-64"\ngpus = "%s"\nuuids = ["%s", "%s"]\n' \
        "$1" "$(uuid 3)" "$(uuid 4)" >$work/declared.toml
    printf '%s' $work/declared.toml
}
# The steps with each tool: STEP_TOOL. mdevctl has no apply; equivalent commands are used instead.
steps=(define modify create undefine apply move)
define_ours() { ours define --parent "$(gpu 1)" --type nvidia-63 --uuid "$(uuid 1)"; }
define_theirs() { theirs define --parent "$(gpu 1)" --type nvidia-63 --uuid "$(uuid 1)" --auto; }
modify_ours() { ours modify "$(uuid 1)" --param frame_rate_limiter=0; }
modify_theirs() { theirs modify --uuid "$(uuid 1)" --addattr nvidia/vgpu_params --value frame_rate_limiter=0; }
create_ours() { ours create --parent "$(gpu 1)" --type nvidia-63 --uuid "$(uuid 2)"; }
create_theirs() {
    theirs define --parent "$(gpu 1)" --type nvidia-63 --uuid "$(uuid 2)" --auto
    theirs start --uuid "$(uuid 2)"
}
undefine_ours() { ours undefine "$(uuid 1)"; }
undefine_theirs() { theirs undefine --uuid "$(uuid 1)"; }
apply_ours() { ours apply --yes "$(declared "$(gpu 2)")"; }
apply_theirs() {
    theirs define --parent "$(gpu 2)" --type nvidia-64 --uuid "$(uuid 3)" --auto
    theirs define --parent "$(gpu 2)" --type nvidia-64 --uuid "$(uuid 4)" --auto
}
move_ours() { ours apply --yes "$(declared "$(gpu 3)")"; }
move_theirs() {
    local n
    for n in 3 4; do
        theirs undefine --uuid "$(uuid $n)"
        theirs define --parent "$(gpu 3)" --type nvidia-64 --uuid "$(uuid $n)" --auto
    done
}

# --- the log ---------------------------------------------------------------------------------------------------------
# state MOUNTED: prints all definition files as "SUM PATH", sorted by path, except files that are being written.
state() {
    local file files=()
    cd "$1/etc" || return
    for file in **/*; do
        [[ ! -f $file || $file == */.vgpuctl.tmp ]] || files+=("$file")
    done
    ((!${#files[@]})) || sha256sum "${files[@]}"
    cd /
}
shopt -s globstar dotglob nullglob
mark() { dmsetup message power 0 mark "$1"; }
# no_devices: removes all devices, as after a boot.
no_devices() {
    local device
    for device in /sys/bus/mdev/devices/*; do
        [[ ! -e $device ]] || echo 1 >"$device/remove"
    done
}
# base FS TOOL: creates the initial disk, $work/base.img.
base() {
    gzip -dc "/usr/local/lib/vm/$1.img.gz" | dd of=$work/base.img bs=4K conv=sparse status=none
    mount -o loop $work/base.img $live
    mkdir -p $live/etc $live/elsewhere
    # mdevctl requires these, which are part of its package. vgpuctl must create what it needs.
    [[ $2 == ours ]] || mkdir -p {$live/etc/mdevctl.d,/usr/lib/mdevctl}/scripts.d/{callouts,notifiers}
    umount $live
}
# record FS TOOL: runs all steps; the log is $work/log, the definitions between the steps $work/state.N.
record() {
    local n step disk log
    base "$1" "$2"
    cp --sparse=always $work/base.img $work/disk.img
    truncate -s 64M $work/log
    disk=$(losetup --find --show $work/disk.img)
    log=$(losetup --find --show $work/log)
    dmsetup create power --table "0 $(blockdev --getsz "$disk") log-writes $disk $log"
    mount -t "$1" /dev/mapper/power $live
    mount --bind $live/etc /etc
    state $live >$work/state.0
    for ((n = 0; n < ${#steps[@]}; n++)); do
        step=${steps[n]}
        mark "$n:during:$step"
        "${step}_$2" >$work/said 2>&1 || fail "$step by $2 on $1: $(cat $work/said)"
        mark "$n:after:$step"
        # Another program syncs a file, as happens on every host.
        echo "$n" >$live/elsewhere/file
        sync $live/elsewhere/file
        state $live >$work/state.$((n + 1))
    done
    # The kernel has written everything by now.
    sync --file-system $live
    mark end
    umount /etc $live
    dmsetup remove power
    losetup -d "$disk" "$log"
    no_devices
}

# --- checking the disks ----------------------------------------------------------------------------------------------
empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
# verdict SEEN BEFORE AFTER: compares lists of "SUM PATH"; prints "before" or "after" (or "between" for a mixture,
# as left by a command that changes several definitions), or the error.
verdict() {
    awk -v empty=$empty '
        FILENAME == ARGV[1] { seen[$2] = $1 }
        FILENAME == ARGV[2] { before[$2] = $1 }
        FILENAME == ARGV[3] { after[$2] = $1 }
        { path[$2] }
        function uuid(p) { sub(".*/", "", p); return p }
        END {
            for (p in path) {
                if (before[p] != after[p]) {
                    is_before += seen[p] == before[p]; is_after += seen[p] == after[p]
                }
                if (seen[p] != before[p] && seen[p] != after[p])
                    wrong[seen[p] == empty ? "empty" : seen[p] == "" ? "missing" : before[p] after[p] == "" ? "unexpected" : "garbled"]
                # A definition that exists before and after must always exist somewhere.
                if (before[p] != "") had[uuid(p)]
                if (after[p] != "") will_have[uuid(p)]
                if (seen[p] != "") has[uuid(p)]
            }
            for (u in had) if (u in will_have && !(u in has)) wrong["lost on its way"]
            for (w in wrong) said = said (said ? ", " : "") w
            if (said) print said
            else print (is_after && is_before ? "between" : is_before ? "before" : "after")
        }' "$@"
}
# restores TOOL MARK: starts the devices on the recovered disk with the tool itself. Called once for each observed state.
restores() {
    local tool=$1 file name path parent wanted started rivals=no
    local -A auto=() places=()
    for file in "$recovered"/etc/*.d/*/*-*-*-*-*; do
        name=${file##*/}
        places[$name]+=.
        [[ ${places[$name]} == . ]] || rivals=yes
        [[ ! $(<"$file") =~ \"start\":\ *\"auto\" ]] || auto[$name]=yes
    done
    wanted=$(printf '%s\n' "${!auto[@]}" | sort)
    mount --bind $recovered/etc /etc
    if [[ $tool == ours && $rivals == no ]]; then
        expect_equal "restore --dry-run" 0 "$(status_of ours restore --dry-run)"
        expect_equal "restore" 0 "$(status_of ours restore)"
    elif [[ $tool == ours ]]; then
        # A UUID under two parents is started under the first, with a warning.
        [[ $(status_of ours restore) != 0 ]] || fail "a definition under two parents was not reported"
    else
        for path in /etc/mdevctl.d/*:*; do
            parent=$(basename "$path")
            theirs start-parent-mdevs "$parent" >>$work/said 2>&1 || true
        done
    fi
    umount /etc
    started=$(for path in /sys/bus/mdev/devices/*; do printf '%s\n' "${path##*/}"; done)
    no_devices
    [[ $started == "$wanted" ]] || {
        say "    $2: wanted ${wanted//$'\n'/ }, started ${started//$'\n'/ }"
        return 1
    }
}
# replayed FS TOOL: checks every point of the log.
replayed() {
    local fs=$1 tool=$2 scratch replay word mark state n when step a b c result line points=0 unstarted=0
    local -A restored=() judged=() counts=() broken=()
    cp --sparse=always $work/base.img $work/scratch.img
    scratch=$(losetup --find --show $work/scratch.img)
    udevadm settle
    coproc REPLAY { exec replay $work/log $work/base.img $work/scratch.img "$scratch" "$fs" $recovered; }
    # Bash closes these when the process ends, which may be before everything has been read.
    replay=$REPLAY_PID
    exec 4<&"${REPLAY[0]}" 5>&"${REPLAY[1]}"
    while read -r word mark state a b c <&4; do
        case $word in
            new)
                state $recovered >$work/seen
                IFS=: read -r n when step <<<"$mark"
                case $when in
                    during) judged[$mark $state]=$(verdict $work/seen $work/state."$n" $work/state.$((n + 1))) ;;
                    after) judged[$mark $state]=$(verdict $work/seen $work/state.$((n + 1)) $work/state.$((n + 1))) ;;
                    *) judged[$mark $state]=$(verdict $work/seen $work/state.0 $work/state.0) ;;
                esac
                if [[ ! ${restored[$state]:-} ]]; then
                    restored[$state]=yes
                    restores "$tool" "$mark" || unstarted=$((unstarted + 1))
                fi
                echo >&5
                ;;
            seen)
                points=$((points + a + b + c))
                counts[write]=$((${counts[write]:-0} + a))
                counts[flush]=$((${counts[flush]:-0} + b))
                counts[lost]=$((${counts[lost]:-0} + c))
                result=${judged[$mark $state]}
                case $result in
                    before | after | between) ;;
                    *)
                        line="${mark#*:}: $result"
                        broken[${line/:/ }]=$((${broken[${line/:/ }]:-0} + a + b + c))
                        result=broken
                        ;;
                esac
                counts[$result]=$((${counts[$result]:-0} + a + b + c))
                ;;
            end) break ;;
        esac
    done
    [[ $word == end ]] || fail "the replay of $fs ended early"
    wait "$replay"
    exec 4<&- 5>&-
    losetup -d "$scratch"
    say "$fs, $tool: $mark writes, $state flushes; $points disks (${counts[write]:-0} after a write, ${counts[flush]:-0} after a flush," \
        "${counts[lost]:-0} with one write lost): ${counts[before]:-0} as before, ${counts[after]:-0} as after," \
        "${counts[between]:-0} between, ${counts[broken]:-0} broken; $a with an unfinished file;" \
        "${#restored[@]} different, $unstarted of them not started as they are"
    for line in "${!broken[@]}"; do
        say "    ${broken[$line]} x $line"
    done
    if [[ $tool == ours ]]; then
        expect_equal "broken disks of vgpuctl on $fs" 0 "${counts[broken]:-0}"
        expect_equal "states that vgpuctl did not start on $fs" 0 "$unstarted"
        # XFS never makes two writes between flushes here, so no single write can be lost.
        [[ $fs != ext4 ]] || ((${counts[lost]:-0} > 0)) || fail "no write of ext4 was lost, so this shows too little"
        ((${counts[write]:-0} + ${counts[flush]:-0} > 30)) || fail "too few disks to show anything"
    fi
}
stage_1() {
    local fs tool
    [[ -x $reference ]] || fail "mdevctl 1.4.0 is missing; run: make mdevctl-reference"
    host p4,p4,p4
    modprobe -a loop dm-log-writes ext4 xfs
    # It would also probe each disk.
    mkdir -p /run/udev/rules.d
    echo 'KERNEL=="loop*", OPTIONS+="nowatch"' >/run/udev/rules.d/99-power.rules
    udevadm control --reload
    mkdir -p $work
    mount -t tmpfs -o size=300M tmpfs $work
    mkdir -p $live $recovered
    for tool in ours theirs; do
        for fs in ext4 xfs; do
            record $fs $tool
            say "$fs, $tool: recorded after $SECONDS s"
            replayed $fs $tool
        done
    done
}
