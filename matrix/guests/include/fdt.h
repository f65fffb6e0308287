/* SPDX-License-Identifier: MIT */
/*
 * A reader for the flattened device tree (Devicetree Specification v0.4, chapter 5) that firmware
 * or QEMU hands over. One tree per guest; nothing is copied, so the blob must stay where it is.
 * It serves either byte order and any alignment of the blob, and needs no memory allocation.
 */
#ifndef FDT_H
#define FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDT_MAX_DEPTH 16

/* A node, and the place of a walk over the tree. Zeroed, it stands before the root. */
struct fdt_node {
	const char *name;	   /* with its unit address: "memory@40000000"; "" for the root */
	unsigned depth;		   /* 1 for the root */
	const uint8_t *properties; /* the first token after the name */
	/* What the node at each depth says about the "reg" of its children. */
	struct {
		uint8_t address, size;
	} cells[FDT_MAX_DEPTH + 1];
};

/* Use this tree from now on. False where it is none, or of a version this reader cannot read. */
bool fdt_open(const void *blob);

/* Size of the opened blob in bytes; 0 where none is open. */
size_t fdt_size(void);

/* Step to the next node, parents before their children; false past the last one. */
bool fdt_next(struct fdt_node *node);

/* The next node whose "compatible" has, or whose "device_type" is, this string. */
bool fdt_next_compatible(struct fdt_node *node, const char *compatible);
bool fdt_next_of_type(struct fdt_node *node, const char *device_type);

/* The node at a path like "/chosen" or "/soc/pci@30000000"; unit addresses may be left out. */
bool fdt_find(struct fdt_node *node, const char *path);

/* Whether "compatible" has this string; whether "status" is absent or says okay. */
bool fdt_compatible(const struct fdt_node *node, const char *compatible);
bool fdt_enabled(const struct fdt_node *node);

/* A property's value, or NULL where the node has none of that name. length may be NULL. */
const void *fdt_property(const struct fdt_node *node, const char *name, size_t *length);

/* The same as text, or "" where there is none. */
const char *fdt_text(const struct fdt_node *node, const char *name);

/* The index-th 32-bit cell of a property; false where it is too short or absent. */
bool fdt_cell(const struct fdt_node *node, const char *name, unsigned index, uint32_t *value);

/* The index-th address and size of "reg", read as the parent says; false past the last one. */
bool fdt_reg(const struct fdt_node *node, unsigned index, uint64_t *address, uint64_t *size);

/* A number of `count` big-endian cells (at most 2 of them matter) that starts at `cells`. */
uint64_t fdt_number(const void *cells, unsigned count);

/* The index-th entry of the memory reservation block; false past the last one. */
bool fdt_reserved(unsigned index, uint64_t *address, uint64_t *size);

#endif
