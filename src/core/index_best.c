/*
 * index_best.c
 *		How small an index was at its best.
 *
 * What a rebuild wins may be gone in a day, where rows come in random order or
 * an old transaction holds vacuum up. An index's own best, in bytes for each
 * row, tells that apart from bloat: it is compared with itself. The best is of
 * one file; after a rebuild, which makes another, it is learnt anew.
 *
 * It is written where a report or a rebuild has measured the index and may
 * write, and if nobody else is writing: the next time will do.
 */
#include "core/page_sample.h"

#include <math.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"

/* Below, a row more or less makes a difference. */
#define MIN_PAGES	16

static bool is_comparable(const IndexBloat *bloat);
static double row_bytes(const IndexBloat *bloat);

/* The share of the file, in percent, by which it exceeds its best; NaN: that is not known. */
double
dbops_index_best(const IndexBloat *bloat)
{
	DbopsParam	params[] = {dbops_param_oid(bloat->base.relation), dbops_param_oid(bloat->file)};
	Datum		best;

	if (!is_comparable(bloat) ||
		!dbops_store_value("SELECT row_bytes FROM dbops.index_best WHERE index_name = $1 AND file = $2",
						   lengthof(params), params, FLOAT8OID, &best))
		return NAN;
	return 100 * Max(1 - DatumGetFloat8(best) / row_bytes(bloat), 0);
}

static bool
is_comparable(const IndexBloat *bloat)
{
	return bloat->base.judged && OidIsValid(bloat->file) && bloat->base.pages >= MIN_PAGES &&
		bloat->figures[BTREE_ROWS] > 0;
}

static double
row_bytes(const IndexBloat *bloat)
{
	return bloat->base.bytes / bloat->figures[BTREE_ROWS];
}

/* Whether the best can be written: the server and the transaction allow it, and nobody else does. */
bool
dbops_index_best_open(void)
{
	Oid			table = get_relname_relid("index_best", get_namespace_oid("dbops", false));

	return !RecoveryInProgress() && !XactReadOnly && OidIsValid(table) &&
		ConditionalLockRelationOid(table, ShareRowExclusiveLock);
}

/* Write it down if it is the best of its file. dbops_index_best_open() must have agreed. */
void
dbops_index_best_record(const IndexBloat *bloat)
{
	DbopsParam	params[] = {
		dbops_param_oid(bloat->base.relation), dbops_param_oid(bloat->file),
		{.type = FLOAT8OID}, dbops_param_int8(bloat->base.bytes), dbops_param_time(dbops_clock_now())
	};

	if (!is_comparable(bloat))
		return;
	params[2].value = Float8GetDatum(row_bytes(bloat));
	dbops_store_each("INSERT INTO dbops.index_best AS best (index_name, file, row_bytes, size_bytes, seen_at) "
					 "VALUES ($1, $2, $3, $4, $5) "
					 "ON CONFLICT (index_name) DO UPDATE SET file = excluded.file, row_bytes = excluded.row_bytes, "
					 "size_bytes = excluded.size_bytes, seen_at = excluded.seen_at "
					 "WHERE best.file <> excluded.file OR best.row_bytes > excluded.row_bytes",
					 lengthof(params), params, NULL, NULL);
}

/* Forget the indexes that are gone. */
void
dbops_index_best_prune(void)
{
	dbops_store_each("DELETE FROM dbops.index_best WHERE NOT EXISTS "
					 "(SELECT FROM pg_class WHERE pg_class.oid = index_name)", 0, NULL, NULL, NULL);
}
