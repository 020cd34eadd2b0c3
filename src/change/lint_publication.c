/*
 * lint_publication.c
 *		Rules of keys: what tells a replica of rows which one is meant.
 *
 * A table without a key that is published cannot be updated any more; one whose
 * whole rows are the key has each change looked for through the whole table. What
 * a text makes may get its key later in it, so that is judged at its end.
 */
#include "change/lint.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

enum
{
	IDENTITY_FULL,
	PUBLISHED_WITHOUT_KEY,
	WITHOUT_KEY
};

static const DbopsRule rules[] = {
	[IDENTITY_FULL] = {
		.name = "table.replica_identity_full", .severity = DBOPS_WARNING,
		.about = "REPLICA IDENTITY FULL: the whole old row is logged, and subscribers may read the whole table for each change",
		.source = "PostgreSQL: logical replication, publication"
	},
	[PUBLISHED_WITHOUT_KEY] = {
		.name = "table.published_without_key", .severity = DBOPS_CRITICAL,
		.about = "tables without a key that are published: UPDATE and DELETE fail from then on",
		.source = "PostgreSQL: logical replication, publication"
	},
	[WITHOUT_KEY] = {
		.name = "table.without_key", .severity = DBOPS_INFO, .off = true,
		.about = "new tables without a primary key",
		.source = "pgroll, online_migrations: create table without a primary key"
	}
};

const DbopsRuleSet dbops_lint_publication_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* What publishes tables that are yet to be made. */
typedef struct LintPublished
{
	const char *publication;
	const char *schema;			/* "*" is all */
} LintPublished;

/* Tables c without what tells their rows apart. */
#define WITHOUT_KEY_SQL \
	" FROM pg_class c WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384 AND (c.relreplident = 'n'" \
	" OR (c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))" \
	" OR (c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)))"

static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static bool takes_key(const LintTable *table, const AlterTableCmd *command);
static void judge_dropped_indexes(Lint *lint, const DropStmt *statement);
static char *key_of(const LintTable *table, char identity);
static void judge_publication(Lint *lint, const char *name, const List *options, const List *objects, bool for_all);
static bool leaves_changes_out(const List *options);
static void judge_published(Lint *lint, const char *publication, const PublicationObjSpec *object);
static const char *schema_of(const PublicationObjSpec *object);
static void judge_many(Lint *lint, const char *publication, const char *schema);
static void note_published(Lint *lint, const char *publication, const char *schema);
static void forget_published(Lint *lint, const DropStmt *statement);
static bool is_published(const Lint *lint, const LintTable *table);
static void read_publications(Lint *lint);
static void take_published(HeapTuple row, TupleDesc desc, void *arg);
static void judge_made(Lint *lint, LintTable *table);
static void judge_left(Lint *lint, LintTable *table);
static bool is_published_itself(const LintTable *table);
static bool has_key(const LintTable *table);
static bool has_primary_key(const LintTable *table);
static bool has_key_of_catalog(const LintTable *table);

/* Judge what a statement publishes, or makes the key of what is. */
void
dbops_lint_judge_publications(Lint *lint, Node *statement)
{
	const CreatePublicationStmt *create = (const CreatePublicationStmt *) statement;
	const AlterPublicationStmt *alter = (const AlterPublicationStmt *) statement;

	switch (nodeTag(statement))
	{
		case T_CreatePublicationStmt:
			judge_publication(lint, create->pubname, create->options, create->pubobjects, create->for_all_tables);
			break;
		case T_AlterPublicationStmt:
			if (alter->action != AP_DropObjects)
				judge_publication(lint, alter->pubname, alter->options, alter->pubobjects, false);
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_PUBLICATION)
				forget_published(lint, (DropStmt *) statement);
			else if (((DropStmt *) statement)->removeType == OBJECT_INDEX)
				judge_dropped_indexes(lint, (DropStmt *) statement);
			break;
		default:
			dbops_lint_each_command(lint, statement, judge_command);
	}
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_ReplicaIdentity && castNode(ReplicaIdentityStmt, command->def)->identity_type == REPLICA_IDENTITY_FULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[IDENTITY_FULL], .table = table,
			.why = "UPDATE and DELETE log the whole old row, and a subscriber without a fitting index reads its whole table for each",
			.safer = "Give the table a primary key, or REPLICA IDENTITY USING INDEX with a unique index of columns that are not null."
		});
	if (takes_key(table, command))
		table->key_taken = lint->statement;
}

/* ---- keys that go ---- */

/* Does a command take what tells its rows apart? Whether the text gives it another key its end shows. */
static bool
takes_key(const LintTable *table, const AlterTableCmd *command)
{
	const char *key;
	char		identity;

	switch (command->subtype)
	{
		case AT_DropConstraint:
			return (key = key_of(table, table->identity)) != NULL && strcmp(key, command->name) == 0;
		case AT_DropColumn:
			return (key = key_of(table, table->identity)) != NULL &&
				list_member(dbops_lint_index_columns(table, key), makeString(command->name));
		case AT_ReplicaIdentity:
			identity = castNode(ReplicaIdentityStmt, command->def)->identity_type;
			return identity == REPLICA_IDENTITY_NOTHING || (identity == REPLICA_IDENTITY_DEFAULT && key_of(table, identity) == NULL);
		default:
			return false;
	}
}

