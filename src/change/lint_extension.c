/*
 * lint_extension.c
 *		Rules of extensions: whether a server has them, and who may create them.
 *
 * It is this server that is asked, and the role that asks.
 */
#include "change/lint.h"

#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"

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

static void judge_create(Lint *lint, const CreateExtensionStmt *statement);
static bool is_there(const Lint *lint, const char *extension);
static void judge_available(Lint *lint, const CreateExtensionStmt *statement, const char *version, bool cascade);
static void judge_right(Lint *lint, const char *extension, const char *version);
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
	lint->extensions = lappend(lint->extensions, pstrdup(statement->extname));
	MemoryContextSwitchTo(caller);
}

/* In the database, or made by the text. */
static bool
is_there(const Lint *lint, const char *extension)
{
	DbopsParam	name = dbops_param_text(extension);
	Datum		found;

	return dbops_texts_have(lint->extensions, extension) ||
		dbops_query_value("SELECT true FROM pg_extension WHERE extname = $1", 1, &name, BOOLOID, &found);
}

/* Of the version that is asked for, or else of the default one. */
#define VERSIONS \
	" FROM pg_available_extension_versions() v JOIN pg_available_extensions() e USING (name) WHERE v.name = $1 AND v.version = coalesce($2, e.default_version)"

#define VERSIONS_AND_NEEDS \
	" FROM (SELECT unnest(v.requires)::text AS r" VERSIONS ") n WHERE r NOT IN (SELECT extname FROM pg_extension) AND r <> ALL ($3)"

static void
judge_available(Lint *lint, const CreateExtensionStmt *statement, const char *version, bool cascade)
{
	DbopsParam	params[] = {dbops_param_text(statement->extname), dbops_param_text(version), dbops_param_texts(lint->extensions)};
	Datum		found;
	char	   *missing;

	if (!dbops_query_value("SELECT true" VERSIONS, 2, params, BOOLOID, &found))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[UNAVAILABLE], .part = statement->extname,
			.why = version == NULL ? "this server does not have its files" : psprintf("this server does not have the files of its version %s", version),
			.safer = "Install its package on all servers, standbys too, before the text is run."
		});
	else if (!cascade && (missing = dbops_query_text("SELECT min(r)" VERSIONS_AND_NEEDS, lengthof(params), params)) != NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[UNAVAILABLE], .part = statement->extname,
			.why = psprintf("it needs the extension %s, which is not there", missing),
			.safer = psprintf("CREATE EXTENSION %s CASCADE;", dbops_quote_name(statement->extname))
		});
}

static void
judge_right(Lint *lint, const char *extension, const char *version)
{
	DbopsParam	params[] = {dbops_param_text(extension), dbops_param_text(version)};
	Datum		refused;

	if (dbops_query_value("SELECT true" VERSIONS " AND v.superuser AND NOT (v.trusted AND has_database_privilege(current_database(), 'CREATE'))",
						  lengthof(params), params, BOOLOID, &refused))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[NOT_PERMITTED], .part = extension,
			.why = psprintf("role %s may not create it: it is not trusted, or the role has no CREATE on the database", GetUserNameFromId(GetUserId(), false)),
			.safer = "Have a superuser create it before the text is run."
		});
}

/* ---- what is updated and dropped ---- */

static void
judge_update(Lint *lint, const AlterExtensionStmt *statement)
{
	DbopsParam	params[] = {dbops_param_text(statement->extname), dbops_param_text(option(statement->options, "new_version"))};
	Datum		possible;

	if (!dbops_query_value("SELECT coalesce((SELECT p.path IS NOT NULL FROM pg_extension_update_paths(x.extname) p WHERE p.source = x.extversion AND p.target = t.version), false)"
						   " FROM pg_extension x, LATERAL (SELECT coalesce($2, (SELECT default_version FROM pg_available_extensions() WHERE name = x.extname)) AS version) t"
						   " WHERE x.extname = $1 AND x.extversion IS DISTINCT FROM t.version",
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
