/*
 * partition_follow.c
 *		What of a plain table follows to the partitioned table that takes its
 *		place and its name: what keeps it from that, and the commands.
 *
 * All that the server would refuse is to be found before the application's
 * table is touched. Much of it is asked of the catalog, so that it can be said
 * at once and with its remedy; the rest is found by a rehearsal, all of the
 * commands with an empty copy attached in the place of the table.
 */
#include "maintain/partition.h"

#include "utils/builtins.h"

#define MOST_KEPT	"56"		/* bytes of a name that can have _before behind it */

/* Of pg_class: does the owner have other rights than those that a new table gives? */
#define OWN_OTHER_RIGHTS \
	"(EXISTS (SELECT FROM pg_default_acl WHERE defaclrole = relowner AND defaclobjtype = 'r' AND defaclnamespace IN (0, relnamespace))" \
	" OR ARRAY(SELECT privilege_type || is_grantable FROM aclexplode(relacl) WHERE grantee = relowner ORDER BY 1)" \
	" <> ARRAY(SELECT privilege_type || is_grantable FROM aclexplode(acldefault('r', relowner)) WHERE grantee = relowner ORDER BY 1) AND relacl IS NOT NULL)"

static void take_obstacle(HeapTuple row, TupleDesc desc, void *arg);
static char *qualified_first(const PartitionTurn *turn);
static List *follow_commands(const PartitionTurn *turn);
static void take_commands(HeapTuple row, TupleDesc desc, void *arg);
static char *attach_sql(const PartitionTurn *turn, const char *partition);

/* Refuse what could not follow to the new table, all at once. */
void
dbops_partition_refuse_turn(const PartitionTurn *turn)
{
	DbopsParam	params[] = {dbops_param_oid(turn->table), dbops_param_int4(turn->attnum)};
	StringInfoData all;

	initStringInfo(&all);
	dbops_query_each("SELECT what FROM (SELECT format('%s %s lacks column %s: ALTER TABLE %s DROP CONSTRAINT %I, ADD %s (%s, %I)',"
					 "  CASE contype WHEN 'p' THEN 'primary key' ELSE 'unique constraint' END, quote_ident(conname), quote_ident(a.attname),"
					 "  c.conrelid::regclass, conname, CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END,"
					 "  (SELECT string_agg(quote_ident(k.attname), ', ' ORDER BY o) FROM unnest(conkey) WITH ORDINALITY u(n, o)"
					 "   JOIN pg_attribute k ON k.attrelid = c.conrelid AND k.attnum = u.n), a.attname)"
					 " FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = $2"
					 " WHERE c.conrelid = $1 AND contype IN ('p', 'u') AND NOT $2::int2 = ANY (conkey)"
					 " UNION ALL SELECT format('unique index %s lacks the column: DROP INDEX %s', i.indexrelid::regclass, i.indexrelid::regclass)"
					 " FROM pg_index i WHERE indrelid = $1 AND indisunique AND NOT $2::int2 = ANY (indkey)"
					 "  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)"
					 " UNION ALL SELECT format('exclusion constraint %I', conname) FROM pg_constraint WHERE conrelid = $1 AND contype = 'x'"
					 " UNION ALL SELECT format('constraint %I is not validated: ALTER TABLE %s VALIDATE CONSTRAINT %I', conname, conrelid::regclass, conname)"
					 " FROM pg_constraint WHERE conrelid = $1 AND NOT convalidated AND conname <> '" PARTITION_TABLE_PROOF "'"
					 " UNION ALL SELECT format('constraint %I is NO INHERIT, as none of a partitioned table can be: ALTER TABLE %s DROP CONSTRAINT %I', conname, conrelid::regclass, conname)"
					 " FROM pg_constraint WHERE conrelid = $1 AND connoinherit AND contype IN ('c', 'n')"
					 " UNION ALL SELECT format('index %s is not valid', indexrelid::regclass) FROM pg_index WHERE indrelid = $1 AND NOT indisvalid"
					 " UNION ALL SELECT format('foreign key %I of table %s references it: ALTER TABLE %s DROP CONSTRAINT %I', conname, conrelid::regclass, conrelid::regclass, conname)"
					 " FROM pg_constraint WHERE confrelid = $1 AND contype = 'f' AND conparentid = 0"
					 " UNION ALL SELECT DISTINCT format('view %s depends on it: drop it, and make it again afterwards', r.ev_class::regclass)"
					 " FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
					 " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND r.ev_class <> $1"
					 " UNION ALL SELECT DISTINCT format('%s depends on it: drop it, and make it again afterwards', pg_describe_object(d.classid, d.objid, 0))"
					 " FROM pg_depend d LEFT JOIN pg_policy l ON d.classid = 'pg_policy'::regclass AND l.oid = d.objid"
					 " WHERE (d.classid = 'pg_proc'::regclass OR l.polrelid <> $1)"
					 " AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 OR d.refclassid = 'pg_type'::regclass"
					 "  AND d.refobjid IN (SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_type t WHERE t.typrelid = $1))"
					 " UNION ALL SELECT format('trigger %I: drop it, and make it again afterwards', tgname) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal"
					 " UNION ALL SELECT format('rule %I', rulename) FROM pg_rewrite WHERE ev_class = $1"
					 " UNION ALL SELECT format('policy %I: drop it, and make it again afterwards', polname) FROM pg_policy WHERE polrelid = $1"
					 " UNION ALL SELECT format('row security is forced on its owner, who sees no row then: ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, and force it again afterwards', c.oid::regclass)"
					 " FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = $1 AND relrowsecurity AND relforcerowsecurity AND NOT rolsuper AND NOT rolbypassrls"
					 " UNION ALL SELECT format('it is in publication %I: take it out, and put it in again afterwards', pubname)"
					 " FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE prrelid = $1"
					 " UNION ALL SELECT 'it inherits, or is inherited from' FROM pg_inherits WHERE inhrelid = $1 OR inhparent = $1"
					 " UNION ALL SELECT 'it is a table of a type' FROM pg_class WHERE oid = $1 AND reloftype <> 0"
					 " UNION ALL SELECT format('column %I can be null: rows without a time have no partition', attname) FROM pg_attribute WHERE attrelid = $1 AND attnum = $2 AND NOT attnotnull"
					 ") obstacles(what) ORDER BY what COLLATE \"C\"",
					 lengthof(params), params, take_obstacle, &all);
	if (all.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s cannot become a partition as it is", turn->name),
				 errdetail_internal("%s", pnstrdup(all.data, all.len - 1)),
				 errhint("Change that first, and CALL again; dry_run => true changes nothing.")));
}

