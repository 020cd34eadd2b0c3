/*
 * lint_follow.c
 *		What a statement does to the relations that later ones of its text find.
 *
 * Only what rules ask for is followed: which relations, columns, constraints and
 * indexes the text itself has made, and in which of its transactions. What runs
 * inside of functions and DO blocks is not seen.
 */
#include "change/lint.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"

/* What a constraint says that the text has added and dropped. */
static const Constraint nothing = {.type = T_Constraint,.contype = CONSTR_NULL};

static void follow_schema(Lint *lint, const CreateSchemaStmt *statement);
static void follow_create(Lint *lint, const CreateStmt *statement);
static void add_column(Lint *lint, LintTable *table, const ColumnDef *definition);
static Constraint *with_column(const Constraint *constraint, const char *column);
static void add_constraint(Lint *lint, LintTable *table, const Constraint *definition);
static void follow_create_as(Lint *lint, const CreateTableAsStmt *statement);
static void follow_select(Lint *lint, const SelectStmt *statement);
static void follow_view(Lint *lint, const ViewStmt *statement);
static void follow_index(Lint *lint, const IndexStmt *statement);
static void follow_alter(Lint *lint, const AlterTableStmt *statement);
static void follow_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void set_not_null(Lint *lint, LintTable *table, const char *column, bool not_null);
static void validate(Lint *lint, LintTable *table, const char *name);
static void drop_constraint(Lint *lint, LintTable *table, const char *name);
static void rename_constraint(Lint *lint, LintTable *table, const char *name, const char *new_name);
static LintConstraint *find_constraint(const LintTable *table, const char *name);
static void note_name(Lint *lint, List **names, const char *name);
static void follow_not_null(Lint *lint, LintTable *table, const char *name, bool not_null);
static void follow_drop(Lint *lint, const DropStmt *statement);
static void note_dropped(Lint *lint, LintTable *table);
static void follow_rename(Lint *lint, const RenameStmt *statement);
static void follow_move(Lint *lint, const AlterObjectSchemaStmt *statement);
static void follow_comment(Lint *lint, const CommentStmt *statement);
static void follow_truncate(Lint *lint, const TruncateStmt *statement);
static void follow_policy(Lint *lint, const CreatePolicyStmt *statement);
static void drop_part(Lint *lint, const char *kind, List *name);
static void note_gone(Lint *lint, LintTable *table, const char *kind, const char *name);

/* Note what a statement does, when it has been judged. */
void
dbops_lint_follow(Lint *lint, Node *statement)
{
	bool		was_alone = !lint->in_transaction && !lint->in_block;

	dbops_lint_follow_made(lint, statement);
	switch (nodeTag(statement))
	{
		case T_TransactionStmt:
			dbops_lint_follow_transaction(lint, (TransactionStmt *) statement);
			break;
		case T_CreateStmt:
			follow_create(lint, (CreateStmt *) statement);
			break;
		case T_CreateTableAsStmt:
			follow_create_as(lint, (CreateTableAsStmt *) statement);
			break;
		case T_SelectStmt:
			follow_select(lint, (SelectStmt *) statement);
			break;
		case T_ViewStmt:
			follow_view(lint, (ViewStmt *) statement);
			break;
		case T_CreateSchemaStmt:
			follow_schema(lint, (CreateSchemaStmt *) statement);
			break;
		case T_CreateSeqStmt:
			(void) dbops_lint_make(lint, ((CreateSeqStmt *) statement)->sequence, RELKIND_SEQUENCE);
			break;
		case T_IndexStmt:
			follow_index(lint, (IndexStmt *) statement);
			break;
		case T_AlterTableStmt:
			follow_alter(lint, (AlterTableStmt *) statement);
			break;
		case T_DropStmt:
			follow_drop(lint, (DropStmt *) statement);
			break;
		case T_RenameStmt:
			follow_rename(lint, (RenameStmt *) statement);
			break;
		case T_AlterObjectSchemaStmt:
			follow_move(lint, (AlterObjectSchemaStmt *) statement);
			break;
		case T_TruncateStmt:
			follow_truncate(lint, (TruncateStmt *) statement);
			break;
		case T_CreatePolicyStmt:
			follow_policy(lint, (CreatePolicyStmt *) statement);
			break;
		case T_CommentStmt:
			follow_comment(lint, (CommentStmt *) statement);
			break;
		default:
			break;
	}
	if (was_alone)
		lint->transaction++;
}

/* ---- what is made ---- */

static void
follow_schema(Lint *lint, const CreateSchemaStmt *statement)
{
	const char *name = dbops_lint_schema_name(statement);

	if (name != NULL)
		dbops_lint_note_schema(lint, name);
}

