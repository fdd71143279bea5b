#include "parts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Completions come in the order of their calls, so that each takes the next place. */
struct completion {
    struct session *session;
    const char *call;
};

static int completed;

static void begin_completion(const void *data, int code) {
    const struct completion *completion = data;
    pthread_mutex_lock(&completion->session->lock);
    completed++;
    told("  completion", completion->call, code);
}

static void end_completion(const void *data) {
    const struct completion *completion = data;
    pthread_cond_broadcast(&completion->session->changed);
    pthread_mutex_unlock(&completion->session->lock);
}

static void on_string(int code, const char *value, const void *data) {
    begin_completion(data, code);
    if (code == ZOK) {
        printf("  made \"%s\"\n", value);
    }
    end_completion(data);
}

static void on_stat(int code, const struct Stat *stat, const void *data) {
    begin_completion(data, code);
    if (code == ZOK) {
        tell_stat(((const struct completion *)data)->session, stat);
    }
    end_completion(data);
}

static void on_string_stat(int code, const char *value, const struct Stat *stat,
                           const void *data) {
    begin_completion(data, code);
    if (code == ZOK) {
        printf("  made \"%s\"\n", value);
        tell_stat(((const struct completion *)data)->session, stat);
    }
    end_completion(data);
}

static void on_data(int code, const char *value, int length, const struct Stat *stat,
                    const void *data) {
    begin_completion(data, code);
    if (code == ZOK) {
        tell_data(value, length);
        tell_stat(((const struct completion *)data)->session, stat);
    }
    end_completion(data);
}

static void on_strings(int code, const struct String_vector *names, const void *data) {
    begin_completion(data, code);
    if (code == ZOK) {
        printf("  %d names\n", names->count);
    }
    end_completion(data);
}

static void on_strings_stat(int code, const struct String_vector *names, const struct Stat *stat,
                            const void *data) {
    begin_completion(data, code);
    if (code == ZOK) {
        printf("  %d names\n", names->count);
        tell_stat(((const struct completion *)data)->session, stat);
    }
    end_completion(data);
}

static void on_acl(int code, struct ACL_vector *acl, struct Stat *stat, const void *data) {
    begin_completion(data, code);
    if (code == ZOK) {
        printf("  %d entries\n", acl->count);
        tell_stat(((const struct completion *)data)->session, stat);
    }
    end_completion(data);
}

static void on_nothing(int code, const void *data) {
    begin_completion(data, code);
    end_completion(data);
}

