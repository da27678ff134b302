# Reads and changes the trust of this node. Run as root by POSIX sh, from standard input: these functions, then one call
# of `main` with a here-document. Needs coreutils, util-linux (flock, setsid) and systemd; openssl where it is there.
#
# Every file is replaced by a rename within its directory's file system. What is half written lies in a subdirectory
# `.trustplane` of the target's directory: Go reads each file of /etc/ssl/certs, whatever its name, but no directory.

set -u
umask 022
export LC_ALL=C TZ=UTC
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

certs=/etc/ssl/certs
hosts=/etc/containerd/certs.d
home=/etc/trustplane
# Of Cluster API's contract for bootstrap providers: there as soon as the machine has become a node.
sentinel=/run/cluster-api/bootstrap-success.complete
manifest=$home/trust.json
marker=$home/runtime
# Containerd's own, at its usual place: it changes with each pull that ends.
database=/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db

newline='
'
CHANGED=73 BROKEN=74 BUSY=75

fail() { # code, message
    printf '%s\n' "$2" >&2
    exit "$1"
}

# Make what was written, or renamed into a directory, survive a power cut. Patterns that match nothing are skipped.
persist() {
    for file in "$@"; do
        if [ -e "$file" ]; then set -- "$@" "$file"; fi
        shift
    done
    [ $# -eq 0 ] || sync "$@" 2>/dev/null || sync
}

# --- what is there ---------------------------------------------------------------------------------------------------

state() {
    found=$(files)
    printf '%s\n' "$found"
    printf 'token %s\n' "$(printf '%s\n' "$found" | digest)"
    links
    runtime
}

digest() {
    sum=$(sha256sum)
    printf '%s\n' "${sum%% *}"
}

# The manifest, and every file that is or may be ours.
files() {
    printf 'manifest %s\n' "$(encoded "$manifest")"
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

encoded() {
    if [ -f "$1" ]; then base64 -w 0 <"$1"; fi
}

# OpenSSL finds a certificate by a link named after the hash of its subject.
links() {
    command -v openssl >/dev/null || return 0
    printf 'openssl\n'
    numbered "$certs" | sed 's/^[^ ]* /link /'
}

runtime() {
    printf 'certs %s\n' "$(stat -L -c %Z "$certs")"
    printf 'bootstrapped %s\n' "$(stat -c %Z "$sentinel" 2>/dev/null)"
    look
    printf 'runtime %s %s %s\n' "$active" "$run" "$(date -d "${time:-@0}" +%s)"
    printf 'marker %s\n' "$(encoded "$marker")"
    printf 'kubelet %s\n' "$kubelet"
}

# Ask systemd, once for all: each question costs more than any other step of a look.
look() { # sets of containerd: active, run (a new one has a new identity), time (of its start); of kubelet: kubelet, pid
    active='' run='' time='' kubelet='' pid=0 unit=containerd
    rest=$(systemctl show -p ActiveState -p InvocationID -p ExecMainStartTimestamp -p MainPID containerd kubelet 2>/dev/null)
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

# --- how it is changed -----------------------------------------------------------------------------------------------
# The plan's lines: token T | intent B64 | write PATH SHA256 B64 | remove PATH | link PATH | restart | manifest B64
# (only where it is not the intent) | loaded DIGEST | end. The order of writes and removals is the plan's, but what is
# in certs.d is removed last.

apply() {
    plan=$1
    [ "${plan##*"$newline"}" = end ] || fail "$BROKEN" 'the plan did not arrive whole'
    # Its lines without what makes them long: the shell reads a character at a time.
    brief=$(printf '%s\n' "$plan" | sed -e '/^intent /d; s/^\(manifest\) .*/\1/; s/^\(write [^ ]*\) .*/\1/')
    mkdir -p "$home"
    exec 9>"$home/lock"
    flock -w 20 9 || fail "$BUSY" 'another update of this node is going on'
    [ "$(files | digest)" = "$(paths token)" ] || fail "$CHANGED" 'the node has changed since it was read'
    stage || fail "$BROKEN" 'a file did not arrive as it was sent, or there is no room for it'
    commit || fail 1 "a step failed: $step"
    state
}

content() { # name of the plan's line
    printf '%s\n' "$plan" | sed -n "s/^$1 //p" | base64 -d
}

wants() { # a line that is but a word here
    case $brief in
    *"$newline$1$newline"*) ;;
    *) return 1 ;;
    esac
}

removes() { # something that begins so
    case $brief in
    *"${newline}remove $1"*) ;;
    *) return 1 ;;
    esac
}

