/*
 * migration_text.c
 *		The statements of a migration's text, read before the first one runs.
 *
 * The whole text is divided and each statement parsed, so that a mistake in
 * the last one is found while nothing has been done. Parse trees are not kept:
 * a text may have 50 MB, and a statement is parsed again when its turn comes.
 *
 * What would take the migration out of its transaction, its role or its
 * session is refused here, by name and line. A text that gets at the role by
 * other means than a statement of its own is stopped when it runs
 * (migration_run.c).
 */
#include "change/migration.h"

#include "core/sql.h"

#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"

typedef struct TextReader
{
	MigrationText *text;
	MigrationScan *scan;
	MemoryContext trees;		/* of the statement that is being read */
	const MigrationStatement *opened;	/* BEGIN as the first statement, or NULL */
	bool		closed;			/* COMMIT has followed it: the text must end */
	const MigrationStatement *alone;	/* the first that must be alone, or NULL */
	const char *data;			/* of the last COPY FROM STDIN; or NULL */
} TextReader;

static void read_statements(void *arg);
static MigrationStatement *read_statement(TextReader *reader);
static bool find_statement(TextReader *reader, MigrationStatement *statement);
static void look_at(TextReader *reader, MigrationStatement *statement);
static bool is_lasting(Node *parsed);
static bool is_bracket(TextReader *reader, const MigrationStatement *statement, const TransactionStmt *transaction);
static void check_brackets(const TextReader *reader);
static void check(const TextReader *reader, const MigrationStatement *statement, Node *parsed);
static void check_copy(const TextReader *reader, const MigrationStatement *statement, const CopyStmt *copy);
static void check_set(const TextReader *reader, const MigrationStatement *statement, const VariableSetStmt *set);
static void check_scanner_setting(const TextReader *reader, const MigrationStatement *statement,
								  const VariableSetStmt *set);
static bool is_role_reset(const VariableSetStmt *set);
static bool is_same_value(const char *a, const char *b);
static void refuse(const TextReader *reader, const MigrationStatement *statement,
				   const char *what, const char *why, const char *hint);

/*
 * Divide a text into statements and refuse what no migration can do. The text
 * must stay; argument is what messages call it. One that only has comments says
 * by them that nothing is to be done, as histories do where a migration was
 * withdrawn or has nothing to take back; one without even that is a mistake.
 */
MigrationText *
dbops_migration_text_read(const char *argument, const char *sql)
{
	MigrationText *text = palloc0(sizeof(MigrationText));
	TextReader	reader = {.text = text};

	text->argument = argument;
	text->sql = sql;
	dbops_migration_scan_quietly(read_statements, &reader);
	check_brackets(&reader);
	if (text->statements == NIL && sql[strspn(sql, " \t\n\r\f\v")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s is empty", argument),
				 errhint("Give the SQL that is to be run, or a comment that says why nothing is.")));
	text->in_steps = (reader.alone != NULL);
	return text;
}

