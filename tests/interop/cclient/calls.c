#include "parts.h"

#include <stdio.h>
#include <string.h>

void create(struct session *session, const char *path, const char *data,
                   const struct ACL_vector *acl, int mode) {
    char made[128] = "";
    int length = data ? (int)strlen(data) : -1;
    told("zoo_create", path,
         zoo_create(session->zh, path, data, length, acl, mode, made, sizeof made));
    printf("  made \"%s\"\n", made);
}

void create2(struct session *session, const char *path, int mode, int64_t ttl) {
    char made[128] = "";
    struct Stat stat = {0};
    int code = ttl ? zoo_create2_ttl(session->zh, path, "x", 1, OPEN, mode, ttl, made, sizeof made,
                                     &stat)
                   : zoo_create2(session->zh, path, "x", 1, OPEN, mode, made, sizeof made, &stat);
    told(ttl ? "zoo_create2_ttl" : "zoo_create2", path, code);
    printf("  made \"%s\"\n", made);
    if (code == ZOK) {
        tell_stat(session, &stat);
    }
}

void get(struct session *session, const char *path) {
    char data[256];
    int length = sizeof data;
    struct Stat stat;
    int code = zoo_get(session->zh, path, 0, data, &length, &stat);
    told("zoo_get", path, code);
    if (code == ZOK) {
        tell_data(data, length);
        tell_stat(session, &stat);
    }
}

void exists(struct session *session, const char *path) {
    struct Stat stat;
    int code = zoo_exists(session->zh, path, 0, &stat);
    told("zoo_exists", path, code);
    if (code == ZOK) {
        tell_stat(session, &stat);
    }
}

void set(struct session *session, const char *path, const char *data, int version) {
    struct Stat stat;
    int length = data ? (int)strlen(data) : -1;
    int code = zoo_set2(session->zh, path, data, length, version, &stat);
    told("zoo_set2", path, code);
    if (code == ZOK) {
        tell_stat(session, &stat);
    }
}

void children(struct session *session, const char *path) {
    struct String_vector names = {0};
    struct Stat stat;
    int code = zoo_get_children2(session->zh, path, 0, &names, &stat);
    told("zoo_get_children2", path, code);
    if (code == ZOK) {
        tell_names(&names);
        tell_stat(session, &stat);
    }
}

void delete(struct session *session, const char *path, int version) {
    told("zoo_delete", path, zoo_delete(session->zh, path, version));
}

void get_acl(struct session *session, const char *path) {
    struct ACL_vector acl = {0};
    struct Stat stat;
    int code = zoo_get_acl(session->zh, path, &acl, &stat);
    told("zoo_get_acl", path, code);
    if (code == ZOK) {
        tell_acl(&acl);
        tell_stat(session, &stat);
    }
}

void set_acl(struct session *session, const char *path, int version,
                    const struct ACL_vector *acl) {
    told("zoo_set_acl", path, zoo_set_acl(session->zh, path, version, acl));
}
