/*
 * partition_set.c
 *		A partitioned table whose partitions are ranges of time, as it stands.
 *
 * It is read from the catalog, without a lock on any of its tables. Bounds are
 * taken as the server keeps them, so no text is parsed that depends on how the
 * session writes a date.
 */
#include "maintain/partition.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* What a key is like. */
typedef struct KeyFacts
{
	char		strategy;
	int			columns;
	AttrNumber	attnum;			/* of the first; 0: an expression */
} KeyFacts;

/* Why a set cannot be read, as the parts of an error. */
typedef struct Defect
{
	int			sqlstate;
	const char *message;
	const char *hint;
} Defect;

/* What is measured, by OID, and at which of it the figures have come. */
typedef struct Measuring
{
	List	   *partitions;
	int			at;
} Measuring;

static PartitionSet *read_set(Oid parent, struct pg_tz *zone, int64 unit, Defect *defect);
static bool read_key(Oid parent, KeyFacts *facts);
static void take_kind(Oid parent, const PartitionSet *set, Defect *defect);
static bool find_defect(Oid parent, PartitionSet *set, Defect *defect);
static bool settle_unit(PartitionSet *set, int64 unit, Defect *defect);
static void take_partition(HeapTuple row, TupleDesc desc, void *arg);
static PartitionBoundSpec *bound_of(Oid relid);
static void read_own_bounds(PartitionSet *set);
static void read_bounds(PartitionSet *set, Partition *partition, const PartitionBoundSpec *bound);
static int64 position_of_bound(const PartitionSet *set, List *datums);
static int64 sample_value(const PartitionSet *set);
static int	compare_partitions(const ListCell *a, const ListCell *b);
static int	compare_relids(const ListCell *a, const ListCell *b);
static void measure(const char *sql, const DbopsParam *param, Measuring *measuring);
static void add_figures(HeapTuple row, TupleDesc desc, void *arg);
static void add_rows(Partition *partition, int64 rows, bool empty);

/* Read a set, or refuse. */
PartitionSet *
dbops_partition_set_read(Oid parent, struct pg_tz *zone, int64 unit)
{
	Defect		defect = {0};
	PartitionSet *set = read_set(parent, zone, unit, &defect);

	if (set == NULL)
		ereport(ERROR,
				(errcode(defect.sqlstate),
				 errmsg("%s", defect.message),
				 defect.hint != NULL ? errhint("%s", defect.hint) : 0));
	return set;
}

/* Say why it would be refused; NULL: it would not. */
const char *
dbops_partition_set_defect(Oid parent)
{
	Defect		defect = {0};

	(void) read_set(parent, pg_tzset("UTC"), 0, &defect);
	return defect.message;
}

static PartitionSet *
read_set(Oid parent, struct pg_tz *zone, int64 unit, Defect *defect)
{
	PartitionSet *set = palloc0(sizeof(PartitionSet));
	DbopsParam	param = dbops_param_oid(parent);
	ListCell   *cell;

	set->parent = parent;
	set->clock.zone = zone;
	set->clock.grid_zone = zone;
	if (find_defect(parent, set, defect))
		return NULL;
	dbops_query_each("SELECT i.inhrelid, i.inhdetachpending, n.nspname::text, c.relname::text, c.relkind::text"
					 " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " WHERE i.inhparent = $1",
					 1, &param, take_partition, set);
	if (!settle_unit(set, unit, defect))
		return NULL;
	foreach(cell, set->partitions)
	{
		Partition  *partition = lfirst(cell);
		PartitionBoundSpec *bound = bound_of(partition->relid);

		if (bound == NULL)		/* it is gone meanwhile */
			set->partitions = foreach_delete_current(set->partitions, cell);
		else if (bound->is_default)
		{
			set->default_partition = partition;
			set->partitions = foreach_delete_current(set->partitions, cell);
		}
		else
			read_bounds(set, partition, bound);
	}
	list_sort(set->partitions, compare_partitions);
	read_own_bounds(set);
	return set;
}

