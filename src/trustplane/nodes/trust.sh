# Read and change the trust of this node. Run as root by POSIX sh, from standard input: these functions, then one call
# of `main` with a here-document. Needs coreutils, util-linux (flock, setsid) and systemd; uses openssl and ctr if
# installed.
#
# Every file is replaced by a rename within its directory's file system. Files being written lie in a subdirectory
# `.trustplane` of the target's directory: Go reads each file of /etc/ssl/certs, whatever its name, but no directory.

set -u
umask 022
export LC_ALL=C TZ=UTC
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

certs=/etc/ssl/certs
hosts=/etc/containerd/certs.d
home=/etc/trustplane
# By Cluster API's contract, bootstrap providers create it once the machine has become a node.
sentinel=/run/cluster-api/bootstrap-success.complete
manifest=$home/trust.json
marker=$home/runtime
# containerd's own, at its default path. Every pull changes it, at its beginning and at its end.
database=/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db

newline='
'
CHANGED=73 BROKEN=74 BUSY=75

fail() { # code, message
    printf '%s\n' "$2" >&2
    exit "$1"
}

# Make written files, and renames into a directory, survive a power cut. Skip patterns that match nothing.
persist() {
    for file in "$@"; do
        if [ -e "$file" ]; then set -- "$@" "$file"; fi
        shift
    done
    [ $# -eq 0 ] || sync "$@" 2>/dev/null || sync
}

# --- state -----------------------------------------------------------------------------------------------------------

print_state() {
    files=$(list_files)
    printf '%s\n' "$files"
    printf 'token %s\n' "$(printf '%s\n' "$files" | hash_input)"
    print_links
    print_runtime
}

hash_input() {
    sum=$(sha256sum)
    printf '%s\n' "${sum%% *}"
}

# Print the manifest, and every file that is or may be ours.
list_files() {
    printf 'manifest %s\n' "$(encode "$manifest")"
    set --
    for path in "$certs"/tkg-*.pem "$hosts"/*/*; do
        if [ -e "$path" ] || [ -L "$path" ]; then
            set -- "$@" "$path"
        fi
    done
    [ $# -gt 0 ] || return 0
    stat -c 'stat %Z %F|%n' -- "$@"
    sha256sum -- "$@" 2>/dev/null | sed 's/^/sum /'
}

encode() {
    if [ -f "$1" ]; then base64 -w 0 <"$1"; fi
}

# OpenSSL finds a certificate by a link named after the hash of its subject.
print_links() {
    command -v openssl >/dev/null || return 0
    printf 'openssl\n'
    list_links "$certs" | sed 's/^[^ ]* /link /'
}

print_runtime() {
    printf 'certs %s\n' "$(stat -L -c %Z "$certs")"
    printf 'bootstrapped %s\n' "$(stat -c %Z "$sentinel" 2>/dev/null)"
    [ -n "$active" ] || query_units
    printf 'runtime %s %s %s\n' "$active" "$run" "$(date -d "${time:-@0}" +%s)"
    printf 'marker %s\n' "$(encode "$marker")"
    printf 'kubelet %s\n' "$kubelet"
}

# Query both units in one call: each costs more than any other step. Set active, run (it changes with every start) and
# time (of the start) for containerd; kubelet and pid for the kubelet.
active=''
query_units() {
    active='' run='' time='' kubelet='' pid=0 unit=containerd
    set -- -p ActiveState -p InvocationID -p ExecMainStartTimestamp -p MainPID
    rest=$(systemctl show "$@" containerd kubelet 2>/dev/null)
    while [ -n "$rest" ]; do
        line=${rest%%"$newline"*}
        rest=${rest#"$line"}
        rest=${rest#"$newline"}
        case $unit:$line in
        containerd:ActiveState=*) active=${line#*=} ;;
        containerd:InvocationID=*) run=${line#*=} ;;
        containerd:ExecMainStartTimestamp=*) time=${line#*=} ;;
        kubelet:ActiveState=*) kubelet=${line#*=} ;;
        kubelet:MainPID=*) pid=${line#*=} ;;
        containerd:) unit=kubelet ;;
        esac
    done
    active=${active:-absent} run=${run:--}
}

# --- change ----------------------------------------------------------------------------------------------------------
# The plan's lines: token T | intent B64 | write PATH SHA256 B64 | remove PATH | link PATH | restart | manifest B64
# (only if it differs from the intent) | loaded DIGEST | end. Writes and removals follow the plan's order, except that
# files of certs.d are removed last.

apply() {
    plan=$1
    [ "${plan##*"$newline"}" = end ] || fail "$BROKEN" 'the plan did not arrive whole'
    # The shell reads one character at a time: leave out the long values.
    brief=$(printf '%s\n' "$plan" | sed -e '/^intent /d; s/^\(manifest\) .*/\1/; s/^\(write [^ ]*\) .*/\1/')
    mkdir -p "$home"
    exec 9>"$home/lock"
    flock -w 20 9 || fail "$BUSY" 'another update of this node is in progress'
    now=$(list_files | hash_input)
    [ "$now" = "$(list_values token)" ] || fail "$CHANGED" 'the node has changed since it was read'
    stage || fail "$BROKEN" 'a file did not arrive as it was sent, or there is no room for it'
    commit || fail 1 "a step failed: $step"
    print_state
}

decode_line() { # name of a line of the plan
    printf '%s\n' "$plan" | sed -n "s/^$1 //p" | base64 -d
}

has_line() { # a line of one word
    case $brief in
    *"$newline$1$newline"*) ;;
    *) return 1 ;;
    esac
}

