# Trustplane: unpack this machine's trust set at boot, before the first pull. A change of this text makes Cluster API
# replace machines. cloud-init renders it as a template: no brace may be followed by a brace, a hash or a percent.
# Always exits with 0: under Ignition the machine would not join. /etc/trustplane/booted has the result: the set, then
# `complete` or `partial`, or lines `failed: <why>`. Without any of these, the script was interrupted.

set -u
umask 022
export LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd "${TRUSTPLANE_ROOT:-/}" || exit 0 # paths are relative: tests use another root

certs=etc/ssl/certs
hosts=etc/containerd/certs.d
home=etc/trustplane
bundle=$home/trust.pem
manifest=$home/trust.json
marker=$home/runtime
booted=$home/booted
staged=$home/staged
ours=$home/ours
units=etc/systemd/system

name='tkg-[.]?[A-Za-z0-9_-][A-Za-z0-9._-]*[.]pem'
host='([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?'
allowed="$certs/$name|$hosts/$host/($name|hosts[.]toml)"

failed() {
    printf 'failed: %s\n' "$1" >>"$booted"
}

unpack() {
    head=$(head -n 1 "$bundle" 2>/dev/null | grep -Ex 'trustplane-set-[0-9a-f]{64}')
    printf '%s\n' "${head:-trustplane-set-unknown}" >"$booted"
    sed -E -e 's/^trustplane-put/trustplane-no/' -e "s!^trustplane-file /($allowed)\$!trustplane-put \1!" \
        "$bundle" >"$staged.text" 2>/dev/null
    if [ -z "$head" ] || [ "$(tail -n 1 "$staged.text")" != trustplane-end ]; then
        failed "/$bundle is incomplete"
        return
    fi
    true >"$staged"
    true >"$ours"
    outcome=complete
    stage <"$staged.text"
    hashed=$(hashes)
    place <"$staged"
    rm -rf "$certs/.trustplane" "$hosts"/*/.trustplane
    link_all
    sums=
    if [ -s "$ours" ]; then
        xargs sync <"$ours" 2>/dev/null
        sums=$(xargs sha256sum <"$ours" | sed 's|  |  /|')
    fi
    note_manifest || failed "the record /$manifest could not be written"
    if grep -q "^$certs/" "$ours"; then restart; fi
    grep -q '^failed: ' "$booted" || printf '%s\n' "$outcome" >>"$booted"
}

# Files being written lie in a subdirectory of the target's directory: a rename moves them, and no program reads them
# there. Unknown lines trustplane-* are from a later release.
stage() {
    path=
    exec 3>/dev/null
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        trustplane-*) finish ;;
        *) printf '%s\n' "$line" >&3 || broken=yes ;;
        esac
        case $line in
        trustplane-partial) outcome=partial ;;
        'trustplane-put '*) begin "${line#* }" ;;
        'trustplane-file '*) failed "a file of the set has a path that Trustplane does not use" ;;
        esac
    done
}

begin() { # path
    path=$1
    broken=
    new=${path%/*}/.trustplane/${path##*/}
    if { [ -d "${new%/*}" ] || mkdir -p "${new%/*}"; } && true >"$new"; then
        exec 3>"$new"
    else
        broken=yes
    fi
}

finish() {
    exec 3>/dev/null
    [ -n "$path" ] || return 0
    if [ -n "$broken" ]; then
        failed "/$path could not be written"
    elif [ -L "$path" ] || { [ -e "$path" ] && ! { [ -f "$path" ] && cmp -s "$new" "$path"; }; }; then
        failed "/$path already exists with other content and stays"
        rm -f "$new"
    else
        printf '%s\n' "$path" >>"$staged"
    fi
    path=
}

place() {
    while read -r path; do
        if [ "${path##*/}" = hosts.toml ] && grep -qF "failed: /${path%/*}/tkg-" "$booted"; then
            failed "/$path is omitted: it names an omitted file"
        elif [ -e "$path" ] || mv -f "${path%/*}/.trustplane/${path##*/}" "$path"; then
            printf '%s\n' "$path" >>"$ours"
        else
            failed "/$path could not be written"
        fi
    done
}

