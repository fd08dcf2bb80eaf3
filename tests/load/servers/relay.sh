#!/bin/sh
# The relay of this crate (src/relay.rs): TLS without XMPP, the limit that the servers are compared with.
# Called with: DIR ACCEPT_PORT PAIRS_PORT CERTIFICATE KEY. Prints the command that starts it, one argument a line.
set -eu
accept=$2 pairs=$3 certificate=$4 key=$5
printf '%s\n' "$SNUG_LOAD" relay --accept "127.0.0.1:$accept" --pairs "127.0.0.1:$pairs" --certificate "$certificate" --key "$key"
