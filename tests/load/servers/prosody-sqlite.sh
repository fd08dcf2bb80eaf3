#!/bin/sh
# Prosody with an archive in SQLite; called like prosody.sh.
ARCHIVE=sqlite exec "$(dirname "$0")/prosody.sh" "$@"
