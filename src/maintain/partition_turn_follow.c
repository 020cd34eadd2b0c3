/*
 * partition_turn_follow.c
 *		What of a plain table follows to the partitioned table that takes its
 *		place and its name: the commands.
 *
 * The table is renamed with its indexes, and another of its name is made, with
 * indexes and constraints of their names: applications may say ON CONFLICT ON
 * CONSTRAINT. They are made on that alone, so that those of the old one are
 * taken over when it is attached.
 */
#include "maintain/partition_turn.h"

#include "utils/builtins.h"

#define MOST_KEPT	"56"		/* bytes of a name that can have _before behind it */

/* Of pg_class: does the owner have other rights than those that a new table gives? */
#define OWN_OTHER_RIGHTS \
	"(EXISTS (SELECT FROM pg_default_acl WHERE defaclrole = relowner AND defaclobjtype = 'r' AND defaclnamespace IN (0, relnamespace))" \
	" OR ARRAY(SELECT privilege_type || is_grantable FROM aclexplode(relacl) WHERE grantee = relowner ORDER BY 1)" \
	" <> ARRAY(SELECT privilege_type || is_grantable FROM aclexplode(acldefault('r', relowner)) WHERE grantee = relowner ORDER BY 1) AND relacl IS NOT NULL)"

/* Each finds commands of one kind; $1 is the table, $2 its name, which the new one takes, $3 its name afterwards. */
static const char *const followers[] = {
	/* Its indexes make room for those of the new one. */
	"SELECT CASE WHEN conname IS NULL THEN format('ALTER INDEX %s RENAME TO %I', i.indexrelid::regclass, later)"
	" ELSE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', $3, conname, later) END"
	" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
	" LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = $1 AND contype IN ('p', 'u'), LATERAL"
	" (SELECT CASE WHEN octet_length(x.relname::text) > " MOST_KEPT " OR EXISTS (SELECT FROM pg_class WHERE relnamespace = x.relnamespace AND relname = x.relname || '_before')"
	" THEN 'index_' || x.oid || '_before' ELSE x.relname || '_before' END AS later) names WHERE i.indrelid = $1",

	/* Keys and foreign keys, by their names. */
	"SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2, conname, pg_get_constraintdef(oid)) FROM pg_constraint"
	" WHERE conrelid = $1 AND contype IN ('p', 'u', 'f')",

	/* Other indexes. */
	"SELECT format('CREATE %sINDEX %I ON ONLY %s %s', CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, $2,"
	" substr(pg_get_indexdef(indexrelid), length(format('CREATE %sINDEX %I ON %s ', CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, $2)) + 1))"
	" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE indrelid = $1"
	" AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = $1)",

	/* Identity columns count on where they are. */
	"SELECT format('ALTER TABLE %s ALTER %I DROP IDENTITY', $3, attname) FROM pg_attribute"
	" WHERE attrelid = $1 AND attnum > 0 AND attidentity <> '' AND NOT attisdropped",
	"SELECT format('ALTER TABLE %s ALTER %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s)', $2, attname,"
	" CASE attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, n.nspname, c.relname,"
	" coalesce(pg_sequence_last_value(s.seqrelid) + s.seqincrement, s.seqstart), s.seqincrement,"
	" s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)"
	" FROM pg_attribute a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum"
	" AND d.classid = 'pg_class'::regclass AND d.deptype = 'i' JOIN pg_sequence s ON s.seqrelid = d.objid"
	" JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE attrelid = $1 AND attidentity <> ''",
	"SELECT format('GRANT %s ON SEQUENCE %s TO %s%s', string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type), c.oid::regclass,"
	" " PARTITION_GRANTEE ", " PARTITION_GRANT_OPTION ")"
	" FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S', aclexplode(c.relacl) x"
	" WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'"
	" AND x.grantee <> c.relowner GROUP BY c.oid, x.grantee, x.is_grantable",

	/* Sequences are owned by the column of the new one. */
	"SELECT format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, $2, attname)"
	" FROM pg_attribute a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum"
	" AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE attrelid = $1",

	/* The rights of the old one, instead of those that a new one is given. */
	"SELECT format('REVOKE ALL ON TABLE %s FROM %s', $2, " PARTITION_GRANTEE ")"
	" FROM (SELECT a.grantee FROM pg_class l JOIN pg_default_acl d ON d.defaclrole = l.relowner AND d.defaclobjtype = 'r'"
	" AND d.defaclnamespace IN (0, l.relnamespace), aclexplode(d.defaclacl) a WHERE l.oid = $1"
	" UNION SELECT relowner FROM pg_class WHERE oid = $1 AND " OWN_OTHER_RIGHTS ") x",
	"SELECT format('GRANT %s ON TABLE %s TO %s%s', string_agg(DISTINCT x.privilege_type, ', ' ORDER BY x.privilege_type), $2,"
	" " PARTITION_GRANTEE ", " PARTITION_GRANT_OPTION ")"
	" FROM pg_class l, aclexplode(coalesce(l.relacl, acldefault('r', l.relowner))) x"
	" WHERE l.oid = $1 AND (x.grantee <> l.relowner OR " OWN_OTHER_RIGHTS ") GROUP BY x.grantee, x.is_grantable",
	"SELECT format('GRANT %s (%I) ON TABLE %s TO %s%s', x.privilege_type, t.attname, $2,"
	" " PARTITION_GRANTEE ", " PARTITION_GRANT_OPTION ")"
	" FROM pg_class l JOIN pg_attribute t ON t.attrelid = l.oid AND t.attnum > 0 AND NOT t.attisdropped, aclexplode(t.attacl) x WHERE l.oid = $1 AND x.grantee <> l.relowner",

	/* What is said of its indexes and keys, and how closely its columns are sampled. */
	"SELECT format('COMMENT ON INDEX %I.%I IS %L', n.nspname, x.relname, obj_description(x.oid, 'pg_class'))"
	" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace"
	" WHERE i.indrelid = $1 AND obj_description(x.oid, 'pg_class') IS NOT NULL",
	"SELECT format('COMMENT ON CONSTRAINT %I ON %s IS %L', conname, $2, obj_description(oid, 'pg_constraint')) FROM pg_constraint"
	" WHERE conrelid = $1 AND contype IN ('p', 'u', 'f') AND obj_description(oid, 'pg_constraint') IS NOT NULL",
	"SELECT format('ALTER TABLE %s ALTER %I SET STATISTICS %s', $2, attname, attstattarget) FROM pg_attribute"
	" WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attstattarget >= 0",
	"SELECT format('ALTER TABLE %s ALTER %I SET (%s)', $2, attname, string_agg(o, ', ')) FROM pg_attribute, unnest(attoptions) o"
	" WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND " PARTITION_OWN_OPTION " GROUP BY attname",

	/* The rest. */
	"SELECT format('COMMENT ON TABLE %s IS %L', $2, obj_description($1, 'pg_class')) WHERE obj_description($1, 'pg_class') IS NOT NULL",
	"SELECT format('ALTER TABLE %s REPLICA IDENTITY %s', $2, CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)"
	" FROM pg_class WHERE oid = $1 AND relreplident IN ('f', 'n')",
	"SELECT format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', $2) FROM pg_class WHERE oid = $1 AND relrowsecurity",
	"SELECT format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', $2) FROM pg_class WHERE oid = $1 AND relforcerowsecurity"
};