# OpenSSL finds a certificate by a link named after the hash of its subject. `rehash` skips a file of several
# certificates, and the second of two equal ones.
hashes() {
    command -v openssl >/dev/null && [ -d "$certs/.trustplane" ] || return
    openssl rehash "$certs/.trustplane" >/dev/null 2>&1
    stat -c %N "$certs"/.trustplane/*.[0-9]* 2>/dev/null |
        sed -n "s|^'.*/\([0-9a-f]*\)[.][0-9]*' -> '\(.*\)'$|\1 \2|p"
}

link_all() {
    command -v openssl >/dev/null || return 0
    grep "^$certs/" "$ours" | while read -r path; do
        case "$hashed
" in
        *" ${path##*/}
"*) ;;
        *) link_each ;;
        esac
    done
    printf '%s\n' "$hashed" | while read -r hash file; do
        if [ -f "$certs/$file" ]; then link_one; fi
    done
}

link_each() {
    file=${path##*/}
    one=
    while IFS= read -r line; do
        one="$one$line
"
        case $line in
        *-----END*)
            printf %s "$one" | openssl x509 -noout -subject_hash 2>/dev/null
            one=
            ;;
        esac
    done <"$path" | sort -u | while read -r hash; do link_one; done
}

link_one() {
    n=0
    while [ -e "$certs/$hash.$n" ] || [ -L "$certs/$hash.$n" ]; do
        [ "$(readlink "$certs/$hash.$n")" != "$file" ] || return 0
        n=$((n + 1))
    done
    ln -s "$file" "$certs/$hash.$n"
}

# Write the manager's record of Trustplane's files.
note_manifest() {
    lines=$(printf '%s' "$sums" | sed 's/^\([^ ]*\)  \(.*\)$/  "\2": "\1",/')
    files="{}"
    [ -z "$lines" ] || files="{
${lines%,}
 }"
    printf '{\n "files": %s,\n "version": 1\n}\n' "$files" >"$manifest.new" && mv -f "$manifest.new" "$manifest"
}

# The runtime is already running, and reads certificates only once. No pod exists yet.
restart() {
    for unit in containerd crio; do
        [ "$(systemctl show -p LoadState --value "$unit" 2>/dev/null)" = loaded ] || continue
        timeout 90 systemctl try-restart "$unit" 2>/dev/null || failed "$unit could not be restarted"
    done
    if systemctl is-active --quiet containerd; then note_loaded; fi
}

# Write the manager's record of the files that this run of containerd has loaded.
note_loaded() {
    run=$(systemctl show -p InvocationID --value containerd)
    pool=$(printf '%s\n' "$sums" | grep "  /$certs/" | sort | sha256sum)
    {
        printf '%s %s\n' "${pool%% *}" "${run:--}"
        stat -c '%Z /%n' "$certs"/tkg-*.pem
    } >"$marker.new"
    mv -f "$marker.new" "$marker"
}

# An existing record is newer than the bundle: some platforms run bootstrap again after a reboot.
main() {
    mkdir -p "$home" || return
    if command -v flock >/dev/null; then
        exec 9>"$home/lock"
        flock -w 60 9 || return
    fi
    [ ! -e "$manifest" ] || return
    unpack
    rm -f "$ours" "$staged" "$staged.text"
}

# The node reports its host keys with its kubelet's identity, which only this node has: after it has joined, and at
# every boot, because a boot may generate new keys.
report_host_keys() {
    [ -d "$units" ] && command -v systemctl >/dev/null || return 0
    cat >"$home/host-keys.sh" <<'END'
set -u
as="kubectl --request-timeout=10s --kubeconfig=/etc/kubernetes/kubelet.conf"
user=$($as auth whoami -o jsonpath='{.status.userInfo.username}') || exit 1
keys=$(cat /etc/ssh/ssh_host_*_key.pub | cut -d ' ' -f 1,2 | tr '\n' ',')
exec $as annotate node "${user#system:node:}" --overwrite "trustplane.dev/ssh-host-keys=$keys"
END
    cat >"$units/trustplane-host-keys.service" <<'END'
[Unit]
Description=Trustplane: say on the Node which SSH host keys this machine has
After=network-online.target
StartLimitIntervalSec=0
[Service]
Type=oneshot
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
ExecStart=/bin/sh /etc/trustplane/host-keys.sh
Restart=on-failure
RestartSec=2
[Install]
WantedBy=multi-user.target
END
    systemctl daemon-reload
    systemctl enable --quiet trustplane-host-keys
    systemctl restart --no-block trustplane-host-keys
}

(main) || true
(report_host_keys) >/dev/null 2>&1 || true
exit 0
