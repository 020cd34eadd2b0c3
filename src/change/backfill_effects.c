/*
 * backfill_effects.c
 *		What an update of a table sets off: triggers, foreign keys, publications,
 *		slots and standbys; and what speaks against it now.
 *
 * Read from the catalogs and from shared memory; nobody's lock is waited for.
 */
#include "change/change.h"

#include <math.h>

#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "core/server.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define OLD_SNAPSHOT 60.0		/* s after which a transaction is worth a warning */

/* Where rows of the report go, and what they are about. */
typedef struct Effects
{
	const BackfillRun *run;
	double		pending;
	ReturnSetInfo *rsinfo;
	DbopsParam	params[2];		/* the tables, and the names of the assigned columns */
} Effects;

static DbopsParam tables_param(List *leaves);
static DbopsParam columns_param(List *columns);
static void put_trigger(HeapTuple row, TupleDesc desc, void *arg);
static void put_foreign_key(HeapTuple row, TupleDesc desc, void *arg);
static void put_publication(HeapTuple row, TupleDesc desc, void *arg);
static void put_slot(HeapTuple row, TupleDesc desc, void *arg);
static void put_standbys(const Effects *effects);
static void put_identity(HeapTuple row, TupleDesc desc, void *arg);
static void put_old_statistics(HeapTuple row, TupleDesc desc, void *arg);
static void put_horizon(const Effects *effects);
static bool is_self(int pid);
static void put_wraparound(const Effects *effects);
static void put_change_warnings(const Effects *effects);

static const char *const triggers =
	"SELECT t.tgname::text, pg_catalog.min(t.tgrelid::regclass::text), pg_catalog.count(*),"
	" (t.tgtype & 1) <> 0, (t.tgtype & 2) <> 0, t.tgattr::text <> ''"
	" FROM pg_trigger t WHERE t.tgrelid = ANY ($1) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')"
	" AND (t.tgtype & 16) <> 0"
	" AND (t.tgattr::text = '' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.tgrelid"
	" AND a.attnum = ANY (t.tgattr) AND a.attname = ANY ($2)))"
	" GROUP BY 1, 4, 5, 6 ORDER BY 1, 2";

/* The tables and those above them: what stands there holds for partitions too. */
#define TABLES_AND_ABOVE \
	"(SELECT a.relid FROM unnest($1) l, LATERAL (SELECT l UNION SELECT p.relid FROM pg_partition_ancestors(l) p) a(relid))"

#define HAS_ASSIGNED(table, columns) \
	"EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c." table \
	" AND a.attnum = ANY (c." columns ") AND a.attname = ANY ($2))"

static const char *const foreign_keys =
	"SELECT c.conname::text, c.conrelid::regclass::text, c.confrelid::regclass::text, c.conrelid IN " TABLES_AND_ABOVE
	" FROM pg_constraint c WHERE c.contype = 'f' AND c.conparentid = 0"
	" AND (c.conrelid IN " TABLES_AND_ABOVE " AND " HAS_ASSIGNED("conrelid", "conkey")
	" OR c.confrelid IN " TABLES_AND_ABOVE " AND " HAS_ASSIGNED("confrelid", "confkey") ")"
	" ORDER BY 1, 2";

/* Of a table, its schema or all tables. */
static const char *const publications =
	"SELECT p.pubname::text FROM pg_publication p WHERE p.pubupdate"
	" AND (p.puballtables OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid"
	" AND r.prrelid IN " TABLES_AND_ABOVE ")"
	" OR EXISTS (SELECT FROM pg_publication_namespace n JOIN pg_class c ON c.relnamespace = n.pnnspid"
	" WHERE n.pnpubid = p.oid AND c.oid IN " TABLES_AND_ABOVE ")) ORDER BY 1";

static const char *const without_identity =
	"SELECT pg_catalog.min(c.oid::regclass::text), pg_catalog.count(*) FROM pg_class c"
	" WHERE c.oid = ANY ($1) AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS"
	" (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)) HAVING pg_catalog.count(*) > 0";

static const char *const slots =
	"SELECT s.slot_name::text, s.slot_type, s.active FROM pg_replication_slots s"
	" WHERE s.slot_type = 'physical' AND NOT s.active AND s.restart_lsn IS NOT NULL"
	" OR s.slot_type = 'logical' AND s.database = pg_catalog.current_database() ORDER BY 1";

