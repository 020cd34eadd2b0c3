/*
 * twin_row.c
 *		Rows that cannot be written, looked for before a change of columns begins.
 *
 * A constraint that was never validated may have rows which do not fit it. The
 * server checks it for each row that is written, whichever column is meant, so that
 * the backfill would come to such a row and go no further.
 */
#include "change/twin.h"

#include "utils/builtins.h"

/* A plan on its way through the callback. */
typedef struct RowLook
{
	OnlinePlan *plan;
	const TwinChange *change;
} RowLook;

static void take_constraint(HeapTuple row, TupleDesc desc, void *arg);

/* A look for each such constraint of the tables that have the rows. The new columns are yet to be filled: what is asked of them may come to fit. */
void
dbops_twin_add_row_look(OnlinePlan *plan, const TwinChange *change)
{
	DbopsParam	params[] = {dbops_param_oid(change->relid), dbops_param_texts(change->new_columns)};
	RowLook		look = {.plan = plan,.change = change};

	dbops_query_each("SELECT format('%I.%I', n.nspname, c.relname), k.conname::text,"
					 " CASE WHEN k.contype = 'c' THEN format('NOT (%s)', pg_get_expr(k.conbin, k.conrelid))"
					 " ELSE format('%I IS NULL', (SELECT attname FROM pg_attribute WHERE attrelid = k.conrelid AND attnum = k.conkey[1])) END"
					 " FROM (SELECT $1 UNION SELECT relid FROM pg_partition_tree($1)) p (relid)"
					 " JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " JOIN pg_constraint k ON k.conrelid = c.oid"
					 " WHERE c.relkind = 'r' AND k.contype IN ('c', 'n') AND NOT k.convalidated AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'"
					 " AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname = ANY ($2))"
					 " ORDER BY 1, 2",
					 lengthof(params), params, take_constraint, &look);
}

static void
take_constraint(HeapTuple row, TupleDesc desc, void *arg)
{
	const RowLook *look = arg;
	const char *table = dbops_row_text(row, desc, 1);
	const char *name = quote_identifier(dbops_row_text(row, desc, 2));

	dbops_online_add(look->plan, (OnlineStep)
	{
		.kind = ONLINE_REFUSE,
		.asks_ours = true,
		.sql = psprintf("SELECT FROM ONLY %s WHERE %s LIMIT 1", table, dbops_row_text(row, desc, 3)),
		.reached = dbops_twin_is_in_state(look->change, "ready"),
		.why = "Each row is written once, and the server then checks this constraint for it.",
		.message = psprintf("table %s has rows that do not fit constraint %s, which is not validated: they cannot be written", table, name),
		.sqlerrcode = ERRCODE_CHECK_VIOLATION,
		.hint = "Set them right and validate the constraint, or drop it; then make the same call again."
	});
}
