/*
 * twin_plan.c
 *		The steps that have a new column take the place of an old one, up to where
 *		applications may use both.
 *
 * The trigger comes before the backfill: to be made it waits for all that write
 * to the table, so that whoever writes later meets it, and the backfill reads what
 * was written before. Indexes and constraints are built on filled rows. Who finds
 * the trigger gone puts it back and begins with the backfill again.
 */
#include "change/twin.h"

#include "core/server.h"
#include "core/sql.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define ENDED_MEANWHILE(change) \
	psprintf("the change of column \"%s\" of table %s has been ended meanwhile", (change)->column, (change)->table)

static void add_column(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change, const TwinType *type);
static void check_locks(const OnlinePlan *plan, const TwinColumn *column, const TwinChange *change);
static char *trigger_begin(const TwinChange *change);
static char *trigger(const TwinChange *change, bool strict);
static void check_trigger(const TwinChange *change);
static char *properties(const TwinColumn *column, const char *twin, bool same_type);
static void add_clone(OnlinePlan *plan, const TwinClone *clone);
static void add_index(OnlinePlan *plan, const TwinClone *clone);
static char *full_name(const TwinClone *clone);
static void add_constraint(OnlinePlan *plan, const TwinClone *clone);
static void add_whole(OnlinePlan *plan, const TwinClone *clone);
static void add_not_null(OnlinePlan *plan, const TwinColumn *column, const char *twin);

/* Begin a plan about a change that was begun. */
void
dbops_twin_take(OnlinePlan *plan, TwinChange *change)
{
	if (!change->here)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("change " INT64_FORMAT " was begun in another database", change->id),
				 errdetail("A dump has brought it here."),
				 errhint("Make the call of %s for table %s again, with the same arguments, which takes it over.", change->call, change->table)));
	dbops_online_take_table(plan, change->relid);
	change->table = dbops_quote_relation(change->relid);
	dbops_twin_name_plan(plan, change->column);
}

/* What a plan is about. */
void
dbops_twin_name_plan(OnlinePlan *plan, const char *column)
{
	plan->name = psprintf("%s.%s", dbops_quote_relation(plan->table), quote_identifier(column));
	plan->key = column;
}

/* All steps of the expansion. set_clause: of the backfill. */
void
dbops_twin_expand(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change,
				  const TwinType *type, const char *set_clause)
{
	check_locks(plan, column, change);
	dbops_twin_add_row_look(plan, change);
	if (change->adopts)
		dbops_twin_add_adoption(plan, change);
	else
		add_column(plan, column, change, type);
	if (get_attnum(change->relid, change->new_name) != InvalidAttrNumber)
		dbops_twin_add_trigger(plan, change);
	dbops_twin_add_backfill(plan, change, set_clause);
	if (change->type != NULL)
		dbops_twin_add_unique_looks(plan, column, change, dbops_twin_is_in_state(change, "ready"));
	dbops_twin_add_clones(plan, column, change->new_name, false);
	if (!type->may_fail)
		dbops_twin_add_not_nulls(plan, column, change->new_name);
	dbops_twin_add_ready(plan, change);
}

/* A change that is ready must be one that can be finished: there the old column goes, with what the copies get the names of. */
static void
check_locks(const OnlinePlan *plan, const TwinColumn *column, const TwinChange *change)
{
	const char *end = psprintf("%s; ALTER TABLE %s DROP COLUMN %s", dbops_twin_trigger_drop(change), column->table, quote_identifier(column->name));

	dbops_online_check_locks(plan, dbops_online_locks(dbops_sql_parse(end, RAW_PARSE_DEFAULT)) +
							  list_length(dbops_twin_clones(column, change->new_name)));
}

