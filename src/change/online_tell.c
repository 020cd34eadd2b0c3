/*
 * online_tell.c
 *		What a new column, and the filling of it, sets off elsewhere: told before
 *		anything is done.
 *
 * A subscriber whose table lacks a column that comes to it stops, and keeps the
 * publisher's WAL. A trigger of the table's own fires for each row that is
 * filled, as for any other update, and may set or write more than was asked for.
 */
#include "change/constraint.h"

#include "catalog/pg_trigger.h"
#include "utils/builtins.h"

/* The table, those that hold its rows, and those that it is part of; $1 is the table. */
#define TABLE_AND_AROUND \
	"(SELECT $1 UNION SELECT relid::oid FROM pg_partition_tree($1) UNION SELECT relid::oid FROM pg_partition_ancestors($1))"

/* Of a table whose new column its subscribers get; a list of columns does not have it. */
void
dbops_online_tell_published(Oid table, const char *column)
{
	DbopsParam	param = dbops_param_oid(table);
	const char *publications = dbops_query_text("SELECT string_agg(quote_ident(p.pubname), ', ' ORDER BY p.pubname) FROM pg_publication p, pg_class t"
												" WHERE t.oid = $1 AND t.relpersistence = 'p' AND (p.puballtables"
												" OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prattrs IS NULL AND r.prrelid IN " TABLE_AND_AROUND ")"
												" OR EXISTS (SELECT FROM pg_publication_namespace n JOIN pg_class c ON c.relnamespace = n.pnnspid"
												" WHERE n.pnpubid = p.oid AND c.oid IN " TABLE_AND_AROUND "))",
												1, &param);

	if (publications != NULL)
		ereport(WARNING,
				(errmsg("table %s is published by %s: its subscribers need column %s as well", dbops_quote_relation(table), publications, dbops_quote_name(column)),
				 errhint("Add it there first: a subscriber without it stops at the next row that is written here.")));
}

/* Of a table that a subscription writes, before a column goes that it may name. */
void
dbops_online_tell_subscribed(Oid table, const char *column)
{
	DbopsParam	param = dbops_param_oid(table);
	const char *subscriptions = dbops_query_text("SELECT string_agg(DISTINCT quote_ident(s.subname), ', ') FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid"
												 " WHERE r.srrelid IN " TABLE_AND_AROUND, 1, &param);

	if (subscriptions != NULL)
		ereport(WARNING,
				(errmsg("table %s is written by subscription %s", dbops_quote_relation(table), subscriptions),
				 errhint("It stops at the next row if the table at its publisher still has column %s: change that first.", dbops_quote_name(column))));
}

/* Which fire for each row, or statement, that fills a column which is new: those that no list of columns rules out. */
void
dbops_online_tell_fired(Oid table, const char *column)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_int4(TRIGGER_TYPE_UPDATE)};
	const char *triggers = dbops_query_text("SELECT string_agg(DISTINCT quote_ident(t.tgname), ', ') FROM pg_trigger t"
											" WHERE t.tgrelid IN (SELECT $1 UNION SELECT relid FROM pg_partition_tree($1))"
											" AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & $2 <> 0 AND t.tgattr::text = ''"
											" AND t.tgfoid NOT IN (SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'dbops'::regnamespace)",
											lengthof(params), params);

	if (triggers != NULL)
		ereport(WARNING,
				(errmsg("column %s of table %s is filled by updates, which fire its triggers: %s", dbops_quote_name(column), dbops_quote_relation(table), triggers),
				 errdetail("What they do for an update, such as set a time or write an audit, they do for each row."),
				 errhint("Where that is not meant, have their functions return where nothing else differs: to_jsonb(new) - %s = to_jsonb(old) - %s.",
						 quote_literal_cstr(column), quote_literal_cstr(column))));
}
