/* SPDX-License-Identifier: MIT */
/* Reader for flattened device trees: token and header numbers are those of the specification. */
#include <fdt.h>
#include <guest.h>

#define MAGIC			0xd00dfeedu
#define LAST_COMPATIBLE_VERSION 17u

/* Offsets in the header. */
enum {
	TOTAL_SIZE = 4,
	STRUCTURE_OFFSET = 8,
	STRINGS_OFFSET = 12,
	RESERVATIONS_OFFSET = 16,
	COMPATIBLE_VERSION = 24,
};

enum token { BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOTHING = 4 };

static const uint8_t *tree; /* NULL: none opened */

static uint32_t word(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Past a string or property value and its padding: tokens are aligned within the structure block,
 * which is itself aligned to 4 within the blob. */
static const uint8_t *aligned(const uint8_t *at)
{
	return at + (-(size_t)(at - tree) & 3);
}

static const uint8_t *after_property(const uint8_t *token)
{
	return aligned(token + 12 + word(token + 4));
}

static const char *property_name(const uint8_t *token)
{
	return (const char *)tree + word(tree + STRINGS_OFFSET) + word(token + 8);
}

bool fdt_open(const void *blob)
{
	const uint8_t *header = blob;

	if (blob == NULL || word(header) != MAGIC ||
	    word(header + COMPATIBLE_VERSION) > LAST_COMPATIBLE_VERSION)
		return false;
	tree = header;
	return true;
}

size_t fdt_size(void)
{
	return tree == NULL ? 0 : word(tree + TOTAL_SIZE);
}

/* Keep what a property says about the children's "reg". */
static void note_cells(struct fdt_node *node, const uint8_t *token)
{
	if (!strcmp(property_name(token), "#address-cells"))
		node->cells[node->depth].address = (uint8_t)word(token + 12);
	else if (!strcmp(property_name(token), "#size-cells"))
		node->cells[node->depth].size = (uint8_t)word(token + 12);
}

static const uint8_t *enter(struct fdt_node *node, const uint8_t *token)
{
	node->name = (const char *)token + 4;
	node->depth++;
	node->properties = aligned(token + 4 + strlen(node->name) + 1);
	/* The specification's defaults. */
	node->cells[node->depth].address = 2;
	node->cells[node->depth].size = 1;
	return node->properties;
}

bool fdt_next(struct fdt_node *node)
{
	const uint8_t *token;

	if (tree == NULL)
		return false;
	token = node->depth == 0 ? tree + word(tree + STRUCTURE_OFFSET) : node->properties;
	for (;;) {
		switch (word(token)) {
		case BEGIN_NODE:
			if (node->depth == FDT_MAX_DEPTH)
				return false;
			enter(node, token);
			return true;
		case END_NODE:
			if (--node->depth == 0)
				return false;
			token += 4;
			break;
		case PROPERTY:
			note_cells(node, token);
			token = after_property(token);
			break;
		case NOTHING:
			token += 4;
			break;
		default:
			return false;
		}
	}
}

const void *fdt_property(const struct fdt_node *node, const char *name, size_t *length)
{
	const uint8_t *token = node->properties;

	for (;;) {
		if (word(token) == NOTHING) {
			token += 4;
			continue;
		}
		if (word(token) != PROPERTY)
			return NULL;
		if (!strcmp(property_name(token), name)) {
			if (length != NULL)
				*length = word(token + 4);
			return token + 12;
		}
		token = after_property(token);
	}
}

const char *fdt_text(const struct fdt_node *node, const char *name)
{
	const char *text = fdt_property(node, name, NULL);

	return text == NULL ? "" : text;
}

uint64_t fdt_number(const void *cells, unsigned count)
{
	const uint8_t *at = cells;
	uint64_t number = 0;

	for (unsigned i = 0; i < count; i++)
		number = number << 32 | word(at + 4 * i);
	return number;
}

bool fdt_cell(const struct fdt_node *node, const char *name, unsigned index, uint32_t *value)
{
	size_t length;
	const uint8_t *cells = fdt_property(node, name, &length);

	if (cells == NULL || length < 4 * ((size_t)index + 1))
		return false;
	*value = word(cells + 4 * index);
	return true;
}

bool fdt_reg(const struct fdt_node *node, unsigned index, uint64_t *address, uint64_t *size)
{
	unsigned address_cells = node->cells[node->depth - 1].address;
	unsigned size_cells = node->cells[node->depth - 1].size;
	size_t entry = 4 * (size_t)(address_cells + size_cells);
	size_t length;
	const uint8_t *cells = fdt_property(node, "reg", &length);

	if (cells == NULL || length < entry * (index + 1))
		return false;
	cells += entry * index;
	*address = fdt_number(cells, address_cells);
	*size = fdt_number(cells + 4 * address_cells, size_cells);
	return true;
}

bool fdt_compatible(const struct fdt_node *node, const char *compatible)
{
	size_t length;
	const char *list = fdt_property(node, "compatible", &length);

	for (size_t at = 0; list != NULL && at < length; at += strlen(list + at) + 1)
		if (!strcmp(list + at, compatible))
			return true;
	return false;
}

bool fdt_enabled(const struct fdt_node *node)
{
	const char *status = fdt_text(node, "status");

	return *status == '\0' || !strcmp(status, "okay") || !strcmp(status, "ok");
}

bool fdt_next_compatible(struct fdt_node *node, const char *compatible)
{
	while (fdt_next(node))
		if (fdt_compatible(node, compatible))
			return true;
	return false;
}

bool fdt_next_of_type(struct fdt_node *node, const char *device_type)
{
	while (fdt_next(node))
		if (!strcmp(fdt_text(node, "device_type"), device_type))
			return true;
	return false;
}

/* Whether a node's name is this part of a path, which need not give the unit address. */
static bool named(const char *name, const char *part, size_t length)
{
	return !strncmp(name, part, length) && (name[length] == '\0' || name[length] == '@');
}

bool fdt_find(struct fdt_node *node, const char *path)
{
	unsigned found = 1; /* depth of the deepest node that matched so far */

	*node = (struct fdt_node){ 0 };
	if (!fdt_next(node))
		return false;
	while (*path == '/')
		path++;
	while (*path != '\0') {
		size_t length = 0;

		while (path[length] != '\0' && path[length] != '/')
			length++;
		do {
			if (!fdt_next(node) || node->depth <= found)
				return false;
		} while (node->depth != found + 1 || !named(node->name, path, length));
		found++;
		path += length;
		while (*path == '/')
			path++;
	}
	return true;
}

bool fdt_reserved(unsigned index, uint64_t *address, uint64_t *size)
{
	const uint8_t *entry;

	if (tree == NULL)
		return false;
	entry = tree + word(tree + RESERVATIONS_OFFSET);
	for (;; entry += 16, index--) {
		*address = fdt_number(entry, 2);
		*size = fdt_number(entry + 8, 2);
		if (*address == 0 && *size == 0)
			return false;
		if (index == 0)
			return true;
	}
}