/* With the trigger, so that nobody ever sees the one without the other: the backfill would go over what was written to the column. */
static void
add_column(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change, const TwinType *type)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s ADD COLUMN %s %s", column->table, quote_identifier(change->new_name),
					 dbops_twin_type_name(type->type, type->typmod));
	if (OidIsValid(type->collation) && type->collation != get_typcollation(type->type))
		appendStringInfo(&sql, " COLLATE %s", dbops_twin_collation(type->collation));
	foreach(cell, dbops_twin_columns(column))
		appendStringInfoString(&sql, properties(lfirst(cell), change->new_name, type->type == column->type));
	check_trigger(change);
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = sql.data,
		.then = psprintf("%s; %s", dbops_twin_note_columns(change), trigger_begin(change)),
		.asks_ours = true,
		.reached = dbops_twin_has_columns(change),
		.still = dbops_twin_is_open(change),
		.message = ENDED_MEANWHILE(change),
		.why = "The new column, without a default, so that the server writes no row. From here on every row that is written has it filled."
	});
}

/* What else the old column is like, as statements about the new one. */
static char *
properties(const TwinColumn *column, const char *twin, bool same_type)
{
	DbopsParam	params[] = {
		dbops_param_oid(column->relid),
		dbops_param_int4(column->attnum),
		dbops_param_text(column->table),
		dbops_param_text(twin),
		dbops_param_bool(same_type)
	};
	char	   *sql;

	sql = dbops_query_text_kept("SELECT concat("
								"CASE WHEN $5 AND a.attstorage <> t.typstorage THEN format('; ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', $3, $4,"
								" CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END) END,"
								"CASE WHEN $5 AND a.attcompression <> '' THEN format('; ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION %s', $3, $4,"
								" CASE a.attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END) END,"
								"CASE WHEN coalesce(a.attstattarget, -1) >= 0 THEN format('; ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', $3, $4, a.attstattarget) END,"
								"(SELECT string_agg(format('; ALTER TABLE %s ALTER COLUMN %I SET (%s)', $3, $4, o), '') FROM unnest(a.attoptions) o WHERE o ~ '^n_distinct')"
								")"
								" FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1 AND a.attnum = $2",
								lengthof(params), params);
	return psprintf("%s%s", sql == NULL ? "" : sql, dbops_twin_privileges(column, twin, false, false));
}

/* The trigger, anew where somebody has dropped or disabled it: then rows may have been missed. */
void
dbops_twin_add_trigger(OnlinePlan *plan, const TwinChange *change)
{
	check_trigger(change);
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.ours = true,
		.asks_ours = true,
		.sql = psprintf("%s; %s", trigger_begin(change), dbops_twin_set_state(change, "expanding")),
		.reached = dbops_twin_has_trigger(change),
		.still = dbops_twin_is_open(change),
		.message = ENDED_MEANWHILE(change),
		.why = "From here on every row that is written has the new columns filled."
	});
}

/* Who creates a partition has its trigger made with his own rights; what that does is not his to say. */
static char *
trigger_begin(const TwinChange *change)
{
	char	   *grant = "";

	if (get_rel_relkind(change->relid) == RELKIND_PARTITIONED_TABLE)
		grant = psprintf("SELECT dbops.grant_trigger_execute(%s); ", quote_literal_cstr(change->table));
	return psprintf("%s%s", grant, trigger(change, false));
}

static char *
trigger(const TwinChange *change, bool strict)
{
	const char *name = quote_identifier(dbops_twin_trigger_name(change->column));

	return psprintf("CREATE OR REPLACE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION dbops.change_sync(%s%s);"
					" ALTER TABLE %s ENABLE ALWAYS TRIGGER %s",
					name, change->table, quote_literal_cstr(change->column),
					strict ? psprintf(", 'strict', '" INT64_FORMAT "'", change->id) : "", change->table, name);
}

char *
dbops_twin_trigger_drop(const TwinChange *change)
{
	return psprintf("DROP TRIGGER IF EXISTS %s ON %s", quote_identifier(dbops_twin_trigger_name(change->column)), change->table);
}

/*
 * Look for rows whose new columns are not what the old ones yield, with the
 * trigger such that none can be written from then on, as long as a process is at
 * work on it. Each call makes the trigger anew, and so waits for all who could write
 * such rows before.
 */
