/* Drives libzookeeper-mt through its API and prints what it answered, the same for every server
 * that behaves the same.
 *
 *     client PART HOSTS
 *
 * HOSTS are three members as for zookeeper_init, the one to connect to first in front. PART is one
 * of those at the end of this file, each on hosts where it has not run before. See session.h for what stands in a transcript.
 */
#include "parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Every way to create, and what it left. */
static void creating(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    create(session, "/modes", "", OPEN, ZOO_PERSISTENT);
    create(session, "/modes/persistent", "here", OPEN, ZOO_PERSISTENT);
    create(session, "/modes/persistent", "again", OPEN, ZOO_PERSISTENT);
    create(session, "/modes/null", NULL, OPEN, ZOO_PERSISTENT);
    create(session, "/modes/ephemeral", "e", OPEN, ZOO_EPHEMERAL);
    create(session, "/modes/ephemeral/child", "", OPEN, ZOO_PERSISTENT);
    create(session, "/modes/sequence-", "s", OPEN, ZOO_PERSISTENT_SEQUENTIAL);
    create(session, "/modes/sequence-", "s", OPEN, ZOO_EPHEMERAL_SEQUENTIAL);
    create(session, "/modes/container", "c", OPEN, ZOO_CONTAINER);
    create(session, "/modes/absent/child", "", OPEN, ZOO_PERSISTENT);
    create(session, "/modes/bad/", "", OPEN, ZOO_PERSISTENT);
    create(session, "/modes/flags", "", OPEN, 9);
    create(session, "/zookeeper/quota", "", OPEN, ZOO_PERSISTENT);
    create2(session, "/modes/two", ZOO_PERSISTENT, 0);
    create2(session, "/modes/two-ephemeral", ZOO_EPHEMERAL, 0);
    create2(session, "/modes/two-sequence-", ZOO_PERSISTENT_SEQUENTIAL, 0);
    create2(session, "/modes/two-sequence-", ZOO_EPHEMERAL_SEQUENTIAL, 0);
    create2(session, "/modes/two-container", ZOO_CONTAINER, 0);
    create2(session, "/modes/two-ttl", ZOO_PERSISTENT_WITH_TTL, 600000);
    create2(session, "/modes/two-ttl-", ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL, 600000);
    create2(session, "/modes/two-ttl-long", ZOO_PERSISTENT_WITH_TTL, 1LL << 40);
    char made[64] = "";
    told("zoo_create_ttl", "/modes/ttl",
         zoo_create_ttl(session->zh, "/modes/ttl", "t", 1, OPEN, ZOO_PERSISTENT_WITH_TTL, 600000,
                        made, sizeof made));
    const char *paths[] = {"/modes/persistent", "/modes/null",      "/modes/ephemeral",
                           "/modes/container",  "/modes/two-ttl",   "/modes/ttl",
                           "/modes/absent",     "/zookeeper/quota", "/"};
    for (size_t index = 0; index < sizeof paths / sizeof paths[0]; index++) {
        get(session, paths[index]);
    }
    children(session, "/modes");
    close_session(session);
    session = open_session(hosts, TIMEOUT_MS, 0);
    children(session, "/modes");
    close_session(session);
}

/* Versions, conflicts, and the order of things. */
static void changing(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    create(session, "/changing", "0", OPEN, ZOO_PERSISTENT);
    set(session, "/changing", "1", -1);
    set(session, "/changing", "2", 1);
    set(session, "/changing", "3", 1);
    set(session, "/changing", NULL, -1);
    set(session, "/absent", "", -1);
    get(session, "/changing");
    exists(session, "/changing");
    exists(session, "/absent");
    create(session, "/changing/one", "", OPEN, ZOO_PERSISTENT);
    create(session, "/changing/two", "", OPEN, ZOO_PERSISTENT);
    children(session, "/changing");
    children(session, "/absent");
    delete(session, "/changing", -1);
    delete(session, "/changing/one", 5);
    delete(session, "/changing/one", 0);
    delete(session, "/changing/one", -1);
    delete(session, "/zookeeper", -1);
    children(session, "/changing");
    struct String_vector names = {0};
    told("zoo_get_children", "/zookeeper", zoo_get_children(session->zh, "/zookeeper", 0, &names));
    tell_names(&names);
    static char large[500000];
    memset(large, 'x', sizeof large);
    told("zoo_set large", "/changing",
         zoo_set(session->zh, "/changing", large, sizeof large, -1));
    static char back[sizeof large];
    int length = sizeof back;
    told("zoo_get large", "/changing",
         zoo_get(session->zh, "/changing", 0, back, &length, NULL));
    printf("  %d bytes, equal: %d\n", length, !memcmp(large, back, sizeof large));
    char inside[512];
    snprintf(inside, sizeof inside, "%s/changing", hosts);
    struct session *below = open_session(inside, TIMEOUT_MS, 0);
    create(below, "/below", "b", OPEN, ZOO_PERSISTENT);
    children(below, "/");
    close_session(below);
    get(session, "/changing/below");
    close_session(session);
}

