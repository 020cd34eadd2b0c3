/*
 * alert_group.c
 *		Alerts of the same check in many databases, as one.
 *
 * Each database writes down and tells its own alerts, and home hears of them.
 * Where a check fires in more than ALERT_OBJECTS other databases, home hears of
 * that once: an alert of the cluster about that check takes their place there, so
 * that those it was told of are over for it, and lasts until the check fires in
 * half as many, which home hears of one by one again. It is an alert of a check that nobody else judges, so
 * that no name of an object is taken for it. While it is silenced or muted at
 * home, home hears of single ones as before.
 *
 * Home's scheduler judges that before it delivers. After a start it is not known
 * at once what fires elsewhere, so that for a while none ends that fired before.
 */
#include "observe/alert.h"
#include "observe/shared_text.h"

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#define FEW_DATABASES	(ALERT_OBJECTS / 2)	/* that are told of by themselves again */
#define SHOWN_DATABASES	3		/* in the message */
#define UNKNOWN_FOR		(2 * ALERT_INTERVAL_ELSEWHERE)	/* s after a start */

/* What fires of one check in other databases. */
typedef struct CheckElsewhere
{
	const char *name;
	List	   *entries;		/* of AlertEntry *: the gravest first */
	List	   *databases;		/* OIDs, each once */
	bool		lived;			/* there is an alert for all of them */
	bool		told;			/* of which home was told */
	TimestampTz fired_at;		/* it has fired since */
} CheckElsewhere;

static List *list_checks(void);
static CheckElsewhere *check_named(List **checks, const char *name);
static int	by_severity_and_database(const ListCell *a, const ListCell *b);
static AlertSubject *make_subject(const CheckElsewhere *check);
static void describe(AlertSubject *subject, const CheckElsewhere *check);
static char *describe_one(const AlertEntry *entry);
static bool is_told(const char *name);
static bool is_over(const CheckElsewhere *check);
static void take_in(const CheckElsewhere *check);
static void give_back(const CheckElsewhere *check);
static bool is_unheard(const AlertEntry *entry, const List *news);

/* Judge in how many databases each check fires. Returns the names of the checks that are told as one. */
List *
dbops_alert_group_databases(void)
{
	List	   *checks = list_checks();
	List	   *subjects = NIL;
	List	   *grouped = NIL;
	ListCell   *cell;

	foreach(cell, checks)
	{
		const CheckElsewhere *check = lfirst(cell);

		if (check->lived || list_length(check->databases) > ALERT_OBJECTS)
			subjects = lappend(subjects, make_subject(check));
	}
	if (subjects != NIL)
		(void) dbops_alert_evaluate_subjects(InvalidOid, subjects);
	foreach(cell, checks)
	{
		const CheckElsewhere *check = lfirst(cell);

		bool		told = is_told(check->name);

		if (!check->told && !told)
			continue;
		grouped = lappend(grouped, unconstify(char *, check->name));
		if (!check->told)
			take_in(check);
		else if (!told)
			give_back(check);
	}
	return grouped;
}

static List *
list_checks(void)
{
	List	   *elsewhere = dbops_alert_memory_told_elsewhere();
	List	   *of_cluster = dbops_alert_memory_copy(InvalidOid);
	List	   *checks = NIL;
	ListCell   *cell;

	list_sort(elsewhere, by_severity_and_database);
	foreach(cell, elsewhere)
	{
		AlertEntry *entry = lfirst(cell);
		CheckElsewhere *check = check_named(&checks, entry->check_name);

		check->entries = lappend(check->entries, entry);
		check->databases = list_append_unique_oid(check->databases, entry->database);
	}
	foreach(cell, of_cluster)
	{
		const AlertEntry *entry = lfirst(cell);

		if (dbops_alert_is_about_databases(entry) && dbops_alert_entry_lives(entry))
		{
			CheckElsewhere *check = check_named(&checks, entry->object);

			check->lived = true;
			check->told = (entry->alert.told != DBOPS_OK);
			check->fired_at = entry->alert.fired_at;
		}
	}
	return checks;
}

/* Is an alert one about a check in many databases? */
bool
dbops_alert_is_about_databases(const AlertEntry *entry)
{
	return !OidIsValid(entry->database) && strcmp(entry->check_name, ALERT_OF_DATABASES) == 0;
}

