/*
 * lint_constraint.c
 *		Rules of constraints: which look at all rows, and at whose cost.
 *
 * A constraint that is added NOT VALID holds for what is written from then on and
 * looks at nothing; it is validated beside readers and writers, in a transaction
 * of its own, as otherwise the lock of the first statement is held meanwhile. A
 * key is best made of an index that has been built beside them too.
 */
#include "change/lint.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

enum
{
	CHECK_CHECKED,
	FOREIGN_KEY_CHECKED,
	FOREIGN_KEY_LOCKS,
	FOREIGN_KEY_UNINDEXED,
	FOREIGN_KEY_TYPES,
	VALIDATED_AT_ONCE,
	INDEX_BUILT,
	EXCLUSION,
	KEY_OF_NULLABLE
};

static const DbopsRule rules[] = {
	[CHECK_CHECKED] = {
		.name = "constraint.check_checked", .severity = DBOPS_CRITICAL,
		.about = "CHECK constraints that are added without NOT VALID: all rows are read under ACCESS EXCLUSIVE",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[FOREIGN_KEY_CHECKED] = {
		.name = "constraint.foreign_key_checked", .severity = DBOPS_CRITICAL,
		.about = "foreign keys that are added without NOT VALID: nobody writes to either table while all rows are looked up",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[FOREIGN_KEY_LOCKS] = {
		.name = "constraint.foreign_key_locks", .severity = DBOPS_WARNING,
		.about = "foreign keys, also of new tables, that lock the table which they refer to against writes",
		.source = "PostgreSQL: ALTER TABLE"
	},
	[FOREIGN_KEY_UNINDEXED] = {
		.name = "constraint.foreign_key_unindexed", .severity = DBOPS_WARNING,
		.about = "foreign keys without an index that begins with their columns",
		.source = "eugene: E15"
	},
	[FOREIGN_KEY_TYPES] = {
		.name = "constraint.foreign_key_types", .severity = DBOPS_WARNING,
		.about = "foreign keys between columns of different types",
		.source = "online_migrations: mismatched_foreign_key_type"
	},
	[VALIDATED_AT_ONCE] = {
		.name = "constraint.validated_at_once", .severity = DBOPS_CRITICAL,
		.about = "constraints that are validated in the transaction which adds them, so that its lock is held meanwhile",
		.source = "PostgreSQL: ALTER TABLE, notes"
	},
	[INDEX_BUILT] = {
		.name = "constraint.index_built", .severity = DBOPS_CRITICAL,
		.about = "keys whose index is built under ACCESS EXCLUSIVE",
		.source = "PostgreSQL: ALTER TABLE, ADD table_constraint_using_index"
	},
	[EXCLUSION] = {
		.name = "constraint.exclusion", .severity = DBOPS_CRITICAL,
		.about = "exclusion constraints, whose index is built under ACCESS EXCLUSIVE",
		.source = "eugene: E8"
	},
	[KEY_OF_NULLABLE] = {
		.name = "constraint.key_of_nullable", .severity = DBOPS_CRITICAL,
		.about = "primary keys of columns that may be NULL: all rows are read under ACCESS EXCLUSIVE",
		.source = "eugene: W14"
	}
};

/* For what our calls have no argument. */
#define BY_HAND	"Add it as it stands with NOT VALID, which holds for what is written from then on, and in another transaction ALTER TABLE ... VALIDATE CONSTRAINT."

const DbopsRuleSet dbops_lint_constraint_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_create(Lint *lint, const CreateStmt *statement);
static void judge_created(Lint *lint, const CreateStmt *statement, const Constraint *constraint, const List *columns);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_column(Lint *lint, LintTable *table, const ColumnDef *column);
static void judge_constraint(Lint *lint, LintTable *table, const Constraint *constraint, List *columns, const List *added, bool rows_are_null);
static void judge_check(Lint *lint, LintTable *table, const Constraint *constraint);
static void judge_foreign_key(Lint *lint, LintTable *table, const Constraint *constraint, List *columns, const List *added, bool rows_are_null);
static void judge_references(Lint *lint, const Constraint *constraint);
static const char *add_foreign_key_call(const LintTable *table, LintTable *referenced, const Constraint *constraint, const List *columns);
static const char *action_argument(const char *argument, char action);
static bool is_indexed(const LintTable *table, List *columns);
static bool is_indexed_by_text(const LintTable *table, const List *columns);
static bool begins_with(const IndexStmt *index, const List *columns);
static void judge_types(Lint *lint, LintTable *table, const List *definitions, LintTable *referenced,
						const Constraint *constraint, const List *columns);
static void take_name(HeapTuple row, TupleDesc desc, void *arg);
static List *referenced_columns(LintTable *referenced, const Constraint *constraint);
static bool type_of(const LintTable *table, const List *definitions, const char *name, Oid *type);
static void judge_key(Lint *lint, LintTable *table, const Constraint *constraint, const List *columns);
static bool is_plain_key(const Constraint *constraint);
static void judge_nullable(Lint *lint, LintTable *table, const List *columns);
static void judge_validation(Lint *lint, LintTable *table, const char *name);
static bool is_added_by_text(const Lint *lint, const LintTable *table, const char *name);
static bool is_added_by_transaction(const LintTable *table, const char *name);
static void note_adding(Lint *lint, LintTable *table, const AlterTableCmd *command);

/* Judge the constraints that a statement adds or validates. */
void
dbops_lint_judge_constraints(Lint *lint, Node *statement)
{
	lint->adding = NIL;
	dbops_lint_each_command(lint, statement, note_adding);
	if (IsA(statement, CreateStmt))
		judge_create(lint, (CreateStmt *) statement);
	else
		dbops_lint_each_command(lint, statement, judge_command);
}

/* A new table has no rows, but what it refers to is in use. */
static void
judge_create(Lint *lint, const CreateStmt *statement)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, statement->tableElts)
	{
		if (IsA(lfirst(cell), Constraint))
			judge_created(lint, statement, lfirst(cell), ((Constraint *) lfirst(cell))->fk_attrs);
		else if (IsA(lfirst(cell), ColumnDef))
			foreach(inner, ((ColumnDef *) lfirst(cell))->constraints)
				judge_created(lint, statement, lfirst_node(Constraint, inner), list_make1(makeString(((ColumnDef *) lfirst(cell))->colname)));
	}
}

