/*
 * checks_cron.c
 *		Checks of pg_cron: whether its jobs fail, and what it keeps of their runs.
 *
 * Its tables are read only where they belong to the extension, with the rights of
 * the owner of dbops, since each user sees the jobs of his own; and only if nobody
 * has locked them. Of the runs the last ones are looked at, by their key: a table
 * of many millions costs no more. What a job runs and says is shown to nobody.
 */
#include "observe/checks.h"

#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "utils/guc.h"

#define LAST_RUNS	"50000"

typedef struct Facts
{
	ErrorData  *error;			/* NULL: it was looked for */
	bool		installed;
	Oid			jobs;			/* tables; InvalidOid: there is none */
	Oid			runs;
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void look_and_undo(void *facts);
static void find_tables(void *arg);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static bool report_missing(const Facts *facts, DbopsCheckRun *run);
static void judge_failed(const void *facts, DbopsCheckRun *run);
static void judge_history(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "cron.failed",
		.about = "jobs of pg_cron whose last run failed",
		.judge = judge_failed,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "one is one too many"
		}
	},
	{
		.name = "cron.history",
		.about = "size of the table in which pg_cron keeps the runs of its jobs",
		.judge = judge_history,
		.advice = true,
		.threshold = {
			.unit = "bytes", .warning = GB, .critical = NO_THRESHOLD, .source = "pg_ash; 12 MB a day of one job a second"
		}
	}
};

const DbopsCheckSet dbops_cron_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	(void) dbops_attempt(look_and_undo, facts, &facts->error);
	return facts;
}

static void
look_and_undo(void *facts)
{
	dbops_look(find_tables, facts);
}

/* A table that only has the name is not asked. */
static void
find_tables(void *arg)
{
	static const Oid catalogs[] = {DependRelationId, RelationRelationId, NamespaceRelationId};
	Facts	   *facts = arg;
	DbopsExtension extension = dbops_extension_find("pg_cron");
	DbopsParam	param = dbops_param_oid(extension.oid);

	if (extension.hidden)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_extension is locked"),
				 errhint("Look again later.")));
	facts->installed = OidIsValid(extension.oid);
	if (!facts->installed)
		return;
	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	dbops_catalogs_require(lengthof(catalogs), catalogs);
	(void) dbops_query_each("SELECT c.oid, c.relname = 'job' FROM pg_depend d JOIN pg_class c ON c.oid = d.objid"
							" WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = $1 AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'"
							" AND c.relkind = 'r' AND c.relname IN ('job', 'job_run_details')"
							" AND c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'cron')",
							1, &param, take_table, facts);
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	Facts	   *facts = arg;
	Oid		   *table = dbops_row_bool(row, desc, 2) ? &facts->jobs : &facts->runs;

	*table = dbops_row_oid(row, desc, 1);
}

/* Report that there is nothing to judge, if so. */
static bool
report_missing(const Facts *facts, DbopsCheckRun *run)
{
	if (facts->error != NULL)
		ReThrowError(facts->error);
	if (!facts->installed)
		dbops_check_report(run, (DbopsFinding) {.message = "pg_cron is not installed in this database"});
	else if (!OidIsValid(facts->jobs) || !OidIsValid(facts->runs))
		dbops_check_report_unknown(run, NULL, "this version of pg_cron records no runs", "ALTER EXTENSION pg_cron UPDATE;");
	else
		return false;
	return true;
}

/* One that runs now is judged by its run before; one that is switched off is not. */
static void
judge_failed(const void *arg, DbopsCheckRun *run)
{
	const Facts *facts = arg;
	const Oid	tables[] = {facts->jobs, facts->runs};
	const char *records = GetConfigOption("cron.log_run", true, false);
	CatalogQuestion question = {
		.sql = "SELECT format('job %s of pg_cron', r.jobid), format('its last run failed %s ago', date_trunc('second', now() - r.end_time)),"
		" format('SELECT start_time, return_message FROM cron.job_run_details WHERE jobid = %s ORDER BY runid DESC LIMIT 5;', r.jobid), count(*) OVER ()"
		" FROM (SELECT DISTINCT ON (d.jobid) d.jobid, d.status, d.end_time FROM cron.job_run_details d"
		" WHERE d.runid > (SELECT max(m.runid) FROM cron.job_run_details m) - " LAST_RUNS " AND d.status IN ('succeeded', 'failed')"
		" ORDER BY d.jobid, d.runid DESC) r JOIN cron.job j ON j.jobid = r.jobid"
		" WHERE j.active AND r.status = 'failed' ORDER BY r.end_time DESC, r.jobid LIMIT 10",
		.n_catalogs = lengthof(tables),
		.catalogs = tables,
		.as_owner = true,
		.none = "the last run of every job of pg_cron succeeded, or there was none"
	};

	if (report_missing(facts, run))
		return;
	if (records != NULL && strcmp(records, "off") == 0)
		dbops_check_report_unknown(run, NULL, "pg_cron is told to record no runs", "ALTER SYSTEM SET cron.log_run = on; and restart.");
	else
		dbops_check_ask(run, &question, 0, NULL);
}

static void
judge_history(const void *arg, DbopsCheckRun *run)
{
	const Facts *facts = arg;
	double		bytes;

	if (report_missing(facts, run))
		return;
	bytes = dbops_relation_bytes(facts->runs);
	dbops_check_report_value(run, bytes, NAN, (DbopsFinding)
							 {
								 .message = psprintf("cron.job_run_details holds %s", dbops_figure_bytes(bytes)),
								 .remedy = "SELECT cron.schedule('forget runs', '0 3 * * *', 'DELETE FROM cron.job_run_details WHERE end_time < now() - interval ''7 days''');"
							 });
}
