// SPDX-License-Identifier: BSD-3-Clause
/* Parsing of the command line by the commands' own tables. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <assert.h>

#include "cli/args.h"

#define LONG_BASE  0x100   /* values that getopt_long() returns: place of the option + this */
#define ALIAS_BASE 0x10000 /* the same, when it was given by its other name */

/* Options are called as the parameters of the daemon's methods are; these are nvme-cli's names. */
static const struct {
	const char *name, *alias;
} aliases[] = {
	{"nqn", "subnqn"},
	{"num-io-queues", "nr-io-queues"},
	{"io-queue-depth", "queue-size"},
	{"reconnect-delay-sec", "reconnect-delay"},
	{"fast-io-fail-timeout-sec", "fast_io_fail_tmo"},
	{"ctrlr-loss-timeout-sec", "ctrl-loss-tmo"},
};

#define N_ALIASES (sizeof(aliases) / sizeof(aliases[0]))

const struct cli_option cli_common_options[] = {
	{"socket", 'S', "SOCKET", "RPC socket of nvmuxd (default /run/nvmux/nvmux.sock)"},
	{"output-format", 'o', "json|normal",
	 "json: nothing but one JSON value on standard output; a command that fails prints none "
	 "there, but its message on standard error"},
	{"help", 'h', NULL, "explain the command"},
	{0},
};

int cli_refuse(char *why, size_t why_size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, why_size, format, ap);
	va_end(ap);
	return -EINVAL;
}

const char *cli_option_alias(const char *name)
{
	for (size_t i = 0; i < N_ALIASES; i++) {
		if (!strcmp(aliases[i].name, name))
			return aliases[i].alias;
	}
	return NULL;
}

/* The option at a place: the command's own ones first, then the common ones. NULL: past the end. */
static const struct cli_option *option_at(const struct cli_command *command, unsigned place)
{
	const struct cli_option *o = command->options;

	for (; o && o->name; o++) {
		if (!place--)
			return o;
	}
	for (o = cli_common_options; o->name; o++) {
		if (!place--)
			return o;
	}
	return NULL;
}

/* Edit distance in which a swap of neighbours counts as one, cut at 32 characters. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[33][33];
	size_t la = strnlen(a, 32), lb = strnlen(b, 32);

	for (size_t i = 0; i <= la; i++) {
		for (size_t j = 0; j <= lb; j++) {
			unsigned best;

			if (!i || !j) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

const char *cli_suggest(const char *word, const char *const *names)
{
	const char *best = NULL;
	unsigned best_distance = 0;

	for (; *names; names++) {
		unsigned d = distance(word, *names);
		size_t len = strlen(*names);

		/* The beginning of a name is as good as one slip. */
		if (d > 1 && strlen(word) >= 2 && !strncmp(word, *names, strlen(word)))
			d = 1;
		if (d > 3 || d * 2 > len + 1)
			continue;
		if (!best || d < best_distance) {
			best = *names;
			best_distance = d;
		}
	}
	return best;
}

/* "zns report-zones" is a "report-zones" among its like. */
static const char *last_word(const char *name)
{
	const char *space = strrchr(name, ' ');

	return space ? space + 1 : name;
}

const struct cli_command *cli_find_command(const struct cli_command *const *commands,
					   const char *word)
{
	for (; *commands; commands++) {
		if (!strcmp(last_word((*commands)->name), word))
			return *commands;
	}
	return NULL;
}

const char *cli_suggest_command(const char *word, const struct cli_command *const *commands)
{
	static const struct {
		const char *theirs, *ours;
	} renamed[] = {
		{"connect", "attach"},
		{"connect-all", "attach --all"},
		{"disconnect", "detach"},
		{"disconnect-all", "detach"},
	};
	const char *names[128];
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
		if (!strcmp(word, renamed[i].theirs))
			return renamed[i].ours;
	}
	for (; commands[n]; n++) {
		assert(n < sizeof(names) / sizeof(names[0]) - 1);
		names[n] = last_word(commands[n]->name);
	}
	names[n] = NULL;
	return cli_suggest(word, names);
}

