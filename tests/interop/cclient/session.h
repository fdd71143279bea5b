/* Sessions of libzookeeper-mt, and the transcript of what they are told.
 *
 * A transcript has nothing in it that two runs cannot have in common: no zxids, ids, times, ports,
 * and children in alphabetical order. Lines that begin with '!' are not part of it: they ask
 * whoever started this program to do something to a member, and an answer follows on the standard
 * input.
 */
#ifndef SESSION_H
#define SESSION_H

#include <pthread.h>
#include <zookeeper.h>

/* A session with its own events. */
struct session {
    zhandle_t *zh;
    /* What it last became, by its session events. */
    int state;
    /* How often it became connected for writing, and for reading only. */
    int connections;
    int readonly_connections;
    /* What was watched for and has not been told yet. */
    char events[64][160];
    int event_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* A watch has one of these as its context, so that its events name it. */
struct watch {
    struct session *session;
    const char *name;
};

/* Ends the program, with a reason on the standard error. */
void give_up(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Opens a session, and waits until it is connected. */
struct session *open_session(const char *hosts, int timeout_ms, int flags);

/* The same without waiting. */
struct session *begin_session(const char *hosts, int timeout_ms, int flags);

/* Ends a session and frees it. */
void close_session(struct session *session);

/* With the session's lock held, waits until something happens to it, though not for ever. */
void await(struct session *session, const char *what);

/* Waits until a counter of the session has passed a value, or its state is the one given. */
void await_more(struct session *session, const int *counter, int past);
void await_state(struct session *session, int state);

/* Counts an event of a watch whose context is a `struct watch`. */
void note_event(zhandle_t *zh, int type, int state, const char *path, void *context);

/* Tells what a call answered. */
void told(const char *call, const char *path, int code);

/* Tells a Stat, with an owner in words. */
void tell_stat(const struct session *session, const struct Stat *stat);

/* Tells data; a negative length is none at all. */
void tell_data(const char *data, int length);

/* Tells names in alphabetical order and frees them. */
void tell_names(struct String_vector *names);

/* Tells an ACL and frees it. */
void tell_acl(struct ACL_vector *acl);

/* Asks the service for everything that was committed before, so that all events of it have
 * come, and tells them. Goes on where a connection was lost in between. */
void tell_events(struct session *session);

/* Has something done to members, and waits until it is. */
void order(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
