/*
 * migration_review_plan.c
 *		What the schema review would find anew, and no more, told from the texts.
 *
 * Nothing is run, so only what lint has followed is known: tables that come
 * without a primary key, constraints that stay unvalidated, foreign keys that
 * have no index, or lose it, or say nothing of deletions, and findings whose
 * object goes, or gets what it was found for want of. What else comes and goes,
 * the same comparison at depth execute says, which looks at the catalog.
 */
#include "change/migration_plan.h"

#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"

/* What goes: an object, and all that is of it, or what one rule says of it. */
typedef struct Removal
{
	const char *object;
	const char *rule;			/* NULL: all */
} Removal;

/* Foreign keys of a table on their way through the catalog. */
typedef struct Keys
{
	const LintTable *table;
	List	  **removals;
} Keys;

/* Foreign keys that lose their index, on their way through the callback. */
typedef struct Losing
{
	Lint	   *lint;
	List	  **added;
} Losing;

#define NO_INDEX "each DELETE and UPDATE of a key in the table that it refers to reads this one from end to end"

/* Foreign keys with the names of their columns. */
#define KEYS \
	"SELECT c.conname::text, c.names, c.conrelid FROM (SELECT c.*, array(SELECT a.attname::text FROM unnest(c.conkey) k" \
	" JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k) AS names FROM pg_constraint c) c WHERE c.contype = 'f'"

/* Valid indexes of all rows of a table that begin with these columns, in whatever order. */
#define COVERING(table, names) \
	"SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = " table " AND i.indisvalid AND i.indpred IS NULL" \
	" AND array(SELECT a.attname::text FROM unnest((i.indkey::int2[])[0:cardinality(" names ") - 1]) k" \
	" JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k) @> " names

static List *added_by(Lint *lint);
static List *dropped_indexes(Lint *lint);
static void take_number(HeapTuple row, TupleDesc desc, void *arg);
static void add_of_table(Lint *lint, const LintTable *table, const List *dropped, List **added);
static void add_of_key(Lint *lint, const LintTable *table, const LintConstraint *constraint, const List *dropped, List **added);
static const char *key_name(const LintTable *table, const LintConstraint *constraint, const List *columns);
static void add_unindexed(Lint *lint, const List *dropped, List **added);
static void take_losing(HeapTuple row, TupleDesc desc, void *arg);
static bool is_covered(const LintTable *table, List *columns, const List *dropped);
static char *add_index(const LintTable *table, const List *columns);
static bool has_primary_key(const LintTable *table);
static void add(Lint *lint, List **added, const char *rule_name, const char *object, const char *message, const char *remedy);
static int	by_key(const ListCell *a, const ListCell *b);
static void put_removed(ReturnSetInfo *rsinfo, Lint *lint, List **notices);
static List *removals_of(Lint *lint);
static void remove_of_table(Lint *lint, const LintTable *table, List **removals);
static bool is_elsewhere(Lint *lint, const LintTable *table);
static void remove_parts(const LintTable *table, const List *names, const char *rule, List **removals);
static void remove_object(List **removals, const char *object, const char *rule);
static void look_at_keys(HeapTuple row, TupleDesc desc, void *arg);
static bool has_index(const LintTable *table, const List *columns);
static bool begins_with(const List *index, const List *columns);
static List *element_names(const IndexStmt *statement);
static bool is_removed(const List *removals, const DbopsFinding *finding);

/* Put what the texts add and remove; returns what they add (List of DbopsFinding *). */
List *
dbops_migration_review_foresee(ReturnSetInfo *rsinfo, Lint *lint, List **notices)
{
	List	   *added = added_by(lint);
	ListCell   *cell;

	foreach(cell, added)
		dbops_migration_review_put(rsinfo, lfirst(cell), "finding added");
	put_removed(rsinfo, lint, notices);
	return added;
}

/* ---- what comes ---- */

static List *
added_by(Lint *lint)
{
	List	   *added = NIL;
	List	   *dropped = dropped_indexes(lint);
	HASH_SEQ_STATUS all;
	const LintTable *table;

	hash_seq_init(&all, lint->world);
	while ((table = hash_seq_search(&all)) != NULL)
		if (!table->gone && strcmp(table->schema, "pg_temp") != 0)
			add_of_table(lint, table, dropped, &added);
	add_unindexed(lint, dropped, &added);
	list_sort(added, by_key);
	return added;
}

