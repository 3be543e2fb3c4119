# The accounting half of up.sh (sourced): a private MariaDB on a Unix socket, slurmdbd, and one account, "lab".
# shellcheck shell=bash disable=SC2154  # wait_until sets $why

database_options=(
    --no-defaults --datadir="$STATE/db/data" --tmpdir="$STATE/db/tmp" --user="$(id -un)"
    --innodb-log-file-size=8M --innodb-buffer-pool-size=64M
)

# mariadb-install-db would need the MariaDB client packages; feeding the system tables to --bootstrap does not.
# Its parser wants one statement per line.
create_database() {
    local sql=/usr/share/mysql
    [[ -d $sql ]] || sql=/usr/share/mariadb
    {
        printf '%s\n' 'create database if not exists mysql;' 'use mysql;' 'SET @auth_root_socket=NULL;'
        cat "$sql"/mysql_{system_tables,performance_tables,system_tables_data}.sql
    } | mariadbd "${database_options[@]}" --bootstrap --enforce-storage-engine= --max-allowed-packet=8M \
        >"$STATE/log/mariadb-create.log" 2>&1 ||
        die "MariaDB could not create its tables; see $STATE/log/mariadb-create.log"
}

# Safe without passwords: the socket lies in a folder only this user may enter. Nothing here must survive a crash.
start_database() {
    running mariadbd && return
    [[ -d $STATE/db/data/mysql ]] || create_database
    rm -f "$STATE/db/socket"
    setsid mariadbd "${database_options[@]}" --socket="$STATE/db/socket" --pid-file="$STATE/db/mariadbd.pid" \
        --skip-networking --skip-grant-tables --skip-log-bin --performance-schema=OFF \
        --innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0 --innodb-lock-wait-timeout=900 \
        >"$STATE/log/mariadb.log" 2>&1 </dev/null &
    wait_until 60 test -S "$STATE/db/socket" || die "MariaDB did not start; see $STATE/log/mariadb.log"
}

slurmdbd_answers() { timeout 5 sacctmgr -n show cluster; }

# slurmdbd reads slurmdbd.conf beside slurm.conf. With StorageHost=localhost its database client obeys
# MYSQL_UNIX_PORT.
start_slurmdbd() {
    running slurmdbd && return
    MYSQL_UNIX_PORT=$STATE/db/socket slurmdbd || die "slurmdbd did not start; see $STATE/log/slurmdbd.log"
    wait_until 60 slurmdbd_answers ||
        die "slurmdbd does not answer (${why%%$'\n'*}); see $STATE/log/slurmdbd.log"
}

# add_accounts FILE: run the sacctmgr commands of this file, once. QOS belong to the database, all else to a cluster: the
# second cluster has those of the first.
add_accounts() {
    local log=$STATE/log/$1.log
    [[ -s $STATE/etc/$1 && ! -e $log ]] || return 0
    sed "$( ((JOINED == 0)) || echo '/^add qos/d')" "$STATE/etc/$1" | timeout 60 sacctmgr -i >"$log" 2>&1 ||
        die "the accounts were not made; see $log"
}

# Limits are enforced (as on the real cluster), so the user needs an association before any job is accepted.
start_accounting() {
    if [[ -z $JOINS ]]; then
        start_database
        start_slurmdbd
    fi
    add_accounts accounts
}
