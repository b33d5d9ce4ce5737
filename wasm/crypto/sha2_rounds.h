/*
 * What SHA-256 and SHA-512 have in common (FIPS 180-4 sections 6.2.2 and 6.4.2). The file that includes this
 * defines `word`, SUM_0, SUM_1, SIGMA_0, SIGMA_1 and LOAD; the function that uses it has the variables a to h,
 * the schedule `w[16]`, and the block `data`.
 *
 * All of those are local, and the rounds are written out, so that they stay in registers, and nothing of them
 * is left in memory to be wiped.
 */
#ifndef SHA2_ROUNDS_H
#define SHA2_ROUNDS_H

#define CHOOSE(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define MAJORITY(x, y, z) (((x) & (y)) | ((z) & ((x) | (y))))

/*
 * Sums up so far before it goes on. The compiler would put the summands in an order of its own; in this one
 * those that are known late, SUM_1 for `d` and SUM_0 for the next round's SUM_0, come last. It is 15 % faster.
 */
#define SO_FAR(sum) __asm__("" : "+r"(sum))

/* A round. Instead of moving the eight variables on by one, the next round names them so. */
#define ROUND(a, b, c, d, e, f, g, h, w, k)                                                                  \
    do {                                                                                                     \
        word sum = h + (k) + (w);                                                                            \
        SO_FAR(sum);                                                                                         \
        sum += CHOOSE(e, f, g) + SUM_1(e);                                                                   \
        SO_FAR(sum);                                                                                         \
        d += sum;                                                                                            \
        h = sum + MAJORITY(a, b, c);                                                                         \
        SO_FAR(h);                                                                                           \
        h += SUM_0(a);                                                                                       \
    } while (0)

/*
 * Eight rounds bring each variable back to its place; they take words i to i + 7 of the schedule, by READ or
 * NEXT.
 */
#define ROUNDS_8(WORD, i, k0, k1, k2, k3, k4, k5, k6, k7)                                                    \
    ROUND(a, b, c, d, e, f, g, h, WORD(i + 0), k0);                                                          \
    ROUND(h, a, b, c, d, e, f, g, WORD(i + 1), k1);                                                          \
    ROUND(g, h, a, b, c, d, e, f, WORD(i + 2), k2);                                                          \
    ROUND(f, g, h, a, b, c, d, e, WORD(i + 3), k3);                                                          \
    ROUND(e, f, g, h, a, b, c, d, WORD(i + 4), k4);                                                          \
    ROUND(d, e, f, g, h, a, b, c, WORD(i + 5), k5);                                                          \
    ROUND(c, d, e, f, g, h, a, b, WORD(i + 6), k6);                                                          \
    ROUND(b, c, d, e, f, g, h, a, WORD(i + 7), k7)

/* Word i of the block. */
#define READ(i) (w[i] = LOAD(data, (i) * sizeof(word)))
/* The word that comes 16 after w[i], in its place. */
#define NEXT(i) (w[i] += SIGMA_1(w[(i + 14) & 15]) + w[(i + 9) & 15] + SIGMA_0(w[(i + 1) & 15]))

#endif
