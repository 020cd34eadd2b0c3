/*
 * alert_evaluate.c
 *		From findings to events.
 *
 * Each alert is advanced by what was found about it. One about which nothing is
 * found any more is well, unless its check could not be judged. An alert about
 * all objects takes the place of those about single ones, and has been so since
 * the first of them was.
 *
 * What is to be told goes to the log here, and to the memory for whoever can
 * write; a standby has nobody who can.
 */
#include "observe/alert.h"
#include "observe/maintenance_mode.h"
#include "observe/shared_text.h"

#include "access/xlog.h"

typedef struct Evaluation
{
	Oid			database;
	const List *findings;
	bool		whole;			/* all checks of a reach were judged, else those of the findings */
	DbopsCheckReach reach;
	const DbopsOverrides *overrides;
	TimestampTz now;
	uint32		turn;
	bool		writes;			/* somebody can */
	const AlertSubject *group;	/* that takes in single alerts */
	AlertEntry *group_entry;
	List	   *told;			/* char *: lines for the log */
	int			events;
} Evaluation;

static const char *const suppression_names[] = {
	[ALERT_NOT_SUPPRESSED] = NULL,
	[ALERT_IN_MAINTENANCE] = "maintenance",
	[ALERT_SILENCED] = "silenced",
	[ALERT_MUTED] = "muted",
	[ALERT_SETTLES] = "just started"
};

static int	evaluate(Evaluation *evaluation, const List *subjects);
static bool is_grouped(Oid database, const char *check_name);
static void advance_subject(Evaluation *evaluation, const AlertSubject *subject);
static void take_in(Evaluation *evaluation, const AlertSubject *group, AlertEntry *entry);
static void take_in_one(AlertEntry *entry, void *arg);
static TimestampTz earlier(TimestampTz a, TimestampTz b);
static void advance_absent(AlertEntry *entry, void *arg);
static bool was_judged(const Evaluation *evaluation, const AlertEntry *entry, bool *unknown);
static AlertSuppression suppression_of(const Evaluation *evaluation, const char *key, bool muted, bool settling);
static void advance(Evaluation *evaluation, AlertEntry *entry, const AlertRule *rule,
					AlertLook *look, const AlertSubject *subject);
static void describe_entry(AlertEntry *entry, const AlertLook *look, const AlertSubject *subject);
static void note(Evaluation *evaluation, AlertEntry *entry, const AlertStep *step, const List *details);
static bool hand_over(Evaluation *evaluation, AlertEntry *entry, const AlertStep *step, const List *details);
static char *describe(const AlertEntry *entry, const AlertStep *step);

/*
 * Advance the alerts of a database, or of the cluster, by what was found.
 * Returns how many events that made.
 */
int
dbops_alert_evaluate(Oid database, const List *findings, bool whole, DbopsCheckReach reach)
{
	Evaluation	evaluation = {
		.database = database,.findings = findings,.whole = whole,.reach = reach,
		.overrides = dbops_alert_overrides(database),
		.now = dbops_clock_now(),.writes = !RecoveryInProgress()
	};

	return evaluate(&evaluation, dbops_alert_subjects(database, findings, is_grouped));
}

/* Advance those alone that subjects (AlertSubject *) are about. */
int
dbops_alert_evaluate_subjects(Oid database, const List *subjects)
{
	Evaluation	evaluation = {
		.database = database,
		.overrides = dbops_alert_overrides(database),
		.now = dbops_clock_now(),.writes = !RecoveryInProgress()
	};

	return evaluate(&evaluation, subjects);
}

static int
evaluate(Evaluation *evaluation, const List *subjects)
{
	ListCell   *cell;

	dbops_alert_memory_lock(LW_EXCLUSIVE);
	evaluation->turn = dbops_alert_memory_next_turn();
	foreach(cell, subjects)
		advance_subject(evaluation, lfirst(cell));
	dbops_alert_memory_each(advance_absent, evaluation);
	dbops_alert_memory_sweep();
	dbops_alert_memory_unlock();

	foreach(cell, evaluation->told)
		ereport(LOG_SERVER_ONLY,
				(errcode(ERRCODE_WARNING),
				 errmsg("dbops alert %s", (const char *) lfirst(cell))));
	return evaluation->events;
}