static void
judge_created(Lint *lint, const CreateStmt *statement, const Constraint *constraint, const List *columns)
{
	LintTable  *referenced = (constraint->contype == CONSTR_FOREIGN) ? dbops_lint_find(lint, constraint->pktable) : NULL;

	judge_references(lint, constraint);
	if (referenced != NULL)
		judge_types(lint, NULL, statement->tableElts, referenced, constraint, columns);
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AddColumn:
			judge_column(lint, table, castNode(ColumnDef, command->def));
			break;
		case AT_AddConstraint:
			judge_constraint(lint, table, castNode(Constraint, command->def), ((Constraint *) command->def)->fk_attrs, NIL, false);
			break;
		case AT_ValidateConstraint:
			judge_validation(lint, table, command->name);
			break;
		default:
			break;
	}
}

/* The constraints of a new column. Where its rows have NULL, the server looks at none for a foreign key. */
static void
judge_column(Lint *lint, LintTable *table, const ColumnDef *column)
{
	List	   *columns = list_make1(makeString(column->colname));
	bool		rows_are_null = true;
	ListCell   *cell;

	foreach(cell, column->constraints)
	{
		ConstrType	type = lfirst_node(Constraint, cell)->contype;

		rows_are_null &= type != CONSTR_DEFAULT && type != CONSTR_GENERATED && type != CONSTR_IDENTITY;
	}
	foreach(cell, column->constraints)
		judge_constraint(lint, table, lfirst_node(Constraint, cell), columns, list_make1(unconstify(ColumnDef *, column)), rows_are_null);
}

static void
judge_constraint(Lint *lint, LintTable *table, const Constraint *constraint, List *columns, const List *added, bool rows_are_null)
{
	switch (constraint->contype)
	{
		case CONSTR_CHECK:
			judge_check(lint, table, constraint);
			break;
		case CONSTR_FOREIGN:
			judge_foreign_key(lint, table, constraint, columns, added, rows_are_null);
			break;
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			judge_key(lint, table, constraint, constraint->keys != NIL ? constraint->keys : columns);
			break;
		case CONSTR_EXCLUSION:
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[EXCLUSION], .weight = LINT_WORK, .table = table, .part = constraint->conname,
				.why = "its index is built under ACCESS EXCLUSIVE, and there is no other way to build it",
				.safer = "Add it when nobody needs the table, or to a new table that takes the place of this one."
			});
			break;
		default:
			break;
	}
}

