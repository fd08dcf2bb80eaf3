#!/bin/sh
# snug with its defaults: its own local CA, no rate limits; and contact lists of their owners alone, as the others have them. SNUG names the binary;
# LOAD_ARCHIVE=true leaves it its archive.
# Called with: DIR STARTTLS_PORT TLS_PORT CERTIFICATE KEY. Writes the configuration into DIR and prints
# the command that starts the server, one argument a line. Exit 77: not built.
# The certificate is the one that snug makes for itself (ECDSA P-256, like that of the others).
set -eu
dir=$1 starttls=$2 tls=$3

if [ ! -x "${SNUG:-}" ]; then
    echo "snug is not built: cargo build --release, or set SNUG to the binary" >&2
    exit 77
fi

mkdir -p "$dir/data"
cat >"$dir/snug.toml" <<EOF
domain = "chat.test"
[listen]
c2s = ["127.0.0.1:$starttls"]
c2s_tls = ["127.0.0.1:$tls"]
[registration]
mode = "open"
[roster]
everyone = false
[archive]
enabled = ${LOAD_ARCHIVE:-false}
[limits]
stanza_rate = 0
connection_rate = 0
login_rate = 0
EOF

printf '%s\n' "$SNUG" run --data "$dir/data" --config "$dir/snug.toml"