/* Is there an alert about all objects of a check? */
static bool
is_grouped(Oid database, const char *check_name)
{
	const AlertEntry *entry;
	bool		lives;

	dbops_alert_memory_lock(LW_SHARED);
	entry = dbops_alert_memory_find(database, psprintf("%s:%s", check_name, ALERT_ALL_OBJECTS));
	lives = (entry != NULL && dbops_alert_entry_lives(entry));
	dbops_alert_memory_unlock();
	return lives;
}

/* What is well and was well is not remembered, nor what has no place. */
static void
advance_subject(Evaluation *evaluation, const AlertSubject *subject)
{
	AlertEntry *entry = dbops_alert_memory_find(evaluation->database, subject->key);
	AlertLook	look = {
		.now = evaluation->now,.severity = subject->severity,.value = subject->value,.partial = subject->partial
	};

	if (entry == NULL && (subject->severity == DBOPS_OK || subject->severity == DBOPS_INFO ||
						  (subject->severity == DBOPS_UNKNOWN && !subject->rule.required)))
		return;
	entry = dbops_alert_memory_take(evaluation->database, subject);
	if (entry == NULL)
		return;
	entry->turn = evaluation->turn;
	entry->suppression = suppression_of(evaluation, subject->key, subject->muted, subject->settling);
	if (subject->objects > 0 && !dbops_alert_entry_lives(entry))
		take_in(evaluation, subject, entry);
	advance(evaluation, entry, &subject->rule, &look, subject);
}

/* Have an alert about all objects go on from those about single ones, which end, but for those that are still judged by themselves. */
static void
take_in(Evaluation *evaluation, const AlertSubject *group, AlertEntry *entry)
{
	evaluation->group = group;
	evaluation->group_entry = entry;
	dbops_alert_memory_each(take_in_one, evaluation);
}

static void
take_in_one(AlertEntry *entry, void *arg)
{
	Evaluation *evaluation = arg;
	Alert	   *group = &evaluation->group_entry->alert;
	AlertStep	step = {.event = ALERT_ENDS,.tell = true,.before = entry->alert.told};

	if (entry->turn == evaluation->turn || entry->database != evaluation->database ||
		strcmp(entry->check_name, evaluation->group->check_name) != 0 ||
		!entry->has_object || !dbops_alert_entry_lives(entry))
		return;
	group->since = (group->state != ALERT_PENDING) ? entry->alert.since : earlier(group->since, entry->alert.since);
	group->critical_since = earlier(group->critical_since, entry->alert.critical_since);
	group->state = ALERT_PENDING;
	entry->turn = evaluation->turn;
	entry->alert.state = ALERT_RESOLVED;
	entry->alert.resolved_at = evaluation->now;
	entry->alert.told = DBOPS_OK;
	dbops_shared_text_put(entry->message, psprintf("is one of the objects of the alert %s", evaluation->group->key),
						  ALERT_TEXT_BYTES);
	if (step.before != DBOPS_OK)
		note(evaluation, entry, &step, NIL);
}

/* 0 is no time. */
static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return (a == 0) ? b : (b == 0) ? a : Min(a, b);
}

/* Nothing is said about an alert any more. */
static void
advance_absent(AlertEntry *entry, void *arg)
{
	Evaluation *evaluation = arg;
	const DbopsCheck *check = dbops_check_find(entry->check_name);
	AlertLook	look = {.now = evaluation->now,.severity = DBOPS_OK,.value = NAN};
	AlertRule	rule;
	bool		unknown = false;

	if (entry->turn == evaluation->turn || entry->database != evaluation->database ||
		!dbops_alert_entry_lives(entry) || !was_judged(evaluation, entry, &unknown))
		return;
	entry->turn = evaluation->turn;
	entry->suppression = suppression_of(evaluation, dbops_alert_key(entry), false, check != NULL && check->settling);
	rule = dbops_alert_rule(evaluation->database, evaluation->overrides, check);
	if (unknown)
		look.severity = DBOPS_UNKNOWN;
	advance(evaluation, entry, &rule, &look, NULL);
}

