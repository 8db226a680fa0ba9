// The compiled kernel as a program for ARM, with no C library: the kernel needs none.
//
// Reads ranges of units from standard input, 64 bytes each: the arguments of the kernel up to `units` (see
// `abi.ARGUMENTS`; the constant in 64 bits). Writes the hits of each range, int64, to standard output.

        .equ    READ, 63
        .equ    WRITE, 64
        .equ    EXIT, 93
        .equ    MOST_UNITS, 4096

        .global _start, memset
        .text
_start: sub     sp, sp, 48
        ldr     x19, =range
        ldr     x20, =hits
next:   mov     x0, 0
        mov     x1, x19
        mov     x2, 64
        mov     x8, READ
        svc     0
        cmp     x0, 64
        b.ne    finish                  // 0 at the end of the input: the status of the program

        ldr     x9, [x19, 56]           // units
        ldr     x10, =space             // for the pool, and for the state
        add     x11, x10, 16
        mov     x12, 1                  // fresh
        stp     x9, x20, [sp]
        stp     x10, x11, [sp, 16]
        str     x12, [sp, 32]
        ldr     x0, =unused
        mov     x1, x0
        mov     x2, x19                 // words of the seed pool
        ldr     x3, [x19, 16]           // and its constant
        ldp     x4, x5, [x19, 24]       // trial, block
        ldp     x6, x7, [x19, 40]       // blocks, points in the last one
        bl      kernel
        cbnz    w0, finish

        mov     x0, 1
        mov     x1, x20
        ldr     x2, [x19, 56]
        lsl     x2, x2, 3
        mov     x8, WRITE
        svc     0
        b       next

finish: mov     x8, EXIT
        svc     0

memset: mov     x9, x0
1:      cbz     x2, 2f
        strb    w1, [x9], 1
        sub     x2, x2, 1
        b       1b
2:      ret

        .bss
        .balign 16
range:  .skip   64
unused: .skip   16
space:  .skip   16 + 8 * 128
hits:   .skip   8 * MOST_UNITS
