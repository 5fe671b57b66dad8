/* What the guest does to show that it works, and that probing it changes nothing. */
#ifndef AXEBPF_LINUX_WORKLOAD_H
#define AXEBPF_LINUX_WORKLOAD_H

/*
 * Runs the whole workload once and prints one line for each part: its name, how much it did, and a checksum. The lines are the
 * same in each run. Returns how many parts went wrong.
 */
int run_workload(void);

/* What `/init child N` does: returns the exit code that the workload expects of it. */
int run_child(unsigned long number);

void print(const char *text);
void print_number(unsigned long value);
void print_hex(unsigned long value);

#endif
