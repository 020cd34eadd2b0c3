/*
 * backfill_key.c
 *		The key by which a backfill visits each row of a table once.
 *
 * Such a key orders all rows, tells them apart at every moment, and is not
 * changed by the backfill itself: a valid and immediate unique btree index over
 * whole columns that are never null and not assigned, in one direction, by the
 * order and the collation that the columns have by themselves. Of a partitioned
 * table it must be an index of that table, so that a row keeps its identity
 * where it is moved to another partition.
 *
 * Values of a key are kept as they are stored, not as text: nothing of them
 * depends on a setting, and two keys that compare as equal but are written
 * differently stay two.
 */
#include "change/change.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* A column without a fixed length counts as so many bytes. */
#define VARIABLE_WIDTH 64

/* The search for the best key of a table. */
typedef struct KeySearch
{
	Relation	rel;
	List	   *assigned;		/* names of columns */
	Oid			below;			/* only indexes that belong to one of this table; or InvalidOid */
	Oid			found;			/* index */
	int			cost;			/* of that: the lower the better */
	char	   *defect;			/* of an index that is none, for the message; or NULL */
} KeySearch;

/* A look for the first or the last key of a table. */
typedef struct KeyEnd
{
	const BackfillKey *key;
	Oid			relid;
	int			strategy;		/* of the order in which it comes first */
	bytea	   *found;
} KeyEnd;

static void refuse_without(Oid relid, Oid root, const char *defect);
static Oid	find_index(Relation rel, List *assigned, Oid below, char **defect);
static void consider(KeySearch *search, Relation index);
static char *find_defect(const KeySearch *search, Relation index);
static char *find_column_defect(const KeySearch *search, Relation index, int i);
static bool has_one_direction(Relation index);
static bool has_one_schema(Relation index);
static void read_end(void *arg);
static void take_end(HeapTuple row, TupleDesc desc, void *arg);
static Oid	comparison(Relation index, int i, StrategyNumber strategy);
static bool belongs_to(Oid index, Oid table);
static int	cost_of(Relation index);
static BackfillKey *describe(Relation index);
static char *quoted_operator(Oid operator);
static void describe_column(TupleDesc desc, AttrNumber attnum, BackfillKeyColumn *column);
static Datum plain_value(const BackfillKey *key, int i, Datum value);

/* The key of a table that holds rows; NULL if it has none: then why not. */
BackfillKey *
dbops_backfill_key_find(Oid relid, Oid root, List *assigned, char **defect)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	Oid			below = (get_rel_relkind(root) == RELKIND_PARTITIONED_TABLE) ? root : InvalidOid;
	Oid			found = find_index(rel, assigned, below, defect);
	BackfillKey *key = NULL;

	if (OidIsValid(found))
	{
		Relation	index = index_open(found, AccessShareLock);

		key = describe(index);
		index_close(index, NoLock);
	}
	relation_close(rel, NoLock);
	return key;
}

/* The key over just these columns, of a table whose pass has begun; NULL if it is gone. */
BackfillKey *
dbops_backfill_key_over(Oid relid, int columns, const AttrNumber *attnums)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	KeySearch	search = {.rel = rel};
	BackfillKey *key = NULL;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (key == NULL && IndexRelationGetNumberOfKeyAttributes(index) == columns &&
			memcmp(index->rd_index->indkey.values, attnums, columns * sizeof(AttrNumber)) == 0 &&
			find_defect(&search, index) == NULL)
			key = describe(index);
		index_close(index, NoLock);
	}
	relation_close(rel, NoLock);
	return key;
}

/* The key of a table that holds rows, or of a partitioned one; an error if it has none. */
BackfillKey *
dbops_backfill_key_require(Oid relid, Oid root, List *assigned)
{
	char	   *defect;
	BackfillKey *key = dbops_backfill_key_find(relid, root, assigned, &defect);

	if (key == NULL)
		refuse_without(relid, root, defect);
	return key;
}

/* Why there is no key, as an error that says what to create. */
static void
refuse_without(Oid relid, Oid root, const char *defect)
{
	bool		partitioned = get_rel_relkind(root) == RELKIND_PARTITIONED_TABLE;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 errmsg("table \"%s\" has no key by which each row could be visited once",
					get_rel_name(partitioned ? root : relid)),
			 defect ? errdetail("%s", defect) :
			 partitioned ? errdetail("The partitioned table itself has no unique index, so that a row could be met in two partitions.") :
			 errdetail("It has no unique index."),
			 errhint("It takes a valid unique btree index that is neither partial nor deferrable, over NOT NULL columns that set_clause does not assign, such as a primary key: ALTER TABLE ... ADD PRIMARY KEY, or CREATE UNIQUE INDEX after ALTER COLUMN ... SET NOT NULL.")));
}

