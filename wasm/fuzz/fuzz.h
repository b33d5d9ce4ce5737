/*
 * A hostile peer that holds keys: what the fuzzer's cores have besides (wasm/cores.ts), and its native build (tests/fuzz/native).
 *
 * An input is a script: a scenario, a seed, and edits of what the two ends of a connection send. This reads scripts and applies
 * edits, to records on their way and to handshake messages before they are protected, so both builds do the same.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#define FUZZ_EDITS_MAX 16
#define FUZZ_HEADER 2 /* bytes of a script before its edits: scenario, seed */
#define FUZZ_EDIT 8   /* bytes of an edit before its payload */

enum { FUZZ_WIRE, FUZZ_MESSAGE }; /* what an edit changes: a record, or a handshake message */

enum fuzz_op {
    /* Bytes of any kind. */
    OP_XOR,     /* byte a, by b */
    OP_SET16,   /* bytes a and a + 1 become b */
    OP_INSERT,  /* the payload at a */
    OP_DELETE,  /* b bytes at a */
    OP_REPLACE, /* all by the payload */
    OP_FILL,    /* b bytes of the payload's first at a are inserted */
    /* The list of extensions of a hello: number a. */
    OP_EXT_REMOVE,
    OP_EXT_DOUBLE,
    OP_EXT_SWAP, /* with number b */
    OP_EXT_TYPE, /* becomes b */
    OP_EXT_DATA, /* becomes the payload */
    OP_EXT_GROW, /* by b bytes */
    OP_EXT_ADD,  /* of type a, with the payload */
    /* DER: element number a, in the order of the bytes. */
    OP_DER_TAG, /* becomes b */
    OP_DER_LENGTH, /* becomes b; those around it stay as they are */
    OP_DER_REMOVE,
    OP_DER_DOUBLE,
    OP_DER_VALUE, /* becomes the payload */
    OP_DER_GROW, /* by b bytes */
    OP_BYTES_END, /* those above are fuzz_edit()'s */
    /* Records and messages as a whole. */
    OP_DROP = OP_BYTES_END,
    OP_TYPE, /* becomes b */
    /* Records alone. */
    OP_DOUBLE,  /* 1 to 4 times more */
    OP_HOLD,    /* comes after the next one */
    OP_SPLIT,   /* in two, after a bytes */
    OP_MERGE,   /* with the next one, if that is of the same type */
    OP_LENGTH,  /* in its header becomes b */
    OP_VERSION, /* in its header becomes b */
    OP_INJECT,  /* before it comes a record of type a with the payload */
    OP_REFLECT, /* becomes what the other end has sent last */
    OP_CUT,     /* after a bytes of it, nothing comes any more */
    OP_COUNT
};

typedef struct {
    uint8_t end; /* whose output: 0 the client's, 1 the server's */
    uint8_t layer;
    uint8_t index; /* which of its records or messages */
    uint8_t op;
    uint16_t a, b;
    uint8_t len;
    const unsigned char *payload;
} fuzz_change;

/* Applies one of the edits before OP_BYTES_END. Returns the new length, at most `size`. */
size_t fuzz_apply(const fuzz_change *change, unsigned char *bytes, size_t len, size_t size);

/* ---- Exports --------------------------------------------------------------------------------------- */

/* Reads a script, which stays where it is until the next. Returns how many edits it has; 0: none. */
int fuzz_begin(const unsigned char *script, size_t len, int datagrams);
/*
 * What arrives of a packet of whole records that `end` has sent. Returns the length; *cut is set if nothing more will arrive.
 */
size_t fuzz_carry(int end, const unsigned char *packet, size_t len, unsigned char *out, size_t size, int *cut);

#endif
