/* The kernel's text, as its own memory file shows it. */
#ifndef AXEBPF_LINUX_TEXT_H
#define AXEBPF_LINUX_TEXT_H

/* Reads the page at the address that `digits` name, in base 16, and prints a checksum and the first words. Returns 0 if it could. */
int show_text(const char *digits);

/* Reads a number in base 16. */
unsigned long hexadecimal(const char *text);

#endif
