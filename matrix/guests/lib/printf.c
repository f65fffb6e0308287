/* SPDX-License-Identifier: MIT */
/* Formatted text to the console and into buffers. */
#include <arch.h>
#include <guest.h>

/* Where formatted text goes: gathered in a buffer, which is flushed to the console when it is
 * full (console), or cut there (not console). */
struct sink {
	char *buffer;
	size_t size;
	size_t used;
	size_t total;
	bool console;
};

struct conversion {
	bool left;
	bool zeros;
	unsigned width;
	size_t precision;
	unsigned longs;
};

static struct spinlock console_lock;
static bool unlocked;

void spin_lock(struct spinlock *lock)
{
	while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED))
			cpu_relax();
	}
}

void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

static void sink_flush(struct sink *sink)
{
	if (sink->console && sink->used) {
		arch_console_write(sink->buffer, sink->used);
		sink->used = 0;
	}
}

static void sink_put(struct sink *sink, char character)
{
	if (sink->used == sink->size)
		sink_flush(sink);
	if (sink->used < sink->size)
		sink->buffer[sink->used++] = character;
	sink->total++;
}

static void sink_put_padded(struct sink *sink, const struct conversion *conversion,
			    const char *text, size_t length)
{
	const size_t padding = conversion->width > length ? conversion->width - length : 0;

	for (size_t i = 0; !conversion->left && i < padding; i++)
		sink_put(sink, ' ');
	for (size_t i = 0; i < length; i++)
		sink_put(sink, text[i]);
	for (size_t i = 0; conversion->left && i < padding; i++)
		sink_put(sink, ' ');
}

static void sink_put_number(struct sink *sink, const struct conversion *conversion, uint64_t number,
			    unsigned base, const char *sign)
{
	char text[72];
	size_t at = sizeof(text);
	const size_t sign_length = strlen(sign);

	do {
		text[--at] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	while (conversion->zeros && !conversion->left && at > sign_length &&
	       sizeof(text) - at + sign_length < conversion->width)
		text[--at] = '0';
	for (size_t i = sign_length; i--;)
		text[--at] = sign[i];
	sink_put_padded(sink, conversion, text + at, sizeof(text) - at);
}

static uint64_t unsigned_argument(const struct conversion *conversion, va_list *arguments)
{
	if (conversion->longs == 0)
		return va_arg(*arguments, unsigned int);
	if (conversion->longs == 1)
		return va_arg(*arguments, unsigned long);
	return va_arg(*arguments, unsigned long long);
}

static int64_t signed_argument(const struct conversion *conversion, va_list *arguments)
{
	if (conversion->longs == 0)
		return va_arg(*arguments, int);
	if (conversion->longs == 1)
		return va_arg(*arguments, long);
	return va_arg(*arguments, long long);
}

static unsigned count_argument(const char **format, va_list *arguments)
{
	unsigned count = 0;

	if (**format == '*') {
		(*format)++;
		return va_arg(*arguments, unsigned int);
	}
	while (**format >= '0' && **format <= '9')
		count = count * 10 + (unsigned)(*(*format)++ - '0');
	return count;
}

/* Reads what stands between the % and the conversion's letter. */
static struct conversion conversion_parse(const char **format, va_list *arguments)
{
	struct conversion conversion = { .precision = SIZE_MAX };

	for (; **format == '-' || **format == '0'; (*format)++) {
		conversion.left |= **format == '-';
		conversion.zeros |= **format == '0';
	}
	conversion.width = count_argument(format, arguments);
	if (**format == '.') {
		(*format)++;
		conversion.precision = count_argument(format, arguments);
	}
	for (; **format == 'l'; (*format)++)
		conversion.longs++;
	if (**format == 'z') {
		(*format)++;
		conversion.longs = 1; /* size_t is as wide as long on every architecture here */
	}
	return conversion;
}

static void sink_convert(struct sink *sink, const struct conversion *conversion, char letter,
			 va_list *arguments)
{
	char character;
	const char *text;
	size_t length = 0;
	int64_t number;

	switch (letter) {
	case 'd':
	case 'i':
		number = signed_argument(conversion, arguments);
		sink_put_number(sink, conversion, number < 0 ? -(uint64_t)number : (uint64_t)number,
				10, number < 0 ? "-" : "");
		break;
	case 'u':
		sink_put_number(sink, conversion, unsigned_argument(conversion, arguments), 10, "");
		break;
	case 'x':
		sink_put_number(sink, conversion, unsigned_argument(conversion, arguments), 16, "");
		break;
	case 'p':
		sink_put_number(sink, conversion, (uintptr_t)va_arg(*arguments, void *), 16, "0x");
		break;
	case 'c':
		character = (char)va_arg(*arguments, int);
		sink_put_padded(sink, conversion, &character, 1);
		break;
	case 's':
		text = va_arg(*arguments, const char *);
		text = text ? text : "(null)";
		while (length < conversion->precision && text[length])
			length++;
		sink_put_padded(sink, conversion, text, length);
		break;
	default: /* %% and what the compiler's format check has not let through */
		sink_put(sink, letter);
	}
}

static void sink_format(struct sink *sink, const char *format, va_list *arguments)
{
	while (*format) {
		struct conversion conversion;

		if (*format != '%') {
			sink_put(sink, *format++);
			continue;
		}
		format++;
		conversion = conversion_parse(&format, arguments);
		if (!*format)
			break;
		sink_convert(sink, &conversion, *format++, arguments);
	}
}

int print_line(const char *before, const char *format, va_list arguments, const char *after)
{
	char buffer[128];
	struct sink sink = { .buffer = buffer, .size = sizeof(buffer), .console = true };
	const bool locked = !__atomic_load_n(&unlocked, __ATOMIC_RELAXED);
	va_list copy;

	va_copy(copy,
		arguments); /* an array on some architectures: &arguments is then no va_list* */
	if (locked)
		spin_lock(&console_lock);
	while (*before)
		sink_put(&sink, *before++);
	sink_format(&sink, format, &copy);
	while (*after)
		sink_put(&sink, *after++);
	sink_flush(&sink);
	if (locked)
		spin_unlock(&console_lock);
	va_end(copy);
	return (int)sink.total;
}

int printf(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = print_line("", format, arguments, "");
	va_end(arguments);
	return length;
}

void bust_console_lock(void)
{
	__atomic_store_n(&unlocked, true, __ATOMIC_RELAXED);
}

int snprintf(char *buffer, size_t size, const char *format, ...)
{
	struct sink sink = { .buffer = buffer, .size = size ? size - 1 : 0 };
	va_list arguments;

	va_start(arguments, format);
	sink_format(&sink, format, &arguments);
	va_end(arguments);
	if (size)
		buffer[sink.used] = '\0';
	return (int)sink.total;
}