/* IF NOT EXISTS leaves alone what is there. */
static void
follow_create(Lint *lint, const CreateStmt *statement)
{
	LintTable  *table;
	ListCell   *cell;

	if (statement->if_not_exists && dbops_lint_find(lint, statement->relation) != NULL)
		return;
	table = dbops_lint_make(lint, statement->relation, statement->partspec != NULL ? RELKIND_PARTITIONED_TABLE : RELKIND_RELATION);
	table->has_parent = statement->inhRelations != NIL || statement->ofTypename != NULL;
	foreach(cell, statement->tableElts)
	{
		if (IsA(lfirst(cell), ColumnDef))
			add_column(lint, table, lfirst(cell));
		else if (IsA(lfirst(cell), Constraint))
			add_constraint(lint, table, lfirst(cell));
		else
			table->has_parent = true;
	}
}

static void
add_column(Lint *lint, LintTable *table, const ColumnDef *definition)
{
	LintColumn *column = dbops_lint_column_of_text(lint, table, definition->colname);
	ListCell   *cell;

	column->is_new = true;
	column->is_renamed = false;
	column->was_name = NULL;
	column->gone = false;
	column->not_null = definition->is_not_null;
	if (definition->typeName == NULL || !dbops_lint_type(definition->typeName, &column->type, &column->typmod))
		column->type = InvalidOid;
	foreach(cell, definition->constraints)
	{
		const Constraint *constraint = lfirst_node(Constraint, cell);

		column->not_null |= constraint->contype == CONSTR_NOTNULL || constraint->contype == CONSTR_PRIMARY ||
			constraint->contype == CONSTR_IDENTITY;
		if (constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_FOREIGN ||
			constraint->contype == CONSTR_PRIMARY || constraint->contype == CONSTR_UNIQUE)
			add_constraint(lint, table, with_column(constraint, definition->colname));
	}
}

/* A constraint of a column as one of the table. */
static Constraint *
with_column(const Constraint *constraint, const char *column)
{
	Constraint *copy = copyObject(unconstify(Constraint *, constraint));
	List	   *columns = list_make1(makeString(pstrdup(column)));

	if (copy->contype == CONSTR_FOREIGN)
		copy->fk_attrs = columns;
	else if (copy->contype != CONSTR_CHECK)
		copy->keys = columns;
	return copy;
}

static void
add_constraint(Lint *lint, LintTable *table, const Constraint *definition)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	LintConstraint *constraint = palloc0(sizeof(LintConstraint));

	constraint->definition = copyObject(definition);
	dbops_lint_note_names(table, constraint);
	constraint->name = constraint->definition->conname;
	constraint->transaction = lint->transaction;
	constraint->valid = !definition->skip_validation;
	table->constraints = lappend(table->constraints, constraint);
	MemoryContextSwitchTo(caller);
}

static void
follow_create_as(Lint *lint, const CreateTableAsStmt *statement)
{
	if (statement->if_not_exists && dbops_lint_find(lint, statement->into->rel) != NULL)
		return;
	(void) dbops_lint_make(lint, statement->into->rel,
						   statement->objtype == OBJECT_MATVIEW ? RELKIND_MATVIEW : RELKIND_RELATION);
}

/* INTO is in the first of those that UNION and the like join. */
static void
follow_select(Lint *lint, const SelectStmt *statement)
{
	while (statement->larg != NULL)
		statement = statement->larg;
	if (statement->intoClause != NULL)
		(void) dbops_lint_make(lint, statement->intoClause->rel, RELKIND_RELATION);
}

/* One that is replaced stays what it was. */
static void
follow_view(Lint *lint, const ViewStmt *statement)
{
	if (dbops_lint_find(lint, statement->view) == NULL)
		(void) dbops_lint_make(lint, statement->view, RELKIND_VIEW);
}

static void
follow_index(Lint *lint, const IndexStmt *statement)
{
	LintTable  *table = dbops_lint_find(lint, statement->relation);
	MemoryContext caller;
	LintIndex  *index;

	if (table == NULL)
		return;
	dbops_lint_keep_table(lint, table);
	caller = MemoryContextSwitchTo(lint->memory);
	index = palloc0(sizeof(LintIndex));
	index->definition = copyObject(statement);
	index->name = index->definition->idxname;
	table->indexes = lappend(table->indexes, index);
	if (index->name != NULL)
		(void) dbops_lint_make(lint, makeRangeVar(pstrdup(table->schema), pstrdup(index->name), -1), RELKIND_INDEX);
	MemoryContextSwitchTo(caller);
}

/* ---- what is altered ---- */

static void
follow_alter(Lint *lint, const AlterTableStmt *statement)
{
	LintTable  *table = dbops_lint_find(lint, statement->relation);
	ListCell   *cell;

	if (table == NULL || statement->objtype == OBJECT_TYPE)
		return;
	dbops_lint_keep_table(lint, table);
	foreach(cell, statement->cmds)
		follow_command(lint, table, lfirst_node(AlterTableCmd, cell));
}