/* What is watched for: each way to watch, each way to be told, once. */
static void watching(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    struct session *other = open_session(hosts, TIMEOUT_MS, 0);
    struct watch data = {session, "data"}, exist = {session, "exists"};
    struct watch child = {session, "children"}, absent = {session, "absent"};
    struct String_vector names = {0};
    struct Stat stat;
    char buffer[64];
    int length = sizeof buffer;
    create(session, "/watched", "0", OPEN, ZOO_PERSISTENT);
    told("zoo_wget", "/watched",
         zoo_wget(session->zh, "/watched", note_event, &data, buffer, &length, &stat));
    told("zoo_wexists", "/watched",
         zoo_wexists(session->zh, "/watched", note_event, &exist, &stat));
    told("zoo_wget_children", "/watched",
         zoo_wget_children(session->zh, "/watched", note_event, &child, &names));
    told("zoo_wexists", "/watched/new",
         zoo_wexists(session->zh, "/watched/new", note_event, &absent, &stat));
    told("zoo_wget", "/watched/never",
         zoo_wget(session->zh, "/watched/never", note_event, &data, buffer, &length, &stat));
    tell_events(session);
    create(other, "/watched/new", "n", OPEN, ZOO_PERSISTENT);
    tell_events(session);
    set(other, "/watched", "1", -1);
    set(other, "/watched", "2", -1);
    set(other, "/watched/new", "2", -1);
    create(other, "/watched/never", "n", OPEN, ZOO_PERSISTENT);
    tell_events(session);
    told("zoo_wget_children2", "/watched",
         zoo_wget_children2(session->zh, "/watched", note_event, &child, &names, &stat));
    told("zoo_wexists", "/watched/new",
         zoo_wexists(session->zh, "/watched/new", note_event, &exist, &stat));
    told("zoo_wget", "/watched/never",
         zoo_wget(session->zh, "/watched/never", note_event, &data, buffer, &length, &stat));
    told("zoo_wget_children", "/watched/never",
         zoo_wget_children(session->zh, "/watched/never", note_event, &child, &names));
    delete(other, "/watched/new", -1);
    tell_events(session);
    delete(other, "/watched/never", -1);
    delete(other, "/watched", -1);
    tell_events(session);
    create(other, "/mine", "", OPEN, ZOO_EPHEMERAL);
    told("zoo_wexists", "/mine", zoo_wexists(session->zh, "/mine", note_event, &exist, &stat));
    tell_stat(session, &stat);
    close_session(other);
    tell_events(session);
    close_session(session);
}

static void watch_all(struct session *session, struct watch *data, struct watch *child) {
    struct String_vector names = {0};
    char buffer[64];
    int length = sizeof buffer;
    told("zoo_wget", "/removal",
         zoo_wget(session->zh, "/removal", note_event, data, buffer, &length, NULL));
    told("zoo_wget_children", "/removal",
         zoo_wget_children(session->zh, "/removal", note_event, child, &names));
}

static void remove_watch(struct session *session, ZooWatcherType type, struct watch *watch) {
    told("zoo_remove_watches", watch->name,
         zoo_remove_watches(session->zh, "/removal", type, note_event, watch, 0));
}