static void
take_obstacle(HeapTuple row, TupleDesc desc, void *arg)
{
	appendStringInfo(arg, "%s\n", dbops_row_text(row, desc, 1));
}

/* It says that all rows are before the boundary. */
char *
dbops_partition_proof_sql(const PartitionTurn *turn)
{
	return psprintf("ALTER TABLE %s ADD CONSTRAINT " PARTITION_TABLE_PROOF " CHECK (%s < %s) NOT VALID",
					turn->name, dbops_quote_name(turn->column),
					dbops_partition_literal(&turn->set.clock, turn->boundary));
}

/* All of the swap. */
List *
dbops_partition_turn_commands(const PartitionTurn *turn)
{
	const char *first = qualified_first(turn);
	List	   *commands = follow_commands(turn);

	commands = lappend(commands, attach_sql(turn, first));
	return lappend(commands, psprintf("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF, first));
}

/*
 * The same without a proof of what rows there are, to be rolled back. What the
 * copy does not have, such as a constraint that is not validated, is refused
 * before.
 */
List *
dbops_partition_rehearsal_commands(const PartitionTurn *turn)
{
	const char *copy = dbops_quote_qualified(turn->schema, psprintf("dbops_copy_%u", turn->table));
	List	   *commands = lcons(dbops_partition_proof_sql(turn), follow_commands(turn));

	commands = lappend(commands, psprintf("CREATE TABLE %s (LIKE %s INCLUDING ALL)", copy, qualified_first(turn)));
	return lappend(commands, attach_sql(turn, copy));
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

/*
 * The table is renamed with its indexes, and another of its name is made, with
 * indexes and constraints of their names: applications may say ON CONFLICT ON
 * CONSTRAINT. They are made on that alone, so that those of the old one are
 * taken over when it is attached.
 */
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
	dbops_query_each("SELECT c FROM ("
					 " SELECT 0 AS n, CASE WHEN conname IS NULL THEN format('ALTER INDEX %s RENAME TO %I', i.indexrelid::regclass, later)"
					 "  ELSE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', $3, conname, later) END AS c"
					 "  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
					 "  LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = $1 AND contype IN ('p', 'u'), LATERAL"
					 "  (SELECT CASE WHEN octet_length(x.relname::text) > " MOST_KEPT " OR EXISTS (SELECT FROM pg_class WHERE relnamespace = x.relnamespace AND relname = x.relname || '_before')"
					 "   THEN 'index_' || x.oid || '_before' ELSE x.relname || '_before' END AS later) names WHERE i.indrelid = $1"
					 " UNION ALL SELECT 1, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2, conname, pg_get_constraintdef(oid)) FROM pg_constraint"
					 "  WHERE conrelid = $1 AND contype IN ('p', 'u', 'f')"
					 " UNION ALL SELECT 2, format('CREATE %sINDEX %I ON ONLY %s %s', CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, $2,"
					 "  substring(pg_get_indexdef(indexrelid) FROM position(' USING ' IN pg_get_indexdef(indexrelid)) + 1))"
					 "  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE indrelid = $1"
					 "  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = $1)"
					 " UNION ALL SELECT 3, format('ALTER TABLE %s ALTER %I DROP IDENTITY', $3, attname) FROM pg_attribute"
					 "  WHERE attrelid = $1 AND attnum > 0 AND attidentity <> '' AND NOT attisdropped"
					 " UNION ALL SELECT 4, format('ALTER TABLE %s ALTER %I ADD GENERATED %s AS IDENTITY (START WITH %s INCREMENT BY %s)', $2, attname,"
					 "  CASE attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,"
					 "  coalesce(pg_sequence_last_value(s.seqrelid) + s.seqincrement, s.seqstart), s.seqincrement)"
					 "  FROM pg_attribute a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum"
					 "  AND d.classid = 'pg_class'::regclass AND d.deptype = 'i' JOIN pg_sequence s ON s.seqrelid = d.objid"
					 "  WHERE attrelid = $1 AND attidentity <> ''"
					 " UNION ALL SELECT 5, format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, $2, attname)"
					 "  FROM pg_attribute a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum"
					 "  AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE attrelid = $1"
					 " UNION ALL SELECT 6, format('REVOKE ALL ON TABLE %s FROM %s', $2, CASE d.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(d.grantee)) END)"
					 "  FROM (SELECT x.grantee FROM pg_class l JOIN pg_default_acl d ON d.defaclrole = l.relowner AND d.defaclobjtype = 'r'"
					 "   AND d.defaclnamespace IN (0, l.relnamespace), aclexplode(d.defaclacl) x WHERE l.oid = $1"
					 "   UNION SELECT relowner FROM pg_class WHERE oid = $1 AND " OWN_OTHER_RIGHTS ") d"
					 " UNION ALL SELECT 7, format('GRANT %s ON TABLE %s TO %s%s', string_agg(DISTINCT x.privilege_type, ', ' ORDER BY x.privilege_type), $2,"
					 "  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
					 "  FROM pg_class l, aclexplode(coalesce(l.relacl, acldefault('r', l.relowner))) x"
					 "  WHERE l.oid = $1 AND (x.grantee <> l.relowner OR " OWN_OTHER_RIGHTS ") GROUP BY x.grantee, x.is_grantable"
					 " UNION ALL SELECT 8, format('GRANT %s (%I) ON TABLE %s TO %s%s', x.privilege_type, t.attname, $2,"
					 "  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
					 "  FROM pg_class l JOIN pg_attribute t ON t.attrelid = l.oid AND t.attnum > 0 AND NOT t.attisdropped, aclexplode(t.attacl) x WHERE l.oid = $1 AND x.grantee <> l.relowner"
					 " UNION ALL SELECT 9, format('COMMENT ON TABLE %s IS %L', $2, obj_description($1, 'pg_class')) WHERE obj_description($1, 'pg_class') IS NOT NULL"
					 " UNION ALL SELECT 10, format('ALTER TABLE %s REPLICA IDENTITY %s', $2, CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)"
					 "  FROM pg_class WHERE oid = $1 AND relreplident IN ('f', 'n')"
					 " UNION ALL SELECT 11, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', $2) FROM pg_class WHERE oid = $1 AND relrowsecurity"
					 " UNION ALL SELECT 12, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', $2) FROM pg_class WHERE oid = $1 AND relforcerowsecurity"
					 ") commands ORDER BY n, c",
					 lengthof(params), params, take_commands, &commands);
	return commands;
}

static void
take_commands(HeapTuple row, TupleDesc desc, void *arg)
{
	*(List **) arg = lappend(*(List **) arg, dbops_row_text(row, desc, 1));
}
