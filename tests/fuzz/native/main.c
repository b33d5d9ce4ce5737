/*
 * Entry of libFuzzer: FUZZ_TARGET names the target, FUZZ_WORLD the file of the scenarios.
 */
#include "native.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);

typedef void target(const unsigned char *bytes, size_t len);

static const struct {
    const char *name;
    target *run;
    int keeps; /* some of it stays: keys keep what blinds them, a server its sessions, mbedTLS what it makes once for all */
} TARGETS[] = {
    { "handshake", run_handshake, 1 }, { "records", run_records, 1 }, { "certificate", run_certificate, 0 },
    { "key", run_key, 0 }, { "crl", run_crl, 0 }, { "session", run_session, 1 }, { "ticket", run_ticket, 1 },
};

#define GROWTH_MAX (1 << 20) /* bytes that may stay; LeakSanitizer sees what nothing points to */

static target *run;
static int keeps;
static size_t start; /* what is allocated after the first input */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;
    const char *name = getenv("FUZZ_TARGET"), *world = getenv("FUZZ_WORLD");
    for (size_t i = 0; name != NULL && i < sizeof(TARGETS) / sizeof(*TARGETS); i++) {
        if (strcmp(TARGETS[i].name, name) != 0) continue;
        run = TARGETS[i].run;
        keeps = TARGETS[i].keeps;
    }
    if (run == NULL || world == NULL) give_up("FUZZ_TARGET and FUZZ_WORLD must be set");
    rewind_host(0);
    if (core_init() != 0) give_up("the core does not start");
    for (int end = 0; end < 2; end++) {
        wires[end].in = malloc(OUT_MAX);
        wires[end].out = malloc(OUT_MAX);
    }
    load_world(world);
    return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
    run(bytes, len);
    if (start == 0) start = core_allocated();
    if (core_allocated() > start + (keeps ? GROWTH_MAX : 0)) give_up("the heap has grown");
    return 0;
}
