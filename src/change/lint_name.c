/*
 * lint_name.c
 *		Rules of names: which the server cuts, and which it finds where.
 *
 * A name is cut to 63 bytes without an error, so that two that differ behind may
 * become one. A name without a schema is looked up in the schemas of search_path,
 * in which others may have made one before it.
 */
#include "change/lint.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "parser/scansup.h"

enum
{
	CUT,
	CLASH,
	UNQUALIFIED,
	CAPTURABLE,
	CONSTRAINT_UNNAMED
};

static const DbopsRule rules[] = {
	[CUT] = {
		.name = "name.cut", .severity = DBOPS_INFO, .off = true,
		.about = "names of more than 63 bytes, which the server cuts",
		.source = "squawk: identifier-too-long"
	},
	[CLASH] = {
		.name = "name.clash", .severity = DBOPS_CRITICAL,
		.about = "names that differ and that the server cuts to the same",
		.source = "PostgreSQL: identifiers and key words"
	},
	[UNQUALIFIED] = {
		.name = "name.unqualified", .severity = DBOPS_INFO, .off = true,
		.about = "relations without a schema, which search_path decides about",
		.source = "squawk: require-table-schema"
	},
	[CAPTURABLE] = {
		.name = "name.capturable", .severity = DBOPS_WARNING,
		.about = "relations without a schema, where others may create one in a schema that is searched before",
		.source = "PostgreSQL: usage patterns of schemas"
	},
	[CONSTRAINT_UNNAMED] = {
		.name = "constraint.unnamed", .severity = DBOPS_INFO, .off = true,
		.about = "constraints that the server names, perhaps differently in each database",
		.source = "diesel-guard: unnamed constraints"
	}
};

const DbopsRuleSet dbops_lint_name_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

#define SHOWN_BYTES 200			/* of a name in a message */

/* A name that the server cuts. The key is the first two. */
typedef struct LongName
{
	char		cut[NAMEDATALEN];
	uint64		whole;			/* a hash of all of it; 0: the first that is cut to this */
	const char *shown;			/* of that first one only */
} LongName;

static void judge_long(Lint *lint);
static bool may_have_long(const char *source, size_t length);
static const char *name_of(const MigrationToken *token, const char *source);
static void judge_cut(Lint *lint, const char *name);
static LongName *note_long(Lint *lint, const char *name, int kept, uint64 whole, bool *known);
static char *shown(const char *name);
static List *relations_of(Node *statement);
static List *relations_of_drop(const DropStmt *statement);
static void judge_unqualified(Lint *lint, const RangeVar *name);
static void judge_capture(Lint *lint, const RangeVar *name, LintTable *table);
static bool comes_before(const char *schema, const char *other);
static List *writable_schemas(Lint *lint);
static void take_schema(HeapTuple row, TupleDesc desc, void *arg);
static void judge_constraints(Lint *lint, Node *statement);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static bool needs_name(const Constraint *constraint);

/* Judge the names in a statement. */
void
dbops_lint_judge_names(Lint *lint, Node *statement)
{
	ListCell   *cell;

	if (may_have_long(lint->text->sql + lint->statement->start, lint->statement->length))
		judge_long(lint);
	if (dbops_lint_wants(lint, &rules[UNQUALIFIED]) || writable_schemas(lint) != NIL)
		foreach(cell, relations_of(statement))
			judge_unqualified(lint, lfirst_node(RangeVar, cell));
	if (dbops_lint_wants(lint, &rules[CONSTRAINT_UNNAMED]))
		judge_constraints(lint, statement);
}

/* ---- length ---- */

/* Are there so many bytes in a row that may be a name which the server would cut? Within strings quotes may be anything. */
static bool
may_have_long(const char *source, size_t length)
{
	bool		has_strings = memchr(source, '\'', length) != NULL;
	bool		quoted = false;
	size_t		run = 0;

	for (size_t i = 0; i < length; i++)
	{
		if (source[i] == '"' && has_strings)
			return true;
		if (source[i] == '"')
			quoted = !quoted;
		run = (source[i] == '"' || (!quoted && strchr(" \n\t,();", source[i]) != NULL)) ? 0 : run + 1;
		if (run >= NAMEDATALEN)
			return true;
	}
	return false;
}

static void
judge_long(Lint *lint)
{
	char	   *source = dbops_lint_source(lint);
	MigrationScan *scan = dbops_migration_scan_begin("sql", source);
	MigrationToken token;

	while (dbops_migration_scan_next(scan, &token) && !token.ends)
	{
		const char *name = name_of(&token, source);

		if (name != NULL && strlen(name) >= NAMEDATALEN)
			judge_cut(lint, name);
	}
	dbops_migration_scan_end(scan);
}

