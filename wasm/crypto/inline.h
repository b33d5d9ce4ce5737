/*
 * What every kernel says to the compiler: these functions are pieces of their callers, and these loops are
 * written out, so that what they work on stays in registers; and those are not, where code would only grow.
 */
#ifndef INLINE_H
#define INLINE_H

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define KEEP_LOOP _Pragma("clang loop unroll(disable)")

/*
 * Makes the compiler forget what it knows of a value: of a mask, that it is all zeros or all ones. It would choose by it,
 * and what an engine makes of a choice may be a branch.
 */
#define OPAQUE(value) __asm__("" : "+r"(value))

#endif
