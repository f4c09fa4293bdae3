# Has the backup containers of hosts carry out commands, and waits for them.
set -u
[ -r "${AUTHORITY:-}" ] && export CURL_CA_BUNDLE="$AUTHORITY"

# ask HOST SQL: what ClickHouse answers, or why it does not.
ask() {
  curl --silent --show-error --fail-with-body --noproxy '*' --connect-timeout 10 --max-time 120 \
    --user "$USERNAME:$PASSWORD" --data-binary "$2" "${SCHEME:-http}://$1:$PORT/" 2>&1
}

# begin HOST COMMAND: once the host is not at work on another command any more.
begin() {
  busy="SELECT count() FROM system.backup_actions WHERE status = 'in progress'"
  for _ in $(seq "${TRIES:-60}"); do
    answer=$(ask "$1" "$busy") && [ "$answer" = 0 ] && break
    sleep "${PAUSE:-10}"
  done
  answer=$(ask "$1" "INSERT INTO system.backup_actions (command) VALUES ('$2')") && return
  echo "$1: $2: $answer"
  return 1
}

# finish HOST COMMAND: waits until it is done.
finish() {
  last="FROM system.backup_actions WHERE command = '$2' ORDER BY start DESC LIMIT 1 FORMAT TSVRaw"
  lost=0
  while [ "$lost" -lt "${TRIES:-60}" ]; do
    if answer=$(ask "$1" "SELECT status $last"); then
      lost=0
      case $answer in
        success) return ;;
        'in progress') ;;
        '') echo "$1: $2: the container that was at work on it has restarted"; return 1 ;;
        *) echo "$1: $2: $(ask "$1" "SELECT error $last")"; return 1 ;;
      esac
    else
      lost=$((lost + 1))
    fi
    sleep "${PAUSE:-10}"
  done
  echo "$1: $2: $answer"
  return 1
}

# forget HOST NAME: deletes a backup from the host's own volume, which it is not to fill.
forget() {
  ask "$1" "INSERT INTO system.backup_actions (command) VALUES ('delete local $2')" >/dev/null
}

# each COMMAND NAME HOST...: has all hosts do it to the backup at the same time.
each() {
  what=$1 name=$2 begun='' failed=''
  shift 2
  for host; do
    if begin "$host" "$what $name"; then begun="$begun $host"; else failed="$failed $host"; fi
  done
  for host in $begun; do
    if finish "$host" "$what $name"; then
      echo "$host: $what $name: done"
    else
      failed="$failed $host"
      forget "$host" "$name"
    fi
  done
  [ -z "$failed" ]
}

# The first host of each shard.
: "${HOSTS:?names no host}"
