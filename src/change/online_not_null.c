/*
 * online_not_null.c
 *		The steps to a column without NULL.
 *
 * SET NOT NULL reads the whole table while nobody else may, unless a valid CHECK
 * constraint proves that there is nothing to be found. So such a constraint is
 * put without a look at the rows, which holds for what is written from then on;
 * it is validated beside readers and writers, and goes in the transaction that
 * sets NOT NULL.
 *
 * Rows with NULL cannot be updated once the constraint is there. So they are
 * filled before, and a trigger fills those that are written until the
 * transaction that puts the constraint. Where a trigger cannot evaluate what
 * they are to get, those are filled after.
 *
 * IS NULL is true of a row of NULLs too, of which NOT NULL says nothing. So
 * columns of composite types are compared by IS DISTINCT FROM NULL, as which the
 * server knows the same.
 */
#include "change/constraint.h"
#include "change/unrun.h"

#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "common/hashfn.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define CHECK_PREFIX	"dbops_not_null_"

/* A question to the prover. */
typedef struct Proof
{
	Oid			table;
	const char *column;
	bool		proven;
} Proof;

static char *is_checked(const OnlineNotNull *what);
static char *is_proven(const OnlineNotNull *what);
static char *check_name(const char *column);
static List *checks(const OnlineNotNull *what, const char *condition);
static void refuse_inherited_check(const OnlineNotNull *what);
static char *drop_checks(const OnlineNotNull *what);
static char *has_no_check(const OnlineNotNull *what);
static void refuse_other_check(const OnlineNotNull *what);
static const char *tests_null(const OnlineNotNull *what);
static const char *tests_not_null(const OnlineNotNull *what);
static void add_look(OnlinePlan *plan, const OnlineNotNull *what);
static void add_check(OnlinePlan *plan, const OnlineNotNull *what);
static void add_validation(OnlinePlan *plan, const OnlineNotNull *what);
static void add_set(OnlinePlan *plan, const OnlineNotNull *what);
static char *same_proof(Oid table, const char *column);
static void prove(void *arg);
static List *proven_conditions(Relation rel, const char *but);

/* Add all steps; what to fill rows with may be given, or else a row with NULL is an error. */
void
dbops_online_add_not_null(OnlinePlan *plan, const OnlineNotNull *what)
{
	refuse_other_check(what);
	if (what->fill == NULL)
		add_look(plan, what);
	else if (what->sync)
		dbops_online_add_fill(plan, what, is_proven(what), "Gives rows that have NULL a value, and those that are written with NULL until there is a constraint.");
	else
		dbops_online_add_fill(plan, what, is_checked(what), "Gives rows that have NULL a value.");
	add_check(plan, what);
	if (what->fill != NULL && !what->sync)
		dbops_online_add_fill(plan, what, is_proven(what), "Fills rows that were written with NULL before the constraint was there.");
	add_validation(plan, what);
	add_set(plan, what);
}

/* SQL for reached: no NULL is written any more; and no row has it. */
static char *
is_checked(const OnlineNotNull *what)
{
	return dbops_online_either(dbops_online_is_not_null(what->table, what->column),
							   dbops_online_constraint_there(what->table, check_name(what->column)));
}

static char *
is_proven(const OnlineNotNull *what)
{
	return dbops_online_either(dbops_online_is_not_null(what->table, what->column),
							   dbops_online_constraint_valid(what->table, check_name(what->column)));
}

static char *
check_name(const char *column)
{
	return dbops_online_own_name(CHECK_PREFIX, column);
}

/* A constraint of ours, of a column; a name that is too long is cut and told apart by a number. */
char *
dbops_online_own_name(const char *prefix, const char *column)
{
	char	   *name = psprintf("%s%s", prefix, column);

	if (strlen(name) < NAMEDATALEN)
		return name;
	name[dbops_text_clip(name, NAMEDATALEN - 9)] = '\0';
	return psprintf("%s%08x", name, DatumGetUInt32(hash_any((const unsigned char *) column, strlen(column))));
}

