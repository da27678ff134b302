# Report how containerd reaches registries, without changing anything. POSIX sh runs this as root, from standard input:
# these functions, then one call of `main` with the registry hosts. Needs coreutils, sed, grep and systemd.
#
# The program of the running containerd prints its effective configuration.
# Lines, values in base64: started SECONDS | changed SECONDS | configuration TEXT | endpoint SOCKET | variable NAME VALUE |
# asked HOST | root PATH | folder HOST PATH | toml HOST PATH TEXT | large HOST PATH | end.

set -u
export LC_ALL=C TZ=UTC
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Bytes; nodes/registries.py rejects more.
limit_configuration=32768
limit_file=16384

encoded() {
    base64 | tr -d '\n'
}

property() { # unit, name
    systemctl show --property="$2" --value "$1" 2>/dev/null
}

arguments() { # pid
    [ ! -r "/proc/${1:-none}/cmdline" ] || tr '\0' '\n' <"/proc/$1/cmdline"
}

option() { # pattern of an option's name; prints its values in the arguments on standard input
    sed -n "s/^\($1\)=//p; /^\($1\)\$/{n;p;}"
}

# Print the effective configuration without credentials.
dumped() { # pid, file
    timeout 10 "/proc/$1/exe" --config "$2" config dump 2>/dev/null |
        sed '/^[[:space:]]*\(username\|password\|auth\|identitytoken\)[[:space:]]*=/d' | head -c "$((limit_configuration + 1))"
}

# Print when a file of the configuration last changed, or was added to or removed from a directory of imports.
changed() { # file; the configuration on standard input
    {
        printf '%s\n' "$1"
        sed -n 's/^imports = \[\(.*\)\]$/\1/p' | tr ',' '\n' | tr -d "'\" " | while IFS= read -r path; do
            case $path in
            /*) ;;
            *) path=${1%/*}/$path ;;
            esac
            # Unquoted: often a pattern, such as `conf.d/*.toml`.
            [ "$path" = "$1" ] || printf '%s\n' "${path%/*}" $path
        done
    } | while IFS= read -r path; do
        [ ! -e "$path" ] || stat -L -c %Z -- "$path"
    done | sort -n | tail -n 1
}

endpoint() { # prints the kubelet's runtime endpoint; nothing for the default, or without a running kubelet
    pid=$(property kubelet MainPID)
    {
        arguments "$pid" | option --container-runtime-endpoint
        arguments "$pid" | option --config | while IFS= read -r path; do
            sed -n 's/^containerRuntimeEndpoint:[[:space:]]*//p' "$path"
        done
    } 2>/dev/null | grep . | head -n 1
}

environment() { # pid; prints its proxy variables without credentials
    tr '\n\0' ' \n' <"/proc/$1/environ" | sed -n 's#//[^/]*@#//#; /^\(HTTPS_PROXY\|https_proxy\|NO_PROXY\|no_proxy\)=/p' |
        while IFS= read -r line; do
            printf 'variable %s %s\n' "${line%%=*}" "$(printf '%s' "${line#*=}" | head -c 8192 | encoded)"
        done
}

# As in containerd, only the first existing directory counts.
folder() { # root, host
    case $2 in
    ?*:*) nearest="$1/${2%:*}_${2##*:}_" ;;
    *) nearest="$1/$2" ;;
    esac
    for path in "$nearest" "$1/$2" "$1/_default"; do
        [ -e "$path" ] || continue
        name=$(printf '%s' "$path" | encoded)
        if [ ! -e "$path/hosts.toml" ]; then
            printf 'folder %s %s\n' "$2" "$name"
        elif [ -f "$path/hosts.toml" ] && [ "$(stat -L -c %s "$path/hosts.toml")" -le "$limit_file" ]; then
            printf 'toml %s %s %s\n' "$2" "$name" "$(encoded <"$path/hosts.toml")"
        else
            printf 'large %s %s\n' "$2" "$name"
        fi
        return
    done
}

main() { # hosts
    pid=$(property containerd MainPID)
    if [ "${pid:-0}" -gt 0 ] && [ -r "/proc/$pid/environ" ]; then
        file=$(arguments "$pid" | option '--config\|-c' | tail -n 1)
        file=${file:-/etc/containerd/config.toml}
        configuration=$(dumped "$pid" "$file")
        time=$(property containerd ExecMainStartTimestamp)
        printf 'started %s\n' "$(date -d "${time:-@0}" +%s)"
        printf 'changed %s\n' "$(printf '%s\n' "$configuration" | changed "$file")"
        printf 'configuration %s\n' "$(printf '%s\n' "$configuration" | encoded)"
        environment "$pid"
        {
            printf '%s\n' /etc/containerd/certs.d /etc/docker/certs.d # the default of containerd 2
            printf '%s\n' "$configuration" | sed -n "s/^[[:space:]]*config_path = ['\"]\(.*\)['\"]\$/\1/p" | tr ':' '\n'
        } | grep '^/' | sort -u | head -n 8 | while IFS= read -r root; do
            printf 'root %s\n' "$(printf '%s' "$root" | encoded)"
            for host in "$@"; do
                folder "${root%/}" "$host"
            done
        done
    fi
    [ $# -eq 0 ] || printf 'asked %s\n' "$@"
    printf 'endpoint %s\n' "$(endpoint | encoded)"
    printf 'end\n'
}
