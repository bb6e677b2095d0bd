/* The C ABI of processes that train together: a part of avjepa.h, with the same
 * conventions. Every function may be called from any thread; a store and a group
 * by one thread at a time.
 */
#ifndef AVJEPA_GROUP_H
#define AVJEPA_GROUP_H

#include "avjepa.h"

#if defined(__cplusplus)
extern "C" {
#endif

typedef struct avj_store avj_store;
typedef struct avj_group avj_group;
typedef struct avj_work avj_work;

/* What the shim was built with: a sum of these. */
enum { AVJ_GROUP_GLOO = 1, AVJ_GROUP_NCCL = 2 };
int64_t avj_group_kinds(void);

/* A map from names to bytes that all processes see; the one that serves it holds
 * it. Opening waits for the server, getting for the value, both up to timeout_ms. */
struct avj_store_open_args {
    const char *host, *prefix; /* prefix is put before all names */
    int64_t port, serve, timeout_ms;
    avj_store **store;
};
char *avj_store_open(void *unused, const struct avj_store_open_args *, int64_t size);

struct avj_store_value_args {
    const char *name;
    const void *value; /* to set */
    int64_t bytes;
    char **found; /* what was got, for avj_free */
    int64_t *found_bytes;
};
char *avj_store_set(avj_store *, const struct avj_store_value_args *, int64_t size);
char *avj_store_get(avj_store *, const struct avj_store_value_args *, int64_t size);
char *avj_store_close(avj_store *);

/* A group over gloo, and over NCCL for the memory of a CUDA engine when the shim was
 * built with it. It keeps the store's connection: the store may be closed before. */
struct avj_group_open_args {
    avj_store *store;
    const char *address; /* of this machine, for the others to connect to */
    const char *interface; /* its name instead, if not empty */
    int64_t rank, ranks, timeout_ms;
    avj_group **group;
};
char *avj_group_open(void *unused, const struct avj_group_open_args *, int64_t size);
char *avj_group_close(avj_group *);

/* Operands are a tensor of engine, or elems floats of host memory when engine is
 * NULL. */
struct avj_group_sum_args {
    avj_engine *engine;
    avj_tensor tensor;
    float *host;
    int64_t elems;
    avj_work **work; /* of avj_group_sum, for avj_group_wait, which frees it */
};
/* Begins to replace the operand by its sum over the processes. */
char *avj_group_sum(avj_group *, const struct avj_group_sum_args *, int64_t size);
/* Waits for a sum; for one of NCCL the engine's later operations do. */
char *avj_group_wait(avj_engine *, avj_work *);
/* Replaces the operand by process 0's, and waits for it likewise. */
char *avj_group_broadcast(avj_group *, const struct avj_group_sum_args *, int64_t size);

/* Sets all (ranks, bytes) to every process's mine (bytes), by rank, and waits. The
 * engine's device carries them where there is no gloo; it may be NULL else. */
struct avj_group_gather_args {
    avj_engine *engine;
    const void *mine;
    void *all;
    int64_t bytes;
};
char *avj_group_gather(avj_group *, const struct avj_group_gather_args *, int64_t size);

#if defined(__cplusplus)
}
#endif
#endif