static void
read_statements(void *arg)
{
	TextReader *reader = arg;
	MigrationStatement *statement;

	reader->scan = dbops_migration_scan_begin(reader->text->argument, reader->text->sql);
	reader->trees = AllocSetContextCreate(CurrentMemoryContext, "migration statement", ALLOCSET_DEFAULT_SIZES);
	while ((statement = read_statement(reader)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		look_at(reader, statement);
	}
	MemoryContextDelete(reader->trees);
	dbops_migration_scan_end(reader->scan);
}

/* Where a statement stands, and its length; NULL when the text has ended. */
static MigrationStatement *
read_statement(TextReader *reader)
{
	MigrationStatement *statement = palloc0(sizeof(MigrationStatement));

	if (find_statement(reader, statement))
		return statement;
	pfree(statement);
	return NULL;
}

static bool
find_statement(TextReader *reader, MigrationStatement *statement)
{
	MigrationToken token;
	size_t		end = 0;

	if (!dbops_migration_scan_next(reader->scan, &token))
		return false;
	statement->start = token.start;
	statement->line = dbops_migration_scan_line(reader->scan, token.start);
	statement->number = list_length(reader->text->statements) + 1;
	while (!token.ends)
	{
		end = token.end;
		if (!dbops_migration_scan_next(reader->scan, &token))
			elog(ERROR, "statement of a migration has no end");
	}
	statement->length = end - statement->start;
	statement->data = token.data;
	statement->data_length = token.data_length;
	return true;
}

/* Parse a statement, check it, and take it into the text. */
static void
look_at(TextReader *reader, MigrationStatement *statement)
{
	MemoryContext caller = MemoryContextSwitchTo(reader->trees);
	Node	   *parsed = dbops_migration_statement_parse(reader->text, statement)->stmt;
	bool		bracket;

	statement->command = CreateCommandName(parsed);
	if (reader->closed)
		refuse(reader, reader->opened, "BEGIN", "statements follow its COMMIT",
			   "Take BEGIN and COMMIT out: a migration is one transaction by itself.");
	bracket = IsA(parsed, TransactionStmt) && is_bracket(reader, statement, (TransactionStmt *) parsed);
	if (!bracket)
	{
		check(reader, statement, parsed);
		if (statement->data != NULL)
			reader->data = statement->data;
		statement->alone = dbops_sql_must_be_alone(parsed);
		statement->setting = is_lasting(parsed);
		if (statement->alone && reader->alone == NULL)
			reader->alone = statement;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(reader->trees);
	if (!bracket)
		reader->text->statements = lappend(reader->text->statements, statement);
}

/* Does it set what following transactions of the text are to run with? */
static bool
is_lasting(Node *parsed)
{
	VariableSetStmt *set = (VariableSetStmt *) parsed;

	return IsA(parsed, VariableSetStmt) && !set->is_local && set->kind != VAR_SET_MULTI;
}

/* Is it the BEGIN before all other statements, or the COMMIT that belongs to it? */
static bool
is_bracket(TextReader *reader, const MigrationStatement *statement, const TransactionStmt *transaction)
{
	bool		begins = transaction->kind == TRANS_STMT_BEGIN || transaction->kind == TRANS_STMT_START;

	if (begins && reader->opened == NULL && reader->text->statements == NIL && transaction->options == NIL)
	{
		reader->opened = statement;
		return true;
	}
	if (transaction->kind == TRANS_STMT_COMMIT && reader->opened != NULL && !transaction->chain)
	{
		reader->closed = true;
		return true;
	}
	return false;
}

static void
check_brackets(const TextReader *reader)
{
	if (reader->opened == NULL)
		return;
	if (!reader->closed)
		refuse(reader, reader->opened, "BEGIN", "no COMMIT ends the text",
			   "Take BEGIN out: a migration is one transaction by itself.");
	if (reader->alone != NULL)
		refuse(reader, reader->alone, reader->alone->command, "it cannot run between BEGIN and COMMIT",
			   "Take BEGIN and COMMIT out: the migration is then run in steps.");
	ereport(NOTICE,
			(errmsg("BEGIN and COMMIT around %s are left out", reader->text->argument),
			 errdetail("A migration is one transaction by itself, together with its row in the ledger.")));
}

/* ---- what a migration cannot do ---- */

static void
check(const TextReader *reader, const MigrationStatement *statement, Node *parsed)
{
	switch (nodeTag(parsed))
	{
		case T_TransactionStmt:
			refuse(reader, statement, statement->command, "a migration begins and ends its transactions itself",
				   "Take it out, or make two migrations of it.");
			break;
		case T_PrepareStmt:
		case T_DeallocateStmt:
			refuse(reader, statement, statement->command, "what it does to the session outlives a transaction that is rolled back",
				   "Give the statement itself, with its values.");
			break;
		case T_CopyStmt:
			check_copy(reader, statement, (CopyStmt *) parsed);
			break;
		case T_VariableSetStmt:
			check_set(reader, statement, (VariableSetStmt *) parsed);
			break;
		case T_DiscardStmt:
			refuse(reader, statement, statement->command, "it would undo what the session is set to",
				   "RESET each setting by its name.");
			break;
		case T_ListenStmt:
		case T_UnlistenStmt:
			refuse(reader, statement, statement->command, "the session that migrates waits for no notification",
				   "LISTEN in the session that is to be notified.");
			break;
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_DropSubscriptionStmt:
			refuse(reader, statement, statement->command, "what it does outside of this database can be neither proved nor undone",
				   "Run it by hand, outside of migrations.");
			break;
		case T_IndexStmt:
			if (((IndexStmt *) parsed)->concurrent && ((IndexStmt *) parsed)->idxname == NULL)
				refuse(reader, statement, "CREATE INDEX CONCURRENTLY", "the index has no name to be found by when the build was interrupted",
					   "Name the index: CREATE INDEX CONCURRENTLY index_name ON ...");
			break;
		default:
			break;
	}
}

static void
check_copy(const TextReader *reader, const MigrationStatement *statement, const CopyStmt *copy)
{
	if (copy->filename == NULL && !copy->is_from)
		refuse(reader, statement, "COPY TO STDOUT", "nobody takes what it returns",
			   "Take it out, or name a file of the server.");
	if (statement->data != NULL && statement->data == reader->data)
		refuse(reader, statement, "COPY FROM STDIN", "the lines that follow are of the COPY before it on this line",
			   "Begin it on a line of its own, behind the data of the other.");
}

static void
check_set(const TextReader *reader, const MigrationStatement *statement, const VariableSetStmt *set)
{
	if (set->kind == VAR_RESET_ALL)
		refuse(reader, statement, "RESET ALL", "it would undo what the session is set to",
			   "RESET each setting by its name.");
	if (set->name == NULL)
		return;
	if (strcmp(set->name, "session_authorization") == 0)
		refuse(reader, statement, "SESSION AUTHORIZATION", "a migration runs as the role that applies it",
			   "SET ROLE before you apply it, or in it to a role that the caller is a member of.");
	if (strcmp(set->name, "role") == 0 && is_role_reset(set))
		refuse(reader, statement, "RESET ROLE", "it would run the rest as the role that the session was opened as",
			   "SET ROLE to the role that the rest is to run as.");
	check_scanner_setting(reader, statement, set);
}

static bool
is_role_reset(const VariableSetStmt *set)
{
	return set->kind != VAR_SET_VALUE ||
		strcmp(ExtractSetVariableArgs(unconstify(VariableSetStmt *, set)), "none") == 0;
}

/* What the text was read with must hold when it is run. */
static void
check_scanner_setting(const TextReader *reader, const MigrationStatement *statement,
					  const VariableSetStmt *set)
{
	const char *value;

	if (pg_strcasecmp(set->name, "standard_conforming_strings") != 0 &&
		pg_strcasecmp(set->name, "backslash_quote") != 0)
		return;
	value = ExtractSetVariableArgs(unconstify(VariableSetStmt *, set));
	if (value == NULL || !is_same_value(value, GetConfigOption(set->name, false, false)))
		refuse(reader, statement, psprintf("SET %s", set->name), "the text was read with another value of it",
			   psprintf("SET %s before you apply the migration.", set->name));
}

static bool
is_same_value(const char *a, const char *b)
{
	bool		on_a;
	bool		on_b;

	if (parse_bool(a, &on_a) && parse_bool(b, &on_b))
		return on_a == on_b;
	return pg_strcasecmp(a, b) == 0;
}

static void
refuse(const TextReader *reader, const MigrationStatement *statement,
	   const char *what, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s on line %d of %s cannot be part of a migration: %s",
					what, statement->line, reader->text->argument, why),
			 errhint("%s", hint)));
}

/* ---- one of the statements ---- */

/* Parse a statement, in the current memory, with its text. */
RawStmt *
dbops_migration_statement_parse(const MigrationText *text, const MigrationStatement *statement)
{
	List	   *parsed = dbops_migration_parse(text->argument, text->sql, statement->start,
											   dbops_migration_statement_sql(text, statement));

	if (list_length(parsed) != 1)
		elog(ERROR, "statement %d of a migration is %d statements", statement->number, list_length(parsed));
	return linitial_node(RawStmt, parsed);
}

/* The text of a statement, in the current memory. */
char *
dbops_migration_statement_sql(const MigrationText *text, const MigrationStatement *statement)
{
	return pnstrdup(text->sql + statement->start, statement->length);
}
