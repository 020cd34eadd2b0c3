/*
 * partition_create.c
 *		Make a partition that is missing, with the weakest locks.
 *
 * It is made as a table of its own and then attached, in one transaction:
 * CREATE TABLE ... PARTITION OF would lock the parent against its readers, and
 * ATTACH does not. An empty table is attached without a proof of its bounds,
 * since there is nothing to be scanned.
 *
 * What PARTITION OF copies from the parent is copied here: columns with their
 * defaults, expressions, storage and compression, and constraints; indexes,
 * foreign keys and triggers come with ATTACH. What the parent cannot have, or
 * what somebody has given to its partitions alone, is taken from the newest of
 * them: tablespace, access method, storage parameters, targets of statistics,
 * grants, whether it is logged, replica identity, by which index it is clustered
 * and, when its rows are in, row security with its policies.
 */
#include "maintain/partition.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

/* What is not copied by LIKE, as pieces of SQL; NULL: nothing. */
typedef struct Likeness
{
	bool		unlogged;
	const char *using;			/* access method */
	const char *with;			/* storage parameters */
	const char *tablespace;
	List	   *commands;		/* that follow */
} Likeness;

/* One that is made, by whom. */
typedef struct Creation
{
	PartitionMaking making;
	Oid			role;
} Creation;

static const Partition *newest_table(const PartitionSet *set);
static void take_likeness(HeapTuple row, TupleDesc desc, void *arg);
static Likeness likeness_of(const PartitionSet *set, const PartitionGap *gap);
static char *gap_name(const PartitionSet *set, const PartitionGap *gap);
static char *create_statement(const PartitionSet *set, const PartitionGap *gap, const Likeness *likeness);
static List *make_commands(const PartitionSet *set, const PartitionGap *gap);
static List *final_commands(const PartitionSet *set, const PartitionGap *gap, Oid table);
static char *lacking(const PartitionSet *set, Oid table);
static Oid	like_whom(const PartitionSet *set);
static void take_command(HeapTuple row, TupleDesc desc, void *arg);
static void make_and_attach(void *arg);

/* In which schema new ones are made. */
const char *
dbops_partition_schema(const PartitionSet *set)
{
	const Partition *newest = newest_table(set);

	return (newest != NULL) ? newest->schema : set->schema;
}

/* Which of the partitions new ones are like; NULL: there is none. */
static const Partition *
newest_table(const PartitionSet *set)
{
	for (int i = list_length(set->partitions) - 1; i >= 0; i--)
	{
		const Partition *partition = list_nth(set->partitions, i);

		if (partition->relkind == RELKIND_RELATION && !partition->pending)
			return partition;
	}
	return NULL;
}

/* ---- the statements ---- */

/* The table as it is made. */
char *
dbops_partition_create_sql(const PartitionSet *set, const PartitionGap *gap)
{
	Likeness	likeness = likeness_of(set, gap);

	return create_statement(set, gap, &likeness);
}

static char *
create_statement(const PartitionSet *set, const PartitionGap *gap, const Likeness *likeness)
{
	return psprintf("CREATE %sTABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS"
					" INCLUDING STORAGE INCLUDING COMPRESSION)%s%s%s%s%s%s%s",
					likeness->unlogged ? "UNLOGGED " : "", gap_name(set, gap), set->name,
					likeness->using ? " USING " : "", likeness->using ? likeness->using : "",
					likeness->with ? " WITH (" : "", likeness->with ? likeness->with : "", likeness->with ? ")" : "",
					likeness->tablespace ? " TABLESPACE " : "", likeness->tablespace ? likeness->tablespace : "");
}

char *
dbops_partition_attach_sql(const PartitionSet *set, const PartitionGap *gap)
{
	return psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
					set->name, gap_name(set, gap),
					dbops_partition_literal(&set->clock, gap->lower),
					dbops_partition_literal(&set->clock, gap->upper));
}

static char *
gap_name(const PartitionSet *set, const PartitionGap *gap)
{
	return dbops_quote_qualified(dbops_partition_schema(set), gap->relname);
}

/* All commands that make the table, in their order. */
static List *
make_commands(const PartitionSet *set, const PartitionGap *gap)
{
	Likeness	likeness = likeness_of(set, gap);

	return lcons(create_statement(set, gap, &likeness), likeness.commands);
}

/*
 * What a new partition is given besides what LIKE copies. Where there is none
 * that it could be like, the parent says as much as it can.
 */
