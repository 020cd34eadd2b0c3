/*
 * schema_database.c
 *		The queries of a snapshot for what is in no schema.
 *
 * Objects that the server itself brings have numbers below those of users.
 * Nothing that may hold a password is read: of user mappings only the names
 * of the options, of subscriptions not the connection.
 */
#include "change/schema.h"

#define USERS(oid) oid " >= 16384"

#define OWNER(prefix) "pg_get_userbyid(c." prefix "owner) AS owner, d.description AS comment"
#define GRANTS(prefix, kind) \
	"c." prefix "acl AS grants, c." prefix "owner AS _owner," \
	" CASE WHEN c." prefix "acl IS NOT NULL THEN acldefault('" kind "', c." prefix "owner) END AS _default"
#define FUNCTION_OR_NULL(column) "CASE WHEN " column " <> 0 THEN " column "::regproc::text END"
#define ENABLED(column) "CASE " column " WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END AS enabled"

/* Its name does not matter: snapshots of a copy are compared, too. */
#define DATABASE_SQL \
	"SELECT 'database' AS object, pg_get_userbyid(c.datdba) AS owner, d.description AS comment," \
	" (SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setdatabase = c.oid AND s.setrole = 0) AS options," \
	" c.datacl AS grants, c.datdba AS _owner, CASE WHEN c.datacl IS NOT NULL THEN acldefault('d', c.datdba) END AS _default" \
	" FROM pg_database c LEFT JOIN pg_shdescription d ON d.objoid = c.oid AND d.classoid = 'pg_database'::regclass" \
	" WHERE c.datname = current_database()"

#define ROLE_SETTING_SQL \
	"SELECT quote_ident(pg_get_userbyid(s.setrole)) AS object, s.setconfig AS options" \
	" FROM pg_db_role_setting s JOIN pg_database b ON b.oid = s.setdatabase WHERE b.datname = current_database() AND s.setrole <> 0"

/*
 * An extension stands for its members. Who owns it can make others members, so
 * how many there are and what they are called is told. Types that come with
 * another one, or with a table, are members on some majors only.
 */
#define EXTENSION_MEMBERS \
	"SELECT count(*) || ', digest ' || left(md5(string_agg(i.type || ' ' || i.identity, chr(10) ORDER BY i.type COLLATE \"C\", i.identity COLLATE \"C\")), 16)" \
	" FROM pg_depend m CROSS JOIN LATERAL pg_identify_object(m.classid, m.objid, m.objsubid) i" \
	" WHERE m.refclassid = 'pg_extension'::regclass AND m.refobjid = c.oid AND m.deptype = 'e' AND i.identity IS NOT NULL" \
	" AND NOT (m.classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class r ON r.oid = t.typrelid" \
	"  WHERE t.oid = m.objid AND (t.typtype = 'm' OR r.relkind <> 'c' OR EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid))))"

#define EXTENSION_SQL \
	"SELECT quote_ident(c.extname) AS object, c.extversion AS version, (SELECT quote_ident(n.nspname) FROM pg_namespace n WHERE n.oid = c.extnamespace) AS schema," \
	" (" EXTENSION_MEMBERS ") AS members," \
	" " OWNER("ext") " FROM pg_extension c" SCHEMA_COMMENT("pg_extension", "c.oid") " WHERE c.extname <> 'dbops'"

#define LANGUAGE_SQL \
	"SELECT quote_ident(c.lanname) AS object, " OWNER("lan") ", c.lanpltrusted AS trusted," \
	" " FUNCTION_OR_NULL("c.lanplcallfoid") " AS handler, " FUNCTION_OR_NULL("c.laninline") " AS inline, " FUNCTION_OR_NULL("c.lanvalidator") " AS validator," \
	" " GRANTS("lan", "l") " FROM pg_language c" SCHEMA_COMMENT("pg_language", "c.oid") \
	" WHERE " USERS("c.oid") " AND" SCHEMA_NOT_MEMBER("pg_language", "c.oid")

#define ACCESS_METHOD_SQL \
	"SELECT quote_ident(c.amname) AS object, d.description AS comment, CASE c.amtype WHEN 't' THEN 'table' ELSE 'index' END AS kind, c.amhandler::text AS handler" \
	" FROM pg_am c" SCHEMA_COMMENT("pg_am", "c.oid") " WHERE " USERS("c.oid") " AND" SCHEMA_NOT_MEMBER("pg_am", "c.oid")

