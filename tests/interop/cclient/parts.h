/* What the parts of the client share: calls that tell what they answered. */
#ifndef PARTS_H
#define PARTS_H

#include "session.h"

#define TIMEOUT_MS 10000
#define OPEN (&ZOO_OPEN_ACL_UNSAFE)

/* With no data at all where `data` is NULL. */
void create(struct session *session, const char *path, const char *data,
            const struct ACL_vector *acl, int mode);
/* With a time to live in milliseconds, if it is not 0. */
void create2(struct session *session, const char *path, int mode, int64_t ttl);
void get(struct session *session, const char *path);
void exists(struct session *session, const char *path);
void set(struct session *session, const char *path, const char *data, int version);
void children(struct session *session, const char *path);
void delete(struct session *session, const char *path, int version);
void get_acl(struct session *session, const char *path);
void set_acl(struct session *session, const char *path, int version, const struct ACL_vector *acl);

/* Parts with other threads, processes and members that end: trouble.c. */
void asynchronous(const char *hosts);
void expiring(const char *hosts);
void reconnecting(const char *hosts);
void reading_only(const char *hosts);

#endif
