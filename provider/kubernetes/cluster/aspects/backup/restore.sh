# The tables on every host, then their rows on the first one of each shard: the others replicate them.
each 'restore_remote --schema' "$BACKUP" $HOSTS || exit
each 'restore_remote --schema' "$BACKUP" $OTHERS || exit
for host in $HOSTS $OTHERS; do forget "$host" "$BACKUP"; done
each 'restore_remote --data' "$BACKUP" $HOSTS || exit
for host in $HOSTS; do forget "$host" "$BACKUP"; done