static void
judge_dropped_indexes(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		LintTable  *index = dbops_lint_find_list(lint, lfirst_node(List, cell));
		LintTable  *table = index != NULL && OidIsValid(index->relid) ? dbops_lint_find_oid(lint, IndexGetRelation(index->relid, true)) : NULL;
		const char *key = table == NULL ? NULL : key_of(table, table->identity);

		if (key != NULL && strcmp(key, index->name) == 0)
			table->key_taken = lint->statement;
	}
}

/* The index of the catalog that a replica identity means, whose name is that of its constraint; 0: as it is. NULL: there is none. */
static char *
key_of(const LintTable *table, char identity)
{
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_text(identity == 0 ? NULL : psprintf("%c", identity))};
	char	   *key;

	if (!OidIsValid(table->relid) || (table->kind != RELKIND_RELATION && table->kind != RELKIND_PARTITIONED_TABLE))
		return NULL;
	key = dbops_query_text("SELECT k.relname::text FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class k ON k.oid = i.indexrelid"
						   " AND CASE coalesce($2, c.relreplident::text) WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END"
						   " WHERE c.oid = $1 AND c.relpersistence = 'p'", lengthof(params), params);
	return key != NULL && dbops_texts_have(table->dropped, key) ? NULL : key;
}

/* ---- what is published ---- */

static void
judge_publication(Lint *lint, const char *name, const List *options, const List *objects, bool for_all)
{
	ListCell   *cell;

	if (leaves_changes_out(options))
		return;
	read_publications(lint);
	dbops_lint_keep_list(lint, &lint->published);
	if (for_all)
	{
		judge_many(lint, name, NULL);
		note_published(lint, name, "*");
	}
	foreach(cell, objects)
		judge_published(lint, name, lfirst_node(PublicationObjSpec, cell));
}

/* publish = 'insert' needs no key. */
static bool
leaves_changes_out(const List *options)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		const DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "publish") == 0 && option->arg != NULL)
			return strstr(strVal(option->arg), "update") == NULL && strstr(strVal(option->arg), "delete") == NULL;
	}
	return false;
}

static void
judge_published(Lint *lint, const char *publication, const PublicationObjSpec *object)
{
	const char *schema = schema_of(object);
	LintTable  *table;

	if (schema != NULL)
	{
		judge_many(lint, publication, schema);
		note_published(lint, publication, schema);
	}
	if (object->pubtable == NULL)
		return;
	table = dbops_lint_find(lint, object->pubtable->relation);
	if (table != NULL && table->kind == RELKIND_RELATION && !has_key(table))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[PUBLISHED_WITHOUT_KEY], .table = table,
			.why = "it has no key: UPDATE and DELETE of it fail from the commit on",
			.safer = "Give it a primary key first, by dbops.add_unique(..., primary_key => true)."
		});
}

/* Whose tables are published; NULL: it is one table. */
static const char *
schema_of(const PublicationObjSpec *object)
{
	List	   *path;

	switch (object->pubobjtype)
	{
		case PUBLICATIONOBJ_TABLES_IN_SCHEMA:
			return object->name;
		case PUBLICATIONOBJ_TABLES_IN_CUR_SCHEMA:
			path = fetch_search_path(false);
			return (path == NIL) ? NULL : get_namespace_name(linitial_oid(path));
		default:
			return NULL;
	}
}

/* Those of a schema, or of all. */
static void
judge_many(Lint *lint, const char *publication, const char *schema)
{
	DbopsParam	param = dbops_param_text(schema);
	char	   *tables = dbops_query_text("SELECT format('%s%s', min(t.oid::regclass::text), nullif(format(' and %s more', count(*) - 1), ' and 0 more'))"
										  " FROM (SELECT c.oid" WITHOUT_KEY_SQL " AND ($1 IS NULL OR c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = $1))"
										  " AND c.relnamespace <> 'dbops'::regnamespace) t HAVING count(*) > 0", 1, &param);

	if (tables != NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[PUBLISHED_WITHOUT_KEY], .part = publication,
			.why = psprintf("%s has no key: UPDATE and DELETE of it fail from the commit on", tables),
			.safer = "SELECT * FROM dbops.review_schema(ARRAY['tables.no_primary_key']); -- lists such tables"
		});
}

static void
note_published(Lint *lint, const char *publication, const char *schema)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	LintPublished *published = palloc(sizeof(LintPublished));

	*published = (LintPublished) {.publication = pstrdup(publication),.schema = pstrdup(schema)};
	lint->published = lappend(lint->published, published);
	MemoryContextSwitchTo(caller);
}

