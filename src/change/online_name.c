/*
 * online_name.c
 *		Names of what a call adds.
 *
 * A call that is made again has to find what the first one has made. So the
 * name that the caller leaves to us is the one that the server would choose,
 * unless something else has it; and what is there already and is the same keeps
 * its own.
 */
#include "change/constraint.h"
#include "change/online_index.h"

#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static bool is_taken(const OnlineNaming *naming, const char *name);
static char *choose(const OnlineNaming *naming);
static void add_name(HeapTuple row, TupleDesc desc, void *arg);

char *
dbops_online_name(const OnlineNaming *naming)
{
	const char *given = naming->given;

	if (given == NULL)
		return naming->same != NIL ? linitial(naming->same) : choose(naming);
	if (given[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("a name must not be empty"),
				 errhint("Leave it out, and one is chosen.")));
	if (!dbops_texts_have(naming->same, given) && is_taken(naming, given))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("name \"%s\" is taken by something else of table \"%s\", one below it or its schema",
						given, get_rel_name(naming->table)),
				 errhint("Give another name, or leave it out, and one is chosen.")));
	return pstrdup(given);
}

/* Has another constraint of the table or another relation of its schema the name, or is it to get it? */
static bool
is_taken(const OnlineNaming *naming, const char *name)
{
	Oid			schema = get_rel_namespace(naming->table);

	if (naming->is_constraint && OidIsValid(get_relation_constraint_oid(naming->table, name, true)))
		return true;
	if (dbops_texts_have(naming->taken, dbops_online_index_full_name(schema, name)))
		return true;
	return naming->is_relation && OidIsValid(get_relname_relid(name, schema)) && !dbops_texts_have(naming->usable, name);
}

static char *
choose(const OnlineNaming *naming)
{
	const char *table = get_rel_name(naming->table);
	char	   *name = makeObjectName(table, naming->columns, naming->label);

	for (int i = 1; is_taken(naming, name); i++)
		name = makeObjectName(table, naming->columns, psprintf("%s%d", naming->label, i));
	return name;
}

/* The names that a query of ours returns, with an order. */
List *
dbops_online_names(const char *sql, int nparams, const DbopsParam *params)
{
	List	   *names = NIL;

	dbops_query_each(sql, nparams, params, add_name, &names);
	return names;
}

static void
add_name(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **names = arg;

	*names = lappend(*names, dbops_row_text(row, desc, 1));
}
