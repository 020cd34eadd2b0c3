/*
 * retention_reference.c
 *		Who refers to the rows that are to be deleted.
 *
 * Each row that is deleted has the server look for rows that refer to it. Where
 * no index serves that, deleting is a scan of the other table for every row, so
 * that is refused with the index to create.
 *
 * Where rows refer to others of tables that have a policy too, those go first.
 *
 * Each batch asks who refers, and the catalog is slow to tell. So an answer is
 * kept in the process until a table or a constraint has changed; whoever has a
 * lock on the table has heard of each foreign key to it.
 */
#include "maintain/retention.h"

#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* What the catalog has told of a table. */
typedef struct Answer
{
	Oid			relid;
	List	   *references;		/* of RetentionReference * */
} Answer;

static MemoryContext answers_memory = NULL;
static List *answers = NIL;		/* of Answer *, in answers_memory */
static uint64 answers_of = 0;	/* the changes that they have heard of */
static uint64 changes = 1;		/* of tables and constraints, so far */

static const Answer *find_answer(Oid relid);
static void begin_answers(void);
static void keep_answer(Oid relid, const List *found);
static List *copy(const List *found);
static void hear_of_table(Datum arg, Oid relid);
static void hear_of_constraint(Datum arg, int cache, uint32 hash);
static void take_reference(HeapTuple row, TupleDesc desc, void *arg);
static const RetentionReference *find_unindexed(Oid relid, List **seen);
static bool has_policy(Oid relid);

/*
 * Of a partition the constraints are those that the catalog has for it, also as
 * the copy of one that refers to a table above; where the other table is
 * partitioned, the one of the whole table. Of a partitioned table also those
 * that refer to one of its partitions only. The columns of a foreign key are
 * served by an index that begins with them, in any order. One that would set
 * columns to null that must not be null lets no row go that is referred to.
 */
static const char *const references =
	"WITH RECURSIVE below (relid) AS (SELECT $1 UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.relid"
	" JOIN pg_class p ON p.oid = i.inhrelid WHERE p.relispartition)"
	" SELECT c.oid, c.conname::text, c.conrelid, CASE WHEN s.must_stay THEN 'a' ELSE c.confdeltype::text END,"
	" (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k (attnum, n)"
	" JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum),"
	" (SELECT string_agg(format('%%1$s.%s OPERATOR(%s.%s) %%2$s.%s%s', replace(quote_ident(p.attname), '%', '%%'),"
	" replace(quote_ident(n.nspname), '%', '%%'), replace(o.oprname, '%', '%%'), replace(quote_ident(f.attname), '%', '%%'),"
	" (SELECT replace(format(' COLLATE %I.%I', cn.nspname, l.collname), '%', '%%') FROM pg_collation l JOIN pg_namespace cn ON cn.oid = l.collnamespace"
	" WHERE l.oid = p.attcollation AND p.attcollation <> f.attcollation)),"
	" ' AND ' ORDER BY k.n)"
	" FROM unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY k (attnum, refnum, operator, n)"
	" JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attnum = k.attnum"
	" JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = k.refnum"
	" JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace n ON n.oid = o.oprnamespace),"
	" EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL"
	" AND i.indnkeyatts >= cardinality(c.conkey)"
	" AND (SELECT array_agg(k ORDER BY k) FROM unnest((i.indkey::int2[])[0:cardinality(c.conkey) - 1]) k)"
	" = (SELECT array_agg(k ORDER BY k) FROM unnest(c.conkey) k)"
	" AND (SELECT am.amname = 'btree' OR cardinality(c.conkey) = 1 AND am.amname = 'hash'"
	" FROM pg_class r JOIN pg_am am ON am.oid = r.relam WHERE r.oid = i.indexrelid)),"
	" c.confrelid,"
	" (SELECT string_agg(format('" RETENTION_ROW ".%I', p.attname), ', ' ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY k (attnum, n)"
	" JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = k.attnum),"
	" (SELECT string_agg(format('$%s OPERATOR(%I.%s) " RETENTION_ROW ".%I', k.n, n.nspname, o.oprname, f.attname), ' AND ' ORDER BY k.n)"
	" FROM unnest(c.conkey, c.conpfeqop) WITH ORDINALITY k (attnum, operator, n)"
	" JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attnum = k.attnum"
	" JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace n ON n.oid = o.oprnamespace),"
	" cardinality(c.confkey), s.must_stay"
	" FROM pg_constraint c CROSS JOIN LATERAL"
	" (SELECT c.confdeltype IN ('n', 'd') AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.conrelid"
	" AND a.attnum = ANY (coalesce(nullif(c.confdelsetcols, '{}'), c.conkey)) AND a.attnotnull"
	" AND (c.confdeltype = 'n' OR NOT a.atthasdef AND a.attidentity = ''))) s (must_stay)"
	" WHERE c.contype = 'f' AND c.confrelid IN (SELECT relid FROM below)"
	" AND (c.confrelid = $1 OR c.conparentid = 0)"
	" AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = c.confrelid)"
	" ORDER BY c.conrelid::regclass::text, c.conname";