#define CAST_SQL \
	"SELECT format_type(c.castsource, NULL) || ' as ' || format_type(c.casttarget, NULL) AS object, d.description AS comment," \
	" CASE WHEN c.castfunc <> 0 THEN c.castfunc::regprocedure::text END AS function," \
	" CASE c.castcontext WHEN 'i' THEN 'implicit' WHEN 'a' THEN 'assignment' ELSE 'explicit' END AS context," \
	" CASE c.castmethod WHEN 'i' THEN 'inout' WHEN 'b' THEN 'binary' END AS method" \
	" FROM pg_cast c" SCHEMA_COMMENT("pg_cast", "c.oid") " WHERE " USERS("c.oid") " AND" SCHEMA_NOT_MEMBER("pg_cast", "c.oid")

#define TRANSFORM_SQL \
	"SELECT 'for ' || format_type(c.trftype, NULL) || ' language ' || quote_ident(l.lanname) AS object, d.description AS comment," \
	" " FUNCTION_OR_NULL("c.trffromsql") " AS from_sql, " FUNCTION_OR_NULL("c.trftosql") " AS to_sql" \
	" FROM pg_transform c JOIN pg_language l ON l.oid = c.trflang" SCHEMA_COMMENT("pg_transform", "c.oid") \
	" WHERE" SCHEMA_NOT_MEMBER("pg_transform", "c.oid")

#define EVENT_TRIGGER_SQL \
	"SELECT quote_ident(c.evtname) AS object, " OWNER("evt") ", c.evtevent AS event, c.evtfoid::regprocedure::text AS function," \
	" " ENABLED("c.evtenabled") ", c.evttags AS tags" \
	" FROM pg_event_trigger c" SCHEMA_COMMENT("pg_event_trigger", "c.oid") " WHERE" SCHEMA_NOT_MEMBER("pg_event_trigger", "c.oid")

#define PUBLICATION_SQL \
	"SELECT quote_ident(c.pubname) AS object, " OWNER("pub") ", c.puballtables AS all_tables, c.pubviaroot AS via_root," \
	" concat_ws(', ', CASE WHEN c.pubinsert THEN 'insert' END, CASE WHEN c.pubupdate THEN 'update' END, CASE WHEN c.pubdelete THEN 'delete' END," \
	"  CASE WHEN c.pubtruncate THEN 'truncate' END) AS publish, nullif(to_jsonb(c) ->> 'pubgencols', 'n') AS generated_columns," \
	" (SELECT array_agg(s.pnnspid::regnamespace::text ORDER BY s.pnnspid::regnamespace::text COLLATE \"C\") FROM pg_publication_namespace s WHERE s.pnpubid = c.oid) AS schemas" \
	" FROM pg_publication c" SCHEMA_COMMENT("pg_publication", "c.oid") " WHERE" SCHEMA_NOT_MEMBER("pg_publication", "c.oid")

/* A filter with a subquery is not possible. */
#define PUBLICATION_TABLE_SQL \
	"SELECT quote_ident(c.pubname) || ' for ' || r.prrelid::regclass::text AS object, r.prrelid::regclass::text AS \"table\", quote_ident(c.pubname) AS publication," \
	" (SELECT array_agg(quote_ident(a.attname) ORDER BY k.place) FROM unnest(r.prattrs) WITH ORDINALITY AS k (number, place)" \
	"  JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = k.number) AS columns," \
	" r.prqual AS \"where\", r.prrelid AS _table" \
	" FROM pg_publication c JOIN pg_publication_rel r ON r.prpubid = c.oid WHERE" SCHEMA_NOT_MEMBER("pg_publication", "c.oid")

#define SUBSCRIPTION_SQL \
	"SELECT quote_ident(c.subname) AS object, " OWNER("sub") ", c.subenabled AS enabled, c.subslotname AS slot, c.subpublications AS publications" \
	" FROM (SELECT oid, subname, subowner, subenabled, subslotname, subpublications, subdbid FROM pg_subscription) c" SCHEMA_COMMENT("pg_subscription", "c.oid") \
	" JOIN pg_database b ON b.oid = c.subdbid WHERE b.datname = current_database()"

#define FDW_SQL \
	"SELECT quote_ident(c.fdwname) AS object, " OWNER("fdw") ", " FUNCTION_OR_NULL("c.fdwhandler") " AS handler, " FUNCTION_OR_NULL("c.fdwvalidator") " AS validator," \
	" c.fdwoptions AS options, " GRANTS("fdw", "F") \
	" FROM pg_foreign_data_wrapper c" SCHEMA_COMMENT("pg_foreign_data_wrapper", "c.oid") " WHERE" SCHEMA_NOT_MEMBER("pg_foreign_data_wrapper", "c.oid")

#define SERVER_SQL \
	"SELECT quote_ident(c.srvname) AS object, " OWNER("srv") ", (SELECT quote_ident(f.fdwname) FROM pg_foreign_data_wrapper f WHERE f.oid = c.srvfdw) AS wrapper," \
	" c.srvtype AS type, c.srvversion AS version, c.srvoptions AS options, " GRANTS("srv", "S") \
	" FROM pg_foreign_server c" SCHEMA_COMMENT("pg_foreign_server", "c.oid") " WHERE" SCHEMA_NOT_MEMBER("pg_foreign_server", "c.oid")

