#!/bin/sh
# Prosody, as the distribution ships it: default internal storage, epoll, info log to a file.
# ARCHIVE=internal or ARCHIVE=sqlite: with mod_mam and mod_muc_mam on that storage and mod_smacks; the archive as large as it gets. LOAD_ARCHIVE=true is its
# internal one.
# Called with: DIR STARTTLS_PORT TLS_PORT CERTIFICATE KEY. Writes the configuration into DIR and prints
# the command that starts the server, one argument a line. Exit 77: not installed.
set -eu
dir=$1 starttls=$2 tls=$3 certificate=$4 key=$5

command -v prosody >/dev/null || { echo "prosody is not installed: apt-get install prosody" >&2; exit 77; }

if [ "${LOAD_ARCHIVE:-}" = true ]; then : "${ARCHIVE:=internal}"; fi
archive=
rooms=
case "${ARCHIVE:-}" in
internal | sqlite) archive='"mam", "smacks",' rooms='modules_enabled = { "muc_mam" } muc_log_by_default = true' ;;
esac
if [ "${ARCHIVE:-}" = sqlite ] && ! [ -e /usr/share/doc/lua-dbi-sqlite3 ]; then
    echo "Prosody's driver for SQLite is not installed: apt-get install lua-dbi-sqlite3" >&2
    exit 77
fi

mkdir -p "$dir/data"
cat >"$dir/prosody.cfg.lua" <<EOF
run_as_root = true
pidfile = "$dir/prosody.pid"
data_path = "$dir/data"
log = { info = "$dir/prosody.log" }
interfaces = { "127.0.0.1" }
c2s_ports = { $starttls }
c2s_direct_tls_ports = { $tls }
network_backend = "epoll"
c2s_require_encryption = true
authentication = "internal_hashed"
allow_registration = true
modules_enabled = { "disco", "roster", "saslauth", "tls", "register", "ping", "time", $archive "version" }
modules_disabled = { "s2s" }
ssl = { certificate = "$certificate", key = "$key" }
c2s_direct_tls_ssl = { certificate = "$certificate", key = "$key" }
EOF
case "${ARCHIVE:-}" in
internal) echo 'storage_archive_item_limit = 100000000' ;;
sqlite) echo "storage = { archive = \"sql\" } sql = { driver = \"SQLite3\", database = \"$dir/archive.sqlite\" }" ;;
esac >>"$dir/prosody.cfg.lua"
if [ -n "$archive" ]; then
    # Pages of 100 are asked for; nothing is removed by age.
    printf '%s\n' 'max_archive_query_results = 100' 'archive_expires_after = "never"' >>"$dir/prosody.cfg.lua"
fi
printf '%s\n' 'VirtualHost "chat.test"' 'Component "rooms.chat.test" "muc"' "$rooms" >>"$dir/prosody.cfg.lua"

printf '%s\n' prosody -F --config "$dir/prosody.cfg.lua"