/* A constraint of that name that is another would be taken for ours, and dropped. */
static void
refuse_other_check(const OnlineNotNull *what)
{
	char	   *name = check_name(what->column);
	List	   *others = checks(what, "definition <> $2");
	Oid			table = others == NIL ? InvalidOid : atooid(linitial(others));

	if (OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("constraint \"%s\" of table \"%s\" is another than the one that is needed under this name",
						name, get_rel_name(table)),
				 errhint("ALTER TABLE %s RENAME CONSTRAINT %s TO ...;",
						 dbops_quote_relation(table), dbops_quote_name(name))));
	refuse_inherited_check(what);
}

/* It goes only with that of the table above. */
static void
refuse_inherited_check(const OnlineNotNull *what)
{
	DbopsParam	params[] = {dbops_param_oid(what->table), dbops_param_text(check_name(what->column))};
	char	   *parent = dbops_query_text("SELECT h.inhparent::regclass::text FROM pg_constraint k JOIN pg_inherits h ON h.inhrelid = k.conrelid"
										  " JOIN pg_constraint p ON p.conrelid = h.inhparent AND p.conname = k.conname"
										  " WHERE k.conrelid = $1 AND k.conname = $2 AND k.coninhcount > 0 ORDER BY h.inhseqno LIMIT 1",
										  lengthof(params), params);

	if (parent != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("constraint \"%s\" of table \"%s\" is that of table %s, which is on its way to NOT NULL",
						check_name(what->column), get_rel_name(what->table), parent),
				 errhint("Let that be done, which does it for this table too: CALL dbops.set_not_null(%s, %s);",
						 quote_literal_cstr(parent), quote_literal_cstr(what->column))));
}

/* The tables (OIDs as text), from the column's on down, with a constraint of that name that fulfils a condition; $2 is how ours is defined. */
static List *
checks(const OnlineNotNull *what, const char *condition)
{
	DbopsParam	params[] = {
		dbops_param_text(check_name(what->column)),
		dbops_param_text(psprintf("CHECK ((%s %s))", quote_identifier(what->column), tests_not_null(what)))
	};

	return dbops_online_names(psprintf(ONLINE_TREE " SELECT k.conrelid::text FROM tree JOIN pg_constraint k ON k.conrelid = tree.oid,"
									   " regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') definition"
									   " WHERE k.conname = $1 AND %s ORDER BY k.conrelid <> %u, k.conrelid", what->table, condition, what->table),
							  lengthof(params), params);
}

/* Drop ours: that of the table takes along what others below have of it, but for those that had it before. */
static char *
drop_checks(const OnlineNotNull *what)
{
	const char *name = quote_identifier(check_name(what->column));
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", dbops_quote_relation(what->table), name);
	foreach(cell, checks(what, psprintf("definition = $2 AND k.conislocal AND k.conrelid <> %u", what->table)))
		appendStringInfo(&sql, "; ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", dbops_quote_relation(atooid(lfirst(cell))), name);
	return sql.data;
}

/* SQL for reached: neither the table nor one below it has it. */
static char *
has_no_check(const OnlineNotNull *what)
{
	return psprintf("NOT EXISTS (" ONLINE_TREE " SELECT FROM tree JOIN pg_constraint k ON k.conrelid = tree.oid AND k.conname = %s)",
					what->table, quote_literal_cstr(check_name(what->column)));
}

static const char *
tests_null(const OnlineNotNull *what)
{
	return what->is_row ? "IS NOT DISTINCT FROM NULL" : "IS NULL";
}

static const char *
tests_not_null(const OnlineNotNull *what)
{
	return what->is_row ? "IS DISTINCT FROM NULL" : "IS NOT NULL";
}