/* Was an alert's check judged, and was that in vain? */
static bool
was_judged(const Evaluation *evaluation, const AlertEntry *entry, bool *unknown)
{
	const DbopsCheck *check = dbops_check_find(entry->check_name);
	bool		found = false;
	ListCell   *cell;

	foreach(cell, evaluation->findings)
	{
		const DbopsFinding *finding = lfirst(cell);

		if (strcmp(finding->check_name, entry->check_name) != 0)
			continue;
		found = true;
		*unknown |= (finding->severity == DBOPS_UNKNOWN && finding->object == NULL);
	}
	return found || (evaluation->whole && check != NULL && check->reach == evaluation->reach);
}

static AlertSuppression
suppression_of(const Evaluation *evaluation, const char *key, bool muted, bool settling)
{
	TimestampTz began = dbops_alert_memory_began();

	if (dbops_maintenance_mode(NULL))
		return ALERT_IN_MAINTENANCE;
	if (muted)
		return ALERT_MUTED;
	if (dbops_alert_is_silenced(evaluation->database, key, evaluation->now))
		return ALERT_SILENCED;
	if (settling && evaluation->now >= began &&
		evaluation->now - began < ALERT_SETTLING * USECS_PER_SEC)
		return ALERT_SETTLES;
	return ALERT_NOT_SUPPRESSED;
}

/* A look without a subject did not find the alert's any more. */
static void
advance(Evaluation *evaluation, AlertEntry *entry, const AlertRule *rule,
		AlertLook *look, const AlertSubject *subject)
{
	bool		lived = dbops_alert_entry_lives(entry);
	AlertStep	step;

	look->suppressed = (entry->suppression != ALERT_NOT_SUPPRESSED);
	step = dbops_alert_advance(&entry->alert, rule, look);
	if (!step.passed)
		describe_entry(entry, look, subject);
	if (step.event != ALERT_NOTHING)
		note(evaluation, entry, &step, (subject != NULL) ? subject->details : NIL);
	else if (dbops_alert_memory_is_own() && (lived || dbops_alert_entry_lives(entry)))
		entry->version++;		/* the next session has nothing but the table */
}

/* What was passed over leaves an alert with the words that it was raised with. */
static void
describe_entry(AlertEntry *entry, const AlertLook *look, const AlertSubject *subject)
{
	if (subject != NULL)
		dbops_alert_entry_describe(entry, subject);
	else if (look->severity != DBOPS_UNKNOWN)
		dbops_shared_text_put(entry->message, "is not found any more", ALERT_TEXT_BYTES);
}

static void
note(Evaluation *evaluation, AlertEntry *entry, const AlertStep *step, const List *details)
{
	if (evaluation->writes && !hand_over(evaluation, entry, step, details))
		return;
	evaluation->events++;
	if (step->tell)
		evaluation->told = lappend(evaluation->told, describe(entry, step));
}

/* What there is no room for is told at the next look. */
static bool
hand_over(Evaluation *evaluation, AlertEntry *entry, const AlertStep *step, const List *details)
{
	bool		has_room = dbops_alert_announce(entry, step, details, evaluation->now);

	if (has_room)
		entry->handed_over = true;
	else if (step->tell && step->event != ALERT_REPEATS)
		entry->alert.told = step->before;
	entry->version++;
	return has_room;
}

/* One line for the log. */
static char *
describe(const AlertEntry *entry, const AlertStep *step)
{
	return psprintf("%s (%s), %s%s: %s",
					dbops_alert_event_name(step->event),
					dbops_severity_name(entry->alert.told),
					dbops_alert_key(entry),
					OidIsValid(entry->database) ? psprintf(", database %u", entry->database) : "",
					entry->message);
}

/* The key of an alert, which is that of the finding. */
char *
dbops_alert_key(const AlertEntry *entry)
{
	return psprintf("%s%s%s", entry->check_name, entry->has_object ? ":" : "", entry->object);
}

/* Name why nobody is told, as reports spell it; NULL: it is told. */
const char *
dbops_alert_suppression_name(AlertSuppression suppression)
{
	return suppression_names[suppression];
}

/* And the other way round. */
AlertSuppression
dbops_alert_suppression_named(const char *name)
{
	for (AlertSuppression i = ALERT_IN_MAINTENANCE; name != NULL && i <= ALERT_SETTLES; i++)
		if (strcmp(name, suppression_names[i]) == 0)
			return i;
	return ALERT_NOT_SUPPRESSED;
}