/* The whole of a name, of which the scanner has kept the first bytes; NULL: it is none, such as B'1', or short enough. */
static const char *
name_of(const MigrationToken *token, const char *source)
{
	size_t		length = token->end - token->start;
	const char *word = source + token->start;
	char	   *name;
	char	   *to;

	if (length < NAMEDATALEN || !(*word == '"' || *word == '_' || isalpha((unsigned char) *word) || IS_HIGHBIT_SET(*word)))
		return NULL;
	if (*word != '"')
		return memchr(word, '\'', length) != NULL ? NULL : downcase_identifier(word, length, false, false);
	to = name = palloc(length);
	for (const char *from = word + 1; from < word + length - 1; from++)
	{
		*to++ = *from;
		from += (*from == '"');
	}
	*to = '\0';
	return name;
}

/* Held against the first of the text that is cut to the same: each costs the same, however many there are. */
static void
judge_cut(Lint *lint, const char *name)
{
	int			kept = dbops_text_clip(name, NAMEDATALEN - 1);
	LongName   *first;
	bool		known;
	bool		told;

	first = note_long(lint, name, kept, 0, &known);
	(void) note_long(lint, name, kept, hash_bytes_extended((const unsigned char *) name, strlen(name), 0) | 1, &told);
	if (told)
		return;
	if (known)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[CLASH], .part = pnstrdup(name, kept),
			.why = psprintf("%s and %s are cut to the same %d bytes: to the server they are one", first->shown, shown(name), kept),
			.safer = "Give them names that differ in their first 63 bytes."
		});
	else
		first->shown = MemoryContextStrdup(lint->memory, shown(name));
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[CUT], .part = pnstrdup(name, kept),
		.why = psprintf("%s has %d bytes and is cut to %d", shown(name), (int) strlen(name), kept),
		.safer = "Give it a name of at most 63 bytes."
	});
}

static LongName *
note_long(Lint *lint, const char *name, int kept, uint64 whole, bool *known)
{
	HASHCTL		control = {
		.keysize = offsetof(LongName, shown),
		.entrysize = sizeof(LongName),
		.hcxt = lint->memory
	};
	LongName	key = {.whole = whole};

	if (lint->long_names == NULL)
		lint->long_names = hash_create("dbops lint names", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	memcpy(key.cut, name, kept);
	return hash_search(lint->long_names, &key, HASH_ENTER, known);
}

/* As much of a name as a message has room for. */
static char *
shown(const char *name)
{
	int			room = dbops_text_clip(name, SHOWN_BYTES);

	return psprintf("%.*s%s", room, name, name[room] == '\0' ? "" : "...");
}

/* ---- schemas ---- */

/* The relations that a statement is about (List of RangeVar *). */
static List *
relations_of(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			return list_make1(((AlterTableStmt *) statement)->relation);
		case T_CreateStmt:
			return list_make1(((CreateStmt *) statement)->relation);
		case T_CreateTableAsStmt:
			return list_make1(((CreateTableAsStmt *) statement)->into->rel);
		case T_IndexStmt:
			return list_make1(((IndexStmt *) statement)->relation);
		case T_ViewStmt:
			return list_make1(((ViewStmt *) statement)->view);
		case T_CreateTrigStmt:
			return list_make1(((CreateTrigStmt *) statement)->relation);
		case T_RenameStmt:
			return ((RenameStmt *) statement)->relation == NULL ? NIL : list_make1(((RenameStmt *) statement)->relation);
		case T_TruncateStmt:
			return ((TruncateStmt *) statement)->relations;
		case T_InsertStmt:
			return list_make1(((InsertStmt *) statement)->relation);
		case T_UpdateStmt:
			return list_make1(((UpdateStmt *) statement)->relation);
		case T_DeleteStmt:
			return list_make1(((DeleteStmt *) statement)->relation);
		case T_DropStmt:
			return relations_of_drop((DropStmt *) statement);
		default:
			return NIL;
	}
}

static List *
relations_of_drop(const DropStmt *statement)
{
	List	   *relations = NIL;
	ListCell   *cell;

	if (statement->removeType == OBJECT_TABLE || statement->removeType == OBJECT_VIEW ||
		statement->removeType == OBJECT_MATVIEW || statement->removeType == OBJECT_INDEX)
		foreach(cell, statement->objects)
			if (list_length(lfirst_node(List, cell)) <= 3)
				relations = lappend(relations, makeRangeVarFromNameList(lfirst_node(List, cell)));
	return relations;
}

