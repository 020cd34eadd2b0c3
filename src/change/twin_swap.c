/*
 * twin_swap.c
 *		The statements by which a new column takes the place of an old one, and what
 *		they rely on.
 *
 * The old column goes with its indexes and constraints before their copies get
 * their names. No statement reads a row: what would is proved before.
 */
#include "change/drop_column.h"
#include "change/twin.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void take_default(StringInfo sql, const TwinColumn *column, const TwinChange *change);
static void take_sequences(StringInfo sql, const TwinColumn *column, const TwinChange *change);
static const char *widening(const TwinColumn *column, const TwinChange *change, const char *sequence);
static void take_names(StringInfo sql, List *clones);
static void take_name(StringInfo sql, const TwinClone *clone);
static void take_not_null(StringInfo sql, const TwinColumn *column, const TwinChange *change);

char *
dbops_twin_swap(const TwinColumn *column, const TwinChange *change)
{
	List	   *columns = dbops_twin_columns(column);
	List	   *clones = dbops_twin_clones(column, change->new_name);
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DROP TRIGGER %s ON %s", quote_identifier(dbops_twin_trigger_name(change->column)), change->table);
	foreach(cell, columns)
	{
		take_default(&sql, lfirst(cell), change);
		take_sequences(&sql, lfirst(cell), change);
		appendStringInfoString(&sql, dbops_twin_privileges(lfirst(cell), change->new_name, true, change->type != NULL));
	}
	appendStringInfo(&sql, "; ALTER TABLE %s DROP COLUMN %s%s", change->table, quote_identifier(change->column),
					 dbops_drop_column_renew_indexes(change->relid, change->column));
	take_names(&sql, clones);
	if (change->type != NULL)
		appendStringInfo(&sql, "; ALTER TABLE %s RENAME COLUMN %s TO %s", change->table,
						 quote_identifier(change->new_name), quote_identifier(change->column));
	foreach(cell, columns)
		take_not_null(&sql, lfirst(cell), change);
	foreach(cell, clones)
		if (((TwinClone *) lfirst(cell))->after != NULL)
			appendStringInfoString(&sql, ((TwinClone *) lfirst(cell))->after);
	return sql.data;
}

/* That of a table is its partitions' too, unless they have another one. To another type the server assigns it. */
static void
take_default(StringInfo sql, const TwinColumn *column, const TwinChange *change)
{
	const char *value = column->default_value;

	if (column->same_default || (value == NULL && column->relid == change->relid))
		return;
	appendStringInfo(sql, "; ALTER TABLE %s ALTER COLUMN %s %s%s", column->table, quote_identifier(change->new_name),
					 value != NULL ? "SET DEFAULT " : "DROP DEFAULT", value != NULL ? value : "");
}

/* They must not go with the old column; those that were made for it count as far as the new type does. */
static void
take_sequences(StringInfo sql, const TwinColumn *column, const TwinChange *change)
{
	ListCell   *cell;

	foreach(cell, column->sequences)
	{
		const char *sequence = lfirst(cell);

		appendStringInfo(sql, "; ALTER SEQUENCE %s OWNED BY %s.%s", sequence, column->table, quote_identifier(change->new_name));
		appendStringInfoString(sql, widening(column, change, sequence));
	}
}

/* What is narrower than the new type, and was enough for the old one. */
static const char *
widening(const TwinColumn *column, const TwinChange *change, const char *sequence)
{
	Oid			type = get_atttype(change->relid, get_attnum(change->relid, change->new_name));
	DbopsParam	params[] = {dbops_param_text(sequence), dbops_param_oid(column->type), dbops_param_oid(type)};
	const char *sql = dbops_query_text("SELECT format('; ALTER SEQUENCE %s AS %s', $1, $3::regtype) FROM pg_sequence s"
									   " JOIN pg_type is_type ON is_type.oid = s.seqtypid JOIN pg_type old ON old.oid = $2 JOIN pg_type new ON new.oid = $3"
									   " WHERE s.seqrelid = $1::regclass AND old.oid IN ('int2'::regtype, 'int4'::regtype)"
									   " AND new.oid IN ('int4'::regtype, 'int8'::regtype) AND is_type.typlen < new.typlen AND old.typlen < new.typlen",
									   lengthof(params), params);

	return (sql != NULL) ? sql : "";
}