/* The numbers of indexes that the text drops, by themselves or with their constraint. */
static List *
dropped_indexes(Lint *lint)
{
	List	   *dropped = NIL;
	HASH_SEQ_STATUS all;
	const LintTable *table;

	hash_seq_init(&all, lint->world);
	while ((table = hash_seq_search(&all)) != NULL)
	{
		DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_texts(table->dropped)};

		if (table->gone && OidIsValid(table->relid))
			dropped = lappend_oid(dropped, table->relid);
		if (!table->gone && OidIsValid(table->relid) && table->dropped != NIL)
			(void) dbops_query_each("SELECT conindid FROM pg_constraint WHERE conrelid = $1 AND conname = ANY ($2) AND contype IN ('p', 'u', 'x')",
									lengthof(params), params, take_number, &dropped);
	}
	return dropped;
}

static void
take_number(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **numbers = arg;

	*numbers = lappend_oid(*numbers, dbops_row_oid(row, desc, 1));
}

static void
add_of_table(Lint *lint, const LintTable *table, const List *dropped, List **added)
{
	const char *label = dbops_lint_label(table);
	ListCell   *cell;

	if (table->is_new && !table->has_parent && (table->kind == RELKIND_RELATION || table->kind == RELKIND_PARTITIONED_TABLE) &&
		!has_primary_key(table))
		add(lint, added, "tables.no_primary_key", label, "no key tells its rows apart", "Give it a primary key.");
	foreach(cell, table->constraints)
	{
		const LintConstraint *constraint = lfirst(cell);
		const char *name = (constraint->name == NULL) ? NULL : dbops_quote_name(constraint->name);

		if (!constraint->valid && name != NULL)
			add(lint, added, "constraints.not_valid", psprintf("%s.%s", label, name), "rows that were there before need not fulfil it",
				psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s;", label, name));
		if (constraint->definition->contype == CONSTR_FOREIGN)
			add_of_key(lint, table, constraint, dropped, added);
	}
}

/* What there is to be said of a foreign key that the text has added. */
static void
add_of_key(Lint *lint, const LintTable *table, const LintConstraint *constraint, const List *dropped, List **added)
{
	const Constraint *key = constraint->definition;
	List	   *columns = NIL;
	const char *object;
	ListCell   *cell;

	foreach(cell, key->fk_attrs)
		columns = lappend(columns, strVal(lfirst(cell)));
	object = psprintf("%s.%s", dbops_lint_label(table), dbops_quote_name(key_name(table, constraint, columns)));
	if (!has_index(table, columns) && !(OidIsValid(table->relid) && is_covered(table, columns, dropped)))
		add(lint, added, "foreign_keys.unindexed", object, NO_INDEX, add_index(table, columns));
	if (key->fk_del_action == FKCONSTR_ACTION_NOACTION)
		add(lint, added, "foreign_keys.action_unstated", object, "ON DELETE is left at NO ACTION",
			"Say whether rows go with the row that they refer to, stay without it, or keep it.");
}

/* As the server will choose it, where the text gives none. */
static const char *
key_name(const LintTable *table, const LintConstraint *constraint, const List *columns)
{
	StringInfoData joined;
	ListCell   *cell;

	if (constraint->name != NULL)
		return constraint->name;
	initStringInfo(&joined);
	foreach(cell, columns)
		appendStringInfo(&joined, "%s%s", joined.len > 0 ? "_" : "", (char *) lfirst(cell));
	return makeObjectName(table->name, joined.data, "fkey");
}

/* Foreign keys that were there, and lose the last index that serves them. */
static void
add_unindexed(Lint *lint, const List *dropped, List **added)
{
	Losing		losing = {.lint = lint,.added = added};
	DbopsParam	gone = dbops_param_oids(dropped);

	if (dropped != NIL)
		(void) dbops_query_each(KEYS " AND c.conrelid IN (SELECT indrelid FROM pg_index WHERE indexrelid = ANY ($1))"
								" AND EXISTS (" COVERING("c.conrelid", "c.names") ")"
								" AND NOT EXISTS (" COVERING("c.conrelid", "c.names") " AND i.indexrelid <> ALL ($1))",
								1, &gone, take_losing, &losing);
}

static void
take_losing(HeapTuple row, TupleDesc desc, void *arg)
{
	const Losing *losing = arg;
	const char *name = dbops_row_text(row, desc, 1);
	List	   *columns = dbops_row_texts(row, desc, 2);
	Oid			relid = dbops_row_oid(row, desc, 3);
	const LintTable *table = dbops_lint_find(losing->lint, makeRangeVar(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid), -1));

	if (table != NULL && !table->gone && table->relid == relid && !has_index(table, columns) && !dbops_texts_have(table->dropped, name))
		add(losing->lint, losing->added, "foreign_keys.unindexed",
			psprintf("%s.%s", dbops_lint_label(table), dbops_quote_name(name)), NO_INDEX, add_index(table, columns));
}

