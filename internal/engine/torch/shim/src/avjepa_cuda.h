/* The C ABI of what only a GPU has: a part of avjepa.h, with the same conventions.
 * A shim without CUDA, or an engine on a CPU, has no paths, no memory to report and
 * refuses to record.
 */
#ifndef AVJEPA_CUDA_H
#define AVJEPA_CUDA_H

#include "avjepa.h"

#if defined(__cplusplus)
extern "C" {
#endif

/* Writes one line for each fast path, "name: used" or "name: not used: why", with a
 * 0 behind the last. */
struct avj_paths_args {
    char *text;
    int64_t text_size;
};
char *avj_paths(avj_engine *, const struct avj_paths_args *, int64_t size);

/* Chooses the kernels of attention: "auto" (measured at first use), "flash", "cudnn",
 * "efficient" or "composed". */
struct avj_force_args {
    const char *attention;
};
char *avj_force(avj_engine *, const struct avj_force_args *, int64_t size);

/* Bytes of the device, and of libtorch's largest use since the engine was opened. */
struct avj_device_memory_args {
    int64_t *free, *total, *peak;
};
char *avj_device_memory(avj_engine *, const struct avj_device_memory_args *, int64_t size);

/* Between begin and end operations are recorded, not run. Numbers that change from
 * step to step become words, in the order of the operations: the key of a dropout
 * mask, and AdamW's two. Replay runs what was recorded with other words. */
typedef struct avj_recording avj_recording;
struct avj_record_args {
    avj_recording **recording; /* end: set; replay: read */
    int64_t *recorded;         /* end: set to the number of words */
    const uint64_t *words;     /* replay */
    int64_t count;             /* replay: of words, as many as were recorded */
};
char *avj_record_begin(avj_engine *, const struct avj_record_args *, int64_t size);
char *avj_record_end(avj_engine *, const struct avj_record_args *, int64_t size);
char *avj_record_replay(avj_engine *, const struct avj_record_args *, int64_t size);
char *avj_record_free(avj_engine *, avj_recording *);

#if defined(__cplusplus)
}
#endif
#endif
