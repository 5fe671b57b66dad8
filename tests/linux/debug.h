/* A debugger and what it debugs: the guest's own use of its processor's debug registers. */
#ifndef AXEBPF_LINUX_DEBUG_H
#define AXEBPF_LINUX_DEBUG_H

/*
 * Steps a process through a loop, stops it at a breakpoint instruction, at a hardware breakpoint and at a watchpoint. Prints a
 * line for each, the same in each run. Returns how many went wrong.
 */
int run_debugger(void);

#endif