static void
forget_published(Lint *lint, const DropStmt *statement)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	ListCell   *cell;
	ListCell   *inner;

	read_publications(lint);
	dbops_lint_keep_list(lint, &lint->published);
	lint->published = list_copy(lint->published);
	MemoryContextSwitchTo(caller);
	foreach(cell, statement->objects)
		foreach(inner, lint->published)
			if (strcmp(((LintPublished *) lfirst(inner))->publication, strVal(lfirst(cell))) == 0)
				lint->published = foreach_delete_current(lint->published, inner);
}

/* ---- at the end of the text ---- */

/* Judge the tables that the text makes or takes the key from, and leaves. */
void
dbops_lint_judge_keys_at_end(Lint *lint)
{
	dbops_lint_each_table(lint, judge_made);
	dbops_lint_each_table(lint, judge_left);
	lint->statement = NULL;
}

static void
judge_made(Lint *lint, LintTable *table)
{
	if (table->made == NULL || table->gone || table->has_parent || strcmp(table->schema, "pg_temp") == 0 ||
		(table->kind != RELKIND_RELATION && table->kind != RELKIND_PARTITIONED_TABLE) || has_primary_key(table))
		return;
	read_publications(lint);
	lint->statement = table->made;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[WITHOUT_KEY], .table = table,
		.why = "nothing tells its rows apart: neither replication nor a tool that works by key can",
		.safer = "Give it a column that GENERATED ALWAYS AS IDENTITY PRIMARY KEY numbers."
	});
	if (is_published(lint, table) && !has_key(table))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[PUBLISHED_WITHOUT_KEY], .table = table,
			.why = "new tables of its schema are published, and it has no key: UPDATE and DELETE of it fail",
			.safer = "Give it a primary key."
		});
}

/* One that loses its key is as bad as one that never had it, unless the text gives it another. */
static void
judge_left(Lint *lint, LintTable *table)
{
	if (table->key_taken == NULL || table->gone || table->identity == REPLICA_IDENTITY_FULL || table->identity == REPLICA_IDENTITY_INDEX ||
		(table->identity != REPLICA_IDENTITY_NOTHING && has_primary_key(table)))
		return;
	read_publications(lint);
	if (!is_published(lint, table) && !is_published_itself(table))
		return;
	lint->statement = table->key_taken;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[PUBLISHED_WITHOUT_KEY], .table = table,
		.why = "it is published, and what tells its rows apart goes: UPDATE and DELETE of it fail from then on",
		.safer = "Give it another key first: a unique index of columns that are NOT NULL, and REPLICA IDENTITY USING INDEX with that; or take it out of its publications."
	});
}

/* By its name, or that of a table that it is a part of. */
static bool
is_published_itself(const LintTable *table)
{
	DbopsParam	relid = dbops_param_oid(table->relid);
	Datum		published;

	return OidIsValid(table->relid) &&
		dbops_query_value("SELECT true FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid AND (p.pubupdate OR p.pubdelete)"
						  " WHERE r.prrelid = $1 OR r.prrelid IN (SELECT pg_partition_ancestors($1)) LIMIT 1", 1, &relid, BOOLOID, &published);
}

/* As all of its schema are, or all there are. */
static bool
is_published(const Lint *lint, const LintTable *table)
{
	ListCell   *cell;

	foreach(cell, lint->published)
	{
		const LintPublished *published = lfirst(cell);

		if (strcmp(published->schema, "*") == 0 || strcmp(published->schema, table->schema) == 0)
			return true;
	}
	return false;
}

/* Look once which schemas' new tables are published, with what needs a key. */
static void
read_publications(Lint *lint)
{
	if (lint->has_publications)
		return;
	lint->has_publications = true;
	dbops_query_each("SELECT pubname::text, '*' FROM pg_publication WHERE puballtables AND (pubupdate OR pubdelete)"
					 " UNION ALL SELECT p.pubname::text, n.nspname::text FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid AND (p.pubupdate OR p.pubdelete)"
					 " JOIN pg_namespace n ON n.oid = s.pnnspid", 0, NULL, take_published, lint);
}

static void
take_published(HeapTuple row, TupleDesc desc, void *arg)
{
	note_published(arg, dbops_row_text(row, desc, 1), dbops_row_text(row, desc, 2));
}

/* ---- keys ---- */

/* For a replica: as the text leaves it, or else as it is. */
static bool
has_key(const LintTable *table)
{
	if (table->identity == REPLICA_IDENTITY_FULL || table->identity == REPLICA_IDENTITY_INDEX)
		return true;
	return table->identity != REPLICA_IDENTITY_NOTHING && (has_primary_key(table) || has_key_of_catalog(table));
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

static bool
has_key_of_catalog(const LintTable *table)
{
	DbopsParam	relid = dbops_param_oid(table->relid);
	Datum		without;

	return OidIsValid(table->relid) &&
		!dbops_query_value("SELECT true" WITHOUT_KEY_SQL " AND c.oid = $1", 1, &relid, BOOLOID, &without);
}