has_removal() { # beginning of the path
    case $brief in
    *"${newline}remove $1"*) ;;
    *) return 1 ;;
    esac
}

list_values() { # name of lines of the plan
    while read -r verb path; do
        if [ "$verb" = "$1" ]; then printf '%s\n' "$path"; fi
    done <<BRIEF
$brief
BRIEF
}

stage() {
    discard
    printf '%s\n' "$plan" | while read -r verb path sum data; do
        [ "$verb" = write ] || continue
        new=${path%/*}/.trustplane
        [ -d "$new" ] || mkdir -p "$new" || return 1
        printf %s "$data" | base64 -d >"$new/${path##*/}" || return 1
        printf '%s  %s\n' "$sum" "$new/${path##*/}"
    done >"$home/staged" || return 1
    [ -s "$home/staged" ] || return 0
    sha256sum --status -c "$home/staged" || return 1
    persist "$certs"/.trustplane/* "$hosts"/*/.trustplane/*
}

discard() {
    rm -rf "$home/staged" "$home/links" "$certs/.trustplane"
    for path in "$hosts"/*; do
        [ ! -e "$path/.trustplane" ] || rm -rf "$path/.trustplane"
    done
}

commit() {
    step='write the manifest'
    put "$manifest" intent || return 1
    if has_line restart; then
        step='forget what containerd has loaded'
        rm -f "$marker" || return 1
        note_database || : # settle compares
    fi
    persist "$home" || return 1
    step='write and remove files'
    change || return 1
    step='link certificates'
    link_all || return 1
    discard
    if has_line restart; then
        step='restart containerd'
        # Otherwise systemd refuses to start it after a few starts in a short time.
        systemctl reset-failed containerd 2>/dev/null &
        settle
        wait
        systemctl restart containerd || return 1
        step='wait for containerd'
        await_containerd || return 1
        resume_kubelet
    fi
    step='remove files of single registries'
    change_hosts || return 1
    if has_line manifest; then
        step='write the manifest'
        put "$manifest" manifest || return 1
    fi
    step='note what containerd has loaded'
    has_line restart || query_units
    {
        printf '%s %s\n' "$(list_values loaded)" "$run"
        stat -c '%Z %n' -- "$certs"/tkg-*.pem 2>/dev/null
    } >"$marker.new"
    persist "$marker.new"
    mv -f "$marker.new" "$marker" || return 1
    persist "$home"
}

put() { # file, name of a line of the plan
    decode_line "$2" >"$1.new" || return 1
    persist "$1.new"
    mv -f "$1.new" "$1" || return 1
}

change() {
    if [ -d "$certs/.trustplane" ]; then
        mv -f -t "$certs" "$certs"/.trustplane/* || return 1
    fi
    list_values write | while read -r path; do
        case $path in
        "$hosts"/*) mv -fT "${path%/*}/.trustplane/${path##*/}" "$path" || return 1 ;;
        esac
    done || return 1
    if has_removal "$certs/"; then
        set -f
        # shellcheck disable=SC2046  # one word for each path
        set -- $(list_values remove | grep "^$certs/")
        set +f
        unlink_certs "$@" || return 1
        rm -f -- "$@" || return 1
    fi
    persist "$certs" "$hosts"/*
}

# An entry removed from certs.d may have become node-wide, and that takes effect with the restart of containerd.
change_hosts() {
    has_removal "$hosts/" || return 0
    list_values remove | grep "^$hosts/" | while read -r path; do
        rm -f -- "$path" || return 1
        rmdir "${path%/*}" 2>/dev/null || : # an empty one would hide `_default`
    done || return 1
    persist "$hosts" "$hosts"/*
}

# --- links for OpenSSL -----------------------------------------------------------------------------------------------

link_all() {
    command -v openssl >/dev/null || return 0
    # shellcheck disable=SC2046  # one word for each path; none has a character of a pattern
    set -- $(list_values link)
    [ $# -gt 0 ] || return 0
    unlink_certs "$@" || return 1
    mkdir -p "$home/links" || return 1
    ln -s -t "$home/links" -- "$@" || return 1
    openssl rehash "$home/links" >/dev/null 2>&1
    hashed=$(list_links "$home/links")
    printf '%s\n' "$hashed" | while read -r link name; do
        [ -z "$name" ] || { link=${link##*/} && link_cert "${link%.*}" "${name##*/}"; } || return 1
    done || return 1
    for path in "$@"; do
        case $hashed in
        *" ${path##*/}"*) ;;
        *) link_each "$path" || return 1 ;;
        esac
    done
}

