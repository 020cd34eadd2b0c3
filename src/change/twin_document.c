/*
 * twin_document.c
 *		What the trigger of a change does, as a document: for each direction the
 *		assignments as dbops has understood them, and the columns that they read.
 *
 * The new column of rename_column and change_type is not there yet when this is
 * written: those directions are put together here. A set list of the user's is
 * understood as a backfill's is.
 */
#include "change/twin.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

static BackfillChange *assignment(const TwinChange *change, const char *set_list, const char *matches);
static void put_direction(DbopsJson *json, const char *name, const BackfillChange *change);
static void put_owners(DbopsJson *json, const List *owners);
static void require_read(const TwinChange *change, const BackfillChange *reverse);
static BackfillChange *understand(const TwinChange *change, const char *set_list, const char *argument);
static List *read_columns(const BackfillChange *change);
static List *read_and_check(const TwinChange *change, const BackfillChange *understood);
static void refuse_defaults(const TwinChange *change);

/*
 * The new column is a copy of the old one, or has the value of an expression
 * that reads some columns; both: what is written to the copy goes back.
 */
void
dbops_twin_put_copy(TwinChange *change, const char *expression, bool both, List *owners)
{
	const char *old = quote_identifier(change->column);
	const char *twin = quote_identifier(change->new_name);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_direction(&json, "forward",
				  assignment(change, psprintf("%s = %s", twin, expression != NULL ? expression : old), "true"));
	if (both)
		put_direction(&json, "reverse",
					  assignment(change, psprintf("%s = %s", old, twin),
								 psprintf("pg_catalog.record_image_ne(ROW(%s), ROW(%s))", twin, old)));
	dbops_json_texts(&json, "forward_reads", change->old_columns);
	dbops_json_texts(&json, "reverse_reads", change->new_columns);
	dbops_json_texts(&json, "new_columns", change->new_columns);
	dbops_json_boolean(&json, "any_owner", expression == NULL && both);
	put_owners(&json, owners);
	change->document = dbops_json_finish(&json);
}

/* Has the trigger been allowed to run as who owns the table and its partitions now? */
bool
dbops_twin_runs_as_owner(const TwinChange *change)
{
	ListCell   *cell;

	foreach(cell, dbops_twin_owners(change->relid))
		if (!dbops_twin_may_run_as(change->document, lfirst_oid(cell)))
			return false;
	return true;
}

bool
dbops_twin_may_run_as(const Jsonb *document, Oid owner)
{
	int64	   *owners;
	int			n = dbops_jsonb_integers(document, "owners", &owners);

	if (dbops_jsonb_boolean(document, "any_owner"))
		return true;
	for (int i = 0; i < n; i++)
		if ((Oid) owners[i] == owner)
			return true;
	return false;
}

static BackfillChange *
assignment(const TwinChange *change, const char *set_list, const char *matches)
{
	BackfillChange *assignment = palloc0(sizeof(BackfillChange));

	assignment->path = dbops_query_safe_path(dbops_query_submission_path());
	assignment->alias = pstrdup(quote_identifier(get_rel_name(change->relid)));
	assignment->set_list = pstrdup(set_list);
	assignment->matches = pstrdup(matches);
	assignment->pending = "true";
	assignment->harmless_again = true;
	return assignment;
}

static void
put_direction(DbopsJson *json, const char *name, const BackfillChange *change)
{
	DbopsJson	whole = {0};

	dbops_json_object(&whole, NULL);
	dbops_backfill_put_change(&whole, change);
	dbops_json_document(json, name, dbops_jsonb_document(dbops_json_finish(&whole), "change"));
}

static void
put_owners(DbopsJson *json, const List *owners)
{
	ListCell   *cell;

	dbops_json_array(json, "owners");
	foreach(cell, owners)
		dbops_json_integer(json, NULL, lfirst_oid(cell));
	dbops_json_array_end(json);
}

