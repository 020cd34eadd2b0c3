/*
 * lint_extension.c
 *		Rules of extensions: whether a server has them, and who may create them.
 *
 * It is this server that is asked, and the role that asks.
 */
#include "change/lint.h"

#include "catalog/pg_database.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"

enum
{
	UNAVAILABLE,
	NOT_PERMITTED,
	UPDATED,
	NO_PATH,
	DROPPED
};

static const DbopsRule rules[] = {
	[UNAVAILABLE] = {
		.name = "extension.unavailable", .severity = DBOPS_CRITICAL,
		.about = "extensions, or versions of them, whose files this server does not have, or that need others",
		.source = "PostgreSQL: pg_available_extension_versions"
	},
	[NOT_PERMITTED] = {
		.name = "extension.not_permitted", .severity = DBOPS_CRITICAL,
		.about = "extensions that the current role may not create",
		.source = "PostgreSQL: CREATE EXTENSION; diesel-guard: creating an extension"
	},
	[UPDATED] = {
		.name = "extension.updated", .severity = DBOPS_WARNING,
		.about = "extensions that are updated, by a script that is not judged here",
		.source = "pg-schema-diff: UPGRADING_EXTENSION_VERSION"
	},
	[NO_PATH] = {
		.name = "extension.no_path", .severity = DBOPS_CRITICAL,
		.about = "extensions that this server cannot bring to the version that is asked for",
		.source = "PostgreSQL: pg_extension_update_paths"
	},
	[DROPPED] = {
		.name = "extension.dropped", .severity = DBOPS_CRITICAL,
		.about = "DROP EXTENSION ... CASCADE: columns of its types and indexes of its operators go with it",
		.source = "PostgreSQL: DROP EXTENSION"
	}
};

const DbopsRuleSet dbops_lint_extension_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* A version whose files the server has, as the text has them read once. */
typedef struct LintAvailable
{
	const char *name;
	const char *version;
	bool		is_default;
	bool		superuser;		/* only one creates it, or who may if it is trusted */
	bool		trusted;
	List	   *needs;			/* extensions, of char * */
} LintAvailable;

static void judge_create(Lint *lint, const CreateExtensionStmt *statement);
static bool is_there(const Lint *lint, const char *extension);
static const LintAvailable *find_available(Lint *lint, const char *extension, const char *version);
static void take_available(HeapTuple row, TupleDesc desc, void *arg);
static void judge_available(Lint *lint, const CreateExtensionStmt *statement, const char *version, bool cascade);
static const char *missing_need(const Lint *lint, const LintAvailable *available);
static void judge_right(Lint *lint, const char *extension, const char *version);
static bool may_create(void);
static void judge_update(Lint *lint, const AlterExtensionStmt *statement);
static void judge_drop(Lint *lint, const DropStmt *statement);
static const char *option(const List *options, const char *name);

/* Judge what a statement does with extensions. */
void
dbops_lint_judge_extensions(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateExtensionStmt:
			judge_create(lint, (CreateExtensionStmt *) statement);
			break;
		case T_AlterExtensionStmt:
			judge_update(lint, (AlterExtensionStmt *) statement);
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_EXTENSION && ((DropStmt *) statement)->behavior == DROP_CASCADE)
				judge_drop(lint, (DropStmt *) statement);
			break;
		default:
			break;
	}
}

static void
judge_create(Lint *lint, const CreateExtensionStmt *statement)
{
	const char *version = option(statement->options, "new_version");
	MemoryContext caller;

	if (statement->if_not_exists && is_there(lint, statement->extname))
		return;
	judge_available(lint, statement, version, option(statement->options, "cascade") != NULL);
	if (!superuser())
		judge_right(lint, statement->extname, version);
	caller = MemoryContextSwitchTo(lint->memory);
	dbops_lint_keep_list(lint, &lint->extensions);
	lint->extensions = lappend(lint->extensions, pstrdup(statement->extname));
	MemoryContextSwitchTo(caller);
}

/* In the database, or made by the text. */
static bool
is_there(const Lint *lint, const char *extension)
{
	return dbops_texts_have(lint->extensions, extension) || OidIsValid(get_extension_oid(extension, true));
}

/* The files of a version, or else of the default one; NULL: this server does not have them. */
static const LintAvailable *
find_available(Lint *lint, const char *extension, const char *version)
{
	ListCell   *cell;

	if (!lint->has_available)
		dbops_query_each("SELECT v.name::text, v.version, v.version = e.default_version, v.superuser, v.trusted, v.requires::text[]"
						 " FROM pg_available_extension_versions() v JOIN pg_available_extensions() e USING (name)",
						 0, NULL, take_available, lint);
	lint->has_available = true;
	foreach(cell, lint->available)
	{
		const LintAvailable *available = lfirst(cell);

		if (strcmp(available->name, extension) == 0 && (version == NULL ? available->is_default : strcmp(available->version, version) == 0))
			return available;
	}
	return NULL;
}