static void
judge_unqualified(Lint *lint, const RangeVar *name)
{
	LintTable  *table;

	if (name->schemaname != NULL || name->relpersistence == RELPERSISTENCE_TEMP)
		return;
	table = dbops_lint_find(lint, name);
	if (table != NULL && strcmp(table->schema, "pg_temp") != 0)
		judge_capture(lint, name, table);
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[UNQUALIFIED], .part = dbops_quote_name(name->relname),
		.why = table == NULL ? psprintf("there is none of that name in %s yet: the first schema of it decides where it is made", namespace_search_path) :
		psprintf("by the search_path %s it is %s now", namespace_search_path, dbops_lint_label(table)),
		.safer = table == NULL ? "Give its schema." : psprintf("Name it %s.", dbops_lint_label(table))
	});
}

/* Where is it found, and who could make another before it? */
static void
judge_capture(Lint *lint, const RangeVar *name, LintTable *table)
{
	ListCell   *cell;

	foreach(cell, writable_schemas(lint))
	{
		if (!comes_before(lfirst(cell), table->schema))
			continue;
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[CAPTURABLE], .part = dbops_quote_name(name->relname),
			.why = psprintf("it is %s now; others may create %s, which is found before it", dbops_lint_label(table), dbops_quote_qualified(lfirst(cell), name->relname)),
			.safer = psprintf("Name it %s; and REVOKE CREATE ON SCHEMA %s FROM PUBLIC.", dbops_lint_label(table), dbops_quote_name(lfirst(cell)))
		});
		return;
	}
}

/* Is a schema of the path searched before another? */
static bool
comes_before(const char *schema, const char *other)
{
	ListCell   *cell;

	foreach(cell, dbops_lint_schemas_of_path())
	{
		if (strcmp(lfirst(cell), other) == 0)
			return false;
		if (strcmp(lfirst(cell), schema) == 0)
			return true;
	}
	return false;
}

/* The schemas of the path in which others than their owner may create (List of char *), looked up once for each path. */
static List *
writable_schemas(Lint *lint)
{
	MemoryContext caller;
	DbopsParam	path;

	if (lint->known_path != NULL && strcmp(lint->known_path, namespace_search_path) == 0)
		return lint->writable_schemas;
	caller = MemoryContextSwitchTo(lint->memory);
	lint->known_path = pstrdup(namespace_search_path);
	lint->writable_schemas = NIL;
	MemoryContextSwitchTo(caller);
	path = dbops_param_texts(dbops_lint_schemas_of_path());
	dbops_query_each("SELECT n.nspname::text FROM pg_namespace n WHERE n.nspname::text = ANY ($1) AND n.nspname <> 'pg_temp'"
					 " AND EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.privilege_type = 'CREATE' AND a.grantee NOT IN (n.nspowner, (SELECT oid FROM pg_roles WHERE rolname = current_user)))"
					 " ORDER BY array_position($1, n.nspname::text)", 1, &path, take_schema, lint);
	return lint->writable_schemas;
}

static void
take_schema(HeapTuple row, TupleDesc desc, void *arg)
{
	Lint	   *lint = arg;
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);

	lint->writable_schemas = lappend(lint->writable_schemas, dbops_row_text(row, desc, 1));
	MemoryContextSwitchTo(caller);
}

/* ---- constraints ---- */

static void
judge_constraints(Lint *lint, Node *statement)
{
	ListCell   *cell;

	if (!IsA(statement, CreateStmt))
	{
		dbops_lint_each_command(lint, statement, judge_command);
		return;
	}
	foreach(cell, ((CreateStmt *) statement)->tableElts)
		if (IsA(lfirst(cell), Constraint) && needs_name(lfirst(cell)))
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[CONSTRAINT_UNNAMED], .part = dbops_quote_name(((CreateStmt *) statement)->relation->relname),
				.why = "the server names a constraint of it, and who is to drop it must look that up",
				.safer = "CONSTRAINT ... before it."
			});
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_AddConstraint && needs_name(castNode(Constraint, command->def)))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[CONSTRAINT_UNNAMED], .table = table,
			.why = "the server names the constraint, and who is to drop it must look that up",
			.safer = "ADD CONSTRAINT with a name."
		});
}

static bool
needs_name(const Constraint *constraint)
{
	return constraint->conname == NULL && constraint->indexname == NULL &&
		(constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_UNIQUE ||
		 constraint->contype == CONSTR_FOREIGN || constraint->contype == CONSTR_EXCLUSION);
}