static void
judge_check(Lint *lint, LintTable *table, const Constraint *constraint)
{
	char	   *expression;

	if (constraint->skip_validation)
		return;
	expression = dbops_lint_parenthesis(lint, constraint->location);
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[CHECK_CHECKED], .weight = LINT_WORK, .table = table, .part = constraint->conname,
		.why = "all rows are read under ACCESS EXCLUSIVE",
		.safer = constraint->is_no_inherit ? BY_HAND :
		psprintf("%s, %s%s);", dbops_lint_call("add_check_constraint", table),
				 expression == NULL ? "'...'" : dbops_quote_text(expression),
				 constraint->conname == NULL ? "" : psprintf(", %s", dbops_quote_text(constraint->conname)))
	});
}

/* ---- foreign keys ---- */

static void
judge_foreign_key(Lint *lint, LintTable *table, const Constraint *constraint, List *columns, const List *added, bool rows_are_null)
{
	LintTable  *referenced = dbops_lint_find(lint, constraint->pktable);

	if (!constraint->skip_validation && !rows_are_null)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[FOREIGN_KEY_CHECKED], .weight = LINT_WORK, .table = table, .part = constraint->conname,
			.why = "nobody writes to either table while all rows are looked up in the other",
			.safer = add_foreign_key_call(table, referenced, constraint, columns)
		});
	judge_references(lint, constraint);
	if (!is_indexed(table, columns))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[FOREIGN_KEY_UNINDEXED], .weight = LINT_WORK, .table = table, .part = constraint->conname,
			.why = "no index begins with its columns: whoever deletes a row that is referred to, or changes its key, reads the whole table",
			.safer = add_foreign_key_call(table, referenced, constraint, columns)
		});
	if (referenced != NULL)
		judge_types(lint, table, added, referenced, constraint, columns);
}

static void
judge_references(Lint *lint, const Constraint *constraint)
{
	LintTable  *referenced;

	if (constraint->contype != CONSTR_FOREIGN || (referenced = dbops_lint_find(lint, constraint->pktable)) == NULL)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[FOREIGN_KEY_LOCKS], .weight = LINT_LOCK, .table = referenced,
		.why = "it is referred to from now on, and nobody writes to it from the lock for that to the end of the transaction",
		.safer = "Create the table without the foreign key, and add that by CALL dbops.add_foreign_key(), which does not have others wait in a queue."
	});
}

static const char *
add_foreign_key_call(const LintTable *table, LintTable *referenced, const Constraint *constraint, const List *columns)
{
	StringInfoData call;

	if (constraint->fk_matchtype == FKCONSTR_MATCH_FULL || constraint->deferrable || constraint->fk_del_set_cols != NIL)
		return BY_HAND;
	initStringInfo(&call);
	appendStringInfo(&call, "%s, %s, %s", dbops_lint_call("add_foreign_key", table), dbops_lint_names(columns),
					 dbops_quote_text(referenced != NULL ? dbops_lint_label(referenced) : constraint->pktable->relname));
	if (constraint->pk_attrs != NIL)
		appendStringInfo(&call, ", referenced_columns => %s", dbops_lint_names(constraint->pk_attrs));
	if (constraint->conname != NULL)
		appendStringInfo(&call, ", constraint_name => %s", dbops_quote_text(constraint->conname));
	appendStringInfo(&call, "%s%s);", action_argument("on_delete", constraint->fk_del_action),
					 action_argument("on_update", constraint->fk_upd_action));
	return call.data;
}

static const char *
action_argument(const char *argument, char action)
{
	switch (action)
	{
		case FKCONSTR_ACTION_RESTRICT:
			return psprintf(", %s => 'restrict'", argument);
		case FKCONSTR_ACTION_CASCADE:
			return psprintf(", %s => 'cascade'", argument);
		case FKCONSTR_ACTION_SETNULL:
			return psprintf(", %s => 'set null'", argument);
		case FKCONSTR_ACTION_SETDEFAULT:
			return psprintf(", %s => 'set default'", argument);
		default:
			return "";
	}
}

