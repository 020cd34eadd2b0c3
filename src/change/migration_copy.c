/*
 * migration_copy.c
 *		COPY FROM STDIN whose lines stand in the migration's text.
 *
 * The server's COPY command reads from files and clients only; its loader
 * takes lines from anywhere. What the command checks before it loads is done
 * here: whether the user may insert into the columns, and row-level security.
 */
#include "change/migration.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "tcop/utility.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* The lines that the loader has not taken yet; it gives its source no argument. */
static const char *lines;
static size_t lines_left;

static uint64 load(const CopyStmt *copy);
static void check_form(const CopyStmt *copy);
static void check_rights(ParseState *pstate, Relation table, const CopyStmt *copy);
static List *options_here(List *options);
static int	give_lines(void *place, int least, int most);

/*
 * Load the lines of a statement; the number of rows. A trigger of the table may
 * get here again, whose lines are not these.
 */
uint64
dbops_migration_copy(const CopyStmt *copy, const MigrationStatement *statement)
{
	const char *outer_lines = lines;
	size_t		outer_lines_left = lines_left;
	uint64		rows = 0;

	check_form(copy);
	PG_TRY();
	{
		lines = statement->data;
		lines_left = statement->data_length;
		rows = load(copy);
	}
	PG_FINALLY();
	{
		lines = outer_lines;
		lines_left = outer_lines_left;
	}
	PG_END_TRY();
	return rows;
}

static uint64
load(const CopyStmt *copy)
{
	ParseState *pstate = make_parsestate(NULL);
	Relation	table = table_openrv(copy->relation, RowExclusiveLock);
	CopyFromState source;
	uint64		rows;

	check_rights(pstate, table, copy);
	source = BeginCopyFrom(pstate, table, NULL, NULL, false, give_lines, copy->attlist,
						   options_here(copy->options));
	rows = CopyFrom(source);
	EndCopyFrom(source);
	free_parsestate(pstate);
	table_close(table, NoLock);
	CommandCounterIncrement();
	return rows;
}

/* Refuse what the lines of a text cannot be. */
static void
check_form(const CopyStmt *copy)
{
	ListCell   *cell;

	if (copy->whereClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM STDIN with WHERE cannot be part of a migration"),
				 errhint("Leave out the lines that are not wanted.")));
	foreach(cell, copy->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "format") == 0 && strcmp(defGetString(option), "binary") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("COPY FROM STDIN in binary format cannot be part of a migration"),
					 errhint("Write the data in text or csv format.")));
	}
}

/* May the current user insert into these columns of the table, whichever the row? */
static void
check_rights(ParseState *pstate, Relation table, const CopyStmt *copy)
{
	ParseNamespaceItem *item = addRangeTableEntryForRelation(pstate, table, RowExclusiveLock,
															 NULL, false, false);
	List	   *numbers = CopyGetAttnums(RelationGetDescr(table), table, copy->attlist);
	Bitmapset  *columns = NULL;
	ListCell   *cell;

	foreach(cell, numbers)
		columns = bms_add_member(columns, lfirst_int(cell) - FirstLowInvalidHeapAttributeNumber);
	check_insert_permission(pstate, item, columns);
	if (check_enable_rls(RelationGetRelid(table), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM not supported with row-level security"),
				 errhint("Use INSERT statements instead.")));
	if (XactReadOnly && !table->rd_islocaltemp)
		PreventCommandIfReadOnly("COPY FROM");
}

/* The statement's options. Its lines came with the text, in the server's encoding. */
static List *
options_here(List *options)
{
	List	   *here = NIL;
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "encoding") != 0)
			here = lappend(here, lfirst(cell));
	return lappend(here, makeDefElem("encoding", (Node *) makeString(unconstify(char *, GetDatabaseEncodingName())), -1));
}

static int
give_lines(void *place, int least, int most)
{
	int			length = Min(lines_left, most);

	memcpy(place, lines, length);
	lines += length;
	lines_left -= length;
	return length;
}
