/*
 * texts.c
 *		Lists of texts, as C strings.
 *
 * Arrays of texts come as arguments and out of tables; code wants them as lists.
 */
#include "core/core.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

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
