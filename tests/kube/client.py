"""A client in a pod: writes while a scenario breaks things.

Called with the connection string, whose servers it tries in their order. Prints one JSON object
per line: `ready` when its ephemeral znode is there and its first write is acknowledged; `report`
when `/tmp/stop` is there, after it has read back all that was acknowledged.
"""

import json
import os
import sys
import threading
import time

sys.path.insert(0, "/packages")

from kazoo.client import KazooClient, KazooState  # noqa: E402
from kazoo.exceptions import (  # noqa: E402
    ConnectionLoss,
    NodeExistsError,
    NoNodeError,
    OperationTimeoutError,
    SessionExpiredError,
)

UNKNOWN_FATE = (ConnectionLoss, OperationTimeoutError, SessionExpiredError)

# At most this many writes in a second: the machine is shared with the ensemble.
PER_SECOND = 200


def say(kind, **fields):
    print(json.dumps({"kind": kind, **fields}), flush=True)


def main():
    states = []
    client = KazooClient(hosts=sys.argv[1], timeout=20, randomize_hosts=False)
    client.add_listener(lambda state: states.append(str(state)))
    client.start(timeout=60)
    session = client.client_id[0]
    base = "/load-" + os.environ.get("HOSTNAME", "here")
    client.ensure_path(base)
    client.create(base + "/ephemeral", b"", ephemeral=True)
    born = client.exists(base + "/ephemeral").czxid

    acknowledged = []
    unknown = 0
    longest = 0.0
    last = time.monotonic()
    number = 0
    while not os.path.exists("/tmp/stop"):
        number += 1
        path = "%s/%08d" % (base, number)
        while not os.path.exists("/tmp/stop"):
            try:
                client.create(path, str(number).encode())
            except NodeExistsError:
                # An earlier attempt of unknown fate had succeeded.
                pass
            except UNKNOWN_FATE:
                unknown += 1
                time.sleep(0.05)
                continue
            acknowledged.append(number)
            longest = max(longest, time.monotonic() - last)
            last = time.monotonic()
            break
        if number == 1:
            say("ready", session=session)
        time.sleep(1.0 / PER_SECOND)

    client.retry(client.sync, base)
    lost = []
    for number in acknowledged:
        try:
            value, _ = client.retry(client.get, "%s/%08d" % (base, number))
            if value != str(number).encode():
                lost.append(number)
        except NoNodeError:
            lost.append(number)
    stat = client.exists(base + "/ephemeral")
    say(
        "report",
        acknowledged=len(acknowledged),
        unknown=unknown,
        lost=lost,
        states=states,
        same_session=client.client_id[0] == session,
        same_ephemeral=stat is not None and stat.czxid == born,
        longest_gap=round(longest, 3),
    )
    client.stop()
    # The pod stays, so that the log can be read at leisure.
    threading.Event().wait()


main()
