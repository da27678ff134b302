# Report what a node trusts, for `trustplane diagnose`, without changing it. Runs as root, by `sh -s`.
#
# Go's roots on Linux: the first bundle that exists, and every file in the directory (crypto/x509, root_linux.go).
# Lines: clock SECONDS - | file PATH BASE64 | variable NAME BASE64 | served ADDRESS BASE64 | asks ADDRESS SCHEME | end - -.

set -u
export LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

certs=/etc/ssl/certs
hosts=/etc/containerd/certs.d

show() { # path
    if [ -f "$1" ] && [ "$(stat -L -c %s "$1")" -lt 1048576 ]; then
        printf 'file %s %s\n' "$1" "$(base64 <"$1" | tr -d '\n')"
    fi
}

bundle() {
    for path in "$certs/ca-certificates.crt" /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem \
        /etc/pki/tls/cacert.pem /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
        if [ -f "$path" ]; then
            show "$path"
            return
        fi
    done
}

roots() {
    for path in "$certs"/*; do
        case $path in */ca-certificates.crt) continue ;; esac
        # Links point to certificates in the bundle.
        [ -L "$path" ] || show "$path"
    done
}

named() { # hosts.toml: the files of its keys `ca`, each a string or an array of them
    sed 's/^[[:space:]]*#.*//' "$1" | tr '\n' ' ' |
        grep -o "\\(^\\|[[:space:]]\\)ca[[:space:]]*=[[:space:]]*\\(\\[[^]]*\\]\\|\"[^\"]*\"\\|'[^']*'\\)" |
        grep -o "[\"'][^\"']*[\"']" | tr -d "\"'"
}

# containerd reads the files that hosts.toml names or, without one, every .crt (core/remotes/docker/config/hosts.go).
registry() { # host[:port]
    name=${1%:*}
    port=${1##*:}
    for folder in "$hosts/${name}_${port}_" "$hosts/$1" "$hosts/_default"; do
        if [ -d "$folder" ]; then
            if [ -f "$folder/hosts.toml" ]; then
                show "$folder/hosts.toml"
                named "$folder/hosts.toml" | while IFS= read -r path; do
                    case $path in
                    /*) show "$path" ;;
                    *) show "$folder/$path" ;;
                    esac
                done
                return
            fi
            for path in "$folder"/*.crt; do
                show "$path"
            done
            return
        fi
    done
}

environment() { # containerd's proxy variables, without credentials
    pid=$(systemctl show --property=MainPID --value containerd 2>/dev/null)
    [ -r "/proc/${pid:-none}/environ" ] || return 0
    tr '\n\0' ' \n' <"/proc/$pid/environ" | sed -n 's#//[^/]*@#//#; /^\(HTTPS_PROXY\|https_proxy\|NO_PROXY\|no_proxy\)=/p' |
        while IFS= read -r line; do
            printf 'variable %s %s\n' "${line%%=*}" "$(printf '%s' "${line#*=}" | base64 | tr -d '\n')"
        done
}

served() { # address=host:port=name=proxy
    address=${1%%=*}
    rest=${1#*=}
    where=${rest%%=*}
    rest=${rest#*=}
    proxy=${rest#*=}
    command -v openssl >/dev/null || return 0
    # The request contains no secrets, so an untrusted chain does no harm.
    answer=$(printf 'GET /v2/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$address" |
        timeout "$limit" openssl s_client -connect "$where" -servername "${rest%%=*}" ${proxy:+-proxy "$proxy"} -showcerts -ign_eof 2>/dev/null |
        tr -d '\0\r')
    chain=$(printf '%s\n' "$answer" | sed -n '/^HTTP\//q; /-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p')
    scheme=$(printf '%s\n' "$answer" | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: *\([A-Za-z]\{1,\}\).*/\1/p' | head -n 1)
    # Hosts are dialled in parallel: a lock keeps their lines apart.
    {
        flock 9
        printf 'served %s %s\n' "$address" "$(printf '%s' "$chain" | base64 | tr -d '\n')"
        printf 'asks %s %s\n' "$address" "$scheme"
    } 9<"$certs"
}

dial() { # seconds, targets as in `served`; in parallel
    limit=$1
    shift
    for target in "$@"; do
        served "$target" &
    done
    wait
}

main() { # seconds, registry, targets
    limit=$1
    shift
    printf 'clock %s -\n' "$(date +%s.%N)"
    bundle
    roots
    environment
    [ "$1" = - ] || registry "$1"
    shift
    dial "$limit" "$@"
    printf 'end - -\n'
}