/* Set lists of the user's; fills in which columns are old and new. */
void
dbops_twin_put_sets(TwinChange *change, List *owners)
{
	BackfillChange *forward = understand(change, change->set_clause, "set_clause");
	BackfillChange *reverse = NULL;
	DbopsJson	json = {0};

	change->old_columns = read_and_check(change, forward);
	change->new_columns = forward->assigned;
	change->column = linitial(forward->assigned);
	if (change->old_columns == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("set_clause reads no column"),
				 errhint("To fill a column with the same value in every row use batched_backfill().")));
	dbops_json_object(&json, NULL);
	if (change->reverse_set != NULL)
	{
		refuse_defaults(change);
		reverse = understand(change, change->reverse_set, "reverse_set");
		require_read(change, reverse);
		reverse->matches = forward->pending;
		reverse->pending = "true";
		put_direction(&json, "reverse", reverse);
		dbops_json_texts(&json, "reverse_reads", read_and_check(change, reverse));
	}
	forward->pending = "true";
	put_direction(&json, "forward", forward);
	dbops_json_texts(&json, "forward_reads", change->old_columns);
	dbops_json_texts(&json, "new_columns", change->new_columns);
	put_owners(&json, owners);
	change->document = dbops_json_finish(&json);
}

/* The way back is for what the way forth reads. */
static void
require_read(const TwinChange *change, const BackfillChange *reverse)
{
	ListCell   *cell;

	foreach(cell, reverse->assigned)
		if (!dbops_texts_have(change->old_columns, lfirst(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("reverse_set assigns column \"%s\", which set_clause does not read", (char *) lfirst(cell)),
					 errhint("Have it give back only columns that set_clause reads.")));
}

static BackfillChange *
understand(const TwinChange *change, const char *set_list, const char *argument)
{
	BackfillRequest request = {.relid = change->relid,.set_clause = unconstify(char *, set_list),.sync = true};
	BackfillChange *understood;

	dbops_fragment_check_set_list(set_list, argument);
	understood = dbops_backfill_understand(&request);
	if (understood->twice != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be kept by a trigger", argument),
				 errdetail("%s", understood->twice),
				 errhint("Assign each new column an expression that reads only others and is not volatile.")));
	return understood;
}

/* The columns that it reads, of those that it names (List of char *). */
static List *
read_columns(const BackfillChange *change)
{
	List	   *columns = NIL;
	DbopsJson	json = {0};
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_backfill_put_columns(&json, change);
	foreach(cell, dbops_jsonb_texts(dbops_json_finish(&json), "columns"))
		if (!dbops_texts_have(change->assigned, lfirst(cell)))
			columns = lappend(columns, lfirst(cell));
	return columns;
}

static List *
read_and_check(const TwinChange *change, const BackfillChange *understood)
{
	List	   *columns = read_columns(understood);

	dbops_twin_refuse_generated(change->relid, columns);
	return columns;
}

/* The server computes a generated column after the trigger, which would not see it change. */
void
dbops_twin_refuse_generated(Oid relid, List *reads)
{
	ListCell   *cell;

	foreach(cell, reads)
		if (get_attgenerated(relid, get_attnum(relid, lfirst(cell))) != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("generated column \"%s\" cannot be read: it is computed after the trigger of a change", (char *) lfirst(cell)),
					 errhint("Give its expression in its place; \\d %s in psql shows it.", dbops_quote_relation(relid))));
}

/* A row that is inserted is known by a value in a new column to come from who writes those. */
static void
refuse_defaults(const TwinChange *change)
{
	ListCell   *cell;

	foreach(cell, change->new_columns)
	{
		const TwinColumn *column = dbops_twin_column(change->relid, lfirst(cell));

		if (column->default_value != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" has a default, so that it does not tell who writes it", column->name),
					 errhint("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT; and set it again after finish_change().",
							 change->table, quote_identifier(column->name))));
	}
}