/* Find out whether it can be kept by time at all, and by what. */
static bool
find_defect(Oid parent, PartitionSet *set, Defect *defect)
{
	KeyFacts	facts;
	char	   *relname = get_rel_name(parent);

	defect->sqlstate = ERRCODE_WRONG_OBJECT_TYPE;
	if (relname == NULL)
	{
		defect->sqlstate = ERRCODE_UNDEFINED_TABLE;
		defect->message = psprintf("table with OID %u does not exist", parent);
		return true;
	}
	set->relname = relname;
	set->schema = get_namespace_name(get_rel_namespace(parent));
	set->name = dbops_quote_qualified(set->schema, relname);
	if (get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE || !read_key(parent, &facts))
	{
		take_kind(parent, set, defect);
		return true;
	}
	if (facts.strategy != PARTITION_STRATEGY_RANGE)
		defect->message = psprintf("table %s is partitioned by %s, not by range", set->name,
								   facts.strategy == PARTITION_STRATEGY_LIST ? "list" : "hash");
	else if (facts.columns != 1)
		defect->message = psprintf("table %s is partitioned by %d columns, not by one", set->name, facts.columns);
	else if (facts.attnum == 0)
		defect->message = psprintf("table %s is partitioned by an expression, not by a column", set->name);
	if (defect->message != NULL)
	{
		defect->hint = "It must be partitioned by range of one column that is a time. Where it has partitions that are, call it for these; dbops.set_retention deletes old rows of any table.";
		return true;
	}
	set->column = get_attname(parent, facts.attnum, false);
	set->clock.type = get_atttype(parent, facts.attnum);
	if (dbops_partition_type_is_time(set->clock.type))
		return false;
	defect->sqlstate = ERRCODE_DATATYPE_MISMATCH;
	defect->message = psprintf("column %s of table %s is of type %s, which says no time",
							   dbops_quote_name(set->column), set->name, format_type_be(set->clock.type));
	defect->hint = "The key must be a timestamptz, a timestamp, a date, or an integer or bigint that counts since 1970.";
	return true;
}

/* It is not partitioned: say what it is, and what could be done. */
static void
take_kind(Oid parent, const PartitionSet *set, Defect *defect)
{
	if (get_rel_relkind(parent) != RELKIND_RELATION)
	{
		defect->message = psprintf("%s is not a table with rows of its own, nor partitioned", set->name);
		defect->hint = "Give the partitioned table.";
	}
	else if (get_rel_relispartition(parent))
	{
		defect->message = psprintf("table %s is a partition, and not partitioned itself", set->name);
		defect->hint = psprintf("Give the table that it is a partition of: %s.", dbops_quote_relation(get_partition_parent(parent, true)));
	}
	else
	{
		defect->message = psprintf("table %s is not partitioned", set->name);
		defect->hint = "CALL dbops.partition_table(table_name, column_name, every) makes it the first partition of a partitioned table.";
	}
}

static bool
read_key(Oid parent, KeyFacts *facts)
{
	HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(parent));
	Form_pg_partitioned_table form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	facts->strategy = form->partstrat;
	facts->columns = form->partnatts;
	facts->attnum = form->partattrs.values[0];
	ReleaseSysCache(tuple);
	return true;
}

static void
take_partition(HeapTuple row, TupleDesc desc, void *arg)
{
	PartitionSet *set = arg;
	Partition  *partition = palloc0(sizeof(Partition));

	partition->relid = dbops_row_oid(row, desc, 1);
	partition->pending = dbops_row_bool(row, desc, 2);
	partition->schema = dbops_row_text(row, desc, 3);
	partition->relname = dbops_row_text(row, desc, 4);
	partition->name = dbops_quote_qualified(partition->schema, partition->relname);
	partition->relkind = dbops_row_text(row, desc, 5)[0];
	set->partitions = lappend(set->partitions, partition);
	if (partition->pending)
		set->pending = partition;
}

/* The bounds as the server keeps them; NULL: it is no partition any more. */
static PartitionBoundSpec *
bound_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	PartitionBoundSpec *bound = NULL;
	bool		isnull;
	Datum		datum;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
	if (!isnull)
		bound = castNode(PartitionBoundSpec, stringToNode(TextDatumGetCString(datum)));
	ReleaseSysCache(tuple);
	return bound;
}

