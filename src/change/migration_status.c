/*
 * migration_status.c
 *		migration_status(): where each project stands, and what is to be done.
 *
 * The ledger alone knows what was applied. Told which versions a deployer's
 * folder holds, it also says which of them are still to come, and which of its
 * own the folder has lost; nothing is left out in silence.
 */
#include "change/migration.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(dbops_migration_status);

/* A migration as the report shows it, of the ledger or only of the folder. */
typedef struct Standing
{
	const char *project;
	const char *version;
	const char *name;
	const char *state;			/* of the ledger; or pending, covered, missing */
	TimestampTz applied_at;
	const char *owner;			/* as it is called today */
	const char *origin;
	bool		repeatable;
	bool		reversible;		/* a down text is stored */
	int64		position;		/* 0: not in the ledger */
	int64		job;
	const char *direction;		/* of the steps: up, down; or NULL */
	const char *failure;		/* what ended the job; or NULL */
	bool		live;			/* the job has not ended */
	int			done;			/* steps */
	int			steps;			/* 0: it is not done in steps */
	const char *environments;	/* as a user reads them; or NULL */
	const char *behind;			/* a higher version that was applied before; or NULL */
	const char *note;
	const char *remedy;			/* SQL to run or a sentence; or NULL */
} Standing;

static int	in_order(const ListCell *a, const ListCell *b);
static int	by_version(const ListCell *a, const ListCell *b);
static List *read_ledger(const char *project);
static void take_standing(HeapTuple row, TupleDesc desc, void *arg);
static List *hold_against(List *ledger, List *versions, const char *project);
static int	order_of(List *versions, int next, const Standing *standing);
static const char *find_baseline(List *ledger);
static Standing *not_applied(const char *project, const char *version, const char *baseline);
static void mark_out_of_order(List *standings);
static bool has_place(const Standing *standing);
static void explain(Standing *standing);
static void explain_steps(Standing *standing);
static void put(ReturnSetInfo *rsinfo, const Standing *standing);
static Datum text_or_null(const char *text, bool *isnull);

/* migration_status(project text, versions text[]) → rows, in the order of versions */
Datum
dbops_migration_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *project = dbops_text_argument(fcinfo, 0);
	List	   *versions = dbops_migration_versions_argument(fcinfo, 1, "versions");
	List	   *standings;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (project == NULL && !PG_ARGISNULL(1))
		project = "default";
	standings = read_ledger(project);
	list_sort(standings, by_version);
	if (!PG_ARGISNULL(1))
		standings = hold_against(standings, dbops_texts_sort(versions, in_order), project);
	mark_out_of_order(standings);
	foreach(cell, standings)
	{
		explain(lfirst(cell));
		put(rsinfo, lfirst(cell));
	}
	return (Datum) 0;
}

static int
in_order(const ListCell *a, const ListCell *b)
{
	return dbops_version_compare(lfirst(a), lfirst(b));
}

static int
by_version(const ListCell *a, const ListCell *b)
{
	const Standing *left = lfirst(a);
	const Standing *right = lfirst(b);
	int			order = strcmp(left->project, right->project);

	return (order != 0) ? order : dbops_version_compare(left->version, right->version);
}

/* ---- what the ledger says ---- */

/* The migrations of a project, or of all (NULL). */
static List *
read_ledger(const char *project)
{
	DbopsParam	params[] = {dbops_param_text(project)};
	List	   *standings = NIL;

	dbops_store_each("SELECT m.project, m.version, m.name, m.state, m.applied_at, m.owner, m.owner_oid, m.cluster, m.origin, m.repeatable,"
					 " m.down_sql IS NOT NULL, m.position, m.job_id, array_to_string(m.environments, ', '), s.done, s.steps,"
					 " s.direction, f.message, j.id IS NOT NULL AND j.finished_at IS NULL"
					 " FROM dbops.migration m"
					 " LEFT JOIN dbops.job j ON j.id = m.job_id AND j.kind = 'migration' AND m.state = 'running'"
					 " AND j.spec ->> 'project' = m.project AND j.spec ->> 'version' = m.version"
					 " LEFT JOIN LATERAL (SELECT direction, count(*) FILTER (WHERE state = 'done')::integer AS done, count(*)::integer AS steps"
					 " FROM dbops.migration_step WHERE project = m.project AND version = m.version"
					 " GROUP BY direction ORDER BY direction = j.spec ->> 'direction' DESC NULLS LAST,"
					 " direction = 'down' AND bool_or(state <> 'pending') DESC, direction DESC LIMIT 1) s ON m.state IN ('running', 'failed')"
					 " LEFT JOIN LATERAL (SELECT details ->> 'message' AS message FROM dbops.migration_event"
					 " WHERE project = m.project AND version = m.version AND event = 'fail'"
					 " ORDER BY id DESC LIMIT 1) f ON m.state = 'failed'"
					 " WHERE m.project = $1 OR $1 IS NULL",
					 lengthof(params), params, take_standing, &standings);
	return standings;
}

