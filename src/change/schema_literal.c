/*
 * schema_literal.c
 *		What is written with names that nothing records.
 *
 * That an expression has a constant of type regclass stands in pg_depend, but
 * not what an array or a row of such holds, as '{t}'::regclass[]: when t is
 * dropped and made again, the expression shows a number, and nothing that
 * belongs to it was touched. These expressions are few.
 */
#include "change/schema.h"

#include "catalog/pg_type.h"

#define HAS(tree) tree "::text ~ $1"

static void take_holder(HeapTuple row, TupleDesc desc, void *arg);

/* List the numbers of the objects that hold such constants. */
List *
dbops_schema_with_literals(void)
{
	DbopsParam	pattern = {.type = TEXTOID};
	List	   *numbers = NIL;

	/* Arrays, rows and domains of them; the operators and others of their kind are always described. */
	if (!dbops_query_value("WITH RECURSIVE t (type) AS ("
						   " SELECT x.oid FROM pg_type x WHERE x.oid IN ('regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regtype'::regtype)"
						   " UNION SELECT x.oid FROM t JOIN pg_type x ON x.typelem = t.type OR x.typbasetype = t.type"
						   " OR x.typrelid <> 0 AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.typrelid AND a.atttypid = t.type AND NOT a.attisdropped))"
						   " SELECT ':consttype (' || string_agg(type::text, '|') || ') ' FROM t"
						   " WHERE type NOT IN ('regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regtype'::regtype)",
						   0, NULL, TEXTOID, &pattern.value))
		return NIL;
	dbops_query_seen("SELECT w.ev_class FROM pg_rewrite w WHERE w.ev_class >= 16384 AND (" HAS("w.ev_action") " OR " HAS("w.ev_qual") ")"
					 " UNION SELECT d.adrelid FROM pg_attrdef d WHERE " HAS("d.adbin")
					 " UNION SELECT unnest(ARRAY[c.conrelid, c.contypid]) FROM pg_constraint c WHERE " HAS("c.conbin")
					 " UNION SELECT i.indrelid FROM pg_index i WHERE " HAS("i.indexprs") " OR " HAS("i.indpred")
					 " UNION SELECT p.polrelid FROM pg_policy p WHERE " HAS("p.polqual") " OR " HAS("p.polwithcheck")
					 " UNION SELECT g.tgrelid FROM pg_trigger g WHERE " HAS("g.tgqual")
					 " UNION SELECT f.oid FROM pg_proc f WHERE f.oid >= 16384 AND (" HAS("f.proargdefaults") " OR " HAS("f.prosqlbody") ")"
					 " UNION SELECT y.oid FROM pg_type y WHERE " HAS("y.typdefaultbin")
					 " UNION SELECT r.oid FROM pg_class r WHERE " HAS("r.relpartbound")
					 " UNION SELECT k.partrelid FROM pg_partitioned_table k WHERE " HAS("k.partexprs")
					 " UNION SELECT s.stxrelid FROM pg_statistic_ext s WHERE " HAS("s.stxexprs"),
					 1, &pattern, take_holder, &numbers);
	return numbers;
}

static void
take_holder(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **numbers = arg;
	Oid			number = dbops_row_oid(row, desc, 1);

	if (OidIsValid(number))
		*numbers = lappend_oid(*numbers, number);
}