static Likeness
likeness_of(const PartitionSet *set, const PartitionGap *gap)
{
	DbopsParam	params[] = {
		dbops_param_oid(like_whom(set)),
		dbops_param_oid(set->parent),
		dbops_param_text(gap_name(set, gap))
	};
	Likeness	likeness = {0};

	dbops_query_each("SELECT l.relpersistence = 'u', quote_ident(a.amname),"
					 " (SELECT string_agg(o, ', ') FROM ("
					 "   SELECT format('%s = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)) AS o FROM unnest(l.reloptions) o"
					 "   UNION ALL"
					 "   SELECT format('toast.%s = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1))"
					 "   FROM pg_class t, unnest(t.reloptions) o WHERE t.oid = l.reltoastrelid) opts),"
					 " quote_ident(s.spcname),"
					 " (SELECT array_agg(c) FROM ("
					 "   SELECT format('GRANT %s ON TABLE %s TO %s%s', string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type), $3,"
					  PARTITION_GRANTEE ","
					  PARTITION_GRANT_OPTION ") AS c"
					 "   FROM aclexplode(l.relacl) x WHERE x.grantee <> p.relowner"
					 "   AND (x.grantee = 0 OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = x.grantee))"
					 "   GROUP BY x.grantee, x.is_grantable"
					 "   UNION ALL"
					 "   SELECT format('GRANT %s (%I) ON TABLE %s TO %s%s', string_agg(x.privilege_type, format(' (%I), ', t.attname)"
					 "     ORDER BY x.privilege_type), t.attname, $3,"
					  PARTITION_GRANTEE ","
					  PARTITION_GRANT_OPTION ")"
					 "   FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = l.oid AND t.attnum > 0 AND NOT t.attisdropped"
					 "   AND x.grantee <> p.relowner AND (x.grantee = 0 OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = x.grantee))"
					 "   GROUP BY t.attname, x.grantee, x.is_grantable"
					 "   UNION ALL SELECT format('ALTER TABLE %s ALTER %I SET STATISTICS %s', $3, attname, attstattarget)"
					 "   FROM pg_attribute WHERE attrelid = l.oid AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0"
					 "   UNION ALL SELECT format('ALTER TABLE %s ALTER %I SET (%s)', $3, attname, string_agg(o, ', '))"
					 "   FROM pg_attribute, unnest(attoptions) o WHERE attrelid = l.oid AND attnum > 0 AND NOT attisdropped AND " PARTITION_OWN_OPTION
					 "   GROUP BY attname"
					 "   UNION ALL SELECT format('ALTER TABLE %s REPLICA IDENTITY FULL', $3) WHERE 'f' IN (l.relreplident, p.relreplident)"
					 "   UNION ALL SELECT format('ALTER TABLE %s REPLICA IDENTITY NOTHING', $3) WHERE l.relreplident = 'n') commands)"
					 " FROM pg_class l JOIN pg_class p ON p.oid = $2 LEFT JOIN pg_am a ON a.oid = l.relam"
					 " LEFT JOIN pg_tablespace s ON s.oid = coalesce(nullif(p.reltablespace, 0), nullif(l.reltablespace, 0))"
					 " WHERE l.oid = $1",
					 lengthof(params), params, take_likeness, &likeness);
	return likeness;
}

static void
take_likeness(HeapTuple row, TupleDesc desc, void *arg)
{
	Likeness   *likeness = arg;

	likeness->unlogged = dbops_row_bool(row, desc, 1);
	likeness->using = dbops_row_text(row, desc, 2);
	likeness->with = dbops_row_text(row, desc, 3);
	likeness->tablespace = dbops_row_text(row, desc, 4);
	likeness->commands = dbops_row_texts(row, desc, 5);
}

static Oid
like_whom(const PartitionSet *set)
{
	const Partition *newest = newest_table(set);

	return (newest != NULL) ? newest->relid : set->parent;
}

/* SQL: is each column of one table at the same place in another, so that expressions of one mean the same in the other? */
#define SAME_COLUMNS \
	"NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped" \
	" AND NOT EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = $2 AND b.attnum = a.attnum AND b.attname = a.attname))"

/*
 * What a new partition is given when it is attached and its rows are in: what is
 * about its indexes, and row security, which would keep its rows out.
 */