static int unknown_option(const struct cli_command *command, const char *word, char *why,
			  size_t why_size)
{
	const char *names[CLI_OPTIONS_MAX + 1];
	const struct cli_option *o;
	const char *meant = NULL;
	char bare[64];
	unsigned n = 0;

	for (unsigned i = 0; (o = option_at(command, i)); i++) {
		if (o->help)
			names[n++] = o->name;
	}
	names[n] = NULL;
	if (!strncmp(word, "--", 2)) {
		snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(word + 2, "="), word + 2);
		meant = cli_suggest(bare, names);
	}
	if (meant)
		return cli_refuse(why, why_size, "unknown option %s; did you mean --%s?", word,
				  meant);
	return cli_refuse(why, why_size, "unknown option %s", word);
}

/* getopt_long() has returned '?' or ':'; find the words for it. */
static int bad_option(const struct cli_command *command, int how, char **argv, char *why,
		      size_t why_size)
{
	const struct cli_option *o;
	char word[3] = {'-', (char)optopt, 0};
	bool alias;

	if (optopt >= LONG_BASE) {
		alias = optopt >= ALIAS_BASE;
		o = option_at(command, (unsigned)optopt - (alias ? ALIAS_BASE : LONG_BASE));
		if (how == ':')
			return cli_refuse(why, why_size, "option --%s needs an argument: %s",
					  alias ? cli_option_alias(o->name) : o->name, o->arg);
		return cli_refuse(why, why_size, "option --%s takes no argument", o->name);
	}
	if (optopt && how == ':')
		return cli_refuse(why, why_size, "option %s needs an argument", word);
	return unknown_option(command, optopt ? word : argv[optind - 1], why, why_size);
}

bool cli_letter_is_taken(const struct cli_command *command, const struct cli_option *option)
{
	const struct cli_option *o;

	for (unsigned n = 0; (o = option_at(command, n)) && o != option; n++) {
		if (o->letter == option->letter)
			return true;
	}
	return false;
}

static void build_tables(const struct cli_command *command, struct option *longs, char *shorts)
{
	const struct cli_option *o;
	struct option *l = longs;
	const char *alias;
	unsigned n = 0;

	if (command->stop_at_first)
		*shorts++ = '+';
	*shorts++ = ':'; /* a missing argument is told from an unknown option */
	for (; (o = option_at(command, n)); n++) {
		assert(n < CLI_OPTIONS_MAX);
		*l++ = (struct option){
			.name = o->name,
			.has_arg = o->arg ? required_argument : no_argument,
			.val = LONG_BASE + (int)n,
		};
		alias = cli_option_alias(o->name);
		if (alias)
			*l++ = (struct option){
				.name = alias,
				.has_arg = o->arg ? required_argument : no_argument,
				.val = ALIAS_BASE + (int)n,
			};
		if (!o->letter || cli_letter_is_taken(command, o))
			continue;
		*shorts++ = o->letter;
		if (o->arg)
			*shorts++ = ':';
	}
	*shorts = 0;
	*l = (struct option){0};
}

/* The first option that has it: a command's own before those that many commands share. */
static unsigned place_of_letter(const struct cli_command *command, int letter)
{
	const struct cli_option *o;
	unsigned n = 0;

	while ((o = option_at(command, n)) && o->letter != letter)
		n++;
	assert(o);
	return n;
}

static int refuse_fabrics(const struct cli_option *o, int c, char *why, size_t why_size)
{
	const char *name = c >= ALIAS_BASE ? cli_option_alias(o->name) : o->name;
	char letter[2] = {o->letter, 0};

	return cli_refuse(why, why_size, "%s%s needs a fabrics transport; this build has none",
			  c < LONG_BASE ? "-" : "--", c < LONG_BASE ? letter : name);
}

/* The place of the option that getopt_long() has returned. */
static unsigned place_of(const struct cli_command *command, int c)
{
	if (c >= ALIAS_BASE)
		return (unsigned)c - ALIAS_BASE;
	return c >= LONG_BASE ? (unsigned)c - LONG_BASE : place_of_letter(command, c);
}

