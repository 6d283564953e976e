#!/usr/bin/env bash
# nginx with files, for routes that only ringserve's program has: what is left of a request when nothing is
# worked out for it. See --help.

set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

usage() {
    cat <<HELP
Usage: scripts/suites/nginx-files.sh --listen ADDR:PORT [--threads N] [--files DIR] [--prefix DIR]
       scripts/suites/nginx-files.sh --version

Becomes an nginx (the pid stays) that answers / with 'Hello, World!', /pipeline with 'ok', and all else
with the file of that path below --files: as JSON, but /static/ by the names' endings and /bytes/ as bytes.

  --listen ADDR:PORT    where to listen
  --threads N           workers, each with a listening socket of its own (default 1)
  --files DIR           the files (default: none)
  --prefix DIR          where nginx keeps its own (default: below target/suites)
  --version             one line

Exit codes: 3 nginx is not installed, 1 it could not be started, 2 bad arguments; else nginx's.
HELP
}

parse_arguments() {
    LISTEN='' THREADS=1 FILES=/nonexistent PREFIX='' VERSION=0
    while (($# > 0)); do
        case $1 in
        --listen | --threads | --files | --prefix) (($# > 1)) || die_usage "$1 needs a value" ;;
        esac
        case $1 in
        --listen) LISTEN=$2 ;;
        --threads) want_count "$1" "$2" 1024 && THREADS=$2 ;;
        --files)
            [[ -d $2 ]] || die_usage "$1: no such folder: '$2' (scripts/suites/make-files.sh makes target/suites)"
            FILES=$(cd "$2" && pwd)
            ;;
        --prefix) PREFIX=$2 ;;
        --version)
            VERSION=1
            shift
            continue
            ;;
        -h | --help) usage && exit 0 ;;
        *) die_usage "unknown argument '$1'" ;;
        esac
        shift 2
    done
    ((VERSION)) || [[ $LISTEN =~ ^[0-9.]+:[0-9]+$ ]] || die_usage "--listen takes an address and a port such as 127.0.0.1:8080, not '$LISTEN'"
}

# As scripts/peers/nginx is tuned, and for files: sent by the kernel, and their descriptors kept. A worker
# that has no descriptor left closes what it accepts, so it gets as many as it may have. By default it accepts
# one connection in each turn, however many wait: beside some hundred busy ones, others wait for seconds.
configuration() {
    local user='' files
    ((EUID != 0)) || user="user $(id -un) $(id -gn);"
    files=$(ulimit -Hn)
    [[ $files != unlimited ]] || files=1000000
    cat <<CONF
daemon off;
$user
worker_processes $THREADS;
worker_rlimit_nofile $files;
pid nginx.pid;
error_log error.log;
events {
    worker_connections $((files - files / 20));
    multi_accept on;
}
http {
    access_log off;
    tcp_nodelay on;
    sendfile on;
    open_file_cache max=1000 inactive=300s;
    open_file_cache_valid 60s;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    types {
        text/css css;
        text/javascript js;
        text/html html;
        font/woff2 woff2;
        image/svg+xml svg;
        image/webp webp;
        application/json json;
    }
    server {
        listen $LISTEN reuseport backlog=65535;
        root "$FILES";
        default_type application/json;
        location = / {
            default_type text/plain;
            return 200 "Hello, World!";
        }
        location = /pipeline {
            default_type text/plain;
            return 200 "ok";
        }
        location /bytes/ {
            default_type application/octet-stream;
        }
    }
}
CONF
}

main() {
    parse_arguments "$@"
    PATH=$PATH:/usr/sbin:/sbin # where Debian keeps nginx, and users do not look
    if ! command -v nginx >/dev/null; then
        note "nginx is not installed: apt-get install nginx"
        exit 3
    fi
    if ((VERSION)); then
        nginx -v 2>&1 | sed 's/.*: //; s/$/, files/'
        exit
    fi
    PREFIX=${PREFIX:-$IN_DIR/target/suites/nginx-${LISTEN##*:}}
    mkdir -p "$PREFIX" || die "cannot make the folder $PREFIX"
    configuration >"$PREFIX/nginx.conf" || die "cannot write to $PREFIX"
    raise_open_files 1000000
    # -e: before it has read its configuration, too.
    exec nginx -p "$PREFIX/" -e error.log -c nginx.conf
}

main "$@"
