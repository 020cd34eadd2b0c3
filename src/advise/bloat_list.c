/*
 * bloat_list.c
 *		Of many relations, those of which a rebuild would win most, in bytes.
 *
 * They are measured the largest first, for as long as one could still be among
 * those that are listed: nothing wins more than its size. So the small ones, which
 * are many, are not read where there are enough large ones. Each costs a sample,
 * its locks are given back before the next, and what is locked is told and not
 * waited for.
 *
 * How large they are is read from their files, whose numbers come with the list:
 * the session's caches do not grow with the relations of the database.
 *
 * Memory: some bytes for each relation, and the rows of the result.
 */
#include "advise/bloat_list.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

/* One of those that win most. */
typedef struct Found
{
	pairingheap_node node;
	Bloat	   *bloat;
} Found;

static void refuse(const BloatKind *kind, const char *what);
static int	compare_subjects(const ListCell *a, const ListCell *b);
static bool can_be_listed(const BloatList *list, int64 bytes);
static void measure(BloatList *list, const BloatSubject *subject);
static void keep(BloatList *list, const Bloat *bloat);
static int	compare_least(const pairingheap_node *a, const pairingheap_node *b, void *arg);
static Bloat *copy(const BloatList *list, const Bloat *bloat);
static void sort_found(BloatList *list);
static const Bloat *least(const BloatList *list);

/* Begin with the arguments of a report: min_percent, row_limit, min_bytes. */
void
dbops_bloat_list_begin(BloatList *list, const BloatKind *kind, FunctionCallInfo fcinfo)
{
	dbops_require_argument(fcinfo, 0, "min_percent");
	dbops_require_argument(fcinfo, 1, "row_limit");
	dbops_require_argument(fcinfo, 2, "min_bytes");
	memset(list, 0, sizeof(BloatList));
	list->kind = kind;
	list->blocks = DEFAULT_SAMPLE_BLOCKS;
	list->min_percent = DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(0)));
	list->limit = PG_GETARG_INT32(1);
	list->min_bytes = PG_GETARG_INT64(2);
	if (!(list->min_percent >= 0 && list->min_percent <= 100))
		refuse(kind, "min_percent must be between 0 and 100");
	if (list->limit < 1)
		refuse(kind, "row_limit must be at least 1");
	if (list->min_bytes < 0)
		refuse(kind, "min_bytes must not be negative");
}

static void
refuse(const BloatKind *kind, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", what),
			 errhint("Type for example %s", kind->example)));
}

/* Add a row of the catalog, as BLOAT_FILE says, unless it is too small. */
void
dbops_bloat_list_add(HeapTuple row, TupleDesc desc, void *arg)
{
	BloatList  *list = arg;
	RelationFile file = {
		.relation = dbops_row_oid(row, desc, 3),.number = dbops_row_oid(row, desc, 4),.tablespace = dbops_row_oid(row, desc, 5),
		.kind = dbops_row_text(row, desc, 6)[0],.temporary = dbops_row_bool(row, desc, 7),.shared = dbops_row_bool(row, desc, 8)
	};
	int64		bytes = dbops_file_bytes(&file);
	BloatSubject *subject;

	CHECK_FOR_INTERRUPTS();
	if (bytes == 0 || bytes < list->min_bytes)
		return;
	subject = palloc(sizeof(BloatSubject));
	subject->relation = dbops_row_oid(row, desc, 1);
	subject->toast = dbops_row_bool(row, desc, 2);
	subject->bytes = bytes;
	list->subjects = lappend(list->subjects, subject);
}

/* Measure what was added. */
void
dbops_bloat_list_measure(BloatList *list)
{
	MemoryContext one = AllocSetContextCreate(CurrentMemoryContext, "dbops bloat of a relation", ALLOCSET_DEFAULT_SIZES);
	ListCell   *cell;

	list->context = CurrentMemoryContext;
	list->best = pairingheap_allocate(compare_least, NULL);
	list_sort(list->subjects, compare_subjects);
	MemoryContextSwitchTo(one);
	foreach(cell, list->subjects)
	{
		const BloatSubject *subject = lfirst(cell);

		if (!can_be_listed(list, subject->bytes))
			break;
		measure(list, subject);
		MemoryContextReset(one);
	}
	MemoryContextSwitchTo(list->context);
	MemoryContextDelete(one);
	sort_found(list);
}

static int
compare_subjects(const ListCell *a, const ListCell *b)
{
	const BloatSubject *one = lfirst(a);
	const BloatSubject *other = lfirst(b);

	if (one->bytes != other->bytes)
		return (one->bytes > other->bytes) ? -1 : 1;
	return (one->relation < other->relation) ? -1 : (one->relation > other->relation);
}

/* Whether something of this size could win as much as those that have been found. */
static bool
can_be_listed(const BloatList *list, int64 bytes)
{
	return list->n_best < list->limit || bytes > least(list)->wasted;
}

static const Bloat *
least(const BloatList *list)
{
	return pairingheap_container(Found, node, pairingheap_first(list->best))->bloat;
}

/* Put it among those that win most, or among those that could not be measured. */
static void
measure(BloatList *list, const BloatSubject *subject)
{
	Bloat	   *bloat = palloc(list->kind->size);

	list->kind->measure(subject, list->blocks, bloat);
	if (!bloat->judged)
	{
		MemoryContext caller = MemoryContextSwitchTo(list->context);

		list->skipped = lappend(list->skipped, copy(list, bloat));
		MemoryContextSwitchTo(caller);
	}
	else if (bloat->percent >= list->min_percent && bloat->wasted >= list->min_bytes)
		keep(list, bloat);
}

static void
keep(BloatList *list, const Bloat *bloat)
{
	MemoryContext caller = MemoryContextSwitchTo(list->context);
	Found	   *found = palloc(sizeof(Found));

	found->bloat = copy(list, bloat);
	pairingheap_add(list->best, &found->node);
	if (++list->n_best > list->limit)
	{
		(void) pairingheap_remove_first(list->best);
		list->n_best--;
	}
	MemoryContextSwitchTo(caller);
}

/* The first of the heap is the greatest by this: the one that wins least. */
static int
compare_least(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	const Bloat *one = pairingheap_const_container(Found, node, a)->bloat;
	const Bloat *other = pairingheap_const_container(Found, node, b)->bloat;

	if (one->wasted != other->wasted)
		return (one->wasted < other->wasted) ? 1 : -1;
	return (one->relation > other->relation) ? 1 : -1;
}

static Bloat *
copy(const BloatList *list, const Bloat *bloat)
{
	Bloat	   *kept = palloc(list->kind->size);

	memcpy(kept, bloat, list->kind->size);
	kept->method = pstrdup(bloat->method);
	kept->note = (bloat->note == NULL) ? NULL : pstrdup(bloat->note);
	return kept;
}

static void
sort_found(BloatList *list)
{
	for (; list->n_best > 0; list->n_best--)
		list->found = lcons(pairingheap_container(Found, node, pairingheap_remove_first(list->best))->bloat, list->found);
}

/* Put the rows: what was found, and then what could not be measured. */
void
dbops_bloat_list_put(const BloatList *list, ReturnSetInfo *rsinfo)
{
	ListCell   *cell;

	foreach(cell, list->found)
		list->kind->put(rsinfo, lfirst(cell));
	foreach(cell, list->skipped)
		list->kind->put(rsinfo, lfirst(cell));
}
