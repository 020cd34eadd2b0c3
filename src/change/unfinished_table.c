/*
 * unfinished_table.c
 *		What of tables is half done: constraints that were not validated, and
 *		partitions on their way out.
 */
#include "change/unfinished.h"

#include "core/rule.h"

#include "catalog/pg_constraint.h"

/* A constraint, as the catalog has it. */
typedef struct NotValid
{
	Oid			oid;
	const char *name;
	char		type;
	Oid			table;			/* InvalidOid: of a domain */
	const char *domain;
	TimestampTz since;
	const char *command;
} NotValid;

static void take_constraint(HeapTuple row, TupleDesc desc, void *arg);
static void put_constraint(ReportRow *row, const NotValid *constraint);
static const char *type_name(char type);
static void put_detach(HeapTuple row, TupleDesc desc, void *arg);

/*
 * List constraints that hold for what is written, and nobody knows whether for
 * what was there. Those that a job has put, and is to validate, are its own. One
 * that is a step on the way to NOT NULL is finished by that call.
 */
void
dbops_unfinished_constraints(ReportRow *row)
{
	DbopsParam	param = dbops_unfinished_times_known();
	List	   *constraints = NIL;
	ListCell   *cell;

	dbops_store_each("SELECT k.oid, k.conname::text, k.contype::text, n.relation::oid, "
					 UNFINISHED_SINCE("k", "$1") ", CASE WHEN k.contype = 'c' AND cardinality(k.conkey) = 1 AND starts_with(k.conname::text, 'dbops_not_null_')"
					 " AND (SELECT k.conname = 'dbops_not_null_' || a.attname OR octet_length(a.attname::text) > 48 FROM pg_attribute a"
					 " WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1])"
					 " THEN format('CALL dbops.set_not_null(%L, %L);', n.relation::regclass::text, (SELECT a.attname FROM pg_attribute a"
					 " WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]))"
					 " WHEN k.contype = 'c' AND cardinality(k.conkey) = 1 AND starts_with(k.conname::text, 'dbops_fill_')"
					 " THEN (SELECT format('CALL dbops.add_column(%L, %L, %L, %L);', n.relation::regclass::text, a.attname,"
					 " format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid)) FROM pg_attribute a"
					 " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
					 " WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]) ELSE n.remedy END, k.contypid::regtype::text"
					 " FROM " DBOPS_NOT_VALID_CONSTRAINTS " n JOIN pg_constraint k ON k.oid = n.oid"
					 " LEFT JOIN pg_class c ON c.oid = n.relation"
					 " WHERE c.relpersistence IS DISTINCT FROM 't' AND NOT EXISTS (SELECT FROM dbops.job j"
					 " WHERE j.finished_at IS NULL AND j.kind = 'change' AND j.spec ->> 'table' = n.relation::oid::text"
					 " AND strpos(j.spec ->> 'steps', k.conname) > 0)"
					 " ORDER BY n.object",
					 1, &param, take_constraint, &constraints);
	foreach(cell, constraints)
		put_constraint(row, lfirst(cell));
}

static void
take_constraint(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **constraints = arg;
	NotValid   *constraint = palloc(sizeof(NotValid));

	*constraint = (NotValid) {
		.oid = dbops_row_oid(row, desc, 1),
		.name = dbops_row_text(row, desc, 2),
		.type = dbops_row_text(row, desc, 3)[0],
		.table = dbops_row_oid(row, desc, 4),
		.since = dbops_row_time(row, desc, 5),
		.command = dbops_row_text(row, desc, 6),
		.domain = dbops_row_text(row, desc, 7)
	};
	*constraints = lappend(*constraints, constraint);
}

static void
put_constraint(ReportRow *row, const NotValid *constraint)
{
	const char *name = dbops_quote_name(constraint->name);
	const char *definition = dbops_unfinished_definition("pg_get_constraintdef", constraint->oid, constraint->table);

	dbops_unfinished_put(row, &(Unfinished) {
						 .kind = "constraint not validated",
						 .object = OidIsValid(constraint->table) ? name : psprintf("%s of domain %s", name, constraint->domain),
						 .table = constraint->table,
						 .detail = (definition != NULL) ? definition : psprintf("%s; its table is locked now", type_name(constraint->type)),
						 .since = constraint->since,
						 .command = constraint->command
						 });
}

static const char *
type_name(char type)
{
	return (type == CONSTRAINT_CHECK) ? "CHECK" : (type == CONSTRAINT_FOREIGN) ? "FOREIGN KEY" : "NOT NULL";
}

/*
 * List partitions whose DETACH CONCURRENTLY was cut off. While a session does it,
 * it waits for others without any lock on the tables, so that only its statement
 * tells.
 */
void
dbops_unfinished_detaches(ReportRow *row)
{
	DbopsParam	param = dbops_unfinished_times_known();

	dbops_store_each("SELECT h.inhparent, p.nspname::text, c.relname::text, n.nspname::text, r.relname::text, "
					 UNFINISHED_SINCE("h", "$1")
					 " FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace p ON p.oid = c.relnamespace"
					 " JOIN pg_class r ON r.oid = h.inhparent JOIN pg_namespace n ON n.oid = r.relnamespace"
					 " WHERE h.inhdetachpending AND NOT EXISTS (SELECT FROM pg_stat_get_activity(NULL) a"
					 " WHERE a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
					 " AND a.pid <> pg_backend_pid() AND a.state = 'active'"
					 " AND a.query ~* 'detach\\s+partition' AND strpos(lower(a.query), lower(c.relname)) > 0)"
					 " ORDER BY 2, 3",
					 1, &param, put_detach, row);
}

static void
put_detach(HeapTuple row, TupleDesc desc, void *arg)
{
	const char *partition = dbops_quote_qualified(dbops_row_text(row, desc, 2), dbops_row_text(row, desc, 3));
	const char *parent = dbops_quote_qualified(dbops_row_text(row, desc, 4), dbops_row_text(row, desc, 5));

	dbops_unfinished_put(arg, &(Unfinished) {
						 .kind = "detach pending",
						 .object = partition,
						 .table = dbops_row_oid(row, desc, 1),
						 .detail = "a DETACH PARTITION CONCURRENTLY was cut off: queries see the partition no more, and it is none of its own yet",
						 .since = dbops_row_time(row, desc, 6),
						 .command = psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE;", parent, partition)
						 });
}