/* The foreign keys that refer to rows of a table, of RetentionReference *. */
List *
dbops_retention_references(Oid relid)
{
	DbopsParam	param = dbops_param_oid(relid);
	const Answer *known = find_answer(relid);
	List	   *found = NIL;

	if (known != NULL)
		return copy(known->references);
	dbops_query_each(references, 1, &param, take_reference, &found);
	keep_answer(relid, found);
	return found;
}

/* What is known of a table since the last change; NULL: nothing. */
static const Answer *
find_answer(Oid relid)
{
	ListCell   *cell;

	if (answers_of != changes)
		begin_answers();
	foreach(cell, answers)
		if (((Answer *) lfirst(cell))->relid == relid)
			return lfirst(cell);
	return NULL;
}

/* Forget them; what changes while the catalog is asked is heard of before the next question. */
static void
begin_answers(void)
{
	if (answers_memory == NULL)
	{
		answers_memory = AllocSetContextCreate(CacheMemoryContext, "dbops references", ALLOCSET_DEFAULT_SIZES);
		CacheRegisterRelcacheCallback(hear_of_table, (Datum) 0);
		CacheRegisterSyscacheCallback(CONSTROID, hear_of_constraint, (Datum) 0);
	}
	answers_of = changes;
	answers = NIL;
	MemoryContextReset(answers_memory);
}

static void
keep_answer(Oid relid, const List *found)
{
	MemoryContext before = MemoryContextSwitchTo(answers_memory);
	Answer	   *answer = palloc(sizeof(Answer));

	answer->relid = relid;
	answer->references = copy(found);
	answers = lappend(answers, answer);
	MemoryContextSwitchTo(before);
}

/* The caller's own, since what is kept is forgotten at any time. */
static List *
copy(const List *found)
{
	List	   *copies = NIL;
	ListCell   *cell;

	foreach(cell, found)
	{
		RetentionReference *reference = palloc(sizeof(RetentionReference));

		*reference = *(const RetentionReference *) lfirst(cell);
		reference->name = pstrdup(reference->name);
		reference->columns = pstrdup(reference->columns);
		reference->join = pstrdup(reference->join);
		reference->keys = pstrdup(reference->keys);
		reference->match = pstrdup(reference->match);
		copies = lappend(copies, reference);
	}
	return copies;
}

static void
hear_of_table(Datum arg, Oid relid)
{
	changes++;
}

static void
hear_of_constraint(Datum arg, int cache, uint32 hash)
{
	changes++;
}

static void
take_reference(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **found = arg;
	RetentionReference *reference = palloc0(sizeof(RetentionReference));

	reference->constraint = dbops_row_oid(row, desc, 1);
	reference->name = dbops_row_text(row, desc, 2);
	reference->table = dbops_row_oid(row, desc, 3);
	reference->on_delete = dbops_row_text(row, desc, 4)[0];
	reference->columns = dbops_row_text(row, desc, 5);
	reference->join = dbops_row_text(row, desc, 6);
	reference->indexed = dbops_row_bool(row, desc, 7);
	reference->referred = dbops_row_oid(row, desc, 8);
	reference->keys = dbops_row_text(row, desc, 9);
	reference->match = dbops_row_text(row, desc, 10);
	reference->n_keys = dbops_row_int4(row, desc, 11);
	reference->must_stay = dbops_row_bool(row, desc, 12);
	*found = lappend(*found, reference);
}