static void
take_standing(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **standings = arg;
	Standing   *standing = palloc0(sizeof(Standing));
	MigrationOwner owner = {dbops_row_text(row, desc, 6), dbops_row_oid(row, desc, 7), dbops_row_int8(row, desc, 8)};

	standing->project = dbops_row_text(row, desc, 1);
	standing->version = dbops_row_text(row, desc, 2);
	standing->name = dbops_row_text(row, desc, 3);
	standing->state = dbops_row_text(row, desc, 4);
	standing->applied_at = dbops_row_time(row, desc, 5);
	standing->owner = dbops_migration_owner_name(&owner);
	standing->origin = dbops_row_text(row, desc, 9);
	standing->repeatable = dbops_row_bool(row, desc, 10);
	standing->reversible = dbops_row_bool(row, desc, 11);
	standing->position = dbops_row_int8(row, desc, 12);
	standing->job = dbops_row_int8(row, desc, 13);
	standing->environments = dbops_row_text(row, desc, 14);
	standing->done = dbops_row_int4(row, desc, 15);
	standing->steps = dbops_row_int4(row, desc, 16);
	standing->direction = dbops_row_text(row, desc, 17);
	standing->failure = dbops_row_text(row, desc, 18);
	standing->live = dbops_row_bool(row, desc, 19);
	*standings = lappend(*standings, standing);
}

/* ---- what the folder says ---- */

/* Add the versions that are still to come, and mark those that the folder has lost. */
static List *
hold_against(List *ledger, List *versions, const char *project)
{
	const char *baseline = find_baseline(ledger);
	List	   *standings = NIL;
	ListCell   *cell;
	int			next = 0;

	foreach(cell, ledger)
	{
		Standing   *standing = lfirst(cell);

		for (; order_of(versions, next, standing) < 0; next++)
			standings = lappend(standings, not_applied(project, list_nth(versions, next), baseline));
		if (order_of(versions, next, standing) == 0)
			next++;
		else if (strcmp(standing->state, "applied") == 0)
			standing->state = "missing";
		standings = lappend(standings, standing);
	}
	for (; next < list_length(versions); next++)
		standings = lappend(standings, not_applied(project, list_nth(versions, next), baseline));
	return standings;
}

/* How the folder's next version compares to one of the ledger; behind it when there is none. */
static int
order_of(List *versions, int next, const Standing *standing)
{
	if (next >= list_length(versions))
		return 1;
	return dbops_version_compare(list_nth(versions, next), standing->version);
}

/* The highest one; NULL: there is none. */
static const char *
find_baseline(List *ledger)
{
	const char *baseline = NULL;
	ListCell   *cell;

	foreach(cell, ledger)
	{
		const Standing *standing = lfirst(cell);

		if (strcmp(standing->state, "baseline") == 0)
			baseline = standing->version;
	}
	return baseline;
}

static Standing *
not_applied(const char *project, const char *version, const char *baseline)
{
	Standing   *standing = palloc0(sizeof(Standing));

	standing->project = project;
	standing->version = version;
	standing->state = "pending";
	if (baseline != NULL && dbops_version_compare(version, baseline) <= 0)
	{
		standing->state = "covered";
		standing->note = psprintf("there by the baseline %s", baseline);
	}
	return standing;
}

