/*
 * job_gate.c
 *		Let work in the foreground wait at the gates between its steps, as jobs in
 *		the background do.
 *
 * Somebody waits for such work, so it says what it waits for, goes on by
 * itself, and can be cancelled. What it waits for is said at once when it is
 * another gate, and now and then with new figures as long as it is the same.
 * The gates are looked at no more than once a second. How long they have held
 * it up is kept, so that its speed is that of its work.
 */
#include "core/job.h"

#include "portability/instr_time.h"

#define LOOK_EVERY 1000.0		/* ms */
#define TELL_EVERY 60			/* dbops.progress_interval: a minute by default */

static char *(*closed_gate) (void) = NULL;
static instr_time looked;
static char told[NAMEDATALEN];	/* the gate that was told of last */
static instr_time told_at;
static double waited;			/* ms at gates since the work began */

static bool is_time_to_look(void);
static double ms_since(instr_time begin);

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
	waited = 0;
}

/* Note ms that were waited at a gate. */
void
dbops_job_gates_note(long ms)
{
	waited += ms;
}

/* The seconds that the work of this process has been waiting at gates. */
double
dbops_job_gates_waited(void)
{
	return waited / 1000;
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
		dbops_job_gates_note((long) LOOK_EVERY);
	}
	dbops_procedure_commit();
}

static bool
is_time_to_look(void)
{
	if (ms_since(looked) < LOOK_EVERY)
		return false;
	INSTR_TIME_SET_CURRENT(looked);
	return true;
}

static double
ms_since(instr_time begin)
{
	instr_time	passed;

	INSTR_TIME_SET_CURRENT(passed);
	INSTR_TIME_SUBTRACT(passed, begin);
	return INSTR_TIME_GET_MILLISEC(passed);
}

/* Say that a gate is closed, unless that was said lately; its name ends at the colon. */
void
dbops_job_tell_gate(const char *reason)
{
	char		name[NAMEDATALEN];

	strlcpy(name, reason, Min(strcspn(reason, ":") + 1, sizeof(name)));
	if (strcmp(name, told) == 0 &&
		(dbops_progress_interval == 0 || ms_since(told_at) < (double) TELL_EVERY * dbops_progress_interval))
		return;
	strlcpy(told, name, sizeof(told));
	INSTR_TIME_SET_CURRENT(told_at);
	ereport(NOTICE, (errmsg("waiting: %s", reason)));
}