# `rehash` skips files of several certificates, and `x509` reads only the first.
link_each() { # path of the file
    one=
    while IFS= read -r line || [ -n "$line" ]; do
        one="$one$line
"
        case $line in
        *-----END*)
            printf %s "$one" | openssl x509 -noout -subject_hash 2>/dev/null
            one=
            ;;
        esac
    done <"$1" | sort -u | while read -r hash; do
        link_cert "$hash" "${1##*/}" || return 1
    done
}

link_cert() { # hash, name of the file
    n=0
    while [ -e "$certs/$1.$n" ] || [ -L "$certs/$1.$n" ]; do
        n=$((n + 1))
    done
    ln -s "$2" "$certs/$1.$n"
}

# Print the links named after a hash: the path of each, and the name of the file it leads to.
list_links() { # directory
    stat -c %N -- "$1"/????????.[0-9]* 2>/dev/null |
        sed -n "s/^'\(.*\/[0-9a-f]\{8\}\.[0-9]*\)' -> '\(tkg-.*\.pem\)'$/\1 \2/p"
}

unlink_certs() { # paths of files
    gone=' '
    for path in "$@"; do
        case $path in "$certs"/*) gone="$gone${path##*/} " ;; esac
    done
    # Highest numbers first: whichever link is then last in a row must stay.
    list_links "$certs" | sort -t . -k 2,2nr | while read -r link name; do
        case $gone in
        *" $name "*) drop_link "$link" || return 1 ;;
        esac
    done
}

# OpenSSL stops at the first missing number: the last link of a row takes the place of the dropped one. A link of
# another tool stays where it is.
drop_link() {
    row=${1%.*}
    last=${1##*.}
    while [ -L "$row.$((last + 1))" ]; do
        last=$((last + 1))
    done
    if [ "$row.$last" = "$1" ]; then
        rm -f "$1"
        return
    fi
    target=$(readlink "$row.$last")
    mkdir -p "$certs/.trustplane" || return 1
    ln -sfT "$target" "$certs/.trustplane/link" || return 1
    mv -fT "$certs/.trustplane/link" "$1" || return 1
    case $target in
    tkg-*.pem) rm -f "$row.$last" ;;
    esac
}

# --- containerd ------------------------------------------------------------------------------------------------------

# A restart cuts the pulls under way. Wait for a moment without any, ten seconds at most, with the kubelet paused from
# before the last check until containerd serves again: it begins none. Between its pauses the kubelet may answer probes.
# The last pause is the longest, to let as many pulls as possible end with none to follow.
settle() {
    query_units
    dead=$newline$(cat "$home/leases" 2>/dev/null)
    for limit in 80 80 200; do
        pause_kubelet
        if drain_pulls "$limit" || [ "$limit" = 200 ]; then return; fi
        resume_kubelet
        await 300 has_drained
    done
}

# Wait for a moment without pulls. If other clients begin pulls all the time, only wait for those the kubelet may have
# begun: the first ones, since it is paused.
drain_pulls() { # limit in hundredths of a second
    first=''
    if [ -n "$noted" ] && is_quiet; then return; fi
    sleep 0.04
    if is_quiet; then return; fi
    first=$pulls
    if await "$1" is_quiet; then return; fi
    [ -z "$left" ] || return 1
    sleep 0.04
}