/* Watches that are taken back tell nothing any more, the others do. */
static void removing_watches(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    struct watch data = {session, "data"}, child = {session, "children"};
    struct watch second = {session, "second"};
    char buffer[64];
    int length = sizeof buffer;
    create(session, "/removal", "", OPEN, ZOO_PERSISTENT);
    remove_watch(session, ZWATCHTYPE_DATA, &data);
    watch_all(session, &data, &child);
    remove_watch(session, ZWATCHTYPE_CHILD, &data);
    remove_watch(session, ZWATCHTYPE_DATA, &data);
    remove_watch(session, ZWATCHTYPE_DATA, &data);
    set(session, "/removal", "1", -1);
    create(session, "/removal/one", "", OPEN, ZOO_PERSISTENT);
    tell_events(session);
    watch_all(session, &data, &child);
    told("zoo_wget", "second",
         zoo_wget(session->zh, "/removal", note_event, &second, buffer, &length, NULL));
    remove_watch(session, ZWATCHTYPE_ANY, &second);
    set(session, "/removal", "2", -1);
    create(session, "/removal/two", "", OPEN, ZOO_PERSISTENT);
    tell_events(session);
    watch_all(session, &data, &child);
    told("zoo_remove_all_watches", "/removal",
         zoo_remove_all_watches(session->zh, "/removal", ZWATCHTYPE_ANY, 0));
    told("zoo_remove_all_watches", "/removal",
         zoo_remove_all_watches(session->zh, "/removal", ZWATCHTYPE_ANY, 0));
    told("zoo_remove_all_watches", "/never",
         zoo_remove_all_watches(session->zh, "/never", ZWATCHTYPE_DATA, 0));
    set(session, "/removal", "3", -1);
    create(session, "/removal/three", "", OPEN, ZOO_PERSISTENT);
    tell_events(session);
    close_session(session);
}

static void multi(struct session *session, int count, const zoo_op_t *ops) {
    zoo_op_result_t results[8];
    memset(results, 0, sizeof results);
    told("zoo_multi", "", zoo_multi(session->zh, count, ops, results));
    for (int index = 0; index < count; index++) {
        printf("  %d: %d %s\n", index, results[index].err, zerror(results[index].err));
    }
}

/* All or nothing. */
static void multis(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    char made[3][64] = {{0}};
    struct Stat stat;
    zoo_op_t ops[6];
    multi(session, 0, ops);
    zoo_create_op_init(&ops[0], "/multi", "0", 1, OPEN, 0, made[0], sizeof made[0]);
    zoo_create_op_init(&ops[1], "/multi/s-", "1", 1, OPEN, ZOO_SEQUENCE, made[1], sizeof made[1]);
    zoo_set_op_init(&ops[2], "/multi", "2", 1, 0, &stat);
    zoo_check_op_init(&ops[3], "/multi", 1);
    zoo_create_op_init(&ops[4], "/multi/e", "", 0, OPEN, ZOO_EPHEMERAL, made[2], sizeof made[2]);
    zoo_delete_op_init(&ops[5], "/multi/e", 0);
    multi(session, 6, ops);
    printf("  made %s %s %s\n", made[0], made[1], made[2]);
    tell_stat(session, &stat);
    children(session, "/multi");
    zoo_create_op_init(&ops[0], "/multi/first", "", 0, OPEN, 0, made[0], sizeof made[0]);
    zoo_check_op_init(&ops[1], "/multi", 7);
    zoo_delete_op_init(&ops[2], "/multi/first", -1);
    multi(session, 3, ops);
    zoo_set_op_init(&ops[0], "/multi", "no", 2, -1, &stat);
    zoo_delete_op_init(&ops[1], "/multi/never", -1);
    zoo_create_op_init(&ops[2], "/multi", "", 0, OPEN, 0, made[0], sizeof made[0]);
    multi(session, 3, ops);
    zoo_delete_op_init(&ops[0], "/multi", -1);
    zoo_create_op_init(&ops[1], "/multi/x", "", 0, OPEN, 0, made[0], sizeof made[0]);
    multi(session, 2, ops);
    get(session, "/multi");
    children(session, "/multi");
    close_session(session);
}

static void authenticated(int code, const void *data) {
    struct session *session = (struct session *)data;
    pthread_mutex_lock(&session->lock);
    snprintf(session->events[session->event_count++], sizeof session->events[0],
             "authentication: %d %s", code, zerror(code));
    pthread_mutex_unlock(&session->lock);
}

static void add_auth(struct session *session, const char *scheme, const char *who) {
    told("zoo_add_auth", scheme,
         zoo_add_auth(session->zh, scheme, who, (int)strlen(who), authenticated, session));
}

