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
	bool		any;			/* somebody has a limit, with or without connections */
	List	   *used;			/* of UsedLimit *: of those that have connections */
} Limits;

typedef struct UsedLimit
{
	char	   *name;
	int			sessions;
	int			limit;
	double		percent;
} UsedLimit;

static HTAB *make_holders(void);
static void count(HTAB *holders, Oid oid);
static void judge_limits(Limits *limits, const char *none, DbopsCheckRun *run);
static void read_limits(void *arg);
static void take_limit(HeapTuple row, TupleDesc desc, void *arg);
static int	nearest_first(const ListCell *a, const ListCell *b);

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

/* Report those that are nearest to their limit, or the nearest if none is near. */
static void
judge_limits(Limits *limits, const char *none, DbopsCheckRun *run)
{
	ListCell   *cell;
	int			reported = 0;
	double		warning = dbops_check_threshold(run)->warning;
	double		most;

	dbops_look(read_limits, limits);
	list_sort(limits->used, nearest_first);
	most = (limits->used == NIL) ? 0 : ((const UsedLimit *) linitial(limits->used))->percent;
	foreach(cell, limits->used)
	{
		const UsedLimit *used = lfirst(cell);

		if (used->percent <= warning || reported++ >= N_WORST)
			break;
		dbops_check_report_value(run, used->percent, NAN, (DbopsFinding)
								 {
									 .object = used->name,
									 .message = psprintf("%d of %s in use", used->sessions,
														 dbops_figure_count(used->limit, "connection is", "connections are")),
									 .remedy = psprintf("ALTER %s %s CONNECTION LIMIT ...; or use a connection pool",
														limits->kind, used->name)
								 });
	}
	if (reported == 0)
		dbops_check_report_value(run, most, NAN, (DbopsFinding)
								 {
									 .message = !limits->any ? none :
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

/* Who has no connection is not near a limit, and there may be thousands of them. */
static void
take_limit(HeapTuple row, TupleDesc desc, void *arg)
{
	Limits	   *limits = arg;
	Oid			oid = dbops_row_oid(row, desc, 1);
	const Holder *holder = hash_search(limits->holders, &oid, HASH_FIND, NULL);
	UsedLimit  *used;

	limits->any = true;
	if (holder == NULL)
		return;
	used = palloc(sizeof(UsedLimit));
	used->name = dbops_quote_name(dbops_row_text(row, desc, 2));
	used->sessions = holder->sessions;
	used->limit = dbops_row_int4(row, desc, 3);
	used->percent = dbops_figure_percent(used->sessions, used->limit);
	limits->used = lappend(limits->used, used);
}

static int
nearest_first(const ListCell *a, const ListCell *b)
{
	double		left = ((const UsedLimit *) lfirst(a))->percent;
	double		right = ((const UsedLimit *) lfirst(b))->percent;

	return (left < right) - (left > right);
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