/* Has the table an index that the text leaves, and that begins with these columns? */
static bool
is_covered(const LintTable *table, List *columns, const List *dropped)
{
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_texts(columns), dbops_param_oids(dropped)};

	return dbops_query_each(COVERING("$1", "$2") " AND i.indexrelid <> ALL ($3) LIMIT 1", lengthof(params), params, NULL, NULL) > 0;
}

static char *
add_index(const LintTable *table, const List *columns)
{
	StringInfoData list;
	ListCell   *cell;

	initStringInfo(&list);
	foreach(cell, columns)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", dbops_quote_name(lfirst(cell)));
	return psprintf("CREATE INDEX CONCURRENTLY ON %s (%s);", dbops_lint_label(table), list.data);
}

static bool
has_primary_key(const LintTable *table)
{
	ListCell   *cell;

	foreach(cell, table->constraints)
		if (((LintConstraint *) lfirst(cell))->definition->contype == CONSTR_PRIMARY)
			return true;
	return false;
}

/* Unless nobody wants to hear it. */
static void
add(Lint *lint, List **added, const char *rule_name, const char *object, const char *message, const char *remedy)
{
	DbopsCheckScope here = {.database = MyDatabaseId, .connected = true};
	const DbopsRule *rule = dbops_rule_find(rule_name);
	DbopsFinding *finding = palloc0(sizeof(DbopsFinding));

	if (rule == NULL || !dbops_lint_wants(lint, rule))
		return;
	finding->check_name = rule->name;
	finding->severity = rule->severity;
	finding->object = object;
	finding->message = message;
	finding->remedy = remedy;
	finding->key = dbops_finding_key(rule->name, object);
	if (dbops_override_muted_until(dbops_override_read(&here), rule->name, finding->key) == 0)
		*added = lappend(*added, finding);
}

static int
by_key(const ListCell *a, const ListCell *b)
{
	return strcmp(((DbopsFinding *) lfirst(a))->key, ((DbopsFinding *) lfirst(b))->key);
}

/* ---- what goes ---- */

/* The schema is reviewed only where something may go. */
static void
put_removed(ReturnSetInfo *rsinfo, Lint *lint, List **notices)
{
	List	   *removals = removals_of(lint);
	MigrationReview *now;
	ListCell   *cell;

	if (removals == NIL)
		return;
	now = dbops_migration_review_take();
	if (now->error != NULL)
		*notices = lappend(*notices, psprintf("which findings of the schema review it removes is not known: %s", now->error));
	foreach(cell, now->findings)
		if (is_removed(removals, lfirst(cell)))
			dbops_migration_review_put(rsinfo, lfirst(cell), "finding removed");
}

static List *
removals_of(Lint *lint)
{
	List	   *removals = NIL;
	HASH_SEQ_STATUS all;
	const LintTable *table;
	List	   *tables = NIL;
	ListCell   *cell;

	hash_seq_init(&all, lint->world);
	while ((table = hash_seq_search(&all)) != NULL)
		if (OidIsValid(table->relid))
			tables = lappend(tables, unconstify(LintTable *, table));
	foreach(cell, tables)
		remove_of_table(lint, lfirst(cell), &removals);
	return removals;
}

