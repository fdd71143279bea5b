"""kazoo's recipes on an ensemble whose leader is killed in the middle.

Arguments: servers with the leader first, a file to write when the leader may be killed, a file
that says it is dead.
Ends with status 0 if everything that was promised holds.
"""

import pathlib
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import ConnectionLoss, OperationTimeoutError, SessionExpiredError

servers, ready, killed = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
LIMIT = 60
states = []


def client(first_server):
    made = KazooClient(hosts=servers, randomize_hosts=not first_server, timeout=10, connection_retry={"max_tries": -1}, command_retry={"max_tries": -1})
    made.add_listener(states.append)
    made.start(timeout=LIMIT)
    return made


def wait_for(event, what):
    if not event.wait(LIMIT):
        raise SystemExit(f"gave up waiting: {what}")


# The first is attached to the leader.
first, second = client(True), client(False)
sessions = [first.client_id[0], second.client_id[0]]

# Znodes and watches.
first.create("/recipes", b"")
first.create("/recipes/ephemeral", b"e", ephemeral=True)
ephemeral = first.get("/recipes/ephemeral")[1]
names = [first.create("/recipes/seq-", b"", sequence=True) for _ in range(3)]
assert names == [f"/recipes/seq-{n:010d}" for n in range(1, 4)], names
changed, children = threading.Event(), threading.Event()
second.get("/recipes", watch=lambda event: changed.set())
second.get_children("/recipes", watch=lambda event: children.set())
first.set("/recipes", b"1")
first.create("/recipes/child", b"")
wait_for(changed, "data watch")
wait_for(children, "child watch")

# A lock held across the leader's death.
lock = first.Lock("/recipes/lock", "first")
assert lock.acquire(timeout=LIMIT)
contender = second.Lock("/recipes/lock", "second")
assert not contender.acquire(blocking=False)

# A master.
elected = []
release = threading.Event()


def lead(name):
    elected.append(name)
    release.wait(LIMIT)


candidates = [
    threading.Thread(target=c.Election("/recipes/election", n).run, args=(lead, n), daemon=True)
    for c, n in ((first, "first"), (second, "second"))
]
for candidate in candidates:
    candidate.start()
    time.sleep(0.2)

# A queue and a barrier.
queue = first.Queue("/recipes/queue")
for n in range(10):
    queue.put(b"%d" % n)
barrier = first.DoubleBarrier("/recipes/barrier", 2)
other = second.DoubleBarrier("/recipes/barrier", 2)

# Writes in the background, to be found again.
acknowledged, stop = {}, threading.Event()


def write():
    n = 0
    while not stop.is_set():
        n += 1
        path = f"/recipes/write-{n}"
        try:
            first.create(path, b"%d" % n)
            acknowledged[path] = b"%d" % n
        except (ConnectionLoss, OperationTimeoutError):
            pass


writer = threading.Thread(target=write, daemon=True)
writer.start()
while len(acknowledged) < 50:
    time.sleep(0.01)
ready.write_text("")
deadline = time.monotonic() + LIMIT
while not killed.exists():
    assert time.monotonic() < deadline, "the leader was not killed"
    time.sleep(0.01)
before = len(acknowledged)
while len(acknowledged) < before + 50:
    assert time.monotonic() < deadline, "no writes after the leader's death"
    time.sleep(0.01)
stop.set()
writer.join(LIMIT)

second.sync("/recipes")
for path, data in acknowledged.items():
    assert second.get(path)[0] == data, f"{path} was acknowledged and is lost"
assert [first.client_id[0], second.client_id[0]] == sessions, "a session id changed"
assert KazooState.SUSPENDED in states, states
assert KazooState.LOST not in states, states
assert second.get("/recipes/ephemeral")[1].czxid == ephemeral.czxid, "the ephemeral was made anew"
assert lock.is_acquired and not contender.acquire(blocking=False), "the lock was lost"
lock.release()
assert contender.acquire(timeout=LIMIT)
contender.release()
assert [queue.get() for _ in range(10)] == [b"%d" % n for n in range(10)], "the queue lost its order"
entered = threading.Thread(target=barrier.enter, daemon=True)
entered.start()
other.enter()
entered.join(LIMIT)
left = threading.Thread(target=barrier.leave, daemon=True)
left.start()
other.leave()
left.join(LIMIT)
assert elected == ["first"], elected
release.set()
for candidate in candidates:
    candidate.join(LIMIT)
assert elected == ["first", "second"], elected
first.stop()
second.stop()
print(f"{len(acknowledged)} writes acknowledged, all found; states {[s for s in states]}")