int cli_args_parse(struct cli_args *ret, const struct cli_command *command, int argc, char **argv,
		   char *why, size_t why_size)
{
	struct option longs[CLI_OPTIONS_MAX + N_ALIASES + 1];
	char shorts[CLI_OPTIONS_MAX * 2 + 3];
	struct cli_args args = {.command = command};
	int c;

	build_tables(command, longs, shorts);
	optind = 0; /* start afresh, glibc's way */
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct cli_option *o;
		unsigned place;

		if (c == '?' || c == ':')
			return bad_option(command, c, argv, why, why_size);
		place = place_of(command, c);
		o = option_at(command, place);
		if (!o->help)
			return refuse_fabrics(o, c, why, why_size);
		args.values[place] = optarg ? optarg : "";
		args.names[place] = c >= ALIAS_BASE ? cli_option_alias(o->name) : o->name;
	}
	args.positional = argv + optind;
	args.n_positional = argc - optind;
	if (cli_args_get(&args, "help")) {
		*ret = args;
		return 0;
	}
	if (args.n_positional < command->min_args)
		return cli_refuse(why, why_size, "too few arguments; usage: nvmux %s %s",
				  command->name, command->usage);
	if (command->max_args >= 0 && args.n_positional > command->max_args)
		return cli_refuse(why, why_size, "unexpected argument \"%s\"; usage: nvmux %s %s",
				  args.positional[command->max_args], command->name,
				  command->usage);
	*ret = args;
	return 0;
}

/* Where the command declares an option; -1: it doesn't. */
static int find(const struct cli_args *args, const char *name)
{
	const struct cli_option *o;

	for (unsigned n = 0; (o = option_at(args->command, n)); n++) {
		if (!strcmp(o->name, name))
			return (int)n;
	}
	return -1;
}

const char *cli_args_get(const struct cli_args *args, const char *name)
{
	int place = find(args, name);

	assert(place >= 0 && "an option that the command's table doesn't declare");
	return args->values[place];
}

bool cli_args_has(const struct cli_args *args, const char *name)
{
	return find(args, name) >= 0;
}

const char *cli_args_name(const struct cli_args *args, const char *name)
{
	int place = find(args, name);

	return place >= 0 && args->names[place] ? args->names[place] : name;
}

int cli_parse_number(const char *text, uint64_t *ret)
{
	unsigned long long v;
	char *end;
	int base = !strncasecmp(text, "0x", 2) ? 16 : 10;

	/* strtoull() takes signs and leading space, we don't. */
	if (text[0] < '0' || text[0] > '9' || (base == 16 && !text[2]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, base);
	if (errno)
		return -ERANGE;
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}

int cli_parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMGTPE";
	size_t digits = strcspn(text, "KMGTPEkmgtpeBb");
	const char *rest = text + digits;
	const char *suffix = NULL;
	char number[32];
	uint64_t v;
	int shift = 0, err;

	if (!strncasecmp(text, "0x", 2))
		return cli_parse_number(text, ret);
	if (digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, digits);
	number[digits] = 0;
	err = cli_parse_number(number, &v);
	if (err)
		return err;
	if (*rest)
		suffix = strchr(suffixes, *rest & ~0x20);
	if (suffix) {
		shift = (int)(suffix - suffixes + 1) * 10;
		rest++;
		if (!strcasecmp(rest, "iB"))
			rest += 2;
	}
	if (!strcasecmp(rest, "B"))
		rest++;
	if (*rest)
		return -EINVAL;
	if (shift && v > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = v << shift;
	return 0;
}

static int in_range(const char *name, const char *text, int err, uint64_t v, uint64_t min,
		    uint64_t max, const char *kind, char *why, size_t why_size)
{
	if (err == -EINVAL)
		return cli_refuse(why, why_size, "--%s: \"%s\" isn't %s", name, text, kind);
	if (err || v < min || v > max)
		return cli_refuse(why, why_size,
				  "--%s: %s is out of range; allowed are %llu to %llu", name, text,
				  (unsigned long long)min, (unsigned long long)max);
	return 0;
}

/* @kind: what @parse takes, in words. */
static int take(const struct cli_args *args, const char *name, typeof(cli_parse_number) *parse,
		const char *kind, uint64_t min, uint64_t max, uint64_t *value, char *why,
		size_t why_size)
{
	const char *text = cli_args_get(args, name);
	uint64_t v = 0;
	int err;

	if (!text)
		return 0;
	err = parse(text, &v);
	err = in_range(cli_args_name(args, name), text, err, v, min, max, kind, why, why_size);
	if (!err)
		*value = v;
	return err;
}

int cli_args_size(const struct cli_args *args, const char *name, uint64_t min, uint64_t max,
		  uint64_t *value, char *why, size_t why_size)
{
	return take(args, name, cli_parse_size, "a size in bytes, such as 4096, 4K or 1G", min,
		    max, value, why, why_size);
}

/* In most commands -t is the transport; where it is something else, somebody may have meant it. */
static bool is_transport(const char *text)
{
	static const char *const names[] = {"pcie", "rdma", "vfio-user", "vfiouser", "loopback"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcasecmp(text, names[i]))
			return true;
	}
	return false;
}