/* The primary key if it serves, or else the narrowest index that does. */
static Oid
find_index(Relation rel, List *assigned, Oid below, char **defect)
{
	KeySearch	search = {.rel = rel,.assigned = assigned,.below = below};
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (index->rd_index->indisunique)
			consider(&search, index);
		index_close(index, NoLock);
	}
	*defect = search.defect;
	return search.found;
}

static void
consider(KeySearch *search, Relation index)
{
	char	   *defect = find_defect(search, index);
	int			cost = cost_of(index);

	if (defect != NULL)
	{
		if (search->defect == NULL || index->rd_index->indisprimary)
			search->defect = defect;
		return;
	}
	if (!OidIsValid(search->found) || cost < search->cost)
	{
		search->found = RelationGetRelid(index);
		search->cost = cost;
	}
}

/* What keeps a unique index from being the key; NULL: nothing. */
static char *
find_defect(const KeySearch *search, Relation index)
{
	Form_pg_index form = index->rd_index;
	char	   *name = RelationGetRelationName(index);
	const char *what = NULL;

	if (!form->indisunique || index->rd_rel->relam != BTREE_AM_OID)
		what = "is no unique btree index";
	else if (!form->indisvalid)
		what = "is invalid";
	else if (!form->indimmediate)
		what = "is deferrable";
	else if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		what = "is partial";
	else if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL))
		what = "has an expression";
	else if (OidIsValid(search->below) && RelationGetRelid(search->rel) != search->below &&
			 !belongs_to(RelationGetRelid(index), search->below))
		what = "is not a part of an index of the partitioned table";
	else if (!has_one_direction(index))
		what = "orders its columns in different directions, or nulls in another place than usual";
	else if (!has_one_schema(index))
		what = "compares its columns by operators of different schemas";
	if (what != NULL)
		return psprintf("Index \"%s\" %s.", name, what);

	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		char	   *defect = find_column_defect(search, index, i);

		if (defect != NULL)
			return defect;
	}
	return NULL;
}

static char *
find_column_defect(const KeySearch *search, Relation index, int i)
{
	TupleDesc	desc = RelationGetDescr(search->rel);
	AttrNumber	attnum = index->rd_index->indkey.values[i];
	Form_pg_attribute column = TupleDescAttr(desc, attnum - 1);
	Oid			type = getBaseType(column->atttypid);
	const char *what = NULL;
	ListCell   *cell;

	if (!column_is_not_null(desc, attnum - 1))
		what = "may be null";
	else if (index->rd_indcollation[i] != column->attcollation)
		what = "has another collation than the index";
	else
	{
		Oid			opclass = GetDefaultOpClass(type, BTREE_AM_OID);

		if (!OidIsValid(opclass) || get_opclass_family(opclass) != index->rd_opfamily[i])
			what = "is not indexed by the default order of its type";
	}
	foreach(cell, search->assigned)
		if (strcmp(lfirst(cell), NameStr(column->attname)) == 0)
			what = "is assigned, or generated from what is";
	return what == NULL ? NULL :
		psprintf("Column \"%s\" of index \"%s\" %s.", NameStr(column->attname),
				 RelationGetRelationName(index), what);
}

/* Can the index be read in the ascending order of all of its columns? */
static bool
has_one_direction(Relation index)
{
	int			first = index->rd_indoption[0];

	if (first != 0 && first != (INDOPTION_DESC | INDOPTION_NULLS_FIRST))
		return false;
	for (int i = 1; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		if (index->rd_indoption[i] != first)
			return false;
	return true;
}

/* Columns are compared together by one operator's name. */
static bool
has_one_schema(Relation index)
{
	Oid			schema = InvalidOid;

	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(comparison(index, i, BTLessStrategyNumber)));
		Oid			own;

		if (!HeapTupleIsValid(tuple))
			return false;
		own = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace;
		ReleaseSysCache(tuple);
		if (i > 0 && own != schema)
			return false;
		schema = own;
	}
	return true;
}

static Oid
comparison(Relation index, int i, StrategyNumber strategy)
{
	return get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
							   index->rd_opcintype[i], strategy);
}

