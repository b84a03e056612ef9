# shellcheck shell=bash
# expect: 60 seconds per stage
# watch on a real kernel: each change is reported, and with what delay.

# did COMMAND...: records start and end time in microseconds; the shell provides them without a process.
did() {
    start=${EPOCHREALTIME/./}
    "$@"
    end=${EPOCHREALTIME/./}
}
create() { uuid "$1" >/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create; }
remove() { echo 1 >"/sys/bus/mdev/devices/$(uuid "$1")/remove"; }
write() { printf '%s' "$2" >"/etc/mdevctl.d/mtty/$(uuid "$1")"; }
grep_after() { tail -n +"$seen" /tmp/told | grep -q -- "$1"; }
# told SUBJECT EVENT [WORD]: waits for this document after the last one found, and prints its delay.
told() {
    local pattern="\"subject\":\"$1\",\"event\":\"$2\".*${3:-}" line at
    poll 30 grep_after "$pattern" || fail "no event $1 $2 ${3:-} after line $((seen - 1)) of: $(</tmp/told)"
    line=$(tail -n +"$seen" /tmp/told | grep -n -m1 -- "$pattern")
    seen=$((seen + ${line%%:*}))
    at=${line#*\"time\":\"}
    at=$(date -d "${at%%\"*}" +%s%6N)
    say "$(printf '%-11s %-10s reported %7d us after the start, %7d us after the end' "$1" "$2" $((at - start)) $((at - end)))"
    late+=($((at - end)))
}

stage_1() {
    local seen=1 start end holder watcher late=() idle later status=0 n worst starts=() ends=()
    install_vgpuctl
    load mtty vfio_iommu_type1
    vgpuctl watch --json >/tmp/told 2>/tmp/said &
    watcher=$!
    did true
    told watch ready '"hears_kernel":true'
    late=()

    say "--- by the kernel's own files"
    did create 1
    told device created "$(uuid 1)"
    told types changed '"available":11'
    mkfifo /tmp/fifo
    hold group "$(uuid 1)" /tmp/fifo >/tmp/fifo.out 2>&1 &
    holder=$!
    did poll 20 grep -q '^held' /tmp/fifo.out
    told holder opened "\"pid\":$holder,"
    echo >/tmp/fifo
    did wait "$holder"
    told holder closed "\"pid\":$holder,"
    did remove 1
    told device removed "$(uuid 1)"
    told types changed '"available":12'

    say "--- by vgpuctl, and by hand"
    did vgpuctl define --type mtty-1 --parent mtty --uuid "$(uuid 2)"
    told definition defined "$(uuid 2)"
    did write 2 '{"mdev_type":"mtty-2","start":"auto"}'
    told definition changed "$(uuid 2)"
    did write 2 '{'
    told definition unreadable "$(uuid 2)"
    did rm "/etc/mdevctl.d/mtty/$(uuid 2)"
    told definition undefined "$(uuid 2)"

    say "--- a driver that goes, with a device on it, and comes back"
    did create 3
    told device created "$(uuid 3)"
    did rmmod mtty
    told device removed "$(uuid 3)"
    told parent removed mtty
    did modprobe mtty
    told parent added mtty
    told types changed '"available":24'
    did create 3
    told device created "$(uuid 3)"
    # Removed and recreated before anyone checks: both events are reported.
    remove 3
    did create 3
    told device removed "$(uuid 3)"
    told device created "$(uuid 3)"

    say "--- ten at once"
    for n in {10..19}; do
        did create "$n"
        starts[n]=$start ends[n]=$end
    done
    for n in {10..19}; do
        start=${starts[n]} end=${ends[n]}
        told device created "$(uuid "$n")"
    done

    # The guest's only processor is emulated and shared by this script and the watch: the time of one `list` shows how slow it is.
    worst=$(printf '%s\n' "${late[@]}" | sort -n | tail -1)
    did vgpuctl list >/dev/null
    say "the slowest of ${#late[@]} was reported $worst us after the end; here a vgpuctl list takes $((end - start)) us"

    say "--- nothing happens"
    poll 20 asleep "$watcher"
    idle=$(switches "$watcher")
    sleep 5
    later=$(switches "$watcher")
    expect_equal "how often it woke in 5 s" 0 $((later - idle))
    kill -TERM "$watcher"
    wait "$watcher" || status=$?
    expect_equal "exit status" 0 "$status"
    expect_equal "what it said" "" "$(cat /tmp/said)"
    no_failed_units
}
# switches PID: prints how often it has gone to sleep.
switches() { awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$1/status"; }
# asleep PID: succeeds if it has not woken up for a second.
asleep() {
    local before
    before=$(switches "$1")
    sleep 1
    [[ $(switches "$1") == "$before" ]]
}
