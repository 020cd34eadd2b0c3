/*
 * shared_text.c
 *		Texts in shared memory, of limited length.
 *
 * Who writes one may have another encoding than who reads it, or none: the
 * launcher has no database, and names of roles and tablespaces are those of
 * whatever database made them.
 */
#include "observe/shared_text.h"

#include "mb/pg_wchar.h"

/* Cut a text to what there is room for, not within a character of UTF-8. NULL is empty. */
void
dbops_shared_text_put(char *place, const char *text, Size bytes)
{
	Size		length = (text == NULL) ? 0 : strlen(text);

	if (length >= bytes)
	{
		length = bytes - 1;
		while (length > 0 && ((unsigned char) text[length] & 0xC0) == 0x80)
			length--;
	}
	if (length > 0)
		memcpy(place, text, length);
	place[length] = '\0';
}

/* Copy it; what is nothing in this database's encoding becomes question marks. */
char *
dbops_shared_text_get(const char *place)
{
	char	   *text = pstrdup(place);

	if (!pg_verifymbstr(text, strlen(text), true))
		for (char *c = text; *c != '\0'; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	return text;
}
