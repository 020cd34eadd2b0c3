/*
 * checks_limits.c
 *		Checks of what the shared catalogs limit: roles, databases, their validity.
 *
 * Sessions are counted in shared memory. Limits of roles stand in a catalog that
 * not everybody may read, so they are read as the extension's owner.
 */
#include "observe/checks.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_db_role_setting.h"
#include "utils/backend_status.h"
#include "utils/hsearch.h"

static const void *look(const DbopsCheckScope *scope);
static void judge_role_limits(const void *facts, DbopsCheckRun *run);
static void judge_database_limits(const void *facts, DbopsCheckRun *run);
static void judge_invalid_databases(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "connections.database_limit",
		.about = "connections to a database, of those that it allows",
		.judge = judge_database_limits,
		.threshold = {
			.unit = "percent", .warning = 80, .critical = 95,
			.duration = 2 * SECS_PER_MINUTE, .clear = 5, .source = "check_postgres"
		}
	},
	{
		.name = "connections.role_limit",
		.about = "connections of a role, of those that it may have",
		.judge = judge_role_limits,
		.threshold = {
			.unit = "percent", .warning = 80, .critical = 95,
			.duration = 2 * SECS_PER_MINUTE, .clear = 5, .source = "check_pgactivity"
		}
	},
	{
		.name = "database.invalid",
		.about = "databases that an interrupted DROP DATABASE has left",
		.judge = judge_invalid_databases,
		.threshold = {
			.unit = "count", .warning = NO_THRESHOLD, .critical = 0, .source = "PostgreSQL's manual"
		}
	}
};

const DbopsCheckSet dbops_limit_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

/* Who has how many connections. */
typedef struct Holder
{
	Oid			oid;			/* of a role or a database */
	int			sessions;
} Holder;

typedef struct Facts
{
	HTAB	   *roles;			/* of Holder */
	HTAB	   *databases;		/* likewise */
} Facts;

/* What a limit is held against. */
typedef struct Limits
{
	HTAB	   *holders;
	const Oid  *catalog;
	const char *sql;
	const char *kind;
	Notables	notables;
	List	   *names;			/* of char *, in the order of the notables' objects */
} Limits;

static HTAB *make_holders(void);
static void count(HTAB *holders, Oid oid);
static void judge_limits(Limits *limits, const char *none, DbopsCheckRun *run);
static void read_limits(void *arg);
static void take_limit(HeapTuple row, TupleDesc desc, void *arg);

/* Count the sessions of each role and database. */
static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc(sizeof(Facts));
	int			n = pgstat_fetch_stat_numbackends();

	facts->roles = make_holders();
	facts->databases = make_holders();
	for (int i = 1; i <= n; i++)
	{
		const PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (status->st_backendType != B_BACKEND)
			continue;
		count(facts->roles, status->st_userid);
		count(facts->databases, status->st_databaseid);
	}
	return facts;
}

static HTAB *
make_holders(void)
{
	HASHCTL		options = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(Holder),
		.hcxt = CurrentMemoryContext
	};

	return hash_create("dbops holders of connections", 64, &options, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
count(HTAB *holders, Oid oid)
{
	bool		found;
	Holder	   *holder = hash_search(holders, &oid, HASH_ENTER, &found);

	holder->sessions = found ? holder->sessions + 1 : 1;
}

static void
judge_role_limits(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalog = AuthIdRelationId;
	Limits		limits = {
		.holders = ((const Facts *) facts)->roles,
		.catalog = &catalog,
		.sql = "SELECT oid, rolname::text, rolconnlimit FROM pg_catalog.pg_authid WHERE rolconnlimit > 0 AND NOT rolsuper",
		.kind = "ROLE"
	};

	judge_limits(&limits, "no role has a limit of connections", run);
}

static void
judge_database_limits(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalog = DatabaseRelationId;
	Limits		limits = {
		.holders = ((const Facts *) facts)->databases,
		.catalog = &catalog,
		.sql = "SELECT oid, datname::text, datconnlimit FROM pg_catalog.pg_database WHERE datconnlimit > 0",
		.kind = "DATABASE"
	};

	judge_limits(&limits, "no database has a limit of connections", run);
}

/* Report those that are near their limit, or the nearest if none is. */
static void
judge_limits(Limits *limits, const char *none, DbopsCheckRun *run)
{
	ListCell   *cell;
	int			reported = 0;
	double		warning = dbops_check_threshold(run)->warning;
	double		most = 0;

	dbops_look(read_limits, limits);
	for (int i = 0; i < limits->notables.n; i++)
		most = Max(most, limits->notables.all[i].value);
	foreach(cell, limits->names)
	{
		const Notable *notable = &limits->notables.all[foreach_current_index(cell)];

		if (notable->value <= warning || reported++ >= N_WORST)
			continue;
		dbops_check_report_value(run, notable->value, NAN, (DbopsFinding)
								 {
									 .object = lfirst(cell),
									 .message = psprintf("%.0f of %s in use", notable->figure,
														 dbops_figure_count(round(100 * notable->figure / notable->value), "connection is", "connections are")),
									 .remedy = psprintf("ALTER %s %s CONNECTION LIMIT ...; or use a connection pool",
														limits->kind, (char *) lfirst(cell))
								 });
	}
	if (reported == 0)
		dbops_check_report_value(run, most, NAN, (DbopsFinding)
								 {
									 .message = limits->notables.n == 0 ? none :
										 psprintf("the nearest to its limit uses %.1f percent of it", most)
								 });
}

static void
read_limits(void *arg)
{
	Limits	   *limits = arg;

	dbops_catalogs_require(1, limits->catalog);
	(void) dbops_store_each(limits->sql, 0, NULL, take_limit, limits);
}

static void
take_limit(HeapTuple row, TupleDesc desc, void *arg)
{
	Limits	   *limits = arg;
	Oid			oid = dbops_row_oid(row, desc, 1);
	const Holder *holder = hash_search(limits->holders, &oid, HASH_FIND, NULL);
	int			sessions = (holder == NULL) ? 0 : holder->sessions;

	if (list_length(limits->names) >= N_NOTABLE)
		return;
	dbops_notables_add(&limits->notables, (Notable)
					   {
						   .object = oid,
						   .value = dbops_figure_percent(sessions, dbops_row_int4(row, desc, 3)),
						   .figure = sessions
					   });
	limits->names = lappend(limits->names, dbops_quote_name(dbops_row_text(row, desc, 2)));
}

static void
judge_invalid_databases(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {DatabaseRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT quote_ident(datname), 'DROP DATABASE was interrupted, so that it cannot be used any more',"
		" format('DROP DATABASE %I;', datname), count(*) OVER () FROM pg_database WHERE datconnlimit = -2 ORDER BY 1 LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every database is valid"
	};

	dbops_check_ask(run, &question, 0, NULL);
}
