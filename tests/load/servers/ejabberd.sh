#!/bin/sh
# ejabberd, as the distribution ships it: default mnesia, SCRAM keys, info log to a file.
# Called with: DIR STARTTLS_PORT TLS_PORT CERTIFICATE KEY. Writes the configuration into DIR and prints
# the command that starts the server, one argument a line. Exit 77: not installed.
# The Erlang VM is started as ejabberdctl would, only without the node name: so it needs no epmd and
# listens nowhere but on the two ports below.
# ARCHIVE=mnesia or ARCHIVE=sqlite: with mod_mam on that storage, for everybody and every room, and mod_stream_mgmt. LOAD_ARCHIVE=true is that in mnesia.
set -eu
dir=$1 starttls=$2 tls=$3 certificate=$4 key=$5

for ebin in /usr/lib/*/ejabberd-*/ebin /usr/lib/ejabberd-*/ebin /usr/lib/ejabberd*/ebin; do
    [ -f "$ebin/ejabberd_app.beam" ] && found=$ebin
done
if [ -z "${found:-}" ] || ! command -v erl >/dev/null; then
    echo "ejabberd is not installed: apt-get install ejabberd" >&2
    exit 77
fi

if [ "${LOAD_ARCHIVE:-}" = true ]; then : "${ARCHIVE:=mnesia}"; fi
if [ "${ARCHIVE:-}" = sqlite ]; then
    for needed in /usr/lib/erlang/lib/p1_sqlite3-* "${found%/ebin}/priv/sql/lite.sql" /usr/bin/sqlite3; do
        [ -e "$needed" ] || { echo "ejabberd's driver for SQLite is not installed: apt-get install erlang-p1-sqlite3 sqlite3" >&2; exit 77; }
    done
    [ -e "$dir/archive.sqlite" ] || sqlite3 "$dir/archive.sqlite" <"${found%/ebin}/priv/sql/lite.sql"
fi

rooms_mam=false
[ -z "${ARCHIVE:-}" ] || rooms_mam=true
mkdir -p "$dir/mnesia"
cat "$certificate" "$key" >"$dir/certificate-and-key.pem"
cat >"$dir/ejabberd.yml" <<EOF
loglevel: info
log_rotate_count: 0
hosts: [chat.test]
certfiles: ["$dir/certificate-and-key.pem"]
acme: {auto: false}
auth_password_format: scram
disable_sasl_mechanisms: [digest-md5, X-OAUTH2]
registration_timeout: infinity
listen:
  - {port: $starttls, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 262144, starttls_required: true}
  - {port: $tls, ip: "127.0.0.1", module: ejabberd_c2s, max_stanza_size: 262144, tls: true}
modules:
  mod_disco: {}
  mod_muc:
    hosts: ["rooms.chat.test"]
    max_users: 1000
    max_users_presence: 10000
    default_room_options: {persistent: false, max_users: 1000, mam: $rooms_mam}
  mod_offline: {}
  mod_ping: {}
  mod_register: {ip_access: all}
  mod_roster: {}
  mod_time: {}
  mod_version: {}
EOF
case "${ARCHIVE:-}" in
mnesia | sqlite) printf '%s\n' '  mod_stream_mgmt: {}' "  mod_mam: {default: always, db_type: $(echo "$ARCHIVE" | sed s/sqlite/sql/)}" ;;
esac >>"$dir/ejabberd.yml"
[ "${ARCHIVE:-}" != sqlite ] ||
    printf '%s\n' 'sql_type: sqlite' "sql_database: $dir/archive.sqlite" >>"$dir/ejabberd.yml"

printf '%s\n' env "EJABBERD_CONFIG_PATH=$dir/ejabberd.yml" "EJABBERD_LOG_PATH=$dir/ejabberd.log" \
    "ERL_CRASH_DUMP=$dir/erl_crash.dump" "ERL_LIBS=${found%/ejabberd-*}" ERL_MAX_PORTS=32000 ERL_MAX_ETS_TABLES=1400 \
    erl -noinput +K true +P 250000 -mnesia dir "\"$dir/mnesia\"" -s ejabberd