static List *
final_commands(const PartitionSet *set, const PartitionGap *gap, Oid table)
{
	DbopsParam	params[] = {
		dbops_param_oid(like_whom(set)),
		dbops_param_oid(table),
		dbops_param_oid(set->parent),
		dbops_param_text(gap_name(set, gap))
	};
	List	   *commands = NIL;

	dbops_query_each("SELECT format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', $4, i.relname)"
					 " FROM pg_index p JOIN pg_inherits h ON h.inhparent = p.indexrelid"
					 " JOIN pg_index x ON x.indexrelid = h.inhrelid JOIN pg_class i ON i.oid = x.indexrelid"
					 " WHERE p.indrelid = $3 AND p.indisreplident AND x.indrelid = $2"
					 " UNION ALL SELECT format('ALTER TABLE %s CLUSTER ON %I', $4, i.relname)"
					 " FROM pg_index o JOIN pg_inherits p ON p.inhrelid = o.indexrelid JOIN pg_inherits h ON h.inhparent = p.inhparent"
					 " JOIN pg_index x ON x.indexrelid = h.inhrelid JOIN pg_class i ON i.oid = x.indexrelid"
					 " WHERE o.indrelid = $1 AND o.indisclustered AND x.indrelid = $2"
					 " UNION ALL SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', polname, $4,"
					 "   CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,"
					 "   CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,"
					 "   (SELECT string_agg(" PARTITION_GRANTEE ", ', ') FROM unnest(polroles) x(grantee)),"
					 "   ' USING (' || pg_get_expr(polqual, $2) || ')', ' WITH CHECK (' || pg_get_expr(polwithcheck, $2) || ')')"
					 " FROM pg_policy WHERE polrelid = $1 AND " SAME_COLUMNS
					 " UNION ALL SELECT format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', $4) FROM pg_class WHERE oid = $1 AND relrowsecurity"
					 " UNION ALL SELECT format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', $4) FROM pg_class WHERE oid = $1 AND relforcerowsecurity",
					 lengthof(params), params, take_command, &commands);
	return commands;
}

static void
take_command(HeapTuple row, TupleDesc desc, void *arg)
{
	*(List **) arg = lappend(*(List **) arg, dbops_row_text(row, desc, 1));
}

/* What it was not given, though the one has it that it is like; NULL: nothing. */
static char *
lacking(const PartitionSet *set, Oid table)
{
	DbopsParam	params[] = {dbops_param_oid(like_whom(set)), dbops_param_oid(table)};

	return dbops_query_text("SELECT format('the policies of %s are not copied, as its columns are in another order', $1::regclass)"
							" WHERE EXISTS (SELECT FROM pg_policy WHERE polrelid = $1) AND NOT " SAME_COLUMNS,
							lengthof(params), params);
}

/* ---- to make it ---- */

/* Make and attach a partition, or say why not: the new table is empty, so what is violated is the default partition's. */
PartitionAnswer
dbops_partition_create(const PartitionSet *set, const PartitionGap *gap, Oid owner, const char **why)
{
	Creation	creation = {.making = {set, gap},.role = owner};
	ErrorData  *error;

	if (!dbops_partition_lock_parents(set, why))
		return PARTITION_WAITS;
	if (dbops_partition_attempt(make_and_attach, &creation, &error))
	{
		*why = creation.making.lacks;
		return PARTITION_MADE;
	}
	if (error->sqlerrcode == ERRCODE_CHECK_VIOLATION && set->default_partition != NULL)
	{
		*why = dbops_partition_unseen_rows(set);
		return PARTITION_LEFT_OUT;
	}
	if (!dbops_partition_met_lock(error))
		ReThrowError(error);
	*why = "for a lock that another session had";
	return PARTITION_WAITS;
}

static void
make_and_attach(void *arg)
{
	Creation   *creation = arg;

	dbops_run_as(creation->role, dbops_partition_make_table, &creation->making);
	dbops_run_as(creation->role, dbops_partition_attach_table, &creation->making);
}

/* Make the table alone; as its owner, who makes it. */
void
dbops_partition_make_table(void *making)
{
	const PartitionMaking *made = making;
	ListCell   *cell;

	foreach(cell, make_commands(made->set, made->gap))
		dbops_query_command(lfirst(cell));
}

/* Attach it, with its rows in, and give it the rest. */
void
dbops_partition_attach_table(void *making)
{
	PartitionMaking *made = making;
	Oid			table = get_relname_relid(made->gap->relname, get_namespace_oid(dbops_partition_schema(made->set), false));
	ListCell   *cell;

	dbops_query_command(dbops_partition_attach_sql(made->set, made->gap));
	foreach(cell, final_commands(made->set, made->gap, table))
		dbops_query_command(lfirst(cell));
	made->lacks = lacking(made->set, table);
}

/* As ATTACH locks them: the parent against other DDL alone, what foreign keys refer to, and the default partition. */
bool
dbops_partition_lock_parents(const PartitionSet *set, const char **why)
{
	Oid			parent = set->parent;
	Oid			other = set->default_partition != NULL ? set->default_partition->relid : InvalidOid;

	return dbops_partition_lock(&parent, 1, ShareUpdateExclusiveLock, why) &&
		dbops_partition_lock_referenced(list_make1_oid(parent), ShareRowExclusiveLock, why) &&
		(!OidIsValid(other) || dbops_partition_lock(&other, 1, AccessExclusiveLock, why)) &&
		dbops_partition_is_named(parent, set->schema, set->relname, why);
}
