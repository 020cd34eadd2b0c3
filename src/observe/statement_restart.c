/*
 * statement_restart.c
 *		What is known of statements, across a restart.
 *
 * pg_stat_statements keeps its figures when the server is stopped and started,
 * and so what they are compared with is kept, and what has not come to the
 * history yet. Where it has not kept them, as after a crash, its figures began
 * with the server, and all that they have was added since. Where it has kept
 * them and we have not, they say nothing of what happened when.
 */
#include "observe/statement_memory.h"

#include <sys/stat.h>

#include "pgstat.h"
#include "utils/guc.h"

#define SERVER_FILE		PGSTAT_STAT_PERMANENT_DIRECTORY "/pg_stat_statements.stat"

static Size keep(void *piece);
static bool is_sound(void *piece, Size size, TimestampTz stopped);
static bool server_saves(void);
static bool server_restores(void);
static void begin_at_zero(Memory *memory);

static DbopsKeptMemory kept_memory = {
	.file_name = "dbops.statements",.version = 2,.size = sizeof(Memory),.keep = keep,.is_sound = is_sound
};

/* Fill it as the server starts, before pg_stat_statements reads what it has kept. */
void
dbops_statement_memory_prepare(void *place)
{
	Memory	   *memory = place;
	bool		restored = dbops_memory_restore(&kept_memory, memory);

	if (!server_restores())
		begin_at_zero(memory);
	else if (!restored || !memory->saved)
		memory->at = 0;			/* they are not those that were compared last */
}

/* Statements are compared as of when the server stopped: what is kept may be half changed only if somebody was killed. */
static Size
keep(void *piece)
{
	Memory	   *memory = piece;

	if (memory->changing)
		return 0;
	memory->saved = server_saves();
	return offsetof(Memory, kept) + sizeof(Kept) * memory->n;
}

/* The time for which the server was down is none between two looks. */
static bool
is_sound(void *piece, Size size, TimestampTz stopped)
{
	Memory	   *memory = piece;

	if (size < offsetof(Memory, kept) || memory->n < 0 || memory->n > MOST_STATEMENTS ||
		size != offsetof(Memory, kept) + sizeof(Kept) * memory->n)
		return false;
	if (memory->at != 0)
		memory->at += GetCurrentTimestamp() - stopped;
	return true;
}

/* Is pg_stat_statements told to keep its figures? */
static bool
server_saves(void)
{
	const char *setting = GetConfigOption("pg_stat_statements.save", true, false);

	return setting != NULL && strcmp(setting, "on") == 0;
}

/* And is there what it has kept? */
static bool
server_restores(void)
{
	struct stat status;

	return server_saves() && stat(SERVER_FILE, &status) == 0;
}

/* All figures are 0 now. What is not in the history yet stays. */
static void
begin_at_zero(Memory *memory)
{
	memory->at = GetCurrentTimestamp();
	memory->reset = 0;
	memory->partial = false;
	for (int i = 0; i < memory->n; i++)
	{
		memory->kept[i].since = 0;
		memset(memory->kept[i].last, 0, sizeof(memory->kept[i].last));
	}
}