static void
add_look(OnlinePlan *plan, const OnlineNotNull *what)
{
	dbops_online_add_refusal(plan, (OnlineStep) {
		.kind = ONLINE_REFUSE,
		.sql = psprintf("SELECT FROM %s WHERE %s %s LIMIT 1",
						dbops_quote_relation(what->table), quote_identifier(what->column), tests_null(what)),
		.reached = is_checked(what),
		.why = "A row with NULL would not fit.",
		.message = psprintf("column \"%s\" of table \"%s\" has NULL in some row", what->column, get_rel_name(what->table)),
		.sqlerrcode = ERRCODE_NOT_NULL_VIOLATION,
		.hint = psprintf("Say what such rows are to get: CALL dbops.set_not_null(%s, %s, fill => '...');",
						 quote_literal_cstr(dbops_quote_relation(what->table)), quote_literal_cstr(what->column))
	});
}

/* Change what has NULL. Only what fill yields is read with the names of the caller. */
void
dbops_online_add_fill(OnlinePlan *plan, const OnlineNotNull *what, const char *reached, const char *why)
{
	const char *column = quote_identifier(what->column);
	char	   *set_clause = psprintf("%s = %s", column, what->fill);
	char	   *where_clause = psprintf("%s %s", column, tests_null(what));

	OnlineStep	step = {
		.kind = ONLINE_BACKFILL,
		.sql = psprintf("CALL dbops.batched_backfill(%s, %s, %s%s)",
						quote_literal_cstr(dbops_quote_relation(what->table)), quote_literal_cstr(set_clause),
						quote_literal_cstr(where_clause), what->sync ? ", sync => true" : ""),
		.reached = reached,
		.why = why,
		.table = what->table,
		.set_clause = set_clause,
		.where_clause = where_clause,
		.sync = what->sync,
		.stays = what->sync
	};

	dbops_online_judge_fill(&step, get_attnum(what->table, what->column) != InvalidAttrNumber);
	dbops_online_add(plan, step);
}

static void
add_check(OnlinePlan *plan, const OnlineNotNull *what)
{
	char	   *name = check_name(what->column);

	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s %s) NOT VALID",
						dbops_quote_relation(what->table), quote_identifier(name),
						quote_identifier(what->column), tests_not_null(what)),
		.reached = is_checked(what),
		.why = what->sync ? "No more NULL is written; the trigger that has filled it goes in the same transaction." : "No more NULL is written."
	});
}

static void
add_validation(OnlinePlan *plan, const OnlineNotNull *what)
{
	char	   *table = dbops_quote_relation(what->table);
	char	   *name = check_name(what->column);

	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SCAN,
		.sql = psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", table, quote_identifier(name)),
		.reached = is_proven(what),
		.why = "Proves that no row has NULL.",
		.otherwise = psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, quote_identifier(name)),
		.hint = what->fill != NULL ?
		"What rows were to be filled with is NULL for some of them: CALL again with a fill that is not." :
		"A row was written with NULL meanwhile: CALL again with a fill for such rows."
	});
}

/* In two statements: one would drop the proof before it is asked for. */
static void
add_set(OnlinePlan *plan, const OnlineNotNull *what)
{
	char	   *table = dbops_quote_relation(what->table);
	char	   *name = check_name(what->column);

	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL; %s",
						table, quote_identifier(what->column), drop_checks(what)),
		.reached = psprintf("%s AND %s", dbops_online_is_not_null(what->table, what->column), has_no_check(what)),
		.still = dbops_online_constraint_valid(what->table, name),
		.message = psprintf("constraint %s of table %s, which is to prove that no row has NULL, has been dropped meanwhile", name, table),
		.why = "Reads no row, as the constraint proves it, and the constraint goes."
	});
}

/* SQL for reached: the column is NOT NULL in the table and all below it. 18 knows some that are not valid. */
char *
dbops_online_is_not_null(Oid table, const char *column)
{
	return psprintf("(" ONLINE_TREE " SELECT coalesce(bool_and(a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint c"
					" WHERE c.conrelid = a.attrelid AND c.contype = 'n' AND NOT c.convalidated AND a.attnum = ANY (c.conkey))), false)"
					" FROM tree JOIN pg_attribute a ON a.attrelid = tree.oid AND a.attname = %s AND NOT a.attisdropped)",
					table, quote_literal_cstr(column));
}