/* Refuse a table whose rows cannot be deleted one by one at a bearable cost. */
void
dbops_retention_check_references(Oid relid)
{
	const RetentionReference *reference = dbops_retention_unindexed(relid);

	if (reference == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("foreign key \"%s\" of table %s has no index", reference->name, dbops_quote_relation(reference->table)),
			 errdetail("Each row that is deleted from table %s would have all of that table read.",
					   dbops_quote_relation(reference->referred)),
			 errhint("%s", dbops_retention_reference_ddl(reference))));
}

/* A table, with those above and below it, and those whose rows go along with its rows. */
#define ALONG \
	"WITH RECURSIVE along (relid) AS (SELECT $1 UNION SELECT n.relid FROM along a CROSS JOIN LATERAL" \
	" (SELECT c.conrelid FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = a.relid AND c.confdeltype = 'c'" \
	" UNION ALL SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = a.relid" \
	" UNION ALL SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = a.relid) n (relid))"

/*
 * Is it the error of a row that refers to one of the table, or to one that goes
 * along with it? One of another foreign key, such as the archive's own, is not,
 * and neither is what a trigger makes up.
 */
bool
dbops_retention_is_referred_to(Oid relid, const ErrorData *error)
{
	DbopsParam	params[] = {
		dbops_param_oid(relid),
		dbops_param_text(error->schema_name),
		dbops_param_text(error->table_name),
		dbops_param_text(error->constraint_name)
	};
	Datum		found;

	return dbops_query_value(ALONG
							 " SELECT true FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace"
							 " WHERE c.contype = 'f' AND n.nspname = $2 AND r.relname = $3 AND c.conname = $4"
							 " AND c.confrelid IN (SELECT relid FROM along) LIMIT 1",
							 lengthof(params), params, BOOLOID, &found);
}

/*
 * The foreign key that was to set columns to null, or to their defaults, where
 * that is the error: another constraint of that table, or a domain, forbids it.
 * As a user reads it; NULL: it is another error.
 */
const char *
dbops_retention_unchangeable(Oid relid, const ErrorData *error)
{
	bool		of_key = (error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION || error->sqlerrcode == ERRCODE_RESTRICT_VIOLATION);
	DbopsParam	params[] = {
		dbops_param_oid(relid),
		dbops_param_text(error->schema_name),
		dbops_param_text(error->table_name),
		dbops_param_text(of_key ? error->constraint_name : NULL),
		dbops_param_text(error->datatype_name)
	};

	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		return NULL;
	return dbops_query_text(ALONG
							" SELECT format('foreign key \"%s\" of table %I.%I', c.conname, n.nspname, r.relname)"
							" FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace"
							" WHERE c.contype = 'f' AND c.confdeltype IN ('n', 'd') AND c.confrelid IN (SELECT relid FROM along)"
							" AND (n.nspname = $2 AND r.relname = $3 OR EXISTS (SELECT FROM pg_attribute a"
							" JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace d ON d.oid = t.typnamespace"
							" WHERE a.attrelid = r.oid AND a.attnum = ANY (c.conkey) AND d.nspname = $2 AND t.typname = $5))"
							" AND ($4 IS NULL OR c.conname = $4) ORDER BY 1 LIMIT 1",
							lengthof(params), params);
}

/* A foreign key without an index, to the table or to one whose rows go along with its own; NULL: there is none. */
const RetentionReference *
dbops_retention_unindexed(Oid relid)
{
	List	   *seen = NIL;

	return find_unindexed(relid, &seen);
}

static const RetentionReference *
find_unindexed(Oid relid, List **seen)
{
	const RetentionReference *found = NULL;
	ListCell   *cell;

	*seen = lappend_oid(*seen, relid);
	foreach(cell, dbops_retention_references(relid))
	{
		const RetentionReference *reference = lfirst(cell);

		if (!reference->indexed)
			return reference;
		if (found == NULL && reference->on_delete == FKCONSTR_ACTION_CASCADE && !list_member_oid(*seen, reference->table))
			found = find_unindexed(reference->table, seen);
	}
	return found;
}

