/* Breakpoints of the processor in the kernel's own text, which the kernel's performance events make. */
#ifndef AXEBPF_LINUX_BREAKPOINT_H
#define AXEBPF_LINUX_BREAKPOINT_H

/*
 * Sets a breakpoint on each CPU at the address that `digits` name, in base 16, which should be where the kernel begins with the
 * system call `kill`. Calls that, and prints whether each call hit one. Then it stops itself by another call, with the
 * breakpoints in place, until somebody lets it continue. Returns 0 if all calls were counted.
 */
int run_breakpoint(const char *digits);

#endif
