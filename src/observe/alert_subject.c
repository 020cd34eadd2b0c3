/*
 * alert_subject.c
 *		What is alerted about: findings, those of many objects as one.
 *
 * A check that finds something at more than ALERT_OBJECTS objects has one alert
 * for all of them, which lasts until nothing is left: a storm is one event. What
 * is muted does not count for that. Of other objects only so many are followed.
 *
 * A finding's data says what it was judged by, and may say how its alert is to
 * behave: that serves findings of no check.
 */
#include "observe/alert.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#define SHOWN_OBJECTS	3		/* in the message of a group */
#define LONGEST			(366 * SECS_PER_DAY)

/* The findings of one check. */
typedef struct CheckFindings
{
	char		name[ALERT_CHECK_BYTES];	/* the hash key */
	int			bad;			/* objects that are */
	int			taken;			/* as subjects of their own */
	AlertSubject *group;		/* or NULL */
	List	   *details;		/* of the group */
} CheckFindings;

static HTAB *count_findings(const List *findings);
static CheckFindings *findings_of(HTAB *checks, const char *name);
static bool is_bad(const DbopsFinding *finding);
static bool is_muted(TimestampTz until);
static bool is_advice(const DbopsFinding *finding);
static AlertSubject *make_subject(Oid database, const DbopsOverrides *overrides, const DbopsFinding *finding);
static void spell_apart(AlertSubject *subject);
static void take_judged(AlertSubject *subject, const DbopsFinding *finding);
static void take_said(AlertSubject *subject, const Jsonb *data);
static void set_rule(AlertSubject *subject, const Jsonb *data);
static int	seconds(const Jsonb *data, const char *key);
static double member(const Jsonb *data, const char *key, double otherwise);
static AlertSubject *make_group(const DbopsOverrides *overrides, const AlertSubject *first);
static void add_to_group(CheckFindings *check, const AlertSubject *subject);
static void finish_group(CheckFindings *check);

/*
 * Make subjects (AlertSubject *) of findings, which have the gravest first, and
 * put groups last. The callback says which checks have one already.
 */
List *
dbops_alert_subjects(Oid database, const List *findings, AlertIsGrouped is_grouped)
{
	const DbopsOverrides *overrides = dbops_alert_overrides(database);
	HTAB	   *checks = count_findings(findings);
	HASH_SEQ_STATUS all;
	CheckFindings *check;
	List	   *subjects = NIL;
	List	   *groups = NIL;
	ListCell   *cell;

	foreach(cell, findings)
	{
		const DbopsFinding *finding = lfirst(cell);
		AlertSubject *subject;

		if (is_advice(finding))
			continue;
		check = findings_of(checks, finding->check_name);
		subject = make_subject(database, overrides, finding);
		if (is_bad(finding) &&
			(check->group != NULL || check->bad > ALERT_OBJECTS || is_grouped(database, finding->check_name)))
		{
			if (check->group == NULL)
				groups = lappend(groups, check->group = make_group(overrides, subject));
			add_to_group(check, subject);
		}
		else if (check->taken++ < ALERT_OBJECTS)
			subjects = lappend(subjects, subject);
	}
	hash_seq_init(&all, checks);
	while ((check = hash_seq_search(&all)) != NULL)
		finish_group(check);
	hash_destroy(checks);
	return list_concat(subjects, groups);
}