static CheckElsewhere *
check_named(List **checks, const char *name)
{
	CheckElsewhere *check;
	ListCell   *cell;

	foreach(cell, *checks)
		if (strcmp(((CheckElsewhere *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	check = palloc0(sizeof(CheckElsewhere));
	check->name = name;
	*checks = lappend(*checks, check);
	return check;
}

static int
by_severity_and_database(const ListCell *a, const ListCell *b)
{
	const AlertEntry *left = lfirst(a);
	const AlertEntry *right = lfirst(b);

	if (left->alert.told != right->alert.told)
		return (left->alert.told > right->alert.told) ? -1 : 1;
	return (left->database < right->database) ? -1 : (left->database > right->database) ? 1 : 0;
}

/* Each of them has had its duration, and home decides whether it wants to hear of it. */
static AlertSubject *
make_subject(const CheckElsewhere *check)
{
	AlertSubject *subject = palloc0(sizeof(AlertSubject));
	TimestampTz began = dbops_alert_memory_began();
	TimestampTz now = dbops_clock_now();

	subject->check_name = ALERT_OF_DATABASES;
	subject->object = check->name;
	subject->key = dbops_finding_key(subject->check_name, subject->object);
	subject->severity = is_over(check) ? DBOPS_OK :
		((const AlertEntry *) linitial(check->entries))->alert.told;
	subject->objects = list_length(check->databases);
	subject->value = subject->objects;
	subject->unit = "databases";
	subject->rule = dbops_alert_rule(InvalidOid, NULL, NULL);
	subject->rule.threshold.unit = subject->unit;
	subject->rule.interval = ALERT_INTERVAL_HOME;
	subject->rule.required = true;
	subject->partial = (check->fired_at < began && now - began < UNKNOWN_FOR * USECS_PER_SEC);
	subject->muted = dbops_override_muted_until(dbops_alert_overrides(InvalidOid), subject->check_name, subject->key) > now;
	describe(subject, check);
	return subject;
}

static void
describe(AlertSubject *subject, const CheckElsewhere *check)
{
	StringInfoData message;
	List	   *details = NIL;
	ListCell   *cell;

	foreach(cell, check->entries)
		if (list_length(details) < ALERT_OBJECTS)
			details = lappend(details, describe_one(lfirst(cell)));
	initStringInfo(&message);
	if (details == NIL)
		appendStringInfoString(&message, "fires in no database any more");
	else if (is_over(check))
		appendStringInfo(&message, "%d %s: ", subject->objects, subject->objects == 1 ? "goes on by itself" : "go on by themselves");
	else
		appendStringInfo(&message, "%d %s, such as ", subject->objects, subject->objects == 1 ? "database" : "databases");
	for (int i = 0; i < Min(list_length(details), SHOWN_DATABASES); i++)
		appendStringInfo(&message, "%s%s", (i == 0) ? "" : "; ", (const char *) list_nth(details, i));
	subject->message = message.data;
	subject->details = details;
}

static char *
describe_one(const AlertEntry *entry)
{
	const char *database = get_database_name(entry->database);

	if (database == NULL)
		database = psprintf("%u", entry->database);
	return psprintf("%s: %s%s%s", dbops_shared_text_get(database),
					entry->has_object ? dbops_shared_text_from(entry->object, entry->encoding) : "", entry->has_object ? ": " : "",
					dbops_shared_text_from(entry->message, entry->encoding));
}

static bool
is_told(const char *name)
{
	const char *key = dbops_finding_key(ALERT_OF_DATABASES, name);
	const AlertEntry *entry;
	bool		told;

	dbops_alert_memory_lock(LW_SHARED);
	entry = dbops_alert_memory_find(InvalidOid, key);
	told = (entry != NULL && dbops_alert_entry_lives(entry) && entry->alert.told != DBOPS_OK);
	dbops_alert_memory_unlock();
	return told;
}

/* Are those that are left few enough? */
static bool
is_over(const CheckElsewhere *check)
{
	return list_length(check->databases) <= FEW_DATABASES;
}

/* What home was told of single databases is over for it. */
static void
take_in(const CheckElsewhere *check)
{
	List	   *news = dbops_alert_news(MyDatabaseId, true);
	const char *group = dbops_finding_key(ALERT_OF_DATABASES, check->name);
	TimestampTz now = dbops_clock_now();
	ListCell   *cell;

	dbops_alert_memory_lock(LW_EXCLUSIVE);
	foreach(cell, check->entries)
		if (!is_unheard(lfirst(cell), news))
			dbops_alert_announce_taken_in(lfirst(cell), group, now);
	dbops_alert_memory_unlock();
}

/* What fires in the few that are left is told to home by itself again. */
static void
give_back(const CheckElsewhere *check)
{
	TimestampTz now = dbops_clock_now();
	ListCell   *cell;

	dbops_alert_memory_lock(LW_EXCLUSIVE);
	foreach(cell, check->entries)
		dbops_alert_announce_given_back(lfirst(cell), now);
	dbops_alert_memory_unlock();
}

/* Has home yet to hear that an alert fires? */
static bool
is_unheard(const AlertEntry *entry, const List *news)
{
	ListCell   *cell;

	foreach(cell, news)
	{
		const AlertNews *one = lfirst(cell);

		if (one->for_home && one->step.before == DBOPS_OK && one->entry.database == entry->database &&
			strcmp(dbops_alert_key(&one->entry), dbops_alert_key(entry)) == 0)
			return true;
	}
	return false;
}
