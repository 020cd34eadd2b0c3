/*
 * alert_state.h
 *		An alert as a state machine: no memory, no clock, no server.
 */
#ifndef DBOPS_ALERT_STATE_H
#define DBOPS_ALERT_STATE_H

#include "core/core.h"

/*
 *	ok ──► pending ──► firing ◄──► resolving ──► resolved
 *	 ▲        │           ▲                         │
 *	 └────────┘           └──── pending ◄───────────┘
 */
typedef enum AlertState
{
	ALERT_OK,
	ALERT_PENDING,				/* it is so, but not for long enough yet */
	ALERT_FIRING,
	ALERT_RESOLVING,			/* it is so no more, but not for long enough yet */
	ALERT_RESOLVED				/* as ok; it has fired before */
} AlertState;

typedef enum AlertEvent
{
	ALERT_NOTHING,
	ALERT_FIRES,
	ALERT_WORSENS,
	ALERT_EASES,				/* to what is less, but not good */
	ALERT_IS_UNKNOWN,			/* it fired, and nobody can tell any more */
	ALERT_REPEATS,				/* it has fired for long */
	ALERT_ENDS
} AlertEvent;

typedef struct Alert
{
	AlertState	state;
	DbopsSeverity severity;		/* that it fires or fired with; of a pending one what it is now */
	DbopsSeverity told;			/* what who listens believes; DBOPS_OK: that all is well */
	double		value;			/* when it was last looked at; NaN: there is none */

	/* All of these may be 0: it is not so, or never was. */
	TimestampTz at;				/* it was last looked at */
	TimestampTz since;			/* it has been so */
	TimestampTz critical_since;
	TimestampTz better_since;	/* than what it fires with */
	TimestampTz unknown_since;
	TimestampTz fired_at;
	TimestampTz resolved_at;
	TimestampTz told_at;
} Alert;

/* When it fires and when it ends. */
typedef struct AlertRule
{
	DbopsThreshold threshold;
	bool		required;		/* that it is unknown is an alert too */
	int			interval;		/* s between two looks */
	int			repeat;			/* s; 0: it is told once */
} AlertRule;

/* One look. */
typedef struct AlertLook
{
	TimestampTz now;
	DbopsSeverity severity;
	double		value;			/* NaN: there is none */
	bool		partial;		/* only a part was seen of the time that is judged */
	bool		suppressed;		/* nobody is to be told that it fires */
} AlertLook;

/* What came of it. */
typedef struct AlertStep
{
	AlertEvent	event;
	bool		tell;			/* whoever listens; else it is only noted */
	bool		passed;			/* the look says nothing: it is as it was */
	DbopsSeverity before;		/* the event */
} AlertStep;

#define ALERT_UNKNOWN_INTERVALS	3	/* that what is unknown passes for what it was */

extern AlertStep dbops_alert_advance(Alert *alert, const AlertRule *rule, const AlertLook *look);
extern const char *dbops_alert_state_name(AlertState state);
extern const char *dbops_alert_event_name(AlertEvent event);

#endif							/* DBOPS_ALERT_STATE_H */