static const char *const old_statistics =
	"SELECT pg_catalog.min(c.oid::regclass::text), pg_catalog.count(*) FROM pg_class c WHERE c.oid = ANY ($1)"
	" AND (c.reltuples < 0 OR pg_catalog.pg_stat_get_mod_since_analyze(c.oid) > 1000 + 0.2 * c.reltuples)"
	" HAVING pg_catalog.count(*) > 0";

/* Report what the backfill sets off. */
void
dbops_backfill_report_effects(const BackfillRun *run, double pending, ReturnSetInfo *rsinfo)
{
	Effects		effects = {
		.run = run,.pending = pending,.rsinfo = rsinfo,
		.params = {tables_param(run->leaves), columns_param(run->change->columns)}
	};
	uint64		published;

	dbops_query_each(triggers, 2, effects.params, put_trigger, &effects);
	dbops_query_each(foreign_keys, 2, effects.params, put_foreign_key, &effects);
	published = dbops_query_each(publications, 1, effects.params, put_publication, &effects);
	dbops_query_each(slots, 0, NULL, put_slot, &effects);
	put_standbys(&effects);
	if (published > 0)
		dbops_query_each(without_identity, 1, effects.params, put_identity, &effects);
}

/* Report what speaks against it now. */
void
dbops_backfill_report_warnings(const BackfillRun *run, double pending, ReturnSetInfo *rsinfo)
{
	Effects		effects = {
		.run = run,.pending = pending,.rsinfo = rsinfo,
		.params = {tables_param(run->leaves)}
	};

	put_change_warnings(&effects);
	dbops_query_each(old_statistics, 1, effects.params, put_old_statistics, &effects);
	put_horizon(&effects);
	put_wraparound(&effects);
}

static DbopsParam
tables_param(List *leaves)
{
	Datum	   *tables = palloc(sizeof(Datum) * (list_length(leaves) + 1));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, leaves)
		tables[n++] = ObjectIdGetDatum(((BackfillLeaf *) lfirst(cell))->relid);
	return (DbopsParam)
	{
		.type = OIDARRAYOID,
			.value = PointerGetDatum(construct_array(tables, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT))
	};
}

static DbopsParam
columns_param(List *columns)
{
	Datum	   *names = palloc(sizeof(Datum) * (list_length(columns) + 1));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, columns)
		names[n++] = CStringGetTextDatum(((BackfillColumn *) lfirst(cell))->name);
	return (DbopsParam)
	{
		.type = TEXTARRAYOID,
			.value = PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT))
	};
}

/* ---- what it sets off ---- */

static void
put_trigger(HeapTuple row, TupleDesc desc, void *arg)
{
	const Effects *effects = arg;
	const char *table = dbops_row_text(row, desc, 2);
	int64		tables = dbops_row_int8(row, desc, 3);
	bool		each_row = dbops_row_bool(row, desc, 4);
	bool		before = dbops_row_bool(row, desc, 5);
	bool		of_columns = dbops_row_bool(row, desc, 6);
	StringInfoData note;

	initStringInfo(&note);
	appendStringInfo(&note, "%s UPDATE%s, once a %s",
					 before ? "BEFORE" : "AFTER", of_columns ? " OF an assigned column" : "",
					 each_row ? "row" : "batch");
	if (tables > 1)
		appendStringInfo(&note, "; on " INT64_FORMAT " tables, such as %s", tables, table);
	else
		appendStringInfo(&note, "; on %s", table);
	if (effects->run->request.sync && of_columns)
		appendStringInfoString(&note, "; not for rows that sync makes right, unless their statement assigns the column");
	dbops_backfill_plan_put(effects->rsinfo, "trigger", dbops_row_text(row, desc, 1),
							each_row ? effects->pending : NAN, note.data);
}

static void
put_foreign_key(HeapTuple row, TupleDesc desc, void *arg)
{
	const Effects *effects = arg;
	const char *from = dbops_row_text(row, desc, 2);
	const char *to = dbops_row_text(row, desc, 3);

	dbops_backfill_plan_put(effects->rsinfo, "foreign key", dbops_row_text(row, desc, 1), effects->pending,
							dbops_row_bool(row, desc, 4) ?
							psprintf("the row of %s that a row of %s references is looked up and locked where the key changes", to, from) :
							psprintf("rows of %s that reference a row of %s are looked up where its key changes", from, to));
}

static void
put_publication(HeapTuple row, TupleDesc desc, void *arg)
{
	const Effects *effects = arg;

	dbops_backfill_plan_put(effects->rsinfo, "publication", dbops_row_text(row, desc, 1),
							effects->pending, "sends each row that is changed to its subscribers");
}