/* Does an index of the catalog or of the text begin with the columns, in any order? */
static bool
is_indexed(const LintTable *table, List *columns)
{
	DbopsParam	params[2];
	Datum		found;
	List	   *names = NIL;
	ListCell   *cell;

	if (is_indexed_by_text(table, columns))
		return true;
	if (!OidIsValid(table->relid))
		return false;
	foreach(cell, columns)
		names = lappend(names, strVal(lfirst(cell)));
	params[0] = dbops_param_oid(table->relid);
	params[1] = dbops_param_texts(names);
	return dbops_query_value("SELECT true FROM pg_index i WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL"
							 " AND (SELECT count(DISTINCT a.attname) FROM unnest(i.indkey) WITH ORDINALITY k(attnum, n)"
							 " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
							 " WHERE k.n <= cardinality($2) AND k.n <= i.indnkeyatts AND a.attname::text = ANY ($2)) = cardinality($2)",
							 lengthof(params), params, BOOLOID, &found);
}

static bool
is_indexed_by_text(const LintTable *table, const List *columns)
{
	ListCell   *cell;

	foreach(cell, table->indexes)
		if (begins_with(((LintIndex *) lfirst(cell))->definition, columns))
			return true;
	foreach(cell, table->constraints)
	{
		const Constraint *constraint = ((LintConstraint *) lfirst(cell))->definition;

		if ((constraint->contype == CONSTR_PRIMARY || constraint->contype == CONSTR_UNIQUE) &&
			list_length(constraint->keys) >= list_length(columns) &&
			list_difference(columns, list_truncate(list_copy(constraint->keys), list_length(columns))) == NIL)
			return true;
	}
	return false;
}

static bool
begins_with(const IndexStmt *index, const List *columns)
{
	List	   *first = NIL;
	ListCell   *cell;

	if (index->whereClause != NULL)
		return false;
	foreach(cell, index->indexParams)
	{
		const IndexElem *element = lfirst_node(IndexElem, cell);

		if (foreach_current_index(cell) < list_length(columns) && element->name != NULL)
			first = lappend(first, makeString(element->name));
	}
	return list_difference(columns, first) == NIL;
}

/* table: NULL: it is made by the statement; definitions: of columns that are new (ColumnDef *, among others). */
static void
judge_types(Lint *lint, LintTable *table, const List *definitions, LintTable *referenced,
			const Constraint *constraint, const List *columns)
{
	ListCell   *cell;
	ListCell   *other;

	forboth(cell, columns, other, referenced_columns(referenced, constraint))
	{
		Oid			from;
		Oid			to;

		if (!type_of(table, definitions, strVal(lfirst(cell)), &from) || !type_of(referenced, NIL, strVal(lfirst(other)), &to) ||
			getBaseType(from) == getBaseType(to))
			continue;
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[FOREIGN_KEY_TYPES], .weight = LINT_ALWAYS, .table = table != NULL ? table : referenced,
			.part = table != NULL ? strVal(lfirst(cell)) : NULL,
			.why = psprintf("%s is %s and refers to %s: each lookup converts the value, and one type holds what the other cannot",
							table != NULL ? "it" : psprintf("column %s of the new table", quote_identifier(strVal(lfirst(cell)))),
							format_type_be(from), format_type_be(to)),
			.safer = "Give the column the type of the one that it refers to."
		});
	}
}

/* That are named, or else those of the primary key. */
static List *
referenced_columns(LintTable *referenced, const Constraint *constraint)
{
	ListCell   *cell;
	DbopsParam	param = dbops_param_oid(referenced->relid);
	List	   *columns = NIL;

	if (constraint->pk_attrs != NIL)
		return constraint->pk_attrs;
	foreach(cell, referenced->constraints)
		if (((LintConstraint *) lfirst(cell))->definition->contype == CONSTR_PRIMARY)
			return ((LintConstraint *) lfirst(cell))->definition->keys;
	if (OidIsValid(referenced->relid))
		dbops_query_each("SELECT a.attname::text FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY k (attnum, n)"
						 " JOIN pg_attribute a ON a.attnum = k.attnum WHERE c.conrelid = $1 AND c.contype = 'p' AND a.attrelid = $1 ORDER BY k.n",
						 1, &param, take_name, &columns);
	return columns;
}

static void
take_name(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **names = arg;

	*names = lappend(*names, makeString(dbops_row_text(row, desc, 1)));
}

