/*
 * migration_estimate.c
 *		How long a statement will work, and how much it writes, guessed from sizes.
 *
 * A guess, and said to be one, with what it rests on: the size of the files now,
 * and a rate. Where the ledger has receipts of migrations that wrote much in the
 * same way, their rate is taken; else one that disks of servers usually reach.
 * Nothing is planned or evaluated for it: a text may be checked by somebody who
 * would not run it. How many rows fit a WHERE is therefore not guessed.
 */
#include "change/migration_plan.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "utils/syscache.h"

#define MB				(1024 * 1024.0)

/* Bytes a second, where nothing was measured. */
#define READ_RATE		(100 * MB)
#define WRITE_RATE		(30 * MB)

/* Receipts that wrote less than this tell of something else than a rate. */
#define MEASURED_BYTES	"16777216"

/* What an entry of an index takes beside its values. */
#define ENTRY_BYTES		24

/* A relation with all that it consists of. */
typedef struct Extent
{
	double		heap;			/* bytes */
	double		all;			/* with indexes and values that are stored apart */
	double		rows;			/* as ANALYZE has last seen; negative: never */
} Extent;

static bool reads_all(const Node *statement);
static double written(const char *effect, const Extent *extent);
static Extent extent_of(const List *targets);
static bool is_worked_on(const MigrationTarget *target);
static void add_extent(Extent *extent, Oid relid);
static double bytes_of_indexes(Oid relid);
static void add_bytes(HeapTuple row, TupleDesc desc, void *arg);
static double rows_of(Oid relid);
static void guess_reading(MigrationEstimate *estimate, double read);
static void guess_writing(MigrationEstimate *estimate, const char *effect, double read, double written);
static double rate_of(const char *effect, bool *measured);

/*
 * Guess what a statement with this effect takes; a duration of -1 says that
 * nothing can be said of it.
 */
MigrationEstimate
dbops_migration_estimate(const Node *statement, const char *effect, const List *targets)
{
	MigrationEstimate estimate = {.duration = -1,.bytes = -1,.rows = -1};
	Extent		extent;

	if (effect == NULL || strcmp(effect, "metadata") == 0 || !reads_all(statement))
		return estimate;
	extent = extent_of(targets);
	if (extent.heap == 0)
		return estimate;
	if (strcmp(effect, "scan") == 0)
		guess_reading(&estimate, extent.heap);
	else
		guess_writing(&estimate, effect, strcmp(effect, "index build") == 0 ? extent.heap : 0, written(effect, &extent));
	if (strcmp(effect, "rows") == 0)
		estimate.rows = (int64) extent.rows;
	return estimate;
}

/* Guess the bytes that are written by what writes a table anew, changes all rows or builds an index. */
double
dbops_migration_written(const char *effect, const List *targets)
{
	Extent		extent = extent_of(targets);

	return written(effect, &extent);
}

static double
written(const char *effect, const Extent *extent)
{
	if (strcmp(effect, "index build") != 0)
		return extent->all;
	return extent->rows < 0 ? extent->heap / 4 : extent->rows * ENTRY_BYTES;
}

/* A size as a user reads it. */
char *
dbops_migration_size(double bytes)
{
	return bytes < 10 * MB ? psprintf("%.0f kB", bytes / 1024) : psprintf("%.0f MB", bytes / MB);
}

/* Is it known, without a plan, how much of its tables it works on? */
static bool
reads_all(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_UpdateStmt:
			return ((const UpdateStmt *) statement)->whereClause == NULL;
		case T_DeleteStmt:
			return ((const DeleteStmt *) statement)->whereClause == NULL;
		case T_InsertStmt:
		case T_MergeStmt:
		case T_CopyStmt:
		case T_CreateTableAsStmt:
		case T_VacuumStmt:
			return false;
		default:
			return true;
	}
}

static Extent
extent_of(const List *targets)
{
	Extent		extent = {0};
	ListCell   *cell;

	foreach(cell, targets)
		if (is_worked_on(lfirst(cell)))
			add_extent(&extent, ((MigrationTarget *) lfirst(cell))->relid);
	return extent;
}

/* What a query only reads is not counted. */
static bool
is_worked_on(const MigrationTarget *target)
{
	return target->mode > RowShareLock;
}

static void
add_extent(Extent *extent, Oid relid)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		double		heap = dbops_relation_bytes(lfirst_oid(cell));
		double		rows = rows_of(lfirst_oid(cell));

		extent->heap += heap;
		extent->all += heap + bytes_of_indexes(lfirst_oid(cell));
		if (rows < 0 && heap > 0)
			extent->rows = -1;
		else if (extent->rows >= 0)
			extent->rows += Max(rows, 0);
	}
}

/* No lock is taken for it. */
static double
bytes_of_indexes(Oid relid)
{
	DbopsParam	table = dbops_param_oid(relid);
	double		bytes = 0;

	(void) dbops_query_each("SELECT indexrelid FROM pg_index WHERE indrelid = $1", 1, &table, add_bytes, &bytes);
	return bytes;
}

static void
add_bytes(HeapTuple row, TupleDesc desc, void *arg)
{
	*(double *) arg += dbops_relation_bytes(dbops_row_oid(row, desc, 1));
}

static double
rows_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows = -1;

	if (HeapTupleIsValid(tuple))
	{
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
	}
	return rows;
}

static void
guess_reading(MigrationEstimate *estimate, double read)
{
	estimate->duration = read / READ_RATE * 1000;
	estimate->basis = psprintf("reads %s at %.0f MB/s, which is assumed", dbops_migration_size(read), READ_RATE / MB);
}

static void
guess_writing(MigrationEstimate *estimate, const char *effect, double read, double written)
{
	bool		measured;
	double		rate = rate_of(effect, &measured);

	estimate->bytes = (int64) written;
	estimate->duration = (read / READ_RATE + written / rate) * 1000;
	estimate->basis = psprintf("%swrites about %s at %.0f MB/s, which is %s",
							   read > 0 ? psprintf("reads %s at %.0f MB/s, which is assumed, and ", dbops_migration_size(read), READ_RATE / MB) : "",
							   dbops_migration_size(written), rate / MB,
							   measured ? "what migrations of this database have reached" : "assumed");
}

/* What migrations have reached that wrote enough to tell. */
static double
rate_of(const char *effect, bool *measured)
{
	DbopsParam	wanted = dbops_param_text(effect);
	Datum		rate;

	*measured = dbops_store_value("SELECT pg_catalog.sum((receipt->>'wal_bytes')::float8) * 1000"
								  " / nullif(pg_catalog.sum((receipt->>'duration_ms')::float8 - (receipt->>'waited_ms')::float8), 0)"
								  " FROM dbops.migration_step WHERE state = 'done' AND receipt->>'effect' = $1"
								  " AND (receipt->>'wal_bytes')::float8 >= " MEASURED_BYTES,
								  1, &wanted, FLOAT8OID, &rate) && DatumGetFloat8(rate) >= 1;
	return *measured ? DatumGetFloat8(rate) : WRITE_RATE;
}
