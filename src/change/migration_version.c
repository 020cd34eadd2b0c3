/*
 * migration_version.c
 *		Names of versions, and the order that they are in.
 *
 * Versions are ordered as people number them: V2 comes before V10, and
 * 20240115 before 20240201. A run of digits is a number, whatever zeros it
 * begins with; everything else is compared byte by byte.
 */
#include "change/migration.h"

#define VERSION_BYTES 200

static bool is_version_character(char c);
static int	compare_numbers(const char **a, const char **b);
static const char *skip_zeros(const char *digits);
static size_t count_digits(const char *digits);
static bool is_digit(char c);

/* Refuse what cannot name a version or a project; argument: as which it was given. */
void
dbops_version_check(const char *version, const char *argument)
{
	size_t		length = strlen(version);

	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is empty", argument),
				 errhint("Name it, such as 003 or 20240115_add_email.")));
	if (length > VERSION_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is longer than %d bytes", argument, VERSION_BYTES),
				 errhint("Shorten it; name says what a migration is about.")));
	for (const char *c = version; *c != '\0'; c++)
		if (!is_version_character(*c))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s \"%s\" has a character at byte %d that it must not have",
							argument, version, (int) (c - version) + 1),
					 errhint("Use letters from a to z, digits, '.', '_' and '-'.")));
}

static bool
is_version_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
		c == '.' || c == '_' || c == '-';
}

/*
 * Which version comes first: less than 0, 0 or more than 0. Only a version
 * itself is its equal: 7 comes after 07.
 */
int
dbops_version_compare(const char *a, const char *b)
{
	const char *left = a;
	const char *right = b;

	while (*left != '\0' && *right != '\0')
	{
		if (is_digit(*left) && is_digit(*right))
		{
			int			order = compare_numbers(&left, &right);

			if (order != 0)
				return order;
		}
		else if (*left != *right)
			return (unsigned char) *left - (unsigned char) *right;
		else
		{
			left++;
			right++;
		}
	}
	if (*left != *right)
		return (*left == '\0') ? -1 : 1;
	return strcmp(a, b);
}

/* Compare the numbers that both begin with, and go behind them. */
static int
compare_numbers(const char **a, const char **b)
{
	const char *left = skip_zeros(*a);
	const char *right = skip_zeros(*b);
	size_t		left_digits = count_digits(left);
	size_t		right_digits = count_digits(right);

	if (left_digits != right_digits)
		return (left_digits < right_digits) ? -1 : 1;
	*a = left + left_digits;
	*b = right + right_digits;
	return strncmp(left, right, left_digits);
}

static const char *
skip_zeros(const char *digits)
{
	while (*digits == '0')
		digits++;
	return digits;
}

static size_t
count_digits(const char *digits)
{
	size_t		count = 0;

	while (is_digit(digits[count]))
		count++;
	return count;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}