/* ---- what to make of it ---- */

/* Note for each which higher version was applied before it. The order is that of versions. */
static void
mark_out_of_order(List *standings)
{
	const Standing *earliest = NULL;	/* of those with a higher version */

	for (int i = list_length(standings) - 1; i >= 0; i--)
	{
		Standing   *standing = list_nth(standings, i);

		if (earliest != NULL && strcmp(earliest->project, standing->project) != 0)
			earliest = NULL;
		if (earliest != NULL && !standing->repeatable &&
			(standing->position == 0 || earliest->position < standing->position))
			standing->behind = earliest->version;
		if (has_place(standing) && (earliest == NULL || standing->position < earliest->position))
			earliest = standing;
	}
}

/* Has it come to be in the order of versions? */
static bool
has_place(const Standing *standing)
{
	return standing->position != 0 && !standing->repeatable &&
		strcmp(standing->state, "reverted") != 0 && strcmp(standing->state, "skipped") != 0 &&
		strcmp(standing->state, "baseline") != 0;
}

/* Say what is remarkable, and what to do about it. */
static void
explain(Standing *standing)
{
	if (strcmp(standing->state, "pending") == 0)
	{
		if (standing->behind != NULL)
			standing->note = psprintf("out of order: %s is applied already", standing->behind);
		standing->remedy = psprintf("Apply it: SELECT * FROM dbops.apply_migration(%s, up_sql, project => %s);",
									quote_literal_cstr(standing->version), quote_literal_cstr(standing->project));
	}
	else if (strcmp(standing->state, "running") == 0 || strcmp(standing->state, "failed") == 0)
		explain_steps(standing);
	else if (strcmp(standing->state, "missing") == 0)
		standing->note = "applied, but not among the versions given";
	else if (strcmp(standing->state, "skipped") == 0)
		standing->note = psprintf("only for %s", standing->environments);
	else if (strcmp(standing->state, "applied") == 0 && standing->behind != NULL)
		standing->note = psprintf("out of order: applied after %s", standing->behind);
}

static void
explain_steps(Standing *standing)
{
	const char *version = quote_literal_cstr(standing->version);
	const char *project = quote_literal_cstr(standing->project);
	bool		down = standing->direction != NULL && strcmp(standing->direction, "down") == 0;

	standing->note = psprintf("%d of %d steps %s done", standing->done, standing->steps,
							  down ? "of the way back are" : "are");
	if (standing->failure != NULL)
		standing->note = psprintf("%s: %s", standing->note, standing->failure);
	else if (!standing->live && strcmp(standing->state, "running") == 0)
		standing->note = psprintf("%s, and job " INT64_FORMAT " is not there any more", standing->note, standing->job);
	standing->remedy = standing->live ?
		psprintf("CALL dbops.wait_job(" INT64_FORMAT ");", standing->job) :
		psprintf("%sSELECT * FROM dbops.rollback_migration(%s, %s);",
				 down ? "Go on: " : "Apply it again to go on, or ", version, project);
}

static void
put(ReturnSetInfo *rsinfo, const Standing *standing)
{
	bool		unknown = (standing->position == 0);
	bool		nulls[12] = {0};
	Datum		values[12];

	values[0] = text_or_null(standing->project, &nulls[0]);
	values[1] = text_or_null(standing->version, &nulls[1]);
	values[2] = text_or_null(standing->name, &nulls[2]);
	values[3] = text_or_null(standing->state, &nulls[3]);
	values[4] = TimestampTzGetDatum(standing->applied_at);
	values[5] = text_or_null(standing->owner, &nulls[5]);
	values[6] = text_or_null(standing->origin, &nulls[6]);
	values[7] = BoolGetDatum(standing->repeatable);
	values[8] = BoolGetDatum(standing->reversible);
	values[9] = Int64GetDatum(standing->job);
	values[10] = text_or_null(standing->note, &nulls[10]);
	values[11] = text_or_null(standing->remedy, &nulls[11]);
	nulls[4] = nulls[7] = nulls[8] = unknown;
	nulls[9] = (standing->job == 0);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = (text == NULL);
	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}