static void
follow_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AddColumn:
			add_column(lint, table, castNode(ColumnDef, command->def));
			break;
		case AT_DropColumn:
			dbops_lint_column_of_text(lint, table, command->name)->gone = true;
			break;
		case AT_SetNotNull:
			set_not_null(lint, table, command->name, true);
			break;
		case AT_DropNotNull:
			set_not_null(lint, table, command->name, false);
			break;
		case AT_AddConstraint:
			if (dbops_lint_made_not_null(command) != NULL)
				set_not_null(lint, table, dbops_lint_made_not_null(command), true);
			else
				add_constraint(lint, table, castNode(Constraint, command->def));
			break;
		case AT_ValidateConstraint:
			validate(lint, table, command->name);
			break;
		case AT_DropConstraint:
			drop_constraint(lint, table, command->name);
			break;
		case AT_ColumnDefault:
			if (command->def == NULL)
				note_gone(lint, table, "default", command->name);
			break;
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			note_gone(lint, table, "partition", ((PartitionCmd *) command->def)->name->relname);
			break;
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_SetAccessMethod:
		case AT_SetTableSpace:
			table->is_stored_anew = true;
			break;
		case AT_ReplicaIdentity:
			table->identity = castNode(ReplicaIdentityStmt, command->def)->identity_type;
			break;
		case AT_EnableRowSecurity:
			table->secured = lint->statement;
			table->secured_in = lint->transaction;
			break;
		case AT_DisableRowSecurity:
			table->secured = NULL;
			break;
		default:
			break;
	}
}

static void
set_not_null(Lint *lint, LintTable *table, const char *column, bool not_null)
{
	dbops_lint_column_of_text(lint, table, column)->not_null = not_null;
}

static void
validate(Lint *lint, LintTable *table, const char *name)
{
	LintConstraint *constraint = find_constraint(table, name);

	if (constraint != NULL)
	{
		dbops_lint_keep(lint, constraint, sizeof(LintConstraint));
		constraint->valid = true;
	}
	else
	{
		note_name(lint, &table->validated, dbops_lint_constraint_was(table, name));
		follow_not_null(lint, table, name, true);
	}
}

static void
drop_constraint(Lint *lint, LintTable *table, const char *name)
{
	LintConstraint *constraint = find_constraint(table, name);

	if (constraint != NULL)
	{
		dbops_lint_keep(lint, constraint, sizeof(LintConstraint));
		*constraint = (LintConstraint) {.definition = &nothing};
	}
	else
	{
		note_name(lint, &table->dropped, dbops_lint_constraint_was(table, name));
		follow_not_null(lint, table, name, false);
	}
}

static void
rename_constraint(Lint *lint, LintTable *table, const char *name, const char *new_name)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	LintConstraint *constraint = find_constraint(table, name);
	LintRenamed *renamed;

	if (constraint != NULL)
	{
		dbops_lint_keep(lint, constraint, sizeof(LintConstraint));
		constraint->name = pstrdup(new_name);
	}
	else
	{
		renamed = palloc(sizeof(LintRenamed));
		*renamed = (LintRenamed) {.name = pstrdup(new_name),.was_name = pstrdup(dbops_lint_constraint_was(table, name))};
		table->renamed_constraints = lappend(table->renamed_constraints, renamed);
	}
	MemoryContextSwitchTo(caller);
}

/* That the text has added; or NULL. */
static LintConstraint *
find_constraint(const LintTable *table, const char *name)
{
	ListCell   *cell;

	foreach(cell, table->constraints)
	{
		LintConstraint *constraint = lfirst(cell);

		if (constraint->name != NULL && strcmp(constraint->name, name) == 0)
			return constraint;
	}
	return NULL;
}

/* The name in the catalog of a constraint that was there before the text. */
const char *
dbops_lint_constraint_was(const LintTable *table, const char *name)
{
	for (int i = list_length(table->renamed_constraints) - 1; i >= 0; i--)
	{
		const LintRenamed *renamed = list_nth(table->renamed_constraints, i);

		if (strcmp(renamed->name, name) == 0)
			return renamed->was_name;
	}
	return name;
}

static void
note_name(Lint *lint, List **names, const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);

	*names = lappend(*names, pstrdup(name));
	MemoryContextSwitchTo(caller);
}