void
dbops_twin_add_look(OnlinePlan *plan, const TwinChange *change, OnlineStep look)
{
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.ours = true,
		.asks_ours = true,
		.sql = trigger(change, true),
		.reached = dbops_twin_is_over(change),
		.still = dbops_twin_has_trigger(change),
		.message = psprintf("the trigger of the change of table %s has been dropped or disabled meanwhile", change->table),
		.holds = change->id,
		.why = "From here on a value that cannot be converted is an error when it is written, as it will be, while this call is at work."
	});
	dbops_twin_add_marked_look(plan, change, look);
}

/* Look at the rows, and mark the trigger: one that was disabled since, or made anew, has missed some perhaps. */
void
dbops_twin_add_marked_look(OnlinePlan *plan, const TwinChange *change, OnlineStep look)
{
	look.kind = ONLINE_REFUSE;
	look.asks_ours = true;
	look.seen = dbops_twin_mark(change);
	look.note = dbops_twin_note_mark(change);
	dbops_online_add(plan, look);
}

/* One of that name that is not ours would be replaced. */
static void
check_trigger(const TwinChange *change)
{
	const char *name = dbops_twin_trigger_name(change->column);
	DbopsParam	params[] = {dbops_param_oid(change->relid), dbops_param_text(name)};

	if (dbops_query_each("SELECT FROM pg_trigger t WHERE t.tgrelid = $1 AND t.tgname = $2 AND t.tgfoid <> 'dbops.change_sync'::regproc",
						 lengthof(params), params, NULL, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("table %s has a trigger %s that is not a change's", change->table, quote_identifier(name)),
				 errhint("Rename it: ALTER TRIGGER %s ON %s RENAME TO ...;", quote_identifier(name), change->table)));
}

void
dbops_twin_add_backfill(OnlinePlan *plan, const TwinChange *change, const char *set_clause)
{
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_BACKFILL,
		.asks_ours = true,
		.sql = psprintf("CALL dbops.batched_backfill(%s, %s)",
						quote_literal_cstr(change->table), quote_literal_cstr(set_clause)),
		.reached = dbops_twin_is_in_state(change, "ready"),
		.why = "The rows that were there before, and a proof that none is left.",
		.table = change->relid,
		.set_clause = set_clause,
		.hint = psprintf("To see all rows that fail: CALL dbops.batched_backfill(%s, %s, on_error => 'quarantine'); which fills the others, and SELECT * FROM dbops.backfill_errors(<its job>); "
						 "Set them right and make the same call again, or give the change up: CALL dbops.abort_change(" INT64_FORMAT ");",
						 quote_literal_cstr(change->table), quote_literal_cstr(set_clause), change->id)
	});
}

/* What is unique, in the end. */
void
dbops_twin_add_unique(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change)
{
	if (change->type != NULL)
		dbops_twin_add_unique_looks(plan, column, change, psprintf("NOT %s", dbops_twin_has_column(change->relid, change->new_name)));
	dbops_twin_add_clones(plan, column, change->new_name, true);
}

/* Copies of all indexes and constraints that are unique, or of those that are not, and no others; foreign keys of partitioned tables take over those of their partitions. */
void
dbops_twin_add_clones(OnlinePlan *plan, const TwinColumn *column, const char *twin, bool unique)
{
	List	   *all = dbops_twin_clones(column, twin);
	List	   *clones = NIL;
	ListCell   *cell;

	if (!unique)
	{
		dbops_twin_add_stale(plan, column, twin);
		dbops_twin_add_outdated(plan, all);
	}
	foreach(cell, all)
		if (((TwinClone *) lfirst(cell))->unique == unique)
			clones = lappend(clones, lfirst(cell));
	foreach(cell, clones)
		add_clone(plan, lfirst(cell));
	for (int i = list_length(clones) - 1; i >= 0; i--)
		add_whole(plan, list_nth(clones, i));
}

/* Put a copy of an index or a constraint in place. */
static void
add_clone(OnlinePlan *plan, const TwinClone *clone)
{
	if (clone->kind == TWIN_INDEX || (clone->kind == TWIN_UNIQUE && !clone->whole))
		add_index(plan, clone);
	else if (clone->definition != NULL && !clone->whole)
		add_constraint(plan, clone);
}

