/* SPDX-License-Identifier: MIT */
/* See vmm.h. */
#include "vmm.h"

#define MAGIC	   0xd00dfeedu
#define BEGIN_NODE 1u
#define END_NODE   2u
#define PROPERTY   3u
#define END	   9u
#define HEADER	   40
#define RESERVED   16 /* the one entry that ends the list */

static void put_cell(void *at, uint32_t cell)
{
	uint8_t *bytes = at;

	for (unsigned i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(cell >> (24 - 8 * i));
}

static void add(struct tree *tree, const void *data, size_t size)
{
	if (tree->used + size + 4 > sizeof(tree->structure))
		give_up(EXIT_REFUSED, "the device tree is too large", 0);
	memcpy(tree->structure + tree->used, data, size);
	tree->used += size;
	while (tree->used % 4)
		tree->structure[tree->used++] = 0;
}

static void add_cell(struct tree *tree, uint32_t cell)
{
	uint8_t bytes[4];

	put_cell(bytes, cell);
	add(tree, bytes, 4);
}

void tree_open(struct tree *tree, const char *name)
{
	add_cell(tree, BEGIN_NODE);
	add(tree, name, strlen(name) + 1);
}

void tree_open_at(struct tree *tree, const char *name, uint64_t address)
{
	struct line line = { .length = 0 };
	struct line hex = { .length = 0 };

	line_hex(&hex, address);
	hex.text[hex.length] = '\0';
	line_text(&line, name);
	line_text(&line, "@");
	line_text(&line, hex.text + 2);
	line.text[line.length] = '\0';
	tree_open(tree, line.text);
}

void tree_close(struct tree *tree)
{
	add_cell(tree, END_NODE);
}

static uint32_t name_offset(struct tree *tree, const char *name)
{
	size_t at = 0, size = strlen(name) + 1;

	for (; at < tree->names_used; at += strlen(tree->names + at) + 1)
		if (!strcmp(tree->names + at, name))
			return (uint32_t)at;
	if (at + size > sizeof(tree->names))
		give_up(EXIT_REFUSED, "the device tree has too many names", 0);
	memcpy(tree->names + at, name, size);
	tree->names_used += size;
	return (uint32_t)at;
}

void tree_bytes(struct tree *tree, const char *name, const void *data, size_t size)
{
	add_cell(tree, PROPERTY);
	add_cell(tree, (uint32_t)size);
	add_cell(tree, name_offset(tree, name));
	add(tree, data, size);
}

void tree_text(struct tree *tree, const char *name, const char *text)
{
	tree_bytes(tree, name, text, strlen(text) + 1);
}

void tree_cells(struct tree *tree, const char *name, unsigned count, const uint32_t *cells)
{
	uint8_t bytes[4 * 24];

	for (unsigned i = 0; i < count; i++)
		put_cell(bytes + 4 * i, cells[i]);
	tree_bytes(tree, name, bytes, 4 * count);
}

void tree_cell(struct tree *tree, const char *name, uint32_t cell)
{
	tree_cells(tree, name, 1, &cell);
}

void tree_reg(struct tree *tree, uint64_t address, uint64_t size)
{
	const uint32_t cells[4] = { (uint32_t)(address >> 32), (uint32_t)address,
				    (uint32_t)(size >> 32), (uint32_t)size };

	tree_cells(tree, "reg", 4, cells);
}

size_t tree_finish(struct tree *tree, void *to, size_t room)
{
	uint8_t *out = to;
	size_t names, total;

	add_cell(tree, END);
	names = HEADER + RESERVED + tree->used;
	total = names + tree->names_used;
	if (total > room)
		give_up(EXIT_REFUSED, "there is no room for the device tree", 0);
	const uint32_t header[10] = {
		MAGIC,
		(uint32_t)total,
		HEADER + RESERVED,
		(uint32_t)names,
		HEADER,
		17, /* version, and the oldest that it is compatible with */
		16,
		0, /* the boot CPU */
		(uint32_t)tree->names_used,
		(uint32_t)tree->used,
	};
	memset(out, 0, HEADER + RESERVED);
	for (unsigned i = 0; i < 10; i++)
		put_cell(out + 4 * i, header[i]);
	memcpy(out + HEADER + RESERVED, tree->structure, tree->used);
	memcpy(out + names, tree->names, tree->names_used);
	return total;
}
