/*
 * mute_finding.c
 *		mute_finding(), unmute_finding(), muted_findings(): known, and not to count.
 *
 * A muted finding is still shown and still says how grave it is; it changes no
 * status and raises no alert. Who mutes must say why and until when, so that
 * nothing stays muted that nobody remembers.
 *
 * The name that another linter has for rules means all of them.
 *
 * Findings that somebody gives to evaluate_alerts() can be muted as well, where
 * they have been given: once an alert is known here, so is its name.
 */
#include "core/check_override.h"
#include "core/primary.h"
#include "core/rule.h"
#include "observe/alert.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

#define LONGEST_KEY		512		/* bytes */
#define LONGEST			366		/* days */

PG_FUNCTION_INFO_V1(dbops_mute_finding);
PG_FUNCTION_INFO_V1(dbops_unmute_finding);
PG_FUNCTION_INFO_V1(dbops_muted_findings);

static List *keys_meant(const char *key);
static const char *take_key(FunctionCallInfo fcinfo);
static TimestampTz take_until(FunctionCallInfo fcinfo);
static void require_known(const char *key);
static bool is_of_own(const char *key, const char *check_name);
static bool is_in_table(const char *key, const char *check_name);
static bool is_in_memory(const char *key, const char *check_name);
static void forget_ended(void);
static void require_room(const char *key);

/* mute_finding(key text, reason text, until timestamptz) */
Datum
dbops_mute_finding(PG_FUNCTION_ARGS)
{
	const char *key = take_key(fcinfo);
	DbopsParam	params[] = {
		[1] = dbops_param_text(dbops_reason_argument(fcinfo, 1)),
		[2] = dbops_param_time(take_until(fcinfo)),
		[3] = dbops_param_text(GetUserNameFromId(GetUserId(), false)),
		[4] = dbops_param_time(dbops_clock_now())
	};
	ListCell   *cell;

	dbops_require_primary(fcinfo);
	require_known(key);
	forget_ended();
	foreach(cell, keys_meant(key))
	{
		params[0] = dbops_param_text(lfirst(cell));
		require_room(lfirst(cell));
		dbops_store_each("INSERT INTO dbops.muted_finding (key, reason, until, muted_by, muted_at) VALUES ($1, $2, $3, $4, $5)"
						 " ON CONFLICT (key) DO UPDATE SET reason = excluded.reason, until = excluded.until,"
						 " muted_by = excluded.muted_by, muted_at = excluded.muted_at",
						 lengthof(params), params, NULL, NULL);
	}
	PG_RETURN_VOID();
}

/* unmute_finding(key text) → whether it was muted */
Datum
dbops_unmute_finding(PG_FUNCTION_ARGS)
{
	DbopsParam	params[] = {[1] = dbops_param_time(dbops_clock_now())};
	const char *key = take_key(fcinfo);
	bool		any = false;
	Datum		was_muted;
	ListCell   *cell;

	dbops_require_primary(fcinfo);
	foreach(cell, keys_meant(key))
	{
		params[0] = dbops_param_text(lfirst(cell));
		any |= dbops_store_value("DELETE FROM dbops.muted_finding WHERE key = $1 RETURNING nullif(until > $2, false)",
								 lengthof(params), params, BOOLOID, &was_muted);
	}
	PG_RETURN_BOOL(any);
}

/* The keys that a key means (List of char *): itself, unless it begins with another linter's name. */
static List *
keys_meant(const char *key)
{
	int			length = strcspn(key, ":");
	List	   *keys = NIL;
	ListCell   *cell;

	foreach(cell, dbops_rule_named(pnstrdup(key, length)))
		keys = lappend(keys, psprintf("%s%s", ((const DbopsRule *) lfirst(cell))->name, key + length));
	return (keys != NIL) ? keys : list_make1(pstrdup(key));
}