static void
add_index(OnlinePlan *plan, const TwinClone *clone)
{
	const TwinColumn *column = clone->column;
	const TwinClone *whole = clone->part_of;

	dbops_twin_add_proven(plan, (TwinProof) {.kind = clone->whole ? TWIN_INDEX_THERE : TWIN_INDEX_VALID,.relid = column->relid,.name = clone->clone}, (OnlineStep)
	{
		.kind = clone->whole ? ONLINE_SHORT : ONLINE_ALONE,
		.sql = psprintf("CREATE %sINDEX %s%s ON %s%s %s", clone->unique ? "UNIQUE " : "",
						clone->whole ? "" : "CONCURRENTLY IF NOT EXISTS ", quote_identifier(clone->clone),
						clone->whole ? "ONLY " : "", column->table, clone->definition),
		.why = psprintf("Takes the place of %s in the end.", quote_identifier(clone->name)),
		.hint = clone->unique ? TWIN_DUPLICATES_HINT : NULL
	});
	if (whole != NULL && whole->kind == TWIN_INDEX)
		dbops_twin_add_proven(plan, (TwinProof) {TWIN_INDEX_ATTACHED, column->relid, clone->clone, whole->column->relid, whole->clone}, (OnlineStep)
		{
			.kind = ONLINE_SHORT,
			.sql = psprintf("ALTER INDEX %s ATTACH PARTITION %s", full_name(whole), full_name(clone))
		});
}

static char *
full_name(const TwinClone *clone)
{
	return quote_qualified_identifier(clone->column->schema, clone->clone);
}

static void
add_constraint(OnlinePlan *plan, const TwinClone *clone)
{
	const TwinColumn *column = clone->column;
	const char *name = quote_identifier(clone->clone);

	dbops_twin_add_proven(plan, (TwinProof) {.kind = TWIN_CONSTRAINT_THERE,.relid = column->relid,.name = clone->clone}, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", column->table, name, clone->definition),
		.why = psprintf("Takes the place of %s in the end.", quote_identifier(clone->name))
	});
	if (clone->valid)
		dbops_twin_add_proven(plan, (TwinProof) {.kind = TWIN_CONSTRAINT_VALID,.relid = column->relid,.name = clone->clone}, (OnlineStep)
		{
			.kind = ONLINE_SCAN,
			.sql = psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", column->table, name)
		});
}

/* What is made of the parts of all partitions. */
static void
add_whole(OnlinePlan *plan, const TwinClone *clone)
{
	const TwinColumn *column = clone->column;

	if (clone->whole && clone->kind == TWIN_FOREIGN_KEY)
		dbops_twin_add_proven(plan, (TwinProof) {.kind = TWIN_CONSTRAINT_VALID,.relid = column->relid,.name = clone->clone}, (OnlineStep)
		{
			.kind = ONLINE_SHORT,
			.sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", column->table, quote_identifier(clone->clone), clone->definition),
			.still = dbops_online_same_leaves(column->relid),
			.message = ONLINE_OTHER_LEAVES(column->relid),
			.why = "Takes those of the partitions over, and reads no row."
		});
	if (clone->whole && clone->kind == TWIN_INDEX && clone->part_of == NULL)
		dbops_online_add(plan, (OnlineStep)
		{
			.kind = ONLINE_REFUSE,
			.sql = psprintf("SELECT FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass(%s) AND NOT indisvalid",
							quote_literal_cstr(full_name(clone))),
			.reached = dbops_online_index_valid(column->relid, column->schema, clone->clone),
			.why = "With the last partition's it has become valid.",
			.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			.message = psprintf("index %s is not valid yet: a partition has come meanwhile without one", full_name(clone)),
			.hint = "Make the same call again."
		});
}

/* A valid CHECK spares SET NOT NULL its look at all rows. */
void
dbops_twin_add_not_nulls(OnlinePlan *plan, const TwinColumn *column, const char *twin)
{
	ListCell   *cell;

	foreach(cell, dbops_twin_columns(column))
		if (((TwinColumn *) lfirst(cell))->not_null)
			add_not_null(plan, lfirst(cell), twin);
}