static char *qualified_first(const PartitionTurn *turn);
static List *follow_commands(const PartitionTurn *turn);
static void take_commands(HeapTuple row, TupleDesc desc, void *arg);
static char *attach_sql(const PartitionTurn *turn, const char *partition);
static List *identity_command(const PartitionTurn *turn);

/* All of the swap. */
List *
dbops_partition_turn_commands(const PartitionTurn *turn)
{
	const char *first = qualified_first(turn);
	List	   *commands = follow_commands(turn);

	commands = list_concat(lappend(commands, attach_sql(turn, first)), identity_command(turn));
	return lappend(commands, psprintf("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF, first));
}

/*
 * The same without a proof of what rows there are, to be rolled back. What the
 * copy does not have, such as a constraint that is not validated, is refused
 * before.
 */
List *
dbops_partition_turn_rehearsal(const PartitionTurn *turn)
{
	const char *copy = dbops_quote_qualified(turn->schema, psprintf("dbops_copy_%u", turn->table));
	List	   *commands = lcons(dbops_partition_turn_proof_sql(turn), follow_commands(turn));

	commands = lappend(commands, psprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)", copy, qualified_first(turn)));
	return list_concat(lappend(commands, attach_sql(turn, copy)), identity_command(turn));
}

/* The index that is its replica identity, which is valid when that of the first partition is part of it. */
static List *
identity_command(const PartitionTurn *turn)
{
	DbopsParam	params[] = {dbops_param_oid(turn->table), dbops_param_text(turn->name)};
	List	   *commands = NIL;

	dbops_query_each("SELECT format('ALTER TABLE ONLY %s REPLICA IDENTITY USING INDEX %I', $2, x.relname)"
					 " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = $1 AND i.indisreplident",
					 lengthof(params), params, take_commands, &commands);
	return commands;
}

static char *
qualified_first(const PartitionTurn *turn)
{
	return dbops_quote_qualified(turn->schema, turn->first);
}

static char *
attach_sql(const PartitionTurn *turn, const char *partition)
{
	return psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%s)",
					turn->name, partition, dbops_partition_literal(&turn->set.clock, turn->boundary));
}

static List *
follow_commands(const PartitionTurn *turn)
{
	const char *first = qualified_first(turn);
	DbopsParam	params[] = {dbops_param_oid(turn->table), dbops_param_text(turn->name), dbops_param_text(first)};
	List	   *commands = list_make2(psprintf("ALTER TABLE %s RENAME TO %s", turn->name, dbops_quote_name(turn->first)),
									  psprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS"
											   " INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS INCLUDING STATISTICS) PARTITION BY RANGE (%s)",
											   turn->name, first, dbops_quote_name(turn->column)));

	commands = lappend(commands, psprintf("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF, turn->name));
	for (int i = 0; i < lengthof(followers); i++)
		dbops_query_each(psprintf("SELECT c FROM (%s) commands(c) ORDER BY c", followers[i]),
						 lengthof(params), params, take_commands, &commands);
	return commands;
}

static void
take_commands(HeapTuple row, TupleDesc desc, void *arg)
{
	*(List **) arg = lappend(*(List **) arg, dbops_row_text(row, desc, 1));
}