static void
put_slot(HeapTuple row, TupleDesc desc, void *arg)
{
	const Effects *effects = arg;
	bool		logical = strcmp(dbops_row_text(row, desc, 2), "logical") == 0;
	bool		active = dbops_row_bool(row, desc, 3);

	dbops_backfill_plan_put(effects->rsinfo, logical ? "logical slot" : "physical slot",
							dbops_row_text(row, desc, 1), NAN,
							!active ? "inactive: all WAL of the backfill is kept until it is read" :
							"decodes all WAL of the backfill");
}

static void
put_standbys(const Effects *effects)
{
	List	   *standbys = dbops_standbys_read(dbops_written());
	int64		lag = 0;
	ListCell   *cell;

	foreach(cell, standbys)
		lag = Max(lag, ((Standby *) lfirst(cell))->lag_bytes);
	if (standbys != NIL)
		dbops_backfill_plan_put(effects->rsinfo, "standbys", psprintf("%d", list_length(standbys)),
								list_length(standbys),
								psprintf("receive all WAL of the backfill; now %s behind; a job waits for them by dbops.max_replica_lag and dbops.max_replica_lag_bytes",
										 dbops_figure_bytes(lag)));
}

static void
put_identity(HeapTuple row, TupleDesc desc, void *arg)
{
	const Effects *effects = arg;

	dbops_backfill_plan_put(effects->rsinfo, "warning",
							psprintf("table %s is published without a replica identity", dbops_row_text(row, desc, 1)),
							dbops_row_int8(row, desc, 2),
							"the server refuses to update it; ALTER TABLE ... REPLICA IDENTITY first, or add a primary key");
}

/* ---- what speaks against it ---- */

static void
put_change_warnings(const Effects *effects)
{
	const BackfillChange *change = effects->run->change;
	ListCell   *cell;

	foreach(cell, effects->run->leaves)
	{
		const BackfillLeaf *leaf = lfirst(cell);

		if (!leaf->has_before_trigger || change->harmless_again)
			continue;
		dbops_backfill_plan_put(effects->rsinfo, "warning",
								psprintf("a BEFORE UPDATE trigger of %s may change what ends the condition", leaf->name), NAN,
								"a batch in which it does is rolled back, and the backfill ends there");
		break;
	}
}

static void
put_old_statistics(HeapTuple row, TupleDesc desc, void *arg)
{
	const Effects *effects = arg;
	const char *table = dbops_row_text(row, desc, 1);

	dbops_backfill_plan_put(effects->rsinfo, "warning", psprintf("statistics of %s are old", table),
							dbops_row_int8(row, desc, 2),
							psprintf("batches begin smaller or larger than they should, and figures of indexes are guesses; ANALYZE %s", table));
}

static void
put_horizon(const Effects *effects)
{
	HorizonHolder oldest;

	dbops_horizon_oldest(is_self, &oldest);
	if (oldest.name != NULL && oldest.age > OLD_SNAPSHOT)
		dbops_backfill_plan_put(effects->rsinfo, "warning",
								psprintf("%s keeps dead rows since %s", oldest.name, dbops_figure_duration(oldest.age)),
								oldest.age,
								"no vacuum makes room on the way until it has ended; a job waits for it by dbops.max_xmin_age");
}

static bool
is_self(int pid)
{
	return pid == MyProcPid;
}

/* A vacuum to prevent wraparound does not give way to who wants the table's lock. */
static void
put_wraparound(const Effects *effects)
{
	int			n;

	pgstat_clear_backend_activity_snapshot();
	n = pgstat_fetch_stat_numbackends();
	for (int i = 1; i <= n; i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		ListCell   *cell;

		if (status->st_progress_command != PROGRESS_COMMAND_VACUUM || status->st_databaseid != MyDatabaseId ||
			strstr(status->st_activity_raw, "(to prevent wraparound)") == NULL)
			continue;
		foreach(cell, effects->run->leaves)
			if (((BackfillLeaf *) lfirst(cell))->relid == status->st_progress_command_target)
				dbops_backfill_plan_put(effects->rsinfo, "warning",
										psprintf("autovacuum is freezing %s to prevent wraparound",
												 ((BackfillLeaf *) lfirst(cell))->name),
										status->st_procpid,
										"it does not give way, and vacuum_every leaves the table alone meanwhile");
	}
}