paths() { # verb; also: loaded, token
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
    rm -rf "$home/staged" "$home/links" "$home/calm" "$certs/.trustplane"
    for path in "$hosts"/*; do
        [ ! -e "$path/.trustplane" ] || rm -rf "$path/.trustplane"
    done
}

commit() {
    step='write the manifest'
    put "$manifest" intent || return 1
    if wants restart; then
        step='forget what containerd has loaded'
        rm -f "$marker" || return 1
    fi
    persist "$home" || return 1
    step='write and remove files'
    change || return 1
    step='link certificates'
    link_all || return 1
    discard
    if wants restart; then
        step='restart containerd'
        # Otherwise systemd, after a few starts in a short time, stops it and refuses to start it again.
        systemctl reset-failed containerd 2>/dev/null &
        settle
        wait
        systemctl restart containerd || return 1
        step='wait for containerd'
        serve || return 1
        release
    fi
    step='remove files of single registries'
    change_hosts || return 1
    if wants manifest; then
        step='write the manifest'
        put "$manifest" manifest || return 1
    fi
    step='note what containerd has loaded'
    wants restart || look
    {
        printf '%s %s\n' "$(paths loaded)" "$run"
        stat -c '%Z %n' -- "$certs"/tkg-*.pem 2>/dev/null
    } >"$marker.new"
    persist "$marker.new"
    mv -f "$marker.new" "$marker" || return 1
    persist "$home"
}

put() { # file, name of the plan's line
    content "$2" >"$1.new" || return 1
    persist "$1.new"
    mv -f "$1.new" "$1" || return 1
}

change() {
    if [ -d "$certs/.trustplane" ]; then
        mv -f -t "$certs" "$certs"/.trustplane/* || return 1
    fi
    paths write | while read -r path; do
        case $path in
        "$hosts"/*) mv -fT "${path%/*}/.trustplane/${path##*/}" "$path" || return 1 ;;
        esac
    done || return 1
    if removes "$certs/"; then
        set -f
        # shellcheck disable=SC2046  # one word for each path
        set -- $(paths remove | grep "^$certs/")
        set +f
        unlink_certs "$@" || return 1
        rm -f -- "$@" || return 1
    fi
    persist "$certs" "$hosts"/*
}

# What is removed from certs.d may be for the whole node from now on: that counts once containerd has been restarted.
change_hosts() {
    removes "$hosts/" || return 0
    paths remove | grep "^$hosts/" | while read -r path; do
        rm -f -- "$path" || return 1
        rmdir "${path%/*}" 2>/dev/null || : # an empty one would hide `_default`
    done || return 1
    persist "$hosts" "$hosts"/*
}

# --- links for OpenSSL -----------------------------------------------------------------------------------------------

link_all() {
    command -v openssl >/dev/null || return 0
    # shellcheck disable=SC2046  # one word for each path; none has a character of a pattern
    set -- $(paths link)
    [ $# -gt 0 ] || return 0
    unlink_certs "$@" || return 1
    mkdir -p "$home/links" || return 1
    ln -s -t "$home/links" -- "$@" || return 1
    openssl rehash "$home/links" >/dev/null 2>&1
    hashed=$(numbered "$home/links")
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

# `rehash` leaves out a file of several certificates, and `x509` reads only the first.
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

# Links named after a hash: their paths and the names of the files that they lead to.
numbered() { # directory
    stat -c %N -- "$1"/????????.[0-9]* 2>/dev/null |
        sed -n "s/^'\(.*\/[0-9a-f]\{8\}\.[0-9]*\)' -> '\(tkg-.*\.pem\)'$/\1 \2/p"
}

unlink_certs() { # paths of files
    gone=' '
    for path in "$@"; do
        case $path in "$certs"/*) gone="$gone${path##*/} " ;; esac
    done
    # The highest numbers first: what then is last in a row is to stay.
    numbered "$certs" | sort -t . -k 2,2nr | while read -r link name; do
        case $gone in
        *" $name "*) drop_link "$link" || return 1 ;;
        esac
    done
}