static void
read_bounds(PartitionSet *set, Partition *partition, const PartitionBoundSpec *bound)
{
	partition->lower = position_of_bound(set, bound->lowerdatums);
	partition->upper = position_of_bound(set, bound->upperdatums);
}

/* Read in which times rows can come to it, where it, or what it is in, is a partition by the same key. */
static void
read_own_bounds(PartitionSet *set)
{
	Oid			level = set->parent;

	set->lower = PARTITION_BEGINNING;
	set->upper = PARTITION_END;
	while (get_rel_relispartition(level))
	{
		PartitionBoundSpec *bound = bound_of(level);
		Oid			above = get_partition_parent(level, true);
		KeyFacts	facts;
		Partition	own;

		if (bound == NULL || !read_key(above, &facts))
			return;
		level = above;
		if (bound->is_default || facts.strategy != PARTITION_STRATEGY_RANGE || facts.columns != 1 || facts.attnum == 0 ||
			strcmp(get_attname(above, facts.attnum, false), set->column) != 0)
			continue;
		read_bounds(set, &own, bound);
		set->lower = Max(set->lower, own.lower);
		set->upper = Min(set->upper, own.upper);
	}
}

static int64
position_of_bound(const PartitionSet *set, List *datums)
{
	PartitionRangeDatum *datum = linitial_node(PartitionRangeDatum, datums);

	if (datum->kind == PARTITION_RANGE_DATUM_MINVALUE)
		return PARTITION_BEGINNING;
	if (datum->kind == PARTITION_RANGE_DATUM_MAXVALUE)
		return PARTITION_END;
	return dbops_partition_position(&set->clock, castNode(Const, datum->value)->constvalue);
}

/* Settle in which unit an integer key counts. */
static bool
settle_unit(PartitionSet *set, int64 unit, Defect *defect)
{
	if (set->clock.type != INT4OID && set->clock.type != INT8OID)
		return true;
	set->clock.unit = (unit != 0) ? unit : dbops_epoch_unit_of(sample_value(set));
	if (set->clock.unit != 0)
		return true;
	defect->sqlstate = ERRCODE_DATATYPE_MISMATCH;
	defect->message = psprintf("column %s of table %s is %s, and the bounds of its partitions do not look like times since 1970",
							   dbops_quote_name(set->column), set->name, format_type_be(set->clock.type));
	defect->hint = "Partitions of numbers that are no times are not looked after. Where they are times, make a first partition by hand.";
	return false;
}

/* The highest bound of an integer key; 0: there is none. */
static int64
sample_value(const PartitionSet *set)
{
	int64		highest = 0;
	ListCell   *cell;

	foreach(cell, set->partitions)
	{
		PartitionBoundSpec *bound = bound_of(((Partition *) lfirst(cell))->relid);
		PartitionRangeDatum *datum;

		if (bound == NULL || bound->is_default)
			continue;
		datum = linitial_node(PartitionRangeDatum, bound->upperdatums);
		if (datum->kind != PARTITION_RANGE_DATUM_VALUE)
			datum = linitial_node(PartitionRangeDatum, bound->lowerdatums);
		if (datum->kind != PARTITION_RANGE_DATUM_VALUE)
			continue;
		highest = Max(highest, set->clock.type == INT4OID ? DatumGetInt32(castNode(Const, datum->value)->constvalue) :
					  DatumGetInt64(castNode(Const, datum->value)->constvalue));
	}
	return highest;
}

static int
compare_partitions(const ListCell *a, const ListCell *b)
{
	const Partition *left = lfirst(a);
	const Partition *right = lfirst(b);

	return (left->lower > right->lower) - (left->lower < right->lower);
}

/* ---- questions ---- */

