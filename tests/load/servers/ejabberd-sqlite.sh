#!/bin/sh
# ejabberd with an archive in SQLite; called like ejabberd.sh.
ARCHIVE=sqlite exec "$(dirname "$0")/ejabberd.sh" "$@"