static void
take_available(HeapTuple row, TupleDesc desc, void *arg)
{
	Lint	   *lint = arg;
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	LintAvailable *available = palloc0(sizeof(LintAvailable));

	available->name = dbops_row_text(row, desc, 1);
	available->version = dbops_row_text(row, desc, 2);
	available->is_default = dbops_row_bool(row, desc, 3);
	available->superuser = dbops_row_bool(row, desc, 4);
	available->trusted = dbops_row_bool(row, desc, 5);
	available->needs = dbops_row_texts(row, desc, 6);
	lint->available = lappend(lint->available, available);
	MemoryContextSwitchTo(caller);
}

static void
judge_available(Lint *lint, const CreateExtensionStmt *statement, const char *version, bool cascade)
{
	const LintAvailable *available = find_available(lint, statement->extname, version);
	const char *missing = (available == NULL || cascade) ? NULL : missing_need(lint, available);

	if (available == NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[UNAVAILABLE], .part = statement->extname,
			.why = version == NULL ? "this server does not have its files" : psprintf("this server does not have the files of its version %s", version),
			.safer = "Install its package on all servers, standbys too, before the text is run."
		});
	else if (missing != NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[UNAVAILABLE], .part = statement->extname,
			.why = psprintf("it needs the extension %s, which is not there", missing),
			.safer = psprintf("CREATE EXTENSION %s CASCADE;", dbops_quote_name(statement->extname))
		});
}

/* The first by name of those that it needs and that are not there; NULL: all are. */
static const char *
missing_need(const Lint *lint, const LintAvailable *available)
{
	const char *first = NULL;
	ListCell   *cell;

	foreach(cell, available->needs)
		if (!is_there(lint, lfirst(cell)) && (first == NULL || strcmp(lfirst(cell), first) < 0))
			first = lfirst(cell);
	return first;
}

static void
judge_right(Lint *lint, const char *extension, const char *version)
{
	const LintAvailable *available = find_available(lint, extension, version);

	if (available != NULL && available->superuser && !(available->trusted && may_create()))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NOT_PERMITTED], .part = extension,
			.why = psprintf("role %s may not create it: it is not trusted, or the role has no CREATE on the database", GetUserNameFromId(GetUserId(), false)),
			.safer = "Have a superuser create it before the text is run."
		});
}

static bool
may_create(void)
{
	return object_aclcheck(DatabaseRelationId, MyDatabaseId, GetUserId(), ACL_CREATE) == ACLCHECK_OK;
}

/* ---- what is updated and dropped ---- */

static void
judge_update(Lint *lint, const AlterExtensionStmt *statement)
{
	const char *version = option(statement->options, "new_version");
	const LintAvailable *newest = (version == NULL) ? find_available(lint, statement->extname, NULL) : NULL;
	DbopsParam	params[] = {dbops_param_text(statement->extname), dbops_param_text(newest != NULL ? newest->version : version)};
	Datum		possible;

	if (!dbops_query_value("SELECT coalesce((SELECT p.path IS NOT NULL FROM pg_extension_update_paths(x.extname) p WHERE p.source = x.extversion AND p.target = $2), false)"
						   " FROM pg_extension x WHERE x.extname = $1 AND x.extversion IS DISTINCT FROM $2",
						   lengthof(params), params, BOOLOID, &possible))
		return;
	if (DatumGetBool(possible))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[UPDATED], .part = statement->extname,
			.why = "what its script locks and rewrites is not seen here",
			.safer = "dbops.check_migration(..., depth => 'execute') runs it and rolls it back, and says what it locked and rewrote."
		});
	else
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NO_PATH], .part = statement->extname,
			.why = "this server has no scripts from the version that is installed to that one",
			.safer = psprintf("SELECT * FROM pg_extension_update_paths(%s) WHERE path IS NOT NULL;", dbops_quote_text(statement->extname))
		});
}

static void
judge_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
		if (is_there(lint, strVal(lfirst(cell))))
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[DROPPED], .part = strVal(lfirst(cell)),
				.why = "whatever uses it goes with it: columns of its types with their values, indexes, functions and views",
				.safer = psprintf("DROP EXTENSION %s; -- which says what uses it", dbops_quote_name(strVal(lfirst(cell))))
			});
}

/* The value of an option; NULL: it is not given. */
static const char *
option(const List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, name) == 0)
			return (lfirst_node(DefElem, cell)->arg == NULL) ? "" : defGetString(lfirst_node(DefElem, cell));
	return NULL;
}
