/*
 * alert_state.c
 *		An alert as a state machine: no memory, no clock, no server.
 *
 * What was found at one moment goes in, and what is to be told comes out. A
 * condition fires when it has held for the rule's duration, each severity for
 * itself. It ends when the value is back by the rule's clear beyond the
 * threshold, and has stayed there for keep_firing; so long it takes to become
 * less severe as well, but never to become worse. What is unknown passes for
 * what it was for three intervals. What was seen of a part of the time only can
 * make an alert fire or worse, since the whole is no better; it ends or eases
 * none: so an alert on what the last hour brought outlives a restart, after
 * which that hour is not known.
 *
 * What was told is kept apart from what is so: while an alert is suppressed it
 * goes on silently, and the difference is told when that ends. Only that an
 * alert has ended is always told to who was told that it fired, since whoever
 * answers for it still waits for that.
 */
#include "observe/alert_state.h"

static void follow_clock(Alert *alert, TimestampTz now);
static void shift(TimestampTz *time, TimestampTz by);
static bool is_passing(Alert *alert, const AlertRule *rule, const AlertLook *look);
static bool is_less_of_a_part(const Alert *alert, const AlertLook *look);
static DbopsSeverity effective_severity(const Alert *alert, const AlertRule *rule, const AlertLook *look);
static bool lingers(double value, double limit, const DbopsThreshold *threshold);
static bool is_beyond(double value, double limit, bool below);
static double clear_limit(double limit, const DbopsThreshold *threshold);
static AlertEvent change(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now);
static AlertEvent begin(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now);
static AlertEvent mature(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now);
static AlertEvent go_on(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now);
static AlertEvent become(Alert *alert, DbopsSeverity severity);
static AlertEvent end(Alert *alert, const AlertRule *rule, TimestampTz now);
static bool has_lasted(TimestampTz since, TimestampTz now, int seconds);
static AlertStep tell(Alert *alert, const AlertRule *rule, const AlertLook *look, AlertEvent event, DbopsSeverity before);
static DbopsSeverity severity_of(const Alert *alert);
static AlertEvent difference(DbopsSeverity told, DbopsSeverity wanted);

/* Take one look. */
AlertStep
dbops_alert_advance(Alert *alert, const AlertRule *rule, const AlertLook *look)
{
	DbopsSeverity before = severity_of(alert);
	AlertEvent	event = ALERT_NOTHING;
	AlertStep	step;
	bool		passed;

	follow_clock(alert, look->now);
	alert->at = look->now;
	passed = is_passing(alert, rule, look);
	if (!passed)
	{
		alert->value = look->value;
		event = change(alert, rule, effective_severity(alert, rule, look), look->now);
	}
	step = tell(alert, rule, look, event, before);
	step.passed = passed;
	return step;
}

/* A clock that was set back has not undone what has passed. */
static void
follow_clock(Alert *alert, TimestampTz now)
{
	TimestampTz by = alert->at - now;

	if (by <= 0)
		return;
	shift(&alert->since, by);
	shift(&alert->critical_since, by);
	shift(&alert->better_since, by);
	shift(&alert->unknown_since, by);
	shift(&alert->told_at, by);
}

static void
shift(TimestampTz *time, TimestampTz by)
{
	if (*time != 0)
		*time -= by;
}

/* Is it for what was found just now as it was before: not known yet, or not for so long that this means anything? */
static bool
is_passing(Alert *alert, const AlertRule *rule, const AlertLook *look)
{
	bool		says_nothing = is_less_of_a_part(alert, look);

	if (look->severity != DBOPS_UNKNOWN || says_nothing)
		alert->unknown_since = 0;
	else if (alert->unknown_since == 0)
		alert->unknown_since = look->now;
	return says_nothing ||
		(look->severity == DBOPS_UNKNOWN &&
		 !has_lasted(alert->unknown_since, look->now, ALERT_UNKNOWN_INTERVALS * rule->interval));
}

/* Is a part of the time all that was seen, and not as bad as the alert says that the whole is? */
static bool
is_less_of_a_part(const Alert *alert, const AlertLook *look)
{
	return look->partial && look->severity < Max(severity_of(alert), DBOPS_WARNING);
}