await() { # limit in hundredths of a second, function: call it every 40 ms until it succeeds
    read_clock
    deadline=$((now + $1))
    while [ "$now" -lt "$deadline" ]; do
        sleep 0.04
        if "$2"; then return; fi
        read_clock
    done
    return 1
}

read_clock() { # sets now: hundredths of a second
    read -r now rest </proc/uptime
    now=${now%.*}${now#*.}
}

# A pull's lease begins about 2 ms after its request and ends about 25 ms before its answer. Both change containerd's
# database: if it has not changed since the call before, 40 ms ago, every pull under way has its lease.
is_quiet() {
    list_pulls
    note_database && [ "$pulls" = ' ' ]
}

has_drained() {
    list_pulls
    [ -z "$left" ]
}

# Note when containerd's database last changed; fail if it has changed since the call before.
noted=''
note_database() {
    before=$noted
    noted=$(stat -c %y "$database" 2>/dev/null)
    [ "$noted" = "$before" ]
}

# Set pulls to the leases of pulls, and left to those of them that are among the first. containerd keeps a lease for
# each pull, from before it asks the registry until all layers are unpacked. Leases of pods never expire. A lease older
# than containerd is left over from a cut pull, one older than five minutes most likely from a killed client; both last
# a day. Times are in whole seconds, so await_containerd has noted which leases were left over from the same second.
list_pulls() {
    pulls=' ' left=''
    command -v ctr >/dev/null || return 0
    leases=$(timeout 2 ctr --namespace k8s.io leases ls 2>/dev/null)
    case $leases in
    *containerd.io/gc.expire=*) ;;
    *) return 0 ;;
    esac
    # shellcheck disable=SC2086  # words: weekday, date, time, UTC
    set -- $time
    started=${2:+$2T${3-}Z}
    oldest=$(date -d "@$(($(date +%s) - 300))" +%FT%TZ)
    while read -r lease created labels; do
        case $labels in
        *containerd.io/gc.expire=*)
            # shellcheck disable=SC3012  # `<`: in POSIX since 2024; dash, bash and BusyBox have it
            [ "$created" \< "$started" ] || [ "$created" \< "$oldest" ] || count_pull "$lease"
            ;;
        esac
    done <<LEASES
$leases
LEASES
}

count_pull() { # lease
    case $dead in
    *"$newline$1 "*) return ;;
    esac
    pulls="$pulls$1 "
    case $first in
    *" $1 "*) left="$left$1 " ;;
    esac
}

# A process in a session of its own pauses the kubelet: nothing that ends this script ends it. It answers when the kernel
# has stopped the kubelet, since a signal may wait for a processor. It resumes the kubelet as soon as this script has
# released the lock or died, and after five seconds in any case.
# shellcheck disable=SC2016  # its own variables
guard='trap "" HUP INT TERM
kill -STOP "$1" || exit
for _ in 1 2 3 4 5 6 7 8 9 10; do
    read -r stat <"/proc/$1/stat" || exit
    case ${stat##*)} in " "[TtXZ]*) break ;; esac
    sleep 0.05
done
echo "$1"
exec >/dev/null 7<"$2"
flock -w 5 7
kill -CONT "$1"'

pause_kubelet() {
    paused=''
    [ "$kubelet" = active ] || return
    exec 8<"$home"
    flock -w 1 8 && is_running "$pid" || return
    paused=$(setsid sh -c "$guard" guard "$pid" "$home" 8<&- 9>&- 2>/dev/null &)
}

resume_kubelet() {
    exec 8<&-
    [ -z "$paused" ] || kill -CONT "$paused" 2>/dev/null
    paused=''
}

is_running() { # pid; fails if an administrator has stopped the process: it then stays stopped
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    case ${stat##*)} in
    ' '[TtXZ]*) return 1 ;;
    esac
}

# `systemctl restart` returns when containerd reports that it is ready. An answered request proves that it serves. All
# leases in the answer are left over from cut pulls, as the kubelet is still paused.
await_containerd() {
    query_units
    [ "$active" = active ] || return 1
    command -v ctr >/dev/null || return 0
    timeout 10 ctr --connect-timeout 10s --namespace k8s.io leases ls >"$home/leases"
}

main() {
    case $1 in
    state) print_state ;;
    apply) apply "$(cat)" ;;
    esac
}