/* muted_findings() → those that are muted now */
Datum
dbops_muted_findings(PG_FUNCTION_ARGS)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT key, reason, until, muted_by, muted_at FROM dbops.muted_finding WHERE until > $1 ORDER BY key",
					   1, &now);
	return (Datum) 0;
}

/* The key of a finding begins with the name of its check or rule, which may stand for all of that. */
static const char *
take_key(FunctionCallInfo fcinfo)
{
	const char *key;

	dbops_require_argument(fcinfo, 0, "key");
	key = dbops_text_argument(fcinfo, 0);
	if (*key == '\0' || strlen(key) > LONGEST_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must have between 1 and %d bytes", LONGEST_KEY),
				 errhint("It is in the column key of dbops.health_checks(), dbops.review() and dbops.lint_sql(), or the name of a check or rule alone.")));
	return key;
}

/* Whoever wants to hear of something never again says so in another place. */
static TimestampTz
take_until(FunctionCallInfo fcinfo)
{
	TimestampTz until = dbops_until_argument(fcinfo, 2);

	if (until > dbops_clock_now() + LONGEST * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must be at most %d days ahead", LONGEST),
				 errhint("A check that is never to count can be turned off: dbops.set_check(check_name, enabled => false).")));
	return until;
}

/* A key that no finding will ever have would mute nothing, and who has mistyped it would not know. */
static void
require_known(const char *key)
{
	int			length = strcspn(key, ":");
	char	   *check_name = pnstrdup(key, length);

	if (dbops_check_find(check_name) == NULL && dbops_rule_named(check_name) == NIL)
	{
		if (is_of_own(key, check_name))
			return;
		dbops_check_or_rule_refuse(check_name);
	}
	if (strcmp(key + length, ":") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must name an object behind the colon"),
				 errhint("Without a colon it is all that the check finds.")));
}

/* Has evaluate_alerts() been given such a finding in this database? */
static bool
is_of_own(const char *key, const char *check_name)
{
	return is_in_table(key, check_name) || is_in_memory(key, check_name);
}

static bool
is_in_table(const char *key, const char *check_name)
{
	DbopsParam	params[] = {dbops_param_text(key), dbops_param_text(check_name)};
	Datum		known;

	return dbops_store_value("SELECT true FROM dbops.alert WHERE NOT whole_cluster AND (alert_key = $1 OR check_name IN ($1, $2))"
							 " UNION ALL SELECT true FROM dbops.alert_history WHERE alert_key = $1 OR check_name IN ($1, $2) LIMIT 1",
							 lengthof(params), params, BOOLOID, &known);
}

/* Of those that a scheduler has yet to write down. */
static bool
is_in_memory(const char *key, const char *check_name)
{
	List	   *entries = dbops_alert_memory_is_there() ? dbops_alert_memory_copy(MyDatabaseId) : NIL;
	ListCell   *cell;

	foreach(cell, entries)
	{
		const AlertEntry *entry = lfirst(cell);

		if (OidIsValid(entry->database) &&
			(strcmp(dbops_alert_key(entry), key) == 0 || strcmp(entry->check_name, key) == 0 || strcmp(entry->check_name, check_name) == 0))
			return true;
	}
	return false;
}

/* What has ended says nothing any more. */
static void
forget_ended(void)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());

	dbops_store_each("DELETE FROM dbops.muted_finding WHERE until <= $1", 1, &now, NULL, NULL);
}

/* One that does not fit in memory would keep no alert from being raised. */
static void
require_room(const char *key)
{
	DbopsParam	other = dbops_param_text(key);
	Datum		n;

	if (dbops_store_value("SELECT count(*) FROM dbops.muted_finding WHERE key <> $1", 1, &other, INT8OID, &n) &&
		DatumGetInt64(n) >= DBOPS_MOST_MUTES)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("a database can have at most %d muted findings", DBOPS_MOST_MUTES),
				 errhint("End one with dbops.unmute_finding(key); dbops.muted_findings() lists them. The name of a check mutes all that it finds.")));
}