/* Of a column that is new, or is there. False: it is not known. */
static bool
type_of(const LintTable *table, const List *definitions, const char *name, Oid *type)
{
	LintColumn	column;
	ListCell   *cell;
	int32		typmod;

	foreach(cell, definitions)
	{
		const ColumnDef *definition = lfirst(cell);

		if (IsA(definition, ColumnDef) && strcmp(definition->colname, name) == 0)
			return definition->typeName != NULL && dbops_lint_type(definition->typeName, type, &typmod);
	}
	if (table == NULL || !dbops_lint_column(table, name, &column) || !OidIsValid(column.type))
		return false;
	*type = column.type;
	return true;
}

/* ---- keys ---- */

static void
judge_key(Lint *lint, LintTable *table, const Constraint *constraint, const List *columns)
{
	bool		primary = constraint->contype == CONSTR_PRIMARY;

	if (constraint->indexname == NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[INDEX_BUILT], .weight = LINT_WORK, .table = table, .part = constraint->conname,
			.why = "its index is built under ACCESS EXCLUSIVE",
			.safer = is_plain_key(constraint) ?
			psprintf("%s, %s%s%s);", dbops_lint_call("add_unique", table), dbops_lint_names(columns),
					 constraint->conname == NULL ? "" : psprintf(", constraint_name => %s", dbops_quote_text(constraint->conname)),
					 primary ? ", primary_key => true" : "") :
			"CREATE UNIQUE INDEX CONCURRENTLY with what it has besides its columns, and then ALTER TABLE ... ADD CONSTRAINT ... USING INDEX."
		});
	else if (primary)
		judge_nullable(lint, table, dbops_lint_index_columns(table, constraint->indexname));
}

/* Is there nothing about it that add_unique() has no argument for? */
static bool
is_plain_key(const Constraint *constraint)
{
	return !constraint->nulls_not_distinct && constraint->including == NIL && constraint->options == NIL && constraint->indexspace == NULL &&
		!constraint->deferrable && !is_without_overlaps(constraint);
}

static void
judge_nullable(Lint *lint, LintTable *table, const List *columns)
{
	ListCell   *cell;

	foreach(cell, columns)
	{
		const char *name = strVal(lfirst(cell));
		LintColumn	column;

		if ((dbops_lint_column(table, name, &column) && column.not_null) || dbops_lint_is_proven(lint, table, name))
			continue;
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[KEY_OF_NULLABLE], .weight = LINT_WORK, .table = table, .part = name,
			.why = "it may be NULL: the primary key makes it NOT NULL, for which all rows are read under ACCESS EXCLUSIVE",
			.safer = psprintf("%s, %s);", dbops_lint_call("set_not_null", table), dbops_quote_text(name))
		});
	}
}

/* The lock that the constraint was added under is held as long as the transaction. */
static void
judge_validation(Lint *lint, LintTable *table, const char *name)
{
	if (!is_added_by_text(lint, table, name) && !dbops_texts_have(lint->adding, name) &&
		!(lint->is_running && is_added_by_transaction(table, name)))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[VALIDATED_AT_ONCE], .weight = LINT_WORK, .table = table, .part = name,
		.why = "the transaction that added it holds that lock while all rows are read",
		.safer = "Let it be validated in a transaction of its own, as CALL dbops.add_check_constraint() and dbops.add_foreign_key() do."
	});
}

static bool
is_added_by_text(const Lint *lint, const LintTable *table, const char *name)
{
	ListCell   *cell;

	foreach(cell, table->constraints)
	{
		const LintConstraint *constraint = lfirst(cell);

		if (constraint->name != NULL && strcmp(constraint->name, name) == 0)
			return constraint->transaction == lint->transaction;
	}
	return false;
}

/* By an earlier statement of that which runs, or changed; either has locked the table. */
static bool
is_added_by_transaction(const LintTable *table, const char *name)
{
	Oid			constraint = OidIsValid(table->relid) ? get_relation_constraint_oid(table->relid, name, true) : InvalidOid;
	HeapTuple	row = OidIsValid(constraint) ? SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint)) : NULL;
	bool		is_added;

	if (!HeapTupleIsValid(row))
		return false;
	is_added = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data));
	ReleaseSysCache(row);
	return is_added;
}

/* Within its statement, too, the server adds it first. */
static void
note_adding(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	const Constraint *constraint = (const Constraint *) command->def;

	if (command->subtype == AT_AddConstraint && constraint->skip_validation && constraint->conname != NULL)
		lint->adding = lappend(lint->adding, constraint->conname);
}