/* Who may do what. */
static void access_control(const char *hosts) {
    struct session *owner = open_session(hosts, TIMEOUT_MS, 0);
    struct session *guest = open_session(hosts, TIMEOUT_MS, 0);
    create(owner, "/early", "", &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT);
    add_auth(owner, "digest", "ada:secret");
    create(owner, "/private", "p", &ZOO_CREATOR_ALL_ACL, ZOO_PERSISTENT);
    tell_events(owner);
    get(owner, "/private");
    get_acl(owner, "/private");
    get(guest, "/private");
    exists(guest, "/private");
    children(guest, "/private");
    get_acl(guest, "/private");
    set(guest, "/private", "no", -1);
    create(guest, "/private/child", "", OPEN, ZOO_PERSISTENT);
    set_acl(guest, "/private", -1, OPEN);
    add_auth(guest, "digest", "ada:wrong");
    get(guest, "/private");
    add_auth(guest, "digest", "ada:secret");
    get(guest, "/private");
    tell_events(guest);
    struct ACL entries[] = {
        {ZOO_PERM_READ, {"world", "anyone"}},
        {ZOO_PERM_ALL, {"ip", "127.0.0.0/8"}},
        {ZOO_PERM_ADMIN, {"digest", "bob:cTGQ7cYXeCnDnAMZqhuMsDVkGNQ="}},
    };
    struct ACL_vector acl = {3, entries};
    set_acl(owner, "/private", 4, &acl);
    set_acl(owner, "/private", 0, &acl);
    get_acl(owner, "/private");
    struct ACL nonsense[] = {{ZOO_PERM_ALL, {"nobody's", "scheme"}}};
    set_acl(owner, "/private", -1, &(struct ACL_vector){1, nonsense});
    set_acl(owner, "/private", -1, &(struct ACL_vector){0, NULL});
    create(owner, "/no-acl", "", &(struct ACL_vector){0, NULL}, ZOO_PERSISTENT);
    create(owner, "/read-only", "", &ZOO_READ_ACL_UNSAFE, ZOO_PERSISTENT);
    set(owner, "/read-only", "", -1);
    create(owner, "/read-only/child", "", OPEN, ZOO_PERSISTENT);
    delete(owner, "/read-only", -1);
    close_session(owner);
    close_session(guest);
    struct session *stranger = open_session(hosts, TIMEOUT_MS, 0);
    add_auth(stranger, "nobody's", "word");
    await_state(stranger, ZOO_AUTH_FAILED_STATE);
    exists(stranger, "/");
    printf("  unrecoverable: %d %s\n", is_unrecoverable(stranger->zh),
           zerror(is_unrecoverable(stranger->zh)));
    close_session(stranger);
}

/* The members, and who may change them. */
static void configuration(const char *hosts) {
    struct session *session = open_session(hosts, TIMEOUT_MS, 0);
    struct watch watch = {session, "configuration"};
    char text[2048];
    int length = sizeof text - 1;
    struct Stat stat;
    told("zoo_wgetconfig", "",
         zoo_wgetconfig(session->zh, note_event, &watch, text, &length, &stat));
    text[length < 0 ? 0 : length] = 0;
    printf("%s\n", text);
    get_acl(session, "/zookeeper/config");
    length = sizeof text;
    told("zoo_reconfig", "",
         zoo_reconfig(session->zh, NULL, "3", NULL, -1, text, &length, &stat));
    tell_events(session);
    close_session(session);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(const char *hosts);
    } parts[] = {
        {"creating", creating},
        {"changing", changing},
        {"asynchronous", asynchronous},
        {"watching", watching},
        {"removing_watches", removing_watches},
        {"multis", multis},
        {"access_control", access_control},
        {"configuration", configuration},
        {"expiring", expiring},
        {"reconnecting", reconnecting},
        {"reading_only", reading_only},
    };
    if (count != 3) {
        give_up("client PART HOSTS");
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    zoo_set_debug_level(0);
    alarm(240);
    zoo_deterministic_conn_order(1);
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        if (!strcmp(parts[index].name, arguments[1])) {
            parts[index].run(arguments[2]);
            return 0;
        }
    }
    give_up("no part is called %s", arguments[1]);
}