static HTAB *
count_findings(const List *findings)
{
	HASHCTL		control = {
		.keysize = ALERT_CHECK_BYTES,
		.entrysize = sizeof(CheckFindings),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *checks = hash_create("dbops findings of checks", 128, &control,
									 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, findings)
		if (is_bad(lfirst(cell)))
			findings_of(checks, ((const DbopsFinding *) lfirst(cell))->check_name)->bad++;
	return checks;
}

static CheckFindings *
findings_of(HTAB *checks, const char *name)
{
	bool		found;
	CheckFindings *check = hash_search(checks, name, HASH_ENTER, &found);

	if (!found)
	{
		check->bad = 0;
		check->taken = 0;
		check->group = NULL;
		check->details = NIL;
	}
	return check;
}

static bool
is_bad(const DbopsFinding *finding)
{
	return finding->severity >= DBOPS_WARNING && !is_muted(finding->muted_until);
}

static bool
is_muted(TimestampTz until)
{
	return until > dbops_clock_now();
}

static bool
is_advice(const DbopsFinding *finding)
{
	const DbopsCheck *check = dbops_check_find(finding->check_name);

	return check != NULL && check->advice;
}

/* What was changed of the checks of a database, or of the cluster. */
const DbopsOverrides *
dbops_alert_overrides(Oid database)
{
	DbopsCheckScope scope = {.database = OidIsValid(database) ? database : dbops_home_database()};

	scope.connected = OidIsValid(MyDatabaseId) && (scope.database == MyDatabaseId || !OidIsValid(scope.database));
	if (scope.connected)
		scope.database = MyDatabaseId;
	return dbops_override_read(&scope);
}

static AlertSubject *
make_subject(Oid database, const DbopsOverrides *overrides, const DbopsFinding *finding)
{
	const DbopsCheck *check = dbops_check_find(finding->check_name);
	AlertSubject *subject = palloc0(sizeof(AlertSubject));

	subject->check_name = finding->check_name;
	subject->object = (finding->object == NULL) ? NULL : dbops_text_fit(finding->object, ALERT_OBJECT_BYTES);
	subject->key = finding->key;
	spell_apart(subject);
	subject->message = finding->message;
	subject->remedy = finding->remedy;
	subject->severity = finding->severity;
	subject->muted = is_muted(finding->muted_until);
	subject->partial = finding->partial;
	subject->rule = dbops_alert_rule(database, overrides, check);
	if (check != NULL)
		subject->settling = check->settling;
	if (finding->judged_by != NULL)
		take_judged(subject, finding);
	else
		take_said(subject, finding->data);
	if (isinf(subject->value))
		subject->value = NAN;	/* no jsonb can say it */
	subject->unit = subject->rule.threshold.unit;
	return subject;
}

/* An object may have the name that stands for all objects. */
static void
spell_apart(AlertSubject *subject)
{
	if (subject->object == NULL || strcmp(subject->object, ALERT_ALL_OBJECTS) != 0)
		return;
	subject->object = quote_identifier(ALERT_ALL_OBJECTS);
	subject->key = dbops_finding_key(subject->check_name, subject->object);
}

/* How alerts of a check behave, or of none. */
AlertRule
dbops_alert_rule(Oid database, const DbopsOverrides *overrides, const DbopsCheck *check)
{
	AlertRule	rule = {
		.repeat = dbops_alert_repeat,
		.interval = ALERT_INTERVAL,
		.threshold = {.warning = DBOPS_NO_THRESHOLD,.critical = DBOPS_NO_THRESHOLD}
	};

	if (check == NULL)
		return rule;
	rule.threshold = dbops_override_threshold(overrides, check);
	rule.required = check->required;
	if (check->reach == DBOPS_REACH_CATALOG)
		rule.interval = (database == dbops_home_database()) ? ALERT_INTERVAL_HOME : ALERT_INTERVAL_ELSEWHERE;
	return rule;
}

static void
take_judged(AlertSubject *subject, const DbopsFinding *finding)
{
	subject->value = finding->value;
	subject->rule.threshold.warning = finding->judged_by->warning;
	subject->rule.threshold.critical = finding->judged_by->critical;
}

/* The same of a finding that only its data tells about. */
static void
take_said(AlertSubject *subject, const Jsonb *data)
{
	subject->value = member(data, "value", NAN);
	if (data != NULL && JB_ROOT_IS_OBJECT(data))
		set_rule(subject, data);
}

/* The thresholds are those that it was judged by; a finding of no check says the rest too. */
static void
set_rule(AlertSubject *subject, const Jsonb *data)
{
	DbopsThreshold *threshold = &subject->rule.threshold;

	threshold->warning = member(data, "warning", threshold->warning);
	threshold->critical = member(data, "critical", threshold->critical);
	if (dbops_check_find(subject->check_name) != NULL)
		return;
	threshold->unit = dbops_jsonb_text(data, "unit");
	threshold->below = dbops_jsonb_boolean(data, "below");
	threshold->clear = member(data, "clear", threshold->clear);
	threshold->duration = seconds(data, "duration");
	threshold->keep_firing = seconds(data, "keep_firing");
	subject->rule.required = dbops_jsonb_boolean(data, "required");
	subject->settling = dbops_jsonb_boolean(data, "settling");
	subject->partial = dbops_jsonb_boolean(data, "partial");
}

/* What is missing, or less than nothing, is 0. */
static int
seconds(const Jsonb *data, const char *key)
{
	return (int) Max(0, Min(member(data, key, 0), LONGEST));
}

/* A number of an object that may be missing, as may the object. */
static double
member(const Jsonb *data, const char *key, double otherwise)
{
	JsonbValue	value;

	if (data == NULL || !JB_ROOT_IS_OBJECT(data) ||
		getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &data->root), key, strlen(key), &value) == NULL ||
		value.type != jbvNumeric)
		return otherwise;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value.val.numeric)));
}

/* Its value is the number of objects, so that thresholds of one object mean nothing. */
static AlertSubject *
make_group(const DbopsOverrides *overrides, const AlertSubject *first)
{
	AlertSubject *group = palloc(sizeof(AlertSubject));

	*group = *first;
	group->object = ALERT_ALL_OBJECTS;
	group->key = psprintf("%s:%s", first->check_name, ALERT_ALL_OBJECTS);
	group->muted = is_muted(dbops_override_muted_until(overrides, group->check_name, group->key));
	group->unit = "objects";
	group->value = 0;
	group->rule.threshold.warning = DBOPS_NO_THRESHOLD;
	group->rule.threshold.critical = DBOPS_NO_THRESHOLD;
	return group;
}

/* Of so many objects only those that come first, the gravest, are told in full. */
static void
add_to_group(CheckFindings *check, const AlertSubject *subject)
{
	AlertSubject *group = check->group;

	group->severity = Max(group->severity, subject->severity);
	group->objects++;
	if (list_length(check->details) < ALERT_OBJECTS)
		check->details = lappend(check->details, unconstify(char *, (subject->object == NULL) ? subject->message :
															psprintf("%s: %s", subject->object, subject->message)));
}

static void
finish_group(CheckFindings *check)
{
	AlertSubject *group = check->group;
	StringInfoData message;

	if (group == NULL)
		return;
	initStringInfo(&message);
	appendStringInfo(&message, "%d objects, such as ", group->objects);
	for (int i = 0; i < Min(list_length(check->details), SHOWN_OBJECTS); i++)
		appendStringInfo(&message, "%s%s", (i == 0) ? "" : "; ", (const char *) list_nth(check->details, i));
	group->message = message.data;
	group->value = group->objects;
	group->details = check->details;
}