/*
 * Do valid constraints prove that no row has NULL, as the server will see it?
 * Ours is not counted: it comes and goes with the steps.
 */
bool
dbops_online_proves_not_null(Oid table, const char *column)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(table, NoLock, NULL))
	{
		Proof		proof = {.table = lfirst_oid(cell),.column = column};

		if (get_rel_relkind(proof.table) == RELKIND_PARTITIONED_TABLE)
			continue;
		PushActiveSnapshot(GetTransactionSnapshot());
		dbops_run_as(dbops_relation_owner(proof.table), prove, &proof);
		PopActiveSnapshot();
		if (!proof.proven)
			return false;
	}
	return true;
}

/* The only step where that is proven: what is proven is not looked for. What an earlier call has left of ours goes with it. */
void
dbops_online_add_proven_not_null(OnlinePlan *plan, const OnlineNotNull *what)
{
	char	   *table = dbops_quote_relation(what->table);
	bool		has_ours = checks(what, "definition = $2 AND k.conislocal") != NIL;

	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL%s", table, quote_identifier(what->column),
						has_ours ? psprintf("; %s", drop_checks(what)) : ""),
		.reached = psprintf("%s%s", dbops_online_is_not_null(what->table, what->column),
							has_ours ? psprintf(" AND %s", has_no_check(what)) : ""),
		.still = same_proof(what->table, what->column),
		.message = psprintf("a constraint of table %s, which was to prove that no row has NULL in column \"%s\", has been dropped meanwhile, or the table has got or lost another one below it",
							table, what->column),
		.why = "Reads no row, as constraints that are there prove it."
	});
}

/* SQL for still: the tables are those of now, and so are the constraints that prove it, or there are more. */
static char *
same_proof(Oid table, const char *column)
{
	char	   *tables = psprintf("(" ONLINE_TREE " SELECT array_agg(oid ORDER BY oid) FROM tree)", table);
	char	   *checks = psprintf("ARRAY(" ONLINE_TREE " SELECT c.oid FROM tree JOIN pg_attribute a ON a.attrelid = tree.oid AND a.attname = %s"
								  " JOIN pg_constraint c ON c.conrelid = a.attrelid AND a.attnum = ANY (c.conkey)"
								  " WHERE c.contype = 'c' AND c.convalidated AND c.conname <> %s ORDER BY c.oid)",
								  table, quote_literal_cstr(column), quote_literal_cstr(check_name(column)));

	return psprintf("%s = %s AND %s @> %s",
					tables, quote_literal_cstr(dbops_query_text(psprintf("SELECT %s::text", tables), 0, NULL)),
					checks, quote_literal_cstr(dbops_query_text(psprintf("SELECT %s::text", checks), 0, NULL)));
}

/* Of one table, with the rights of its owner. */
static void
prove(void *arg)
{
	Proof	   *proof = arg;
	Relation	rel = table_open(proof->table, AccessShareLock);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel),
												dbops_online_column_number(proof->table, proof->column) - 1);
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) makeVar(1, attribute->attnum, attribute->atttypid, attribute->atttypmod,
								 attribute->attcollation, 0);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	proof->proven = predicate_implied_by(list_make1(test), proven_conditions(rel, check_name(proof->column)), true);
	table_close(rel, NoLock);
}

/* The conditions of a table's valid CHECK constraints, but for one, as the prover takes them. */
static List *
proven_conditions(Relation rel, const char *but)
{
	TupleConstr *constraints = RelationGetDescr(rel)->constr;
	List	   *conditions = NIL;

	for (int i = 0; constraints != NULL && i < constraints->num_check; i++)
	{
		ConstrCheck *check = &constraints->check[i];
		Node	   *condition;

		if (!check->ccvalid || strcmp(check->ccname, but) == 0)
			continue;
		condition = dbops_fold_unrun(stringToNode(check->ccbin));
		condition = (Node *) canonicalize_qual((Expr *) condition, true);
		conditions = list_concat(conditions, make_ands_implicit((Expr *) condition));
	}
	return conditions;
}
