/*
 * texts.c
 *		Lists of texts, as C strings, and texts of limited length.
 *
 * Arrays of texts come as arguments and out of tables; code wants them as lists.
 * What has a place in shared memory must fit there.
 */
#include "core/core.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#define DIGEST			"~%016llx"
#define DIGEST_BYTES	17

/* The members of an array of texts, as C strings; null ones are NULL. */
List *
dbops_texts(ArrayType *array)
{
	List	   *texts = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
		texts = lappend(texts, nulls[i] ? NULL : TextDatumGetCString(values[i]));
	return texts;
}

/* Put them in order, each once. */
List *
dbops_texts_sort(List *texts, list_sort_comparator compare)
{
	List	   *sorted = NIL;
	ListCell   *cell;

	list_sort(texts, compare);
	foreach(cell, texts)
		if (sorted == NIL || strcmp(llast(sorted), lfirst(cell)) != 0)
			sorted = lappend(sorted, lfirst(cell));
	return sorted;
}

/* Is a text among them? None of them is NULL. */
bool
dbops_texts_have(const List *texts, const char *text)
{
	ListCell   *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

/* How many bytes of a text there is room for, not within a character. The launcher's texts may be UTF-8. */
Size
dbops_text_clip(const char *text, Size room)
{
	Size		bytes = strlen(text);

	if (bytes <= room)
		return bytes;
	bytes = pg_mbcliplen(text, bytes, room);
	while (pg_database_encoding_max_length() == 1 && bytes > 0 && ((unsigned char) text[bytes] & 0xC0) == 0x80)
		bytes--;
	return bytes;
}

/*
 * Make a name fit into so many bytes, with its end. One that is too long is cut
 * and ends in a digest of the whole, so that it still is not another's.
 */
const char *
dbops_text_fit(const char *name, Size bytes)
{
	Size		length = strlen(name);

	if (length < bytes)
		return name;
	return psprintf("%.*s" DIGEST, (int) dbops_text_clip(name, bytes - 1 - DIGEST_BYTES), name,
					(unsigned long long) hash_bytes_extended((const unsigned char *) name, length, 0));
}
