/*
 * lint_undo.c
 *		What a text has done, as far as it takes that back.
 *
 * Whoever notes something of what is followed keeps first what stands there: the
 * bytes of a place, or how long a list is, as lists are only added to, or another
 * takes their place. ROLLBACK and ROLLBACK TO put it back, the last first. So
 * that costs as much as has changed, however much is known besides. Outside of a
 * transaction nothing is kept, and a COMMIT forgets it.
 */
#include "change/lint.h"

/* What stood at a place. */
typedef struct Kept
{
	void	   *place;
	Size		size;			/* of the bytes behind this; 0: it is of a list */
	List	   *list;
	int			length;
} Kept;

/* Where ROLLBACK TO goes back to. */
typedef struct Savepoint
{
	const char *name;
	int			kept;			/* how many there were */
} Savepoint;

static void push(Lint *lint, const Kept *kept, const void *bytes);
static MemoryContext memory_of(Lint *lint);
static void begin(Lint *lint);
static void end(Lint *lint, const TransactionStmt *statement);
static void save(Lint *lint, const char *name);
static void release(Lint *lint, const char *name);
static void go_back_to(Lint *lint, const char *name);
static int	find(const Lint *lint, const char *name);
static void go_back(Lint *lint, int n);
static void put_back(const Kept *kept);

/* Follow how transactions and their parts begin and end. */
void
dbops_lint_follow_transaction(Lint *lint, const TransactionStmt *statement)
{
	switch (statement->kind)
	{
		case TRANS_STMT_BEGIN:
		case TRANS_STMT_START:
			begin(lint);
			break;
		case TRANS_STMT_ROLLBACK:
			go_back(lint, 0);
			end(lint, statement);
			break;
		case TRANS_STMT_COMMIT:
		case TRANS_STMT_PREPARE:
			end(lint, statement);
			break;
		case TRANS_STMT_SAVEPOINT:
			save(lint, statement->savepoint_name);
			break;
		case TRANS_STMT_RELEASE:
			release(lint, statement->savepoint_name);
			break;
		case TRANS_STMT_ROLLBACK_TO:
			go_back_to(lint, statement->savepoint_name);
			break;
		default:
			break;
	}
}

/* Keep what stands at a place that is about to be changed, and that stays. */
void
dbops_lint_keep(Lint *lint, void *place, Size size)
{
	if (lint->in_transaction || lint->in_block)
		push(lint, &(Kept) {.place = place,.size = size}, place);
}

/* Keep a list that is about to be added to, or replaced. */
void
dbops_lint_keep_list(Lint *lint, List **list)
{
	if (lint->in_transaction || lint->in_block)
		push(lint, &(Kept) {.place = list,.list = *list,.length = list_length(*list)}, NULL);
}

/* Keep a relation, once behind each savepoint; its columns are kept one by one. */
void
dbops_lint_keep_table(Lint *lint, LintTable *table)
{
	if (lint->kept_until == table->kept_at)
		return;
	dbops_lint_keep(lint, table, sizeof(LintTable));
	dbops_lint_keep_list(lint, &table->columns);
	dbops_lint_keep_list(lint, &table->constraints);
	dbops_lint_keep_list(lint, &table->dropped);
	dbops_lint_keep_list(lint, &table->renamed_constraints);
	dbops_lint_keep_list(lint, &table->gone_parts);
	dbops_lint_keep_list(lint, &table->validated);
	dbops_lint_keep_list(lint, &table->indexes);
	table->kept_at = lint->kept_until;
}

/* Forget what was kept: it is not taken back any more. */
void
dbops_lint_forget_kept(Lint *lint)
{
	if (lint->kept_memory != NULL)
		MemoryContextReset(lint->kept_memory);
	lint->kept = NIL;
	lint->savepoints = NIL;
	lint->kept_until++;
}

static void
push(Lint *lint, const Kept *kept, const void *bytes)
{
	MemoryContext caller = MemoryContextSwitchTo(memory_of(lint));
	Kept	   *copy = palloc(sizeof(Kept) + kept->size);

	*copy = *kept;
	if (bytes != NULL)
		memcpy(copy + 1, bytes, kept->size);
	lint->kept = lappend(lint->kept, copy);
	MemoryContextSwitchTo(caller);
}

static MemoryContext
memory_of(Lint *lint)
{
	if (lint->kept_memory == NULL)
		lint->kept_memory = AllocSetContextCreate(lint->memory, "dbops lint undo", ALLOCSET_DEFAULT_SIZES);
	return lint->kept_memory;
}

/* ---- transactions ---- */

/* Within one it does nothing. */
static void
begin(Lint *lint)
{
	if (!lint->in_transaction && !lint->in_block)
		dbops_lint_forget_kept(lint);
	lint->in_block = true;
	lint->transaction++;
}

static void
end(Lint *lint, const TransactionStmt *statement)
{
	dbops_lint_forget_kept(lint);
	lint->in_block = statement->chain;
	lint->transaction++;
}

/* ---- savepoints ---- */

static void
save(Lint *lint, const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(memory_of(lint));
	Savepoint  *savepoint = palloc(sizeof(Savepoint));

	*savepoint = (Savepoint) {.name = pstrdup(name),.kept = list_length(lint->kept)};
	lint->savepoints = lappend(lint->savepoints, savepoint);
	lint->kept_until++;
	MemoryContextSwitchTo(caller);
}

/* It and those behind it are no more. */
static void
release(Lint *lint, const char *name)
{
	int			n = find(lint, name);

	if (n >= 0)
		lint->savepoints = list_truncate(lint->savepoints, n);
}

/* It stays, those behind it are gone. */
static void
go_back_to(Lint *lint, const char *name)
{
	int			n = find(lint, name);

	if (n < 0)
		return;					/* the server refuses it */
	go_back(lint, ((Savepoint *) list_nth(lint->savepoints, n))->kept);
	lint->savepoints = list_truncate(lint->savepoints, n + 1);
	lint->kept_until++;
}

/* The last of that name; -1: there is none. */
static int
find(const Lint *lint, const char *name)
{
	for (int n = list_length(lint->savepoints) - 1; n >= 0; n--)
		if (strcmp(((Savepoint *) list_nth(lint->savepoints, n))->name, name) == 0)
			return n;
	return -1;
}

static void
go_back(Lint *lint, int n)
{
	for (int i = list_length(lint->kept) - 1; i >= n; i--)
		put_back(list_nth(lint->kept, i));
	lint->kept = list_truncate(lint->kept, n);
}

static void
put_back(const Kept *kept)
{
	if (kept->size > 0)
		memcpy(kept->place, kept + 1, kept->size);
	else
		*(List **) kept->place = list_truncate(kept->list, kept->length);
}