/* From 18 on NOT NULL is a constraint with a name. */
static void
follow_not_null(Lint *lint, LintTable *table, const char *name, bool not_null)
{
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_text(dbops_lint_constraint_was(table, name))};
	char	   *column = NULL;
	ListCell   *cell;

	if (has_named_not_null && OidIsValid(table->relid))
		column = dbops_query_text("SELECT a.attname::text FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
								  " WHERE c.conrelid = $1 AND c.conname = $2 AND c.contype = 'n'", lengthof(params), params);
	if (column == NULL)
		return;
	foreach(cell, table->columns)
	{
		const LintColumn *known = lfirst(cell);

		if (!known->gone && known->was_name != NULL && strcmp(known->was_name, column) == 0)
			column = pstrdup(known->name);
	}
	set_not_null(lint, table, column, not_null);
}

static void
follow_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		LintTable  *table = IsA(lfirst(cell), List) ? dbops_lint_find_list(lint, lfirst(cell)) : NULL;

		switch (statement->removeType)
		{
			case OBJECT_TABLE:
			case OBJECT_VIEW:
			case OBJECT_MATVIEW:
			case OBJECT_FOREIGN_TABLE:
			case OBJECT_SEQUENCE:
			case OBJECT_INDEX:
				if (table != NULL)
					note_dropped(lint, table);
				break;
			case OBJECT_SCHEMA:
				dbops_lint_drop_schema(lint, strVal(lfirst(cell)));
				break;
			case OBJECT_TRIGGER:
				drop_part(lint, "trigger", lfirst_node(List, cell));
				break;
			case OBJECT_POLICY:
				drop_part(lint, "policy", lfirst_node(List, cell));
				break;
			default:
				break;
		}
	}
}

static void
note_dropped(Lint *lint, LintTable *table)
{
	dbops_lint_keep_table(lint, table);
	table->gone = true;
}

static void
follow_rename(Lint *lint, const RenameStmt *statement)
{
	LintTable  *table = dbops_lint_find(lint, statement->relation);
	LintColumn *old;
	LintColumn *new;

	if (statement->renameType == OBJECT_SCHEMA && dbops_lint_has_schema(lint, statement->subname))
		dbops_lint_rename_schema(lint, statement->subname, statement->newname);
	if (table == NULL)
		return;
	dbops_lint_keep_table(lint, table);
	switch (statement->renameType)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_INDEX:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			(void) dbops_lint_rename(lint, table, pstrdup(table->schema), statement->newname);
			break;
		case OBJECT_COLUMN:
			old = dbops_lint_column_of_text(lint, table, statement->subname);
			new = dbops_lint_column_of_text(lint, table, statement->newname);
			new->is_new = old->is_new;
			new->was_name = old->was_name;
			new->is_renamed = true;
			new->gone = false;
			new->not_null = old->not_null;
			new->type = old->type;
			new->typmod = old->typmod;
			old->gone = true;
			break;
		case OBJECT_TABCONSTRAINT:
			rename_constraint(lint, table, statement->subname, statement->newname);
			break;
		default:
			break;
	}
}

static void
follow_move(Lint *lint, const AlterObjectSchemaStmt *statement)
{
	LintTable  *table = dbops_lint_find(lint, statement->relation);

	if (table != NULL)
		(void) dbops_lint_rename(lint, table, statement->newschema, pstrdup(table->name));
}

static void
follow_truncate(Lint *lint, const TruncateStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->relations)
	{
		LintTable  *table = dbops_lint_find(lint, lfirst_node(RangeVar, cell));

		if (table == NULL)
			continue;
		dbops_lint_keep_table(lint, table);
		table->emptied = true;
	}
}

/* ---- what belongs to a table ---- */

static void
follow_policy(Lint *lint, const CreatePolicyStmt *statement)
{
	LintTable  *table = dbops_lint_find(lint, statement->table);

	if (table == NULL || !statement->permissive || table->policy_in != 0)
		return;
	dbops_lint_keep_table(lint, table);
	table->policy_in = lint->transaction;
}

/* The last of the name is the part's own, the rest its table's. */
static void
drop_part(Lint *lint, const char *kind, List *name)
{
	LintTable  *table = dbops_lint_find_list(lint, list_truncate(list_copy(name), list_length(name) - 1));

	if (table != NULL)
		note_gone(lint, table, kind, strVal(llast(name)));
}

static void
note_gone(Lint *lint, LintTable *table, const char *kind, const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);

	dbops_lint_keep_table(lint, table);
	table->gone_parts = lappend(table->gone_parts, psprintf("%s %s", kind, name));
	MemoryContextSwitchTo(caller);
}

static void
follow_comment(Lint *lint, const CommentStmt *statement)
{
	LintTable  *table = (statement->objtype == OBJECT_TABLE) ? dbops_lint_find_list(lint, castNode(List, statement->object)) : NULL;

	if (table == NULL)
		return;
	dbops_lint_keep_table(lint, table);
	table->is_documented = statement->comment != NULL;
}