# OpenSSL stops at the first number that is missing: the last link of a row takes the place of one that goes. A link
# that is not ours stays where it is as well.
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

# A restart cuts pulls that are under way: wait for a moment without any, for ten seconds at the most. The kubelet is held
# from before the last look until containerd serves again, so that it begins none. Where others do not end, it is held a
# second at a time; two at the end, so that what is under way can end and nothing follows.
settle() {
    look
    for held_for in 100 100 200; do
        hold
        if calm "$held_for" || [ "$held_for" = 200 ]; then return; fi
        release
        await 300 idle
    done
}

calm() { # hundredths of a second: waits so long at the most for a moment without pulls
    before=$manifest
    [ -e "$database" ] || sleep 0.1
    await "$1" quiet
}

await() { # hundredths of a second, function: waits so long at the most until it succeeds
    clock
    limit=$((now + $1))
    until "$2"; do
        clock
        [ "$now" -lt "$limit" ] || return 1
        sleep 0.05
    done
}

clock() { # sets now: hundredths of a second
    read -r now rest </proc/uptime
    now=${now%.*}${now#*.}
}

# A pull's lease begins a little after its request, and ends a little before its answer: containerd has noted neither in
# its database just before the look, nor since.
quiet() {
    # shellcheck disable=SC3013  # `-nt`, as `<` below: of POSIX since 2024; dash, bash and BusyBox have it
    if idle && ! [ "$database" -nt "$before" ]; then return; fi
    before=$home/calm
    : >"$before"
    sleep 0.1
    return 1
}

# Containerd has a lease for each pull, from before it asks the registry until all is unpacked. What it has for a pod
# does not expire. What is older than containerd is left of pulls that were cut, and what is older than five minutes most
# likely of clients that were killed: it stays for a day.
idle() {
    command -v ctr >/dev/null || return 0
    leases=$(timeout 2 ctr --namespace k8s.io leases ls 2>/dev/null)
    case $leases in
    *containerd.io/gc.expire=*) ;;
    *) return 0 ;;
    esac
    # shellcheck disable=SC2086  # words: a day's name, a date, a time, UTC
    set -- $time
    started=${2:+$2T${3-}Z}
    since=$(date -d '-5 minutes' +%FT%TZ)
    while read -r _ created labels; do
        case $labels in
        *containerd.io/gc.expire=*)
            # shellcheck disable=SC3012
            [ "$created" \< "$started" ] || [ "$created" \< "$since" ] || return 1
            ;;
        esac
    done <<LEASES
$leases
LEASES
}

# The kubelet is held by a process of its own session, which nothing ends that ends this script. It lets the kubelet go
# on when nobody has the lock any more, because this script has let go of it or is gone; and after five seconds in any
# case. A kubelet that goes on finds its connections closed, and makes new ones.
# shellcheck disable=SC2016  # its own variables
guard='trap "" HUP INT TERM
kill -STOP "$1" || exit
echo "$1"
exec >/dev/null 7<"$2"
flock -w 5 7
kill -CONT "$1"'

hold() {
    held=''
    [ "$kubelet" = active ] || return
    exec 8<"$home"
    flock -w 1 8 && is_running "$pid" || return
    held=$(setsid sh -c "$guard" guard "$pid" "$home" 8<&- 9>&- 2>/dev/null &)
}

release() {
    exec 8<&-
    [ -z "$held" ] || kill -CONT "$held" 2>/dev/null
    held=''
}

is_running() { # pid; not where somebody has stopped it: then it stays so
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    case ${stat##*)} in
    ' '[TtXZ]*) return 1 ;;
    esac
}

# `systemctl restart` returns when containerd says that it is ready; a client's answer shows that it serves.
serve() {
    look
    [ "$active" = active ] || return 1
    command -v ctr >/dev/null || return 0
    timeout 10 ctr --connect-timeout 10s version >/dev/null
}

main() {
    case $1 in
    state) state ;;
    apply) apply "$(cat)" ;;
    esac
}