/* Is the index of a partition a part of one of this partitioned table? */
static bool
belongs_to(Oid index, Oid table)
{
	ListCell   *cell;

	if (!get_rel_relispartition(index))
		return false;
	foreach(cell, get_partition_ancestors(index))
		if (IndexGetRelation(lfirst_oid(cell), false) == table)
			return true;
	return false;
}

/* Primary keys first, then by what a key takes, in bytes. */
static int
cost_of(Relation index)
{
	TupleDesc	desc = RelationGetDescr(index);
	int			cost = index->rd_index->indisprimary ? 0 : 10000;

	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		cost += (TupleDescAttr(desc, i)->attlen > 0) ? TupleDescAttr(desc, i)->attlen : VARIABLE_WIDTH;
	return cost;
}

static BackfillKey *
describe(Relation index)
{
	BackfillKey *key = palloc0(sizeof(BackfillKey));
	Relation	rel = relation_open(index->rd_index->indrelid, NoLock);

	key->index = RelationGetRelid(index);
	key->columns = IndexRelationGetNumberOfKeyAttributes(index);
	for (int i = 0; i < key->columns; i++)
	{
		describe_column(RelationGetDescr(rel), index->rd_index->indkey.values[i], &key->column[i]);
		for (StrategyNumber strategy = BTLessStrategyNumber; strategy <= BTMaxStrategyNumber; strategy++)
			key->operators[strategy] = quoted_operator(comparison(index, 0, strategy));
	}
	relation_close(rel, NoLock);
	return key;
}

/* The operator as it is written between two operands. */
static char *
quoted_operator(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *quoted;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	quoted = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return quoted;
}

static void
describe_column(TupleDesc desc, AttrNumber attnum, BackfillKeyColumn *column)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, attnum - 1);

	column->attnum = attnum;
	column->type = attribute->atttypid;
	column->length = attribute->attlen;
	column->by_value = attribute->attbyval;
	column->collation = attribute->attcollation;
	column->name = pstrdup(quote_identifier(NameStr(attribute->attname)));
	column->compare = &lookup_type_cache(getBaseType(attribute->atttypid),
										 TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
}

/*
 * The key over these columns, for who compares values and reads no index: it
 * is ordered as the types are. NULL if a column is gone.
 */
BackfillKey *
dbops_backfill_key_plain(TupleDesc desc, int columns, const AttrNumber *attnums)
{
	BackfillKey *key = palloc0(sizeof(BackfillKey));

	key->columns = columns;
	for (int i = 0; i < columns; i++)
	{
		if (attnums[i] <= 0 || attnums[i] > desc->natts || TupleDescAttr(desc, attnums[i] - 1)->attisdropped)
			return NULL;
		describe_column(desc, attnums[i], &key->column[i]);
	}
	return key;
}

/* ---- values of a key ---- */

/* Read the key of a row; false if it has none, its columns being nullable by now. */
bool
dbops_backfill_key_of_row(const BackfillKey *key, HeapTuple row, TupleDesc desc, Datum *values)
{
	for (int i = 0; i < key->columns; i++)
	{
		bool		isnull;

		values[i] = heap_getattr(row, key->column[i].attnum, desc, &isnull);
		if (isnull)
			return false;
	}
	return true;
}

/* Which of two comes first: below, 0 or above 0. */
int
dbops_backfill_key_compare(const BackfillKey *key, const Datum *a, const Datum *b)
{
	int			order = 0;

	for (int i = 0; i < key->columns && order == 0; i++)
		order = DatumGetInt32(FunctionCall2Coll(key->column[i].compare, key->column[i].collation,
												a[i], b[i]));
	return order;
}

/*
 * Put the values of a key together as they are stored, with their types: read
 * as values of another type they would be anything.
 */
bytea *
dbops_backfill_key_pack(const BackfillKey *key, const Datum *values)
{
	Datum		plain[INDEX_MAX_KEYS];
	Size		size = VARHDRSZ + key->columns * sizeof(Oid);
	bytea	   *packed;
	char	   *place;

	for (int i = 0; i < key->columns; i++)
	{
		plain[i] = plain_value(key, i, values[i]);
		size += datumEstimateSpace(plain[i], false, key->column[i].by_value, key->column[i].length);
	}
	packed = palloc0(size);
	SET_VARSIZE(packed, size);
	place = VARDATA(packed);
	for (int i = 0; i < key->columns; i++)
	{
		memcpy(place, &key->column[i].type, sizeof(Oid));
		place += sizeof(Oid);
	}
	for (int i = 0; i < key->columns; i++)
		datumSerialize(plain[i], false, key->column[i].by_value, key->column[i].length, &place);
	return packed;
}