static int letter_of(const struct cli_args *args, const char *name)
{
	int place = find(args, name);

	return place < 0 ? 0 : option_at(args->command, (unsigned)place)->letter;
}

int cli_args_number(const struct cli_args *args, const char *name, uint64_t min, uint64_t max,
		    uint64_t *value, char *why, size_t why_size)
{
	const char *text = cli_args_get(args, name);
	int err = take(args, name, cli_parse_number, "a number", min, max, value, why, why_size);

	name = cli_args_name(args, name);
	if (err && letter_of(args, name) == 't' && is_transport(text))
		cli_refuse(why, why_size,
			   "--%s: \"%s\" isn't a number; the transport is --transport here, and "
			   "its address --traddr",
			   name, text);
	return err;
}

int cli_args_integer(const struct cli_args *args, const char *name, int64_t min, int64_t max,
		     int64_t *value, char *why, size_t why_size)
{
	const char *text = cli_args_get(args, name);
	uint64_t v = 0;
	bool negative;
	int err;

	if (!text)
		return 0;
	name = cli_args_name(args, name);
	negative = text[0] == '-';
	err = cli_parse_number(text + negative, &v);
	if (err == -EINVAL)
		return cli_refuse(why, why_size, "--%s: \"%s\" isn't a number", name, text);
	if (err || v > INT64_MAX || (negative ? -(int64_t)v : (int64_t)v) < min ||
	    (negative ? -(int64_t)v : (int64_t)v) > max)
		return cli_refuse(why, why_size,
				  "--%s: %s is out of range; allowed are %lld to %lld", name, text,
				  (long long)min, (long long)max);
	*value = negative ? -(int64_t)v : (int64_t)v;
	return 0;
}

int cli_args_list(const struct cli_args *args, const char *name, uint64_t min, uint64_t max,
		  uint32_t *list, unsigned max_entries, unsigned *count, char *why, size_t why_size)
{
	const char *text = cli_args_get(args, name);
	const char *p = text;
	unsigned n = 0;

	if (!text)
		return 0;
	for (;;) {
		size_t len = strcspn(p, ",");
		char one[24];
		uint64_t v = 0;
		int err;

		if (n == max_entries)
			return cli_refuse(why, why_size, "--%s: more than %u values", name,
					  max_entries);
		snprintf(one, sizeof(one), "%.*s", (int)(len < sizeof(one) ? len : sizeof(one)), p);
		err = cli_parse_number(one, &v);
		err = in_range(name, one, err, v, min, max, "a list of numbers such as 1,4,32", why,
			       why_size);
		if (err)
			return err;
		list[n++] = (uint32_t)v;
		if (!p[len])
			break;
		p += len + 1;
	}
	*count = n;
	return 0;
}