/*
 * How bad is it for the alert? One that fires stays what it is while the value
 * is not back by enough. That something is not known is bad where it is
 * required, or where who was told that it fires should know.
 */
static DbopsSeverity
effective_severity(const Alert *alert, const AlertRule *rule, const AlertLook *look)
{
	const DbopsThreshold *threshold = &rule->threshold;

	if (look->severity == DBOPS_UNKNOWN)
		return (rule->required || severity_of(alert) != DBOPS_OK) ? DBOPS_UNKNOWN : DBOPS_OK;
	if (alert->state != ALERT_FIRING || look->severity >= alert->severity)
		return (look->severity == DBOPS_INFO) ? DBOPS_OK : look->severity;
	if (alert->severity == DBOPS_CRITICAL && lingers(look->value, threshold->critical, threshold))
		return DBOPS_CRITICAL;
	if (lingers(look->value, threshold->warning, threshold))
		return DBOPS_WARNING;
	return (look->severity == DBOPS_INFO) ? DBOPS_OK : look->severity;
}

/*
 * Is a value on the good side of a limit, but not by enough? One on the bad
 * side that is not bad all the same is so for another reason: its guard.
 */
static bool
lingers(double value, double limit, const DbopsThreshold *threshold)
{
	if (isnan(value) || limit == DBOPS_NO_THRESHOLD || threshold->clear <= 0)
		return false;
	return !is_beyond(value, limit, threshold->below) &&
		is_beyond(value, clear_limit(limit, threshold), threshold->below);
}

static bool
is_beyond(double value, double limit, bool below)
{
	return below ? value < limit : value > limit;
}

/* A share can not be got back to more than the whole: half of the way to it is enough. */
static double
clear_limit(double limit, const DbopsThreshold *threshold)
{
	double		by = fabs(limit) * threshold->clear / 100;

	if (!threshold->below)
		return limit - by;
	if (threshold->unit != NULL && strcmp(threshold->unit, "percent") == 0 && limit < 100)
		return Min(limit + by, limit + (100 - limit) / 2);
	return limit + by;
}

static AlertEvent
change(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now)
{
	if (severity != DBOPS_CRITICAL)
		alert->critical_since = 0;
	else if (alert->critical_since == 0)
		alert->critical_since = now;

	switch (alert->state)
	{
		case ALERT_OK:
		case ALERT_RESOLVED:
			return (severity == DBOPS_OK) ? ALERT_NOTHING : begin(alert, rule, severity, now);
		case ALERT_PENDING:
			return mature(alert, rule, severity, now);
		case ALERT_FIRING:
		case ALERT_RESOLVING:
			return (severity == DBOPS_OK) ? end(alert, rule, now) : go_on(alert, rule, severity, now);
	}
	return ALERT_NOTHING;		/* keep the compiler quiet */
}

static AlertEvent
begin(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now)
{
	Assert(alert->state == ALERT_OK || alert->state == ALERT_RESOLVED);
	alert->state = ALERT_PENDING;
	alert->since = now;
	alert->better_since = 0;
	alert->resolved_at = 0;
	return mature(alert, rule, severity, now);
}

/* What is unknown has had its time already. */
static AlertEvent
mature(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now)
{
	int			duration = rule->threshold.duration;

	Assert(alert->state == ALERT_PENDING);
	alert->severity = severity;
	if (severity == DBOPS_OK)
	{
		alert->state = ALERT_OK;
		alert->since = 0;
		return ALERT_NOTHING;
	}
	if (severity != DBOPS_UNKNOWN && !has_lasted(alert->since, now, duration))
		return ALERT_NOTHING;
	if (severity == DBOPS_CRITICAL && !has_lasted(alert->critical_since, now, duration))
		alert->severity = DBOPS_WARNING;
	alert->state = ALERT_FIRING;
	alert->fired_at = now;
	return ALERT_FIRES;
}

