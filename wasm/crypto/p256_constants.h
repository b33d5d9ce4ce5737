/* Written by p256_table.ts. */
#ifndef P256_CONSTANTS_H
#define P256_CONSTANTS_H

/* The field's modulus, the group's order, and their inverses modulo 2^29. */
static const limbs FIELD_P __attribute__((unused)) = { {
    0x1fffffff, 0x1fffffff, 0x1fffffff, 0x000001ff, 0x00000000,
    0x00000000, 0x00040000, 0x1fe00000, 0x00ffffff
} };

static const limbs GROUP_N __attribute__((unused)) = { {
    0x1c632551, 0x1dce5617, 0x05e7a13c, 0x0df55b4e, 0x1ffffbce,
    0x1fffffff, 0x0003ffff, 0x1fe00000, 0x00ffffff
} };

#define FIELD_P_INVERSE 0x1fffffff
#define GROUP_N_INVERSE 0x11ff43b1

/* Modulo p: the generator times R; R^2; b R for the b of y^2 = x^3 - 3 x + b. */
static const limbs BASE_X __attribute__((unused)) = { {
    0x15228783, 0x0730d418, 0x0db00bcf, 0x057f11fb, 0x0a20eb75,
    0x12b77622, 0x0330fdb9, 0x1af4dd57, 0x00120bee
} };

static const limbs BASE_Y __attribute__((unused)) = { {
    0x12aac150, 0x125357ce, 0x0f22e6ef, 0x0e390e86, 0x064b1695,
    0x088dd21f, 0x02a97443, 0x02962176, 0x00ae3fe3
} };

static const limbs FIELD_R2 __attribute__((unused)) = { {
    0x00000c00, 0x00000000, 0x1fff0000, 0x1fdfffff, 0x1fbfffff,
    0x1fffffff, 0x1fffffff, 0x1ffffffe, 0x00000013
} };

static const limbs FIELD_B __attribute__((unused)) = { {
    0x1897bbfb, 0x1cdf6229, 0x018486c4, 0x01732821, 0x1dad59e0,
    0x0abf7212, 0x1a06d110, 0x17721d20, 0x008600c3
} };

/* R^2 modulo n, and p - n. */
static const limbs SCALAR_R2 __attribute__((unused)) = { {
    0x148d9ef5, 0x0f4e7f75, 0x14c6a651, 0x03f8b765, 0x165861f1,
    0x1256d7d8, 0x1c185b23, 0x0d4cab0f, 0x0084b655
} };

static const limbs P_MINUS_N __attribute__((unused)) = { {
    0x039cdaae, 0x0231a9e8, 0x1a185ec3, 0x120aa6b1, 0x00000431,
    0x00000000, 0x00000000, 0x00000000, 0x00000000
} };

#endif