/* A call that must be accepted, whatever it then answers. */
static int accepted;
#define ACCEPTED(call)                                                                             \
    do {                                                                                           \
        int code = (call);                                                                         \
        accepted++;                                                                                \
        if (code != ZOK) {                                                                         \
            give_up("%s: %d", #call, code);                                                        \
        }                                                                                          \
    } while (0)

/* All calls at once, before any has answered. */
void asynchronous(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    zhandle_t *zh = session->zh;
    struct completion c[] = {
        {session, "create"},   {session, "create2"},       {session, "create ttl"},
        {session, "set"},      {session, "exists"},        {session, "get"},
        {session, "children"}, {session, "children2"},     {session, "get acl"},
        {session, "set acl"},  {session, "exists absent"}, {session, "delete"},
        {session, "multi"},    {session, "sync"},          {session, "delete again"},
        {session, "create2 ttl"},
    };
    static zoo_op_result_t results[2];
    static char made[64];
    zoo_op_t ops[2];
    zoo_set_op_init(&ops[0], "/async", "m", 1, -1, NULL);
    zoo_create_op_init(&ops[1], "/async/multi", "", 0, OPEN, 0, made, sizeof made);
    ACCEPTED(zoo_acreate(zh, "/async", "0", 1, OPEN, 0, on_string, &c[0]));
    ACCEPTED(zoo_acreate2(zh, "/async/two", "0", 1, OPEN, ZOO_EPHEMERAL, on_string_stat, &c[1]));
    ACCEPTED(zoo_acreate_ttl(zh, "/async/ttl", "0", 1, OPEN, ZOO_PERSISTENT_WITH_TTL, 600000,
                             on_string, &c[2]));
    ACCEPTED(zoo_aset(zh, "/async", "1", 1, 0, on_stat, &c[3]));
    ACCEPTED(zoo_aexists(zh, "/async", 0, on_stat, &c[4]));
    ACCEPTED(zoo_aget(zh, "/async", 0, on_data, &c[5]));
    ACCEPTED(zoo_aget_children(zh, "/async", 0, on_strings, &c[6]));
    ACCEPTED(zoo_aget_children2(zh, "/async", 0, on_strings_stat, &c[7]));
    ACCEPTED(zoo_aget_acl(zh, "/async", on_acl, &c[8]));
    ACCEPTED(zoo_aset_acl(zh, "/async", 0, &ZOO_OPEN_ACL_UNSAFE, on_nothing, &c[9]));
    ACCEPTED(zoo_aexists(zh, "/async/absent", 0, on_stat, &c[10]));
    ACCEPTED(zoo_adelete(zh, "/async/two", -1, on_nothing, &c[11]));
    ACCEPTED(zoo_amulti(zh, 2, ops, results, on_nothing, &c[12]));
    ACCEPTED(zoo_async(zh, "/async", on_string, &c[13]));
    ACCEPTED(zoo_adelete(zh, "/async/two", -1, on_nothing, &c[14]));
    ACCEPTED(zoo_acreate2_ttl(zh, "/async/ttl-", "0", 1, OPEN, ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL,
                              600000, on_string_stat, &c[15]));
    await_more(session, &completed, accepted - 1);
    printf("  multi %d %d\n", results[0].err, results[1].err);
    children(session, "/async");
    close_session(session);
}

/* A session whose client stands still ends, with what it held, and its client hears of it. */
void expiring(const char *hosts) {
    int ready[2];
    if (pipe(ready)) {
        give_up("no pipe");
    }
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        give_up("no process");
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct session *session = open_session(hosts, 2000, 0);
        create(session, "/expiring", "", OPEN, ZOO_EPHEMERAL);
        printf("  timeout %d ms\n", zoo_recv_timeout(session->zh));
        if (write(ready[1], "r", 1) != 1) {
            give_up("nobody reads");
        }
        await_state(session, ZOO_EXPIRED_SESSION_STATE);
        exists(session, "/");
        printf("  unrecoverable: %d\n", is_unrecoverable(session->zh));
        close_session(session);
        fflush(stdout);
        _exit(0);
    }
    close(ready[1]);
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    struct watch watch = {session, "expiring"};
    struct Stat stat;
    char byte;
    if (read(ready[0], &byte, 1) != 1) {
        give_up("the other client ended early");
    }
    told("zoo_wexists", "/expiring",
         zoo_wexists(session->zh, "/expiring", note_event, &watch, &stat));
    tell_stat(session, &stat);
    kill(child, SIGSTOP);
    await_more(session, &session->event_count, 0);
    tell_events(session);
    exists(session, "/expiring");
    fflush(stdout);
    kill(child, SIGCONT);
    int status;
    waitpid(child, &status, 0);
    printf("  the other client ended with %d\n", WEXITSTATUS(status));
    close_session(session);
}