static void
remove_of_table(Lint *lint, const LintTable *table, List **removals)
{
	const char *label = dbops_lint_label(table);
	ListCell   *cell;

	if (table->gone)
	{
		if (!is_elsewhere(lint, table))
			remove_object(removals, label, NULL);
		return;
	}
	foreach(cell, table->columns)
		if (((LintColumn *) lfirst(cell))->gone)
			remove_object(removals, psprintf("%s.%s", label, dbops_quote_name(((LintColumn *) lfirst(cell))->name)), NULL);
	remove_parts(table, table->dropped, NULL, removals);
	remove_parts(table, table->validated, "constraints.not_valid", removals);
	if (has_primary_key(table))
		remove_object(removals, label, "tables.no_primary_key");
	if (table->indexes != NIL || table->constraints != NIL)
	{
		Keys		keys = {.table = table,.removals = removals};
		DbopsParam	relation = dbops_param_oid(table->relid);

		(void) dbops_query_each(KEYS " AND c.conrelid = $1", 1, &relation, look_at_keys, &keys);
	}
}

/* Has it another name by now? */
static bool
is_elsewhere(Lint *lint, const LintTable *table)
{
	HASH_SEQ_STATUS all;
	const LintTable *other;

	hash_seq_init(&all, lint->world);
	while ((other = hash_seq_search(&all)) != NULL)
		if (other->relid == table->relid && !other->gone)
		{
			hash_seq_term(&all);
			return true;
		}
	return false;
}

static void
remove_parts(const LintTable *table, const List *names, const char *rule, List **removals)
{
	ListCell   *cell;

	foreach(cell, names)
		remove_object(removals, psprintf("%s.%s", dbops_lint_label(table), dbops_quote_name(lfirst(cell))), rule);
}

static void
remove_object(List **removals, const char *object, const char *rule)
{
	Removal    *removal = palloc(sizeof(Removal));

	removal->object = object;
	removal->rule = rule;
	*removals = lappend(*removals, removal);
}

/* A foreign key that has an index of the text needs none. */
static void
look_at_keys(HeapTuple row, TupleDesc desc, void *arg)
{
	const Keys *keys = arg;

	if (has_index(keys->table, dbops_row_texts(row, desc, 2)))
		remove_object(keys->removals, psprintf("%s.%s", dbops_lint_label(keys->table), dbops_quote_name(dbops_row_text(row, desc, 1))),
					  "foreign_keys.unindexed");
}

static bool
has_index(const LintTable *table, const List *columns)
{
	ListCell   *cell;

	foreach(cell, table->indexes)
	{
		const IndexStmt *index = ((LintIndex *) lfirst(cell))->definition;

		if (index->whereClause == NULL && begins_with(element_names(index), columns))
			return true;
	}
	foreach(cell, table->constraints)
	{
		const Constraint *key = ((LintConstraint *) lfirst(cell))->definition;
		List	   *names = NIL;
		ListCell   *inner;

		if (key->contype != CONSTR_PRIMARY && key->contype != CONSTR_UNIQUE)
			continue;
		foreach(inner, key->keys)
			names = lappend(names, strVal(lfirst(inner)));
		if (begins_with(names, columns))
			return true;
	}
	return false;
}

/* Are the first columns of an index these, in whatever order? */
static bool
begins_with(const List *index, const List *columns)
{
	if (columns == NIL || list_length(index) < list_length(columns))
		return false;
	for (int i = 0; i < list_length(columns); i++)
		if (!dbops_texts_have(columns, list_nth(index, i)))
			return false;
	return true;
}

/* An expression is no column. */
static List *
element_names(const IndexStmt *statement)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, statement->indexParams)
		names = lappend(names, lfirst_node(IndexElem, cell)->name != NULL ? lfirst_node(IndexElem, cell)->name : "");
	return names;
}

static bool
is_removed(const List *removals, const DbopsFinding *finding)
{
	ListCell   *cell;

	if (finding->object == NULL)
		return false;
	foreach(cell, removals)
	{
		const Removal *removal = lfirst(cell);
		size_t		length = strlen(removal->object);

		if (removal->rule != NULL ? strcmp(removal->rule, finding->check_name) == 0 && strcmp(removal->object, finding->object) == 0 :
			strncmp(removal->object, finding->object, length) == 0 && (finding->object[length] == '\0' || finding->object[length] == '.'))
			return true;
	}
	return false;
}