/* It is bad: as before, worse, or less so. */
static AlertEvent
go_on(Alert *alert, const AlertRule *rule, DbopsSeverity severity, TimestampTz now)
{
	Assert(alert->state == ALERT_FIRING || alert->state == ALERT_RESOLVING);
	alert->state = ALERT_FIRING;
	if (severity == alert->severity)
		alert->better_since = 0;
	else if (severity == DBOPS_UNKNOWN || alert->severity == DBOPS_UNKNOWN)
		return become(alert, severity);
	else if (severity > alert->severity)
	{
		alert->better_since = 0;
		if (has_lasted(alert->critical_since, now, rule->threshold.duration))
			return become(alert, severity);
	}
	else
	{
		if (alert->better_since == 0)
			alert->better_since = now;
		if (has_lasted(alert->better_since, now, rule->threshold.keep_firing))
			return become(alert, severity);
	}
	return ALERT_NOTHING;
}

static AlertEvent
become(Alert *alert, DbopsSeverity severity)
{
	AlertEvent	event = difference(alert->severity, severity);

	alert->severity = severity;
	alert->better_since = 0;
	return event;
}

static AlertEvent
end(Alert *alert, const AlertRule *rule, TimestampTz now)
{
	Assert(alert->state == ALERT_FIRING || alert->state == ALERT_RESOLVING);
	if (alert->state == ALERT_FIRING)
		alert->better_since = now;
	alert->state = ALERT_RESOLVING;
	if (!has_lasted(alert->better_since, now, rule->threshold.keep_firing))
		return ALERT_NOTHING;
	alert->state = ALERT_RESOLVED;
	alert->resolved_at = now;
	return ALERT_ENDS;
}

static bool
has_lasted(TimestampTz since, TimestampTz now, int seconds)
{
	return now - since >= seconds * USECS_PER_SEC;
}

/* Say what is to be told: the difference to what was. */
static AlertStep
tell(Alert *alert, const AlertRule *rule, const AlertLook *look, AlertEvent event, DbopsSeverity before)
{
	DbopsSeverity wanted = severity_of(alert);
	AlertEvent	news = difference(alert->told, wanted);

	if (news == ALERT_NOTHING && wanted != DBOPS_OK && alert->state == ALERT_FIRING &&
		rule->repeat > 0 && has_lasted(alert->told_at, look->now, rule->repeat))
		news = ALERT_REPEATS;
	if (news == ALERT_NOTHING || (look->suppressed && wanted != DBOPS_OK))
		return (AlertStep) {.event = event, .before = before};
	before = (news == ALERT_REPEATS) ? before : alert->told;
	alert->told = wanted;
	alert->told_at = look->now;
	return (AlertStep) {.event = news, .tell = true, .before = before};
}

/* How bad an alert is to who listens. */
static DbopsSeverity
severity_of(const Alert *alert)
{
	return (alert->state == ALERT_FIRING || alert->state == ALERT_RESOLVING) ? alert->severity : DBOPS_OK;
}

static AlertEvent
difference(DbopsSeverity told, DbopsSeverity wanted)
{
	if (wanted == told)
		return ALERT_NOTHING;
	if (told == DBOPS_OK)
		return ALERT_FIRES;
	if (wanted == DBOPS_OK)
		return ALERT_ENDS;
	if (wanted == DBOPS_UNKNOWN)
		return ALERT_IS_UNKNOWN;
	return (wanted > told) ? ALERT_WORSENS : ALERT_EASES;
}

/* Name a state as reports spell it. */
const char *
dbops_alert_state_name(AlertState state)
{
	static const char *const names[] = {
		[ALERT_OK] = "ok",
		[ALERT_PENDING] = "pending",
		[ALERT_FIRING] = "firing",
		[ALERT_RESOLVING] = "resolving",
		[ALERT_RESOLVED] = "resolved"
	};

	return names[state];
}

/* Name an event likewise. */
const char *
dbops_alert_event_name(AlertEvent event)
{
	static const char *const names[] = {
		[ALERT_NOTHING] = "nothing",
		[ALERT_FIRES] = "firing",
		[ALERT_WORSENS] = "worse",
		[ALERT_EASES] = "better",
		[ALERT_IS_UNKNOWN] = "unknown",
		[ALERT_REPEATS] = "repeated",
		[ALERT_ENDS] = "resolved"
	};

	return names[event];
}