/* Do rows of it keep others of it? */
bool
dbops_retention_refers_to_itself(Oid relid)
{
	ListCell   *cell;

	foreach(cell, dbops_retention_references(relid))
	{
		const RetentionReference *reference = lfirst(cell);

		if (dbops_retention_is_same_tree(reference->table, relid) &&
			(!REFERENCE_GOES_ALONG(reference) || reference->on_delete == FKCONSTR_ACTION_CASCADE))
			return true;
	}
	return false;
}

/* The index that serves a foreign key. */
char *
dbops_retention_reference_ddl(const RetentionReference *reference)
{
	return psprintf("CREATE INDEX %sON %s (%s);",
					get_rel_relkind(reference->table) == RELKIND_PARTITIONED_TABLE ? "" : "CONCURRENTLY ",
					dbops_quote_relation(reference->table), reference->columns);
}

/*
 * Which policy of a table that refers to this one is about to run, or runs, as
 * a user reads it; NULL: none. Tables that refer to each other wait for none.
 */
const char *
dbops_retention_waits_for(const Policy *policy)
{
	DbopsParam	params[] = {
		dbops_param_oid(policy->relation),
		dbops_param_text(RETENTION_KIND)
	};
	Datum		found;

	if (!dbops_store_value("WITH RECURSIVE below (relid) AS ("
						   " SELECT $1 UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.relid),"
						   " refers (relid, depth) AS ("
						   " SELECT c.conrelid, 1 FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid IN (SELECT relid FROM below)"
						   " AND c.conrelid NOT IN (SELECT relid FROM below)"
						   " UNION SELECT c.conrelid, r.depth + 1 FROM refers r JOIN pg_constraint c ON c.confrelid = r.relid"
						   " WHERE c.contype = 'f' AND r.depth < 20)"
						   " SELECT format('for job %s, which deletes old rows of %s that refer to this table', j.id, p.name)"
						   " FROM dbops.policy p JOIN dbops.job j ON (j.spec ->> 'policy')::bigint = p.id AND j.kind = p.kind"
						   " WHERE p.kind = $2 AND p.relation <> $1 AND j.state IN ('queued', 'running')"
						   " AND p.relation IN (SELECT relid FROM refers)"
						   " AND NOT EXISTS (SELECT FROM refers WHERE relid IN (SELECT relid FROM below)) LIMIT 1",
						   lengthof(params), params, TEXTOID, &found))
		return NULL;
	return TextDatumGetCString(found);
}

/* The columns that refer, compared with those that are referred to. */
char *
dbops_retention_reference_join(const RetentionReference *reference, const char *row, const char *other)
{
	DbopsParam	params[] = {
		dbops_param_text(reference->join),
		dbops_param_text(row),
		dbops_param_text(other)
	};
	Datum		found;

	if (!dbops_query_value("SELECT format($1, $2, $3)", lengthof(params), params, TEXTOID, &found))
		elog(ERROR, "a foreign key has no columns");
	return TextDatumGetCString(found);
}

/*
 * Would a row that refers be deleted with the one that it refers to, but is not
 * to be? One of the tables whose policy this is goes when it is old, and into the
 * archive; one with another policy goes by that. first: a table of the policy.
 */
bool
dbops_retention_keeps_cascaded(const RetentionReference *reference, Oid first)
{
	return reference->on_delete == FKCONSTR_ACTION_CASCADE &&
		(dbops_retention_is_same_tree(reference->table, first) || has_policy(reference->table));
}

/* Is there a policy for its rows, or some of them? */
static bool
has_policy(Oid relid)
{
	List	   *tables = find_all_inheritors(relid, NoLock, NULL);
	DbopsParam	params[2] = {dbops_param_text(RETENTION_KIND)};
	Datum		found;

	if (get_rel_relispartition(relid))
		tables = list_concat(tables, get_partition_ancestors(relid));
	params[1] = dbops_param_oids(tables);
	return dbops_store_value("SELECT true FROM dbops.policy WHERE kind = $1 AND relation::oid = ANY ($2) LIMIT 1",
							 lengthof(params), params, BOOLOID, &found);
}
