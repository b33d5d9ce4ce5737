/*
 * The scenarios. tests/fuzz/world.ts has written which calls of the core make their configs; here they are made once more.
 */
#include "native.h"

#include <stdio.h>
#include <stdlib.h>

#define SCENARIOS_MAX 256
#define FILES_MAX 16
#define ARGS_MAX 9
#define SLOTS_MAX 8

size_t scenario_count;
static scenario scenarios[SCENARIOS_MAX];
static struct {
    char name[32];
    const unsigned char *bytes;
    size_t len;
} files[FILES_MAX];
static size_t file_count;

/* ---- The exports that make a config ------------------------------------------------------------------ */

/* Integers and pointers pass alike on the 64-bit machines that this is for. */
typedef intptr_t any_call(intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t);

void config_set_trust(void);
void config_add_signer(void);
void config_set_psk(void);
void config_ask_psk(void);
void config_set_policy(void);
void config_set_min_rsa(void);
void config_set_suites(void);
void config_set_groups(void);
void config_set_sigalgs(void);
void config_set_alpn(void);
void config_set_tickets(void);
void config_use_tickets(void);
void config_set_cache(void);
void config_use_datagrams(void);
void config_set_early_data(void);

#define CALL(name) { #name, (any_call *) name }
static const struct {
    const char *name;
    any_call *run;
} CALLS[] = {
    CALL(trust_new), CALL(trust_add), CALL(config_new), CALL(config_add_credential), CALL(config_add_crl),
    CALL(config_set_trust), CALL(config_add_signer), CALL(config_set_psk), CALL(config_ask_psk), CALL(config_set_policy),
    CALL(config_set_min_rsa), CALL(config_set_suites), CALL(config_set_groups), CALL(config_set_sigalgs),
    CALL(config_set_alpn), CALL(config_set_tickets), CALL(config_use_tickets), CALL(config_set_cache),
    CALL(config_use_datagrams), CALL(config_set_early_data),
};

/* ---- The file ----------------------------------------------------------------------------------------- */

static const unsigned char *at, *end;

static const unsigned char *take(size_t len)
{
    if ((size_t) (end - at) < len) give_up("the world is cut short");
    const unsigned char *bytes = at;
    at += len;
    return bytes;
}

static uint32_t take_number(void)
{
    uint32_t number;
    memcpy(&number, take(4), 4);
    return number;
}

static const unsigned char *take_bytes(size_t *len)
{
    *len = take_number();
    return take(*len);
}

enum { ARG_NUMBER, ARG_SLOT, ARG_BYTES, ARG_ROOM, ARG_NULL };

static void make_call(intptr_t slots[SLOTS_MAX])
{
    static unsigned char room[64];
    size_t name_len;
    const char *name = (const char *) take_bytes(&name_len);
    any_call *run = NULL;
    for (size_t i = 0; i < sizeof(CALLS) / sizeof(*CALLS); i++) {
        if (strlen(CALLS[i].name) == name_len && memcmp(CALLS[i].name, name, name_len) == 0) run = CALLS[i].run;
    }
    if (run == NULL) give_up("the world has a call that is not known here");
    uint32_t slot = take_number(), count = take_number();
    intptr_t args[ARGS_MAX] = { 0 };
    void *blocks[ARGS_MAX] = { 0 };
    for (uint32_t i = 0; i < count && i < ARGS_MAX; i++) {
        size_t len;
        switch (take_number()) {
            case ARG_NUMBER: args[i] = (int32_t) take_number(); break;
            case ARG_SLOT: args[i] = slots[take_number() % SLOTS_MAX]; break;
            case ARG_ROOM: args[i] = (intptr_t) room; break;
            case ARG_NULL: break;
            case ARG_BYTES: {
                const unsigned char *bytes = take_bytes(&len);
                blocks[i] = malloc(len + 1); /* a block of its own: a sanitizer sees what is read behind it */
                memcpy(blocks[i], bytes, len);
                args[i] = (intptr_t) blocks[i];
                break;
            }
            default: give_up("the world has an argument of no kind");
        }
    }
    intptr_t result = run(args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8]);
    if (slot != UINT32_MAX) slots[slot % SLOTS_MAX] = result;
    else if ((int) result < 0) give_up(CALLS[0].name);
    for (size_t i = 0; i < ARGS_MAX; i++) free(blocks[i]);
}

static void load_scenario(scenario *one)
{
    size_t len;
    one->datagrams = (int) take_number();
    one->early = take_number();
    one->impostors = (int) take_number();
    one->host = take_bytes(&len);
    one->session = take_bytes(&one->session_len);
    intptr_t slots[SLOTS_MAX] = { 0 };
    for (uint32_t calls = take_number(); calls > 0; calls--) make_call(slots);
    one->configs[0] = (config *) slots[take_number() % SLOTS_MAX];
    one->configs[1] = (config *) slots[take_number() % SLOTS_MAX];
}

void load_world(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) give_up("the world cannot be opened");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    unsigned char *bytes = malloc((size_t) size);
    if (fread(bytes, 1, (size_t) size, file) != (size_t) size) give_up("the world cannot be read");
    fclose(file);
    at = bytes;
    end = bytes + size;
    file_count = take_number();
    for (size_t i = 0; i < file_count && i < FILES_MAX; i++) {
        size_t len;
        const unsigned char *name = take_bytes(&len);
        memcpy(files[i].name, name, len < sizeof(files[i].name) - 1 ? len : sizeof(files[i].name) - 1);
        files[i].bytes = take_bytes(&files[i].len);
    }
    scenario_count = take_number();
    for (size_t i = 0; i < scenario_count && i < SCENARIOS_MAX; i++) load_scenario(&scenarios[i]);
}

const scenario *get_scenario(size_t index)
{
    return &scenarios[index % scenario_count];
}

const unsigned char *get_file(const char *name, size_t *len)
{
    for (size_t i = 0; i < file_count; i++) {
        if (strcmp(files[i].name, name) != 0) continue;
        *len = files[i].len;
        return files[i].bytes;
    }
    give_up("the world has no such file");
}
