/*
 * job_gate.c
 *		Let work in the foreground wait at the gates between its steps, as jobs in
 *		the background do.
 *
 * Somebody waits for such work, so it says what it waits for, once for each
 * gate, goes on by itself, and can be cancelled. The gates are looked at no
 * more than once a second.
 */
#include "core/job.h"

#include "portability/instr_time.h"

#define LOOK_EVERY 1000.0		/* ms */

static char *(*closed_gate) (void) = NULL;
static instr_time looked;
static char told[NAMEDATALEN];	/* the gate that was told of last */

static bool is_time_to_look(void);

/* Have a function name the gate that is closed, with its figures; NULL: none. */
void
dbops_job_gate_hook(char *(*closed) (void))
{
	closed_gate = closed;
}

/* Begin work in the foreground: nothing has been told yet. */
void
dbops_job_gates_begin(void)
{
	told[0] = '\0';
}

/* Between two steps of work that nobody keeps: wait as long as a gate is closed. */
void
dbops_job_await_gates(void)
{
	const char *reason;

	if (closed_gate == NULL || !is_time_to_look())
		return;
	while ((reason = closed_gate()) != NULL)
	{
		dbops_job_tell_gate(reason);
		dbops_procedure_commit();	/* holds nothing while it waits */
		dbops_clock_pause((long) LOOK_EVERY);
	}
	dbops_procedure_commit();
}

static bool
is_time_to_look(void)
{
	instr_time	now;
	instr_time	passed;

	INSTR_TIME_SET_CURRENT(now);
	passed = now;
	INSTR_TIME_SUBTRACT(passed, looked);
	if (INSTR_TIME_GET_MILLISEC(passed) < LOOK_EVERY)
		return false;
	looked = now;
	return true;
}

/* Say that a gate is closed, unless that is what was said last; its name ends at the colon. */
void
dbops_job_tell_gate(const char *reason)
{
	char		name[NAMEDATALEN];

	strlcpy(name, reason, Min(strcspn(reason, ":") + 1, sizeof(name)));
	if (strcmp(name, told) == 0)
		return;
	strlcpy(told, name, sizeof(told));
	ereport(NOTICE, (errmsg("waiting: %s", reason)));
}