#define MEASURE \
	"WITH RECURSIVE tree(root, relid) AS (SELECT inhrelid, inhrelid FROM pg_inherits WHERE %s = $1" \
	" UNION ALL SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.relid)" \
	" SELECT t.root, s.oid, s.rows FROM tree t CROSS JOIN LATERAL (" \
	" SELECT c.oid, CASE c.relkind WHEN 'p' THEN 0 ELSE c.reltuples::bigint END AS rows" \
	"  FROM pg_class c WHERE c.oid = t.relid" \
	" UNION ALL SELECT x.indexrelid, 0 FROM pg_index x WHERE x.indrelid = t.relid" \
	" UNION ALL SELECT c.reltoastrelid, 0 FROM pg_class c WHERE c.oid = t.relid AND c.reltoastrelid <> 0" \
	" UNION ALL SELECT x.indexrelid, 0 FROM pg_class c JOIN pg_index x ON x.indrelid = c.reltoastrelid WHERE c.oid = t.relid" \
	") s ORDER BY t.root"

/* Fill in how large they are, and the rows of those that have partitions of their own. */
void
dbops_partition_set_measure(PartitionSet *set)
{
	DbopsParam	param = dbops_param_oid(set->parent);
	Measuring	measuring = {.partitions = list_copy(set->partitions)};

	if (set->default_partition != NULL)
		measuring.partitions = lappend(measuring.partitions, set->default_partition);
	list_sort(measuring.partitions, compare_relids);
	measure(psprintf(MEASURE, "inhparent"), &param, &measuring);
}

/* The same for one of them alone. */
void
dbops_partition_measure(Partition *partition)
{
	DbopsParam	param = dbops_param_oid(partition->relid);
	Measuring	measuring = {.partitions = list_make1(partition)};

	measure(psprintf(MEASURE, "inhrelid"), &param, &measuring);
}

static int
compare_relids(const ListCell *a, const ListCell *b)
{
	Oid			left = ((const Partition *) lfirst(a))->relid;
	Oid			right = ((const Partition *) lfirst(b))->relid;

	return (left > right) - (left < right);
}

/* Add up what each is made of, with its own partitions, by which no lock is taken. */
static void
measure(const char *sql, const DbopsParam *param, Measuring *measuring)
{
	ListCell   *cell;

	foreach(cell, measuring->partitions)
	{
		Partition  *partition = lfirst(cell);

		partition->bytes = 0;
		partition->rows = 0;
	}
	dbops_query_each(sql, 1, param, add_figures, measuring);
}

/* Both come by OID; what was attached since the set was read is not of it. */
static void
add_figures(HeapTuple row, TupleDesc desc, void *arg)
{
	Measuring  *measuring = arg;
	Oid			root = dbops_row_oid(row, desc, 1);
	int64		bytes;
	Partition  *partition;

	while (measuring->at < list_length(measuring->partitions) &&
		   ((Partition *) list_nth(measuring->partitions, measuring->at))->relid < root)
		measuring->at++;
	if (measuring->at == list_length(measuring->partitions))
		return;
	partition = list_nth(measuring->partitions, measuring->at);
	if (partition->relid != root)
		return;
	bytes = dbops_relation_bytes(dbops_row_oid(row, desc, 2));
	partition->bytes += bytes;
	add_rows(partition, dbops_row_int8(row, desc, 3), bytes == 0 && partition->relkind != RELKIND_FOREIGN_TABLE);
}

/* What nobody has analyzed has an unknown number of rows, unless it has no page; with one of these the sum is unknown. */
static void
add_rows(Partition *partition, int64 rows, bool empty)
{
	if (partition->rows < 0 || (rows < 0 && !empty))
		partition->rows = -1;
	else
		partition->rows += Max(rows, 0);
}

/* Find one by its OID, the default too; NULL: it is none of the set. */
Partition *
dbops_partition_find(const PartitionSet *set, Oid relid)
{
	ListCell   *cell;

	if (set->default_partition != NULL && set->default_partition->relid == relid)
		return set->default_partition;
	foreach(cell, set->partitions)
		if (((Partition *) lfirst(cell))->relid == relid)
			return lfirst(cell);
	return NULL;
}

/* Those that hold nothing at or after a position; the oldest first. */
List *
dbops_partition_expired(const PartitionSet *set, int64 cutoff)
{
	List	   *expired = NIL;
	ListCell   *cell;

	foreach(cell, set->partitions)
		if (((Partition *) lfirst(cell))->upper <= cutoff)
			expired = lappend(expired, lfirst(cell));
	return expired;
}
