#!/bin/sh
# Prosody with an archive in its internal storage; called like prosody.sh.
ARCHIVE=internal exec "$(dirname "$0")/prosody.sh" "$@"
