#!/bin/sh
# ejabberd with an archive in mnesia; called like ejabberd.sh.
ARCHIVE=mnesia exec "$(dirname "$0")/ejabberd.sh" "$@"