/* Their values are secrets, and shown to some only. */
#define USER_MAPPING_SQL \
	"SELECT 'for ' || CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE quote_ident(u.usename) END || ' server ' || quote_ident(u.srvname) AS object," \
	" (SELECT array_agg(split_part(o, '=', 1) ORDER BY split_part(o, '=', 1) COLLATE \"C\") FROM unnest(u.umoptions) o) AS option_names" \
	" FROM pg_user_mappings u WHERE" SCHEMA_NOT_MEMBER("pg_user_mapping", "u.umid")

#define SECURITY_LABEL_SQL \
	"SELECT i.type || ' ' || i.identity || ' for ' || quote_ident(l.provider) AS object, l.label AS label" \
	" FROM pg_seclabel l CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) i WHERE i.identity IS NOT NULL"

/* What the server or an extension has brought belongs to it; rights that were given or taken since do not. */
#define BROUGHT(catalog, type, identity, prefix, kind, condition) \
	"SELECT '" type " ' || " identity " AS object, c." prefix "acl AS grants, c." prefix "owner AS _owner," \
	" coalesce(i.initprivs, acldefault(" kind ", c." prefix "owner)) AS _default" \
	" FROM " catalog " c LEFT JOIN pg_init_privs i ON i.objoid = c.oid AND i.classoid = '" catalog "'::regclass AND i.objsubid = 0" \
	" WHERE c." prefix "acl IS NOT NULL AND " condition \
	" AND (c.oid < 16384 OR NOT " SCHEMA_NOT_MEMBER(catalog, "c.oid") ")"
#define BROUGHT_GRANT_SQL \
	"SELECT g.* FROM (" \
	BROUGHT("pg_proc", "function", "c.oid::regprocedure::text", "pro", "'f'", "c.pronamespace <> 'dbops'::regnamespace") \
	" UNION ALL " \
	BROUGHT("pg_class", "relation", "c.oid::regclass::text", "rel", "CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r' END", "c.relnamespace <> 'dbops'::regnamespace") \
	" UNION ALL " \
	BROUGHT("pg_namespace", "schema", "quote_ident(c.nspname)", "nsp", "'n'", "c.nspname NOT IN ('public', 'dbops')") \
	" UNION ALL " \
	BROUGHT("pg_language", "language", "quote_ident(c.lanname)", "lan", "'l'", "true") \
	" UNION ALL " \
	BROUGHT("pg_foreign_data_wrapper", "foreign data wrapper", "quote_ident(c.fdwname)", "fdw", "'F'", "true") \
	" UNION ALL " \
	BROUGHT("pg_type", "type", "c.oid::regtype::text", "typ", "'T'", "c.typnamespace <> 'dbops'::regnamespace") \
	" UNION ALL " \
	"SELECT 'column ' || c.oid::regclass::text || '.' || quote_ident(a.attname) AS object, coalesce(a.attacl, acldefault('c', c.relowner)) AS grants, c.relowner AS _owner," \
	" coalesce(i.initprivs, acldefault('c', c.relowner)) AS _default" \
	" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid" \
	" LEFT JOIN pg_init_privs i ON i.objoid = c.oid AND i.classoid = 'pg_class'::regclass AND i.objsubid = a.attnum" \
	" WHERE (a.attacl IS NOT NULL OR i.initprivs IS NOT NULL) AND c.relnamespace <> 'dbops'::regnamespace" \
	" AND (c.oid < 16384 OR NOT " SCHEMA_NOT_MEMBER("pg_class", "c.oid") ")" \
	") g WHERE NOT (g.grants <@ g._default AND g._default <@ g.grants)"

const SchemaKind dbops_schema_database[] = {
	{"database", DATABASE_SQL, NULL},
	{"role setting", ROLE_SETTING_SQL, NULL},
	{"extension", EXTENSION_SQL, NULL},
	{"language", LANGUAGE_SQL, NULL},
	{"access method", ACCESS_METHOD_SQL, NULL},
	{"cast", CAST_SQL, NULL},
	{"transform", TRANSFORM_SQL, NULL},
	{"event trigger", EVENT_TRIGGER_SQL, NULL},
	{"publication", PUBLICATION_SQL, NULL},
	{"publication table", PUBLICATION_TABLE_SQL, NULL},
	{"subscription", SUBSCRIPTION_SQL, NULL},
	{"foreign data wrapper", FDW_SQL, NULL},
	{"server", SERVER_SQL, NULL},
	{"user mapping", USER_MAPPING_SQL, NULL},
	{"security label", SECURITY_LABEL_SQL, NULL},
	{"rights on what is brought", BROUGHT_GRANT_SQL, NULL},
	{NULL}
};
