#!/usr/bin/env bash
# Runs a command with a PostgreSQL server of its own: a new cluster in a temporary folder, on a Unix socket, which ends with it.
#
#     ./script/postgres.sh COMMAND…       SESSION_KEY_TEST_POSTGRES is the connection string
#
# $SESSION_KEY_TEST_POSTGRES_RESTART is a program that restarts the server at once, as after a crash. Uses PostgreSQL of the
# machine, or installs Debian's if there is none.
set -euo pipefail

programs() {
  local found
  found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  if [ -n "$found" ] && [ -x "$found/initdb" ]; then
    echo "$found"
  elif command -v initdb >/dev/null; then
    dirname "$(command -v initdb)"
  fi
}

bin=$(programs)
if [ -z "$bin" ]; then
  echo "postgres.sh: installing PostgreSQL" >&2
  become=$([ "$(id -u)" = 0 ] || echo sudo)
  # No cluster of the system's own.
  $become mkdir -p /etc/postgresql-common
  echo "create_main_cluster = false" | $become tee /etc/postgresql-common/createcluster.conf >/dev/null
  $become apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $become apt-get install -y -qq --no-install-recommends postgresql >/dev/null
  bin=$(programs)
fi
[ -n "$bin" ] || { echo "postgres.sh: PostgreSQL could not be installed" >&2; exit 1; }

# PostgreSQL refuses to run as root.
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
  as_user() { setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$home" "$@"; }
fi

# In a folder of its own with a short path: that of a socket has at most 107 bytes.
home=$(mktemp -d -t pg-XXXXXX)
if [ "$(id -u)" = 0 ]; then
  chown postgres:postgres "$home"
fi
chmod 711 "$home"
stop() {
  as_user "$bin/pg_ctl" -D "$home/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$home"
}
trap stop EXIT

cd "$home"
as_user "$bin/initdb" -D "$home/data" --auth=trust --username=agent --encoding=UTF8 --locale=C >"$home/initdb.log" 2>&1 ||
  { cat "$home/initdb.log" >&2; exit 1; }
start=("$bin/pg_ctl" -D "$home/data" -l "$home/data/server.log" -w -o
  "-c listen_addresses='' -c unix_socket_directories='$home' -c max_connections=200 -c recovery_init_sync_method=syncfs -c log_min_messages=fatal")
as_user "${start[@]}" start >/dev/null || { cat "$home/data/server.log" >&2; exit 1; }

{
  echo '#!/bin/sh'
  if [ "$(id -u)" = 0 ]; then
    printf 'exec setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=%q ' "$home"
  else
    printf 'exec '
  fi
  printf '%q ' "${start[@]}"
  echo '-m immediate restart >/dev/null'
} >"$home/restart"
chmod 755 "$home/restart"

cd - >/dev/null
export SESSION_KEY_TEST_POSTGRES="host=$home user=agent dbname=postgres"
export SESSION_KEY_TEST_POSTGRES_RESTART="$home/restart"
"$@"
