/* SPDX-License-Identifier: MIT */
/* Memory and text, as far as the compiler and the tests need them. */
#include <guest.h>

void *memcpy(void *to, const void *from, size_t length)
{
	unsigned char *target = to;
	const unsigned char *source = from;

	while (length--)
		*target++ = *source++;
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	unsigned char *target = to;
	const unsigned char *source = from;

	if ((uintptr_t)to - (uintptr_t)from >= length)
		return memcpy(to, from, length);
	while (length--)
		target[length] = source[length];
	return to;
}

void *memset(void *to, int byte, size_t length)
{
	unsigned char *target = to;

	while (length--)
		*target++ = (unsigned char)byte;
	return to;
}

int memcmp(const void *left, const void *right, size_t length)
{
	const unsigned char *one = left, *other = right;

	for (; length--; one++, other++) {
		if (*one != *other)
			return *one < *other ? -1 : 1;
	}
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strncmp(const char *left, const char *right, size_t length)
{
	for (; length--; left++, right++) {
		if (*left != *right)
			return (unsigned char)*left < (unsigned char)*right ? -1 : 1;
		if (!*left)
			break;
	}
	return 0;
}

int strcmp(const char *left, const char *right)
{
	return strncmp(left, right, SIZE_MAX);
}

static int digit_value(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'F')
		return character - 'A' + 10;
	return 16;
}

bool parse_number(const char *text, uint64_t *value, const char **rest)
{
	int base = 10;
	uint64_t number = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X') && digit_value(text[2]) < 16) {
		base = 16;
		text += 2;
	}
	if (digit_value(*text) >= base)
		return false;
	while (digit_value(*text) < base)
		number = number * (unsigned)base + (unsigned)digit_value(*text++);
	*value = number;
	*rest = text;
	return true;
}