static void
add_not_null(OnlinePlan *plan, const TwinColumn *column, const char *twin)
{
	const char *name = dbops_twin_not_null_name(twin);

	dbops_twin_add_proven(plan, (TwinProof) {.kind = TWIN_CONSTRAINT_THERE,.relid = column->relid,.name = name}, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID",
						column->table, quote_identifier(name), quote_identifier(twin)),
		.why = "Spares SET NOT NULL its look at all rows in the end."
	});
	dbops_twin_add_proven(plan, (TwinProof) {.kind = TWIN_CONSTRAINT_VALID,.relid = column->relid,.name = name}, (OnlineStep)
	{
		.kind = ONLINE_SCAN,
		.sql = psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", column->table, quote_identifier(name))
	});
}

void
dbops_twin_add_ready(OnlinePlan *plan, const TwinChange *change)
{
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.ours = true,
		.asks_ours = true,
		.sql = dbops_twin_set_state(change, "ready"),
		.reached = dbops_twin_is_in_state(change, "ready"),
		.why = "Applications may use old and new columns now, until finish_change() or abort_change()."
	});
}

/*
 * The step that ends it. What that drops is kept no longer by the trigger, so
 * nobody may see it done and the change still open; nor may two of them be done:
 * who finds that it has ended in the other way meanwhile gets an error.
 */
void
dbops_twin_add_end(OnlinePlan *plan, const TwinChange *change, const char *state, OnlineStep step)
{
	const char *is_open = psprintf("NOT %s", dbops_twin_is_over(change));

	step.kind = ONLINE_SHORT;
	step.reached = dbops_twin_has_ended(change, state);
	step.still = step.still != NULL ? psprintf("%s AND %s", is_open, step.still) : is_open;
	step.then = dbops_twin_set_over(change, state);
	if (get_rel_relkind(change->relid) == RELKIND_PARTITIONED_TABLE)
		step.then = psprintf("%s; SELECT dbops.revoke_trigger_execute()", step.then);
	step.asks_ours = true;
	if (step.message == NULL)
		step.message = psprintf("change " INT64_FORMAT " has been ended meanwhile", change->id);
	dbops_online_add(plan, step);
}

/* ---- what tells that a step is reached ---- */

char *
dbops_twin_has_column(Oid relid, const char *name)
{
	return psprintf("EXISTS (SELECT FROM pg_attribute WHERE attrelid = %u AND attname = %s AND NOT attisdropped)",
					relid, quote_literal_cstr(name));
}

/* In force in the table and all its partitions. */
char *
dbops_twin_has_trigger(const TwinChange *change)
{
	return psprintf("NOT EXISTS (SELECT FROM (SELECT %u::regclass UNION SELECT relid FROM pg_partition_tree(%u)) p (relid)"
					" WHERE NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid"
					" WHERE t.tgrelid = p.relid AND t.tgname = %s AND t.tgenabled = 'A'"
					" AND f.proname = 'change_sync' AND f.pronamespace = 'dbops'::regnamespace))",
					change->relid, change->relid, quote_literal_cstr(dbops_twin_trigger_name(change->column)));
}

/* Which triggers these are: another one when somebody has disabled, enabled or made them anew. NULL: not all are in force. */
char *
dbops_twin_mark(const TwinChange *change)
{
	return psprintf("(SELECT md5(string_agg(concat(t.oid, ' ', t.xmin), ' ' ORDER BY t.oid)) FROM pg_trigger t"
					" WHERE t.tgrelid IN (SELECT %u UNION SELECT relid FROM pg_partition_tree(%u)) AND t.tgname = %s AND %s)",
					change->relid, change->relid, quote_literal_cstr(dbops_twin_trigger_name(change->column)), dbops_twin_has_trigger(change));
}

char *
dbops_twin_collation(Oid collation)
{
	DbopsParam	param = dbops_param_oid(collation);

	return dbops_query_text("SELECT format('%I.%I', n.nspname, c.collname) FROM pg_collation c"
							" JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = $1",
							1, &param);
}