/* Copies get the names of their originals, those of partitioned tables when their partitions have theirs. */
static void
take_names(StringInfo sql, List *clones)
{
	ListCell   *cell;

	foreach(cell, clones)
		take_name(sql, lfirst(cell));
	for (int i = list_length(clones) - 1; i >= 0; i--)
	{
		const TwinClone *clone = list_nth(clones, i);

		if (clone->kind == TWIN_UNIQUE && clone->whole)
			appendStringInfo(sql, "; ALTER TABLE %s ADD CONSTRAINT %s %s", clone->column->table,
							 quote_identifier(clone->constraint), clone->definition);
	}
}

static void
take_name(StringInfo sql, const TwinClone *clone)
{
	const char *table = clone->column->table;
	const char *name = quote_identifier(clone->clone);

	switch (clone->kind)
	{
		case TWIN_INDEX:
			appendStringInfo(sql, "; ALTER INDEX %s RENAME TO %s", quote_qualified_identifier(clone->column->schema, clone->clone),
							 quote_identifier(clone->name));
			break;
		case TWIN_UNIQUE:
			if (!clone->whole)
				appendStringInfo(sql, "; ALTER TABLE %s ADD CONSTRAINT %s UNIQUE USING INDEX %s%s%s", table,
								 quote_identifier(clone->constraint), name, clone->deferrable ? " DEFERRABLE" : "",
								 clone->deferred ? " INITIALLY DEFERRED" : "");
			break;
		case TWIN_CHECK:
		case TWIN_FOREIGN_KEY:
			if (clone->definition != NULL)
				appendStringInfo(sql, "; ALTER TABLE %s RENAME CONSTRAINT %s TO %s", table, name, quote_identifier(clone->name));
			break;
	}
}

/* When the column has its name: from 18 on the server makes that a part of the name of a constraint. */
static void
take_not_null(StringInfo sql, const TwinColumn *column, const TwinChange *change)
{
	const char *name = quote_identifier(change->type != NULL ? change->column : change->new_name);

	if (column->not_null)
		appendStringInfo(sql, "; ALTER TABLE %s ALTER COLUMN %s SET NOT NULL; ALTER TABLE %s DROP CONSTRAINT %s",
						 column->table, name, column->table, quote_identifier(dbops_twin_not_null_name(change->new_name)));
}

/*
 * SQL for still: both columns, the trigger, the partitions, and all that is to be
 * carried over from the old column, are as they are now.
 */
char *
dbops_twin_is_as_planned(const TwinChange *change)
{
	char	   *old = psprintf("a.attname = %s AND a.attrelid IN (SELECT %u UNION ALL SELECT relid FROM pg_partition_tree(%u))",
							   quote_literal_cstr(change->column), change->relid, change->relid);
	char	   *facts = psprintf("(SELECT string_agg(fact, ' ' ORDER BY fact) FROM ("
								 "SELECT concat('column ', attrelid, ' ', attnum, ' ', atttypid, ' ', atttypmod, ' ', attcollation, ' ', attnotnull, ' ', attacl, ' ', pg_get_expr(d.adbin, d.adrelid))"
								 " FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE %s"
								 " UNION ALL SELECT concat('constraint ', c.oid, ' ', c.convalidated) FROM pg_constraint c JOIN pg_attribute a"
								 " ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) WHERE %s"
								 " UNION ALL SELECT concat('index ', i.indexrelid, ' ', i.indisreplident, ' ', i.indisclustered) FROM pg_index i JOIN pg_attribute a"
								 " ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) WHERE %s"
								 " UNION ALL SELECT concat('dependent ', d.classid, ' ', d.objid, ' ', d.deptype) FROM pg_depend d JOIN pg_attribute a"
								 " ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum WHERE %s) _ (fact))",
								 old, old, old, old);

	return psprintf("%s = %s AND %s", facts, quote_literal_cstr(dbops_query_text(psprintf("SELECT %s", facts), 0, NULL)),
					dbops_twin_is_in_force(change));
}

/* SQL for still: the new columns and the partitions are there as they are now, and the trigger has been in force since the look. */
char *
dbops_twin_is_in_force(const TwinChange *change)
{
	StringInfoData now;

	initStringInfo(&now);
	appendStringInfo(&now, "%s AND %s", dbops_twin_has_mark(change), dbops_twin_is_last_trigger(change->relid, change->column));
	appendStringInfo(&now, " AND %s", dbops_twin_is_in_state(change, "ready"));
	if (get_rel_relkind(change->relid) == RELKIND_PARTITIONED_TABLE)
		appendStringInfo(&now, " AND %s", dbops_online_same_leaves(change->relid));
	return now.data;
}
