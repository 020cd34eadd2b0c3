/*
 * retention_reference.c
 *		Who refers to the rows that are to be deleted.
 *
 * Each row that is deleted has the server look for rows that refer to it. Where
 * no index serves that, deleting is a scan of the other table for every row, so
 * that is refused with the index to create.
 *
 * Where rows refer to others of tables that have a policy too, those go first.
 */
#include "maintain/retention.h"

#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void take_reference(HeapTuple row, TupleDesc desc, void *arg);

/*
 * Of a partition the constraints are those that the catalog has for it; where
 * the other table is partitioned, the one of the whole table. The columns of a
 * foreign key are served by an index that begins with them, in any order.
 */
static const char *const references =
	"SELECT c.oid, c.conname::text, c.conrelid, c.confdeltype::text,"
	" (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k (attnum, n)"
	" JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum),"
	" (SELECT string_agg(format('%%1$s.%I OPERATOR(%I.%s) %%2$s.%I', p.attname, n.nspname, o.oprname, f.attname), ' AND ' ORDER BY k.n)"
	" FROM unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY k (attnum, refnum, operator, n)"
	" JOIN pg_attribute f ON f.attrelid = c.conrelid AND f.attnum = k.attnum"
	" JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = k.refnum"
	" JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace n ON n.oid = o.oprnamespace),"
	" EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL"
	" AND i.indnkeyatts >= cardinality(c.conkey)"
	" AND (SELECT array_agg(k ORDER BY k) FROM unnest((i.indkey::int2[])[0:cardinality(c.conkey) - 1]) k)"
	" = (SELECT array_agg(k ORDER BY k) FROM unnest(c.conkey) k)"
	" AND (SELECT am.amname = 'btree' OR cardinality(c.conkey) = 1 AND am.amname = 'hash'"
	" FROM pg_class r JOIN pg_am am ON am.oid = r.relam WHERE r.oid = i.indexrelid))"
	" FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = $1"
	" AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.confrelid = c.confrelid)"
	" ORDER BY c.conrelid::regclass::text, c.conname";

/* The foreign keys that refer to a table, of RetentionReference *. */
List *
dbops_retention_references(Oid relid)
{
	DbopsParam	param = dbops_param_oid(relid);
	List	   *found = NIL;

	dbops_query_each(references, 1, &param, take_reference, &found);
	return found;
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
	*found = lappend(*found, reference);
}

/* Refuse a table whose rows cannot be deleted one by one at a bearable cost. */
void
dbops_retention_check_references(Oid relid)
{
	ListCell   *cell;

	foreach(cell, dbops_retention_references(relid))
	{
		const RetentionReference *reference = lfirst(cell);

		if (reference->indexed)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign key \"%s\" of table %s has no index", reference->name, dbops_quote_relation(reference->table)),
				 errdetail("Each row that is deleted from table %s would have all of that table read.", dbops_quote_relation(relid)),
				 errhint("%s", dbops_retention_reference_ddl(reference))));
	}
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

	if (!dbops_store_value("WITH RECURSIVE refers (relid, depth) AS ("
						   " SELECT c.conrelid, 1 FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = $1"
						   " UNION SELECT c.conrelid, r.depth + 1 FROM refers r JOIN pg_constraint c ON c.confrelid = r.relid"
						   " WHERE c.contype = 'f' AND r.depth < 20)"
						   " SELECT format('for job %s, which deletes old rows of %s that refer to this table', j.id, p.name)"
						   " FROM dbops.policy p JOIN dbops.job j ON (j.spec ->> 'policy')::bigint = p.id AND j.kind = p.kind"
						   " WHERE p.kind = $2 AND p.relation <> $1 AND j.state IN ('queued', 'running')"
						   " AND p.relation IN (SELECT relid FROM refers)"
						   " AND NOT EXISTS (SELECT FROM refers WHERE relid = $1 AND depth > 1) LIMIT 1",
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