/* Until the connection serves again. */
static void settle(struct session *session) {
    struct Stat stat;
    int code;
    while ((code = zoo_exists(session->zh, "/", 0, &stat)) == ZCONNECTIONLOSS) {
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    told("zoo_exists", "/", code);
}

/* What a session has is kept while its members end, one after the other. */
void reconnecting(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    /* Its members stand in the opposite order. */
    char reversed[256] = "", copy[256];
    snprintf(copy, sizeof copy, "%s", hosts);
    for (char *comma; (comma = strrchr(copy, ',')); *comma = 0) {
        strcat(strcat(reversed, comma + 1), ",");
    }
    strcat(reversed, copy);
    struct session *other = open_session(reversed, TIMEOUT_MS, 0);
    struct watch data = {session, "data"}, absent = {session, "absent"};
    struct watch child = {session, "children"}, before = {session, "before"};
    int64_t id = zoo_client_id(session->zh)->client_id;
    create(session, "/again", "", OPEN, ZOO_PERSISTENT);
    create(session, "/again/mine", "", OPEN, ZOO_EPHEMERAL);
    create(session, "/again/lock", "", &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT);
    told("zoo_add_auth", "digest",
         zoo_add_auth(session->zh, "digest", "ada:secret", 10, NULL, NULL));
    create(session, "/again/lock", "", &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT);
    for (int round = 0; round < 2; round++) {
        struct String_vector names = {0};
        struct Stat stat;
        char buffer[16];
        char path[32];
        int length = sizeof buffer;
        int connections = session->connections;
        printf("round %d\n", round);
        snprintf(path, sizeof path, "/again/new%d", round);
        told("zoo_wget", "/again",
             zoo_wget(session->zh, "/again", note_event, &data, buffer, &length, &stat));
        told("zoo_wget_children", "/again/mine",
             zoo_wget_children(session->zh, "/again/mine", note_event, &child, &names));
        told("zoo_wexists", path,
             zoo_wexists(session->zh, path, note_event, &absent, &stat));
        told("zoo_wexists", "/again/mine",
             zoo_wexists(session->zh, "/again/mine", note_event, &before, &stat));
        /* First the member of this session, then the leader, which may be the same. */
        order("kill %s", round ? "leader" : "first");
        settle(other);
        set(other, "/again", "while away", -1);
        if (round == 0) {
            await_more(session, &session->connections, connections);
        }
        settle(session);
        create(other, path, "", OPEN, ZOO_PERSISTENT);
        tell_events(session);
        printf("  the same session: %d\n", zoo_client_id(session->zh)->client_id == id);
        exists(session, "/again/mine");
        get(session, "/again/lock");
        set(other, "/again/mine", "1", -1);
        tell_events(session);
        order("start");
    }
    settle(other);
    close_session(session);
    settle(other);
    exists(other, "/again/mine");
    close_session(other);
}

/* A session that only reads becomes one that writes, or ends: Apache ends it, as sessions of one
 * member end with it whenever the leader changes. */
static struct session *writable(struct session *session, const char *hosts, int connections) {
    pthread_mutex_lock(&session->lock);
    while (session->connections <= connections && session->state != ZOO_EXPIRED_SESSION_STATE) {
        await(session, "the end of reading only");
    }
    int has_ended = session->state == ZOO_EXPIRED_SESSION_STATE;
    pthread_mutex_unlock(&session->lock);
    if (!has_ended) {
        return session;
    }
    zookeeper_close(session->zh);
    free(session);
    return open_session(hosts, TIMEOUT_MS, 0);
}

/* Without a quorum one can read, if one wants, and with it again write. (No multi, whose refusal
 * this library does not survive.) */
void reading_only(const char *hosts) {
    char first[64];
    snprintf(first, sizeof first, "%s", hosts);
    *strchr(first, ',') = 0;
    struct session *session = open_session(first, TIMEOUT_MS, 0);
    create(session, "/reading", "kept", OPEN, ZOO_PERSISTENT);
    create(session, "/reading/child", NULL, OPEN, ZOO_PERSISTENT);
    close_session(session);
    order("kill others");
    session = begin_session(first, TIMEOUT_MS, ZOO_READONLY);
    await_more(session, &session->readonly_connections, 0);
    /* Not earlier: the member may not know yet that it is alone. */
    struct session *writer = begin_session(first, TIMEOUT_MS, 0);
    printf("  state %d\n", zoo_state(session->zh));
    get(session, "/reading");
    exists(session, "/absent");
    children(session, "/reading");
    get_acl(session, "/reading");
    set(session, "/reading", "no", -1);
    create(session, "/reading/no", "no", OPEN, ZOO_PERSISTENT);
    create(session, "/reading/no", "no", OPEN, ZOO_EPHEMERAL);
    create2(session, "/reading/no", ZOO_CONTAINER, 0);
    delete(session, "/reading", -1);
    set_acl(session, "/reading", -1, OPEN);
    nanosleep(&(struct timespec){.tv_nsec = 500 * 1000 * 1000}, NULL);
    printf("  a session for writing connects: %d\n", writer->connections);
    int connections = session->connections;
    order("start");
    await_more(writer, &writer->connections, 0);
    session = writable(session, first, connections);
    settle(session);
    set(session, "/reading", "yes", 0);
    get(session, "/reading");
    close_session(writer);
    close_session(session);
}
