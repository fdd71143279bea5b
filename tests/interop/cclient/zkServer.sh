#!/bin/bash
# The server under the C client's own tests, in place of both scripts that they call: the one
# beside them (startClean, start, startCleanReadOnly, stop) and bin/zkServer.sh (start, stop and
# status of a configuration).
#
# From the environment: MAKE (Apache or Ferrokeeper), PROGRAM (ours), JARS (Apache's), SERVERS (a
# folder for data, logs and locks), TEMPLATE (the tests' zoo.cfg).
set -eu

order=$1
case ${2-} in
*.conf)
    config=$2
    name=$(basename "$config" .conf)
    # Apache moves the line elsewhere when it starts.
    [ -e "$SERVERS/$name.port" ] || sed -n 's/^clientPort=//p' "$config" >"$SERVERS/$name.port"
    port=$(cat "$SERVERS/$name.port")
    flags="${SERVER_JVMFLAGS-}"
    ;;
*)
    name=single
    config=$SERVERS/single.cfg
    port=22181
    flags="-Dzookeeper.extendedTypesEnabled=true -Dznode.container.checkIntervalMs=100"
    ;;
esac

# The mode in which the server says that it serves, or nothing.
mode() {
    (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf srvr >&3 && timeout 5 sed -n 's/^Mode: //p' <&3) \
        2>/dev/null || true
}

# Whoever runs holds the lock, so that waiting for the lock is waiting for its end.
stop() {
    if [ -e "$SERVERS/$name.pid" ]; then
        kill -9 "$(cat "$SERVERS/$name.pid")" 2>/dev/null || true
        flock --timeout 30 "$SERVERS/$name.lock" true
        rm "$SERVERS/$name.pid"
    fi
}

start() {
    flags="$flags -Dzookeeper.admin.enableServer=false"
    if [ "$MAKE" = Apache ]; then
        main=org.apache.zookeeper.server.quorum.QuorumPeerMain
        # shellcheck disable=SC2086
        set -- java $flags -Xmx256m -cp "$JARS/*" $main "$config"
    else
        # shellcheck disable=SC2086
        set -- "$PROGRAM" serve $flags "$config"
    fi
    exec 9>"$SERVERS/$name.lock"
    flock --timeout 30 9
    "$@" >>"$SERVERS/$name.log" 2>&1 </dev/null &
    pid=$!
    exec 9>&-
    echo "$pid" >"$SERVERS/$name.pid"
}

# Waits until it serves, for at most so many tenths of a second.
await() {
    for _ in $(seq "$1"); do
        if [ -n "$(mode)" ]; then
            return 0
        fi
        sleep 0.1
    done
    echo "the server does not serve, see $SERVERS/$name.log" >&2
    return 1
}

configure() {
    mkdir -p "$SERVERS/zkdata"
    # Without TLS, which these tests do not ask for.
    sed -e "s#TMPDIR#$SERVERS#; s#MAXCLIENTCONNECTIONS#${ZKMAXCNXNS:-100}#; s#CLIENTPORT#$port#" \
        -e '/^secureClientPort/d; /^ssl\./d' "$TEMPLATE" >"$config"
}

case $order in
stop) stop ;;
status)
    # The tests ask each member ten times at most, however slow the machine is.
    await 50 || true
    echo "Mode: $(mode)"
    ;;
start | startClean | startCleanReadOnly)
    stop
    if [ "$name" != single ]; then
        start
        exit 0
    fi
    [ "$order" = start ] || rm -rf "$SERVERS/zkdata"
    configure
    if [ "$order" = startCleanReadOnly ]; then
        flags="$flags -Dreadonlymode.enabled=true"
        for id in 1 2 3; do
            echo "server.$id=localhost:2288$id:3388$id" >>"$config"
        done
        echo 1 >"$SERVERS/zkdata/myid"
    fi
    start
    await 600
    ;;
*)
    echo "no such order: $order" >&2
    exit 2
    ;;
esac
