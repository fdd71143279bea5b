#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* No wait for one thing takes longer. */
#define PATIENCE_SECONDS 60

void give_up(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void await(struct session *session, const char *what) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_SECONDS;
    if (pthread_cond_timedwait(&session->changed, &session->lock, &deadline) == ETIMEDOUT) {
        give_up("waited for %s for %d seconds, state %d", what, PATIENCE_SECONDS, session->state);
    }
}

static void note_state(zhandle_t *zh, int type, int state, const char *path, void *context) {
    struct session *session = context;
    if (type != ZOO_SESSION_EVENT) {
        return;
    }
    pthread_mutex_lock(&session->lock);
    session->state = state;
    session->connections += state == ZOO_CONNECTED_STATE;
    session->readonly_connections += state == ZOO_READONLY_STATE;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}

struct session *begin_session(const char *hosts, int timeout_ms, int flags) {
    struct session *session = calloc(1, sizeof *session);
    if (!session) {
        give_up("no memory");
    }
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->changed, NULL);
    session->zh = zookeeper_init(hosts, note_state, timeout_ms, NULL, session, flags);
    if (!session->zh) {
        give_up("zookeeper_init: %s", strerror(errno));
    }
    return session;
}

struct session *open_session(const char *hosts, int timeout_ms, int flags) {
    struct session *session = begin_session(hosts, timeout_ms, flags);
    await_more(session, &session->connections, 0);
    return session;
}

void close_session(struct session *session) {
    told("zookeeper_close", "", zookeeper_close(session->zh));
    free(session);
}

void await_more(struct session *session, const int *counter, int past) {
    pthread_mutex_lock(&session->lock);
    while (*counter <= past) {
        await(session, "something to happen");
    }
    pthread_mutex_unlock(&session->lock);
}

void await_state(struct session *session, int state) {
    pthread_mutex_lock(&session->lock);
    while (session->state != state) {
        await(session, "a state");
    }
    pthread_mutex_unlock(&session->lock);
}

static const char *event_name(int type) {
    if (type == ZOO_CREATED_EVENT) {
        return "created";
    }
    if (type == ZOO_DELETED_EVENT) {
        return "deleted";
    }
    if (type == ZOO_CHANGED_EVENT) {
        return "changed";
    }
    if (type == ZOO_CHILD_EVENT) {
        return "children";
    }
    return type == ZOO_NOTWATCHING_EVENT ? "not watching" : "unknown";
}

void note_event(zhandle_t *zh, int type, int state, const char *path, void *context) {
    struct watch *watch = context;
    struct session *session = watch->session;
    if (type == ZOO_SESSION_EVENT) {
        return;
    }
    pthread_mutex_lock(&session->lock);
    if (session->event_count == (int)(sizeof session->events / sizeof session->events[0])) {
        give_up("too many events");
    }
    snprintf(session->events[session->event_count], sizeof session->events[0], "%s: %s %s",
             watch->name, event_name(type), path);
    session->event_count++;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
}

void told(const char *call, const char *path, int code) {
    printf("%s %s: %d %s\n", call, path, code, zerror(code));
}

void tell_stat(const struct session *session, const struct Stat *stat) {
    uint64_t owner = (uint64_t)stat->ephemeralOwner;
    char name[40] = "nobody";
    if (owner == (uint64_t)zoo_client_id(session->zh)->client_id) {
        strcpy(name, "this session");
    } else if (owner == 1ULL << 63) {
        strcpy(name, "container");
    } else if (owner >> 56 == 0xff) {
        snprintf(name, sizeof name, "ttl %llu", (unsigned long long)(owner & 0xffffffffffULL));
    } else if (owner) {
        strcpy(name, "another session");
    }
    printf("  version %d children's %d acl's %d, %d bytes, %d children, owner %s, data %s, "
           "children %s\n",
           stat->version, stat->cversion, stat->aversion, stat->dataLength, stat->numChildren,
           name, stat->mzxid == stat->czxid ? "as created" : "changed later",
           stat->pzxid == stat->czxid ? "as created" : "changed later");
}

void tell_data(const char *data, int length) {
    if (length < 0) {
        printf("  no data\n");
    } else {
        printf("  data \"%.*s\"\n", length, data);
    }
}

static int in_order(const void *one, const void *other) {
    return strcmp(*(char *const *)one, *(char *const *)other);
}

void tell_names(struct String_vector *names) {
    qsort(names->data, (size_t)names->count, sizeof *names->data, in_order);
    printf("  names");
    for (int index = 0; index < names->count; index++) {
        printf(" %s", names->data[index]);
    }
    printf("\n");
    deallocate_String_vector(names);
}

void tell_acl(struct ACL_vector *acl) {
    for (int index = 0; index < acl->count; index++) {
        const struct ACL *entry = &acl->data[index];
        printf("  acl %d %s %s\n", entry->perms, entry->id.scheme, entry->id.id);
    }
    deallocate_ACL_vector(acl);
}

struct barrier {
    struct session *session;
    int done;
    int code;
};

static void pass(int code, const char *path, const void *data) {
    struct barrier *barrier = (struct barrier *)data;
    pthread_mutex_lock(&barrier->session->lock);
    barrier->done = 1;
    barrier->code = code;
    pthread_cond_broadcast(&barrier->session->changed);
    pthread_mutex_unlock(&barrier->session->lock);
}

/* Events are delivered before completions that came after them. */
static int reach_barrier(struct session *session) {
    struct barrier barrier = {.session = session};
    int code = zoo_async(session->zh, "/", pass, &barrier);
    if (code != ZOK) {
        return code;
    }
    pthread_mutex_lock(&session->lock);
    while (!barrier.done) {
        await(session, "a sync");
    }
    pthread_mutex_unlock(&session->lock);
    return barrier.code;
}

void tell_events(struct session *session) {
    int code;
    while ((code = reach_barrier(session)) == ZCONNECTIONLOSS) {
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
    if (code != ZOK) {
        told("zoo_async", "/", code);
    }
    pthread_mutex_lock(&session->lock);
    printf("  %d events\n", session->event_count);
    for (int index = 0; index < session->event_count; index++) {
        printf("  event %s\n", session->events[index]);
    }
    session->event_count = 0;
    pthread_mutex_unlock(&session->lock);
}

void order(const char *format, ...) {
    char answer[16];
    va_list arguments;
    putchar('!');
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) {
        give_up("nobody answers");
    }
}