/* The same value has one form only: not compressed, and with a long header. */
static Datum
plain_value(const BackfillKey *key, int i, Datum value)
{
	return (key->column[i].length == -1) ? PointerGetDatum(PG_DETOAST_DATUM(value)) : value;
}

/* Do the columns have the types still that the values were stored with? */
bool
dbops_backfill_key_fits(const BackfillKey *key, const bytea *packed)
{
	const char *place = VARDATA_ANY(packed);

	for (int i = 0; i < key->columns; i++)
		if (memcmp(place + i * sizeof(Oid), &key->column[i].type, sizeof(Oid)) != 0)
			return false;
	return true;
}

/* Take them apart again, into the current memory. */
Datum *
dbops_backfill_key_unpack(const BackfillKey *key, bytea *packed)
{
	Datum	   *values = palloc(sizeof(Datum) * INDEX_MAX_KEYS);
	char	   *place = VARDATA_ANY(packed) + key->columns * sizeof(Oid);
	bool		isnull;

	if (!dbops_backfill_key_fits(key, packed))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the type of a column of the key that the backfill goes by has been changed"),
				 errhint("Cancel the job; its result says up to which key rows have been visited.")));
	for (int i = 0; i < key->columns; i++)
		values[i] = datumRestore(&place, &isnull);
	return values;
}

/*
 * Read the first and the last key of a table, with its owner's rights; NULL if
 * it has no rows.
 */
void
dbops_backfill_key_ends(const BackfillKey *key, Oid relid, Oid owner, bytea **first, bytea **last)
{
	KeyEnd		end = {.key = key,.relid = relid,.strategy = BTLessStrategyNumber};

	dbops_run_as(owner, read_end, &end);
	*first = end.found;
	end.found = NULL;
	end.strategy = BTGreaterStrategyNumber;
	dbops_run_as(owner, read_end, &end);
	*last = end.found;
}

static void
read_end(void *arg)
{
	KeyEnd	   *end = arg;
	char	   *table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(end->relid)),
												   get_rel_name(end->relid));

	dbops_query_each(psprintf("SELECT %s FROM ONLY %s ORDER BY %s LIMIT 1",
							  dbops_backfill_key_names(end->key), table,
							  dbops_backfill_key_order(end->key, "", end->strategy)),
					 0, NULL, take_end, end);
}

static void
take_end(HeapTuple row, TupleDesc desc, void *arg)
{
	KeyEnd	   *end = arg;
	Datum		values[INDEX_MAX_KEYS] = {0};
	bool		isnull;

	for (int i = 0; i < end->key->columns; i++)
		values[i] = heap_getattr(row, i + 1, desc, &isnull);
	end->found = dbops_backfill_key_pack(end->key, values);
}

/* ---- a key in SQL ---- */

/* What would stand behind ORDER BY. The columns have this prefix. */
char *
dbops_backfill_key_order(const BackfillKey *key, const char *prefix, int strategy)
{
	StringInfoData order;

	initStringInfo(&order);
	for (int i = 0; i < key->columns; i++)
		appendStringInfo(&order, "%s%s%s USING %s", i > 0 ? ", " : "", prefix,
						 key->column[i].name, key->operators[strategy]);
	return order.data;
}

/* Compare the key of a row with parameters, of which this is the first. */
char *
dbops_backfill_key_condition(const BackfillKey *key, const char *prefix, int strategy, int parameter)
{
	StringInfoData columns;
	StringInfoData values;

	initStringInfo(&columns);
	initStringInfo(&values);
	for (int i = 0; i < key->columns; i++)
	{
		appendStringInfo(&columns, "%s%s%s", i > 0 ? ", " : "", prefix, key->column[i].name);
		appendStringInfo(&values, "%s$%d", i > 0 ? ", " : "", parameter + i);
	}
	return psprintf(key->columns > 1 ? "ROW(%s) %s ROW(%s)" : "%s %s %s",
					columns.data, key->operators[strategy], values.data);
}

/* The names of the columns, as in SQL. */
char *
dbops_backfill_key_names(const BackfillKey *key)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < key->columns; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", key->column[i].name);
	return names.data;
}

/* A key as people read it. */
char *
dbops_backfill_key_text(const BackfillKey *key, const Datum *values)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < key->columns; i++)
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(key->column[i].type, &output, &varlena);
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "",
						 OidOutputFunctionCall(output, values[i]));
	}
	return text.data;
}
