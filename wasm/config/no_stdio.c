/*
 * Keeps WASI out of the core.
 *
 * wasi-libc's printf without floating point (a third of the size) answers a %f by fputs(message, stderr) and
 * abort(). mbedTLS prints no floats, and nothing else in the core reaches for a file: with these two stand-ins
 * the linker takes no stdio in, and the module imports nothing but what the glue asks for.
 */
#include <stdio.h>

char __stderr_FILE[1];

int fputs(const char *restrict text, FILE *restrict file)
{
    (void) text;
    (void) file;
    __builtin_trap();
}
