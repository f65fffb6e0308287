/* SPDX-License-Identifier: MIT */
/* Words of the command line that set numbers. */
#include <guest.h>

bool read_option(const char *word, const struct option *options, size_t count)
{
	const char *rest;

	for (size_t i = 0; i < count; i++) {
		const size_t length = strlen(options[i].name);

		if (strncmp(word, options[i].name, length))
			continue;
		if (options[i].given)
			*options[i].given = true;
		return parse_number(word + length, options[i].value, &rest) && !*rest;
	}
	return false;
}
