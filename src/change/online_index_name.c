/*
 * online_index_name.c
 *		The name of an index for which none was given.
 *
 * It is the one that the server would choose: of the table, its columns and "idx",
 * with a number where others have that. An index of such a name that is what is
 * asked for keeps it: so the same call finds what an earlier one has made.
 */
#include "change/online_index.h"

#include "catalog/partition.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static char *columns_part(const IndexDefinition *definition);
static char *distinct_name(const char *name, const List *names);
static bool is_free(const IndexDefinition *definition, const char *name, Oid parent, const List *taken);

/* That of an index that does the same, or the one that the server would choose. */
char *
dbops_online_index_usual_name(const IndexDefinition *definition)
{
	List	   *same = dbops_online_index_same_ones(definition, true);

	return (same != NIL) ? get_rel_name(linitial_oid(same)) : dbops_online_index_choose_name(definition, InvalidOid, NIL);
}

/*
 * Choose it. One that is attached to another index than the parent is somebody
 * else's. taken: names that are to be given to others, full ones.
 */
char *
dbops_online_index_choose_name(const IndexDefinition *definition, Oid parent, const List *taken)
{
	char	   *columns = columns_part(definition);

	for (int number = 0;; number++)
	{
		char	   *label = (number == 0) ? pstrdup("idx") : psprintf("idx%d", number);
		char	   *name = makeObjectName(definition->relname, columns, label);

		if (is_free(definition, name, parent, taken))
			return name;
	}
}

/* The names of its columns, as the index will have them, with _ between. */
static char *
columns_part(const IndexDefinition *definition)
{
	StringInfoData part;
	List	   *names = NIL;

	initStringInfo(&part);
	for (int i = 0; i < definition->n_columns; i++)
	{
		const IndexElem *element = definition->columns[i].element;
		char	   *name = distinct_name(element->indexcolname ? element->indexcolname :
										 element->name ? element->name : "expr", names);

		names = lappend(names, name);
		appendStringInfo(&part, "%s%s", i > 0 ? "_" : "", name);
	}
	return part.data;
}

static char *
distinct_name(const char *name, const List *names)
{
	char	   *candidate = pstrdup(name);

	for (int number = 1; dbops_texts_have(names, candidate); number++)
	{
		char	   *digits = psprintf("%d", number);
		int			room = pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1 - strlen(digits));

		candidate = psprintf("%.*s%s", room, name, digits);
	}
	return candidate;
}

static bool
is_free(const IndexDefinition *definition, const char *name, Oid parent, const List *taken)
{
	Oid			index = get_relname_relid(name, definition->schema);

	if (dbops_texts_have(taken, dbops_online_index_full_name(definition->schema, name)))
		return false;
	if (!OidIsValid(index))
		return true;
	return dbops_online_index_is_same(definition, index, true) &&
		(!get_rel_relispartition(index) || get_partition_parent(index, true) == parent);
}

/* Qualified and quoted, also of one that is not there yet. */
char *
dbops_online_index_full_name(Oid schema, const char *name)
{
	return quote_qualified_identifier(get_namespace_name(schema), name);
}
