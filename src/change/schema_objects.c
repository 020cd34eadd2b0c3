/*
 * schema_objects.c
 *		The queries of a snapshot for what else is in schemas.
 *
 * Columns that only some majors have are read through to_jsonb(): such
 * objects are few. To write the body of a function in standard SQL the server
 * locks what it reads.
 */
#include "change/schema.h"

/* A catalog's rows, as c, in schemas that are the users', n, with their comments, d. */
#define OBJECTS(catalog, prefix) \
	" FROM " catalog " c JOIN pg_namespace n ON n.oid = c." prefix "namespace" \
	SCHEMA_COMMENT(catalog, "c.oid")
#define CHOSEN(catalog) SCHEMA_CHOSEN "AND" SCHEMA_NOT_MEMBER(catalog, "c.oid")
#define NAME(prefix) "quote_ident(n.nspname) || '.' || quote_ident(c." prefix "name)"
#define OWNER(prefix) "pg_get_userbyid(c." prefix "owner) AS owner, d.description AS comment"

/* An object of another catalog, where there may be none. */
#define OBJECT_OR_NULL(column, type) "CASE WHEN " column " <> 0 THEN " column "::" type "::text END"
#define FUNCTION_OR_NULL(column) OBJECT_OR_NULL(column, "regproc")

#define SCHEMA_SQL \
	"SELECT quote_ident(n.nspname) AS object, pg_get_userbyid(n.nspowner) AS owner, d.description AS comment," \
	" n.nspacl AS grants, n.nspowner AS _owner, CASE WHEN n.nspacl IS NOT NULL THEN acldefault('n', n.nspowner) END AS _default" \
	" FROM pg_namespace n" SCHEMA_COMMENT("pg_namespace", "n.oid") \
	" WHERE" SCHEMA_CHOSEN "AND" SCHEMA_NOT_MEMBER("pg_namespace", "n.oid")

#define FUNCTION_ATTRIBUTES \
	"c.oid::regprocedure::text AS object, c.oid AS _number, " OWNER("pro") "," \
	" pg_get_function_arguments(c.oid) AS arguments, pg_get_function_result(c.oid) AS returns," \
	" CASE c.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END AS parallel," \
	" c.proacl AS grants, c.proowner AS _owner, CASE WHEN c.proacl IS NOT NULL THEN acldefault('f', c.proowner) END AS _default"

/* The functions that a range type brings with it are not the users'. */
#define FUNCTION_SQL(some) \
	"SELECT " FUNCTION_ATTRIBUTES "," \
	" CASE c.prokind WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function' END AS kind," \
	" l.lanname AS language, coalesce(pg_get_function_sqlbody(c.oid), c.prosrc) AS body, c.probin AS library," \
	" CASE c.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' END AS volatility," \
	" c.prosecdef AS security_definer, c.proleakproof AS leakproof, c.proisstrict AS strict," \
	" CASE WHEN c.procost <> CASE WHEN l.lanname IN ('internal', 'c') THEN 1 ELSE 100 END THEN c.procost::text END AS cost," \
	" CASE WHEN c.proretset AND c.prorows <> 1000 THEN c.prorows::text END AS rows," \
	" " FUNCTION_OR_NULL("c.prosupport") " AS support, c.proconfig AS options," \
	" (SELECT array_agg(format_type(x.type, NULL) ORDER BY x.place) FROM unnest(c.protrftypes) WITH ORDINALITY AS x (type, place)) AS transforms" \
	OBJECTS("pg_proc", "pro") " JOIN pg_language l ON l.oid = c.prolang WHERE c.prokind <> 'a'" \
	" AND NOT (l.lanname = 'internal' AND c.prosrc ~ '^(multi)?range_constructor[0-9]$') AND" CHOSEN("pg_proc") some("c.oid")

#define AGGREGATE_SQL(some) \
	"SELECT " FUNCTION_ATTRIBUTES "," \
	" CASE a.aggkind WHEN 'o' THEN 'ordered-set' WHEN 'h' THEN 'hypothetical-set' END AS kind," \
	" format_type(a.aggtranstype, NULL) AS state_type, a.agginitval AS initial_state, nullif(a.aggtransspace, 0) AS state_size," \
	" a.aggtransfn::regproc::text AS state_function, " FUNCTION_OR_NULL("a.aggfinalfn") " AS final_function," \
	" a.aggfinalextra AS final_extra, CASE WHEN a.aggfinalmodify <> CASE a.aggkind WHEN 'n' THEN 'r' ELSE 'w' END THEN a.aggfinalmodify::text END AS final_modify," \
	" " FUNCTION_OR_NULL("a.aggcombinefn") " AS combine_function, " FUNCTION_OR_NULL("a.aggserialfn") " AS serial_function," \
	" " FUNCTION_OR_NULL("a.aggdeserialfn") " AS deserial_function," \
	" " FUNCTION_OR_NULL("a.aggmtransfn") " AS moving_function, " FUNCTION_OR_NULL("a.aggminvtransfn") " AS moving_inverse_function," \
	" " FUNCTION_OR_NULL("a.aggmfinalfn") " AS moving_final_function, CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END AS moving_state_type," \
	" a.aggmfinalextra AS moving_final_extra, a.aggminitval AS moving_initial_state, " OBJECT_OR_NULL("a.aggsortop", "regoperator") " AS sort_operator" \
	OBJECTS("pg_proc", "pro") " JOIN pg_aggregate a ON a.aggfnoid = c.oid WHERE" CHOSEN("pg_proc") some("c.oid")

/* Arrays, the ranges of ranges and the types of tables come with something else. */
#define TYPE_SQL(some) \
	"SELECT " NAME("typ") " AS object, c.oid AS _number, " OWNER("typ") "," \
	" CASE WHEN NOT c.typisdefined THEN 'shell' ELSE CASE c.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' WHEN 'c' THEN 'composite' ELSE 'base' END END AS kind," \
	" (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = c.oid) AS labels," \
	" (SELECT array_agg(quote_ident(a.attname) ORDER BY a.attnum) FROM pg_attribute a WHERE c.typtype = 'c' AND a.attrelid = c.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS columns," \
	" CASE WHEN c.typtype = 'd' THEN format_type(c.typbasetype, c.typtypmod) END AS base," \
	" c.typtype = 'd' AND c.typnotnull AS not_null, c.typdefaultbin AS \"default\"," \
	" CASE WHEN c.typtype = 'd' AND c.typcollation <> (SELECT b.typcollation FROM pg_type b WHERE b.oid = c.typbasetype) THEN c.typcollation::regcollation::text END AS collation," \
	" CASE WHEN r.rngtypid IS NOT NULL THEN format_type(r.rngsubtype, NULL) END AS subtype," \
	" CASE WHEN r.rngtypid IS NOT NULL THEN format_type(r.rngmultitypid, NULL) END AS multirange," \
	" (SELECT o.opcname FROM pg_opclass o WHERE o.oid = r.rngsubopc AND NOT o.opcdefault) AS subtype_opclass," \
	" " OBJECT_OR_NULL("r.rngcollation", "regcollation") " AS subtype_collation," \
	" " FUNCTION_OR_NULL("r.rngcanonical") " AS canonical, " FUNCTION_OR_NULL("r.rngsubdiff") " AS subtype_diff," \
	" CASE WHEN c.typtype = 'b' THEN c.typinput::text END AS input, CASE WHEN c.typtype = 'b' THEN c.typoutput::text END AS output," \
	" CASE WHEN c.typtype = 'b' AND c.typreceive <> 0 THEN c.typreceive::text END AS receive, CASE WHEN c.typtype = 'b' AND c.typsend <> 0 THEN c.typsend::text END AS send," \
	" CASE WHEN c.typtype = 'b' AND c.typmodin <> 0 THEN c.typmodin::text END AS typmod_in, CASE WHEN c.typtype = 'b' AND c.typmodout <> 0 THEN c.typmodout::text END AS typmod_out," \
	" CASE WHEN c.typtype = 'b' AND c.typanalyze <> 0 THEN c.typanalyze::text END AS analyze, CASE WHEN c.typtype = 'b' AND c.typsubscript <> 0 THEN c.typsubscript::text END AS subscript," \
	" CASE WHEN c.typtype = 'b' THEN concat_ws(', ', 'length ' || c.typlen, 'alignment ' || c.typalign::text, 'storage ' || c.typstorage::text, 'category ' || c.typcategory::text," \
	"  'delimiter ' || c.typdelim::text, CASE WHEN c.typbyval THEN 'by value' END, CASE WHEN c.typispreferred THEN 'preferred' END," \
	"  CASE WHEN c.typcollation <> 0 THEN 'collatable' END, 'element ' || CASE WHEN c.typelem <> 0 THEN format_type(c.typelem, NULL) END) END AS storage," \
	" c.typacl AS grants, c.typowner AS _owner, CASE WHEN c.typacl IS NOT NULL THEN acldefault('T', c.typowner) END AS _default" \
	OBJECTS("pg_type", "typ") " LEFT JOIN pg_range r ON r.rngtypid = c.oid" \
	" WHERE (c.typtype IN ('e', 'd', 'r', 'b', 'p') OR c.typtype = 'c' AND (SELECT t.relkind FROM pg_class t WHERE t.oid = c.typrelid) = 'c')" \
	" AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = c.oid) AND" CHOSEN("pg_type") some("c.oid")

#define OPERATOR_SQL \
	"SELECT c.oid::regoperator::text AS object, " OWNER("opr") "," \
	" " FUNCTION_OR_NULL("c.oprcode") " AS function, " OBJECT_OR_NULL("c.oprcom", "regoperator") " AS commutator," \
	" " OBJECT_OR_NULL("c.oprnegate", "regoperator") " AS negator, " FUNCTION_OR_NULL("c.oprrest") " AS restrict," \
	" " FUNCTION_OR_NULL("c.oprjoin") " AS join, c.oprcanhash AS hashes, c.oprcanmerge AS merges" \
	OBJECTS("pg_operator", "opr") " WHERE" CHOSEN("pg_operator")

#define OPERATOR_FAMILY_SQL \
	"SELECT " NAME("opf") " || ' using ' || quote_ident(m.amname) AS object, " OWNER("opf") "," \
	" (SELECT array_agg(x.member ORDER BY x.member) FROM (" \
	"  SELECT 'operator ' || o.amopstrategy || ' ' || o.amopopr::regoperator::text || CASE WHEN o.amoppurpose = 'o' THEN ' for order by' ELSE '' END COLLATE \"C\" AS member" \
	"  FROM pg_amop o WHERE o.amopfamily = c.oid UNION ALL" \
	"  SELECT 'function ' || p.amprocnum || ' (' || format_type(p.amproclefttype, NULL) || ', ' || format_type(p.amprocrighttype, NULL) || ') ' || p.amproc::oid::regprocedure::text" \
	"  FROM pg_amproc p WHERE p.amprocfamily = c.oid) x) AS members" \
	OBJECTS("pg_opfamily", "opf") " JOIN pg_am m ON m.oid = c.opfmethod WHERE" CHOSEN("pg_opfamily")

#define OPERATOR_CLASS_SQL \
	"SELECT " NAME("opc") " || ' using ' || quote_ident(m.amname) AS object, " OWNER("opc") "," \
	" format_type(c.opcintype, NULL) AS type, c.opcdefault AS is_default," \
	" CASE WHEN c.opckeytype <> 0 THEN format_type(c.opckeytype, NULL) END AS stored_as," \
	" (SELECT quote_ident(s.nspname) || '.' || quote_ident(f.opfname) FROM pg_opfamily f JOIN pg_namespace s ON s.oid = f.opfnamespace WHERE f.oid = c.opcfamily) AS family" \
	OBJECTS("pg_opclass", "opc") " JOIN pg_am m ON m.oid = c.opcmethod WHERE" CHOSEN("pg_opclass")

/* Not its version, which the operating system changes. */
#define COLLATION_SQL \
	"SELECT " NAME("coll") " AS object, " OWNER("coll") "," \
	" CASE c.collprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END AS provider, NOT c.collisdeterministic AS nondeterministic," \
	" c.collcollate AS lc_collate, c.collctype AS lc_ctype, coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale') AS locale, to_jsonb(c) ->> 'collicurules' AS rules" \
	OBJECTS("pg_collation", "coll") " WHERE" CHOSEN("pg_collation")

#define CONVERSION_SQL \
	"SELECT " NAME("con") " AS object, " OWNER("con") "," \
	" pg_encoding_to_char(c.conforencoding) AS \"from\", pg_encoding_to_char(c.contoencoding) AS \"to\", c.conproc::text AS function, c.condefault AS is_default" \
	OBJECTS("pg_conversion", "con") " WHERE" CHOSEN("pg_conversion")

#define TS_PARSER_SQL \
	"SELECT " NAME("prs") " AS object, d.description AS comment," \
	" c.prsstart::text AS start, c.prstoken::text AS token, c.prsend::text AS \"end\", c.prsheadline::text AS headline, c.prslextype::text AS types" \
	OBJECTS("pg_ts_parser", "prs") " WHERE" CHOSEN("pg_ts_parser")

#define TS_TEMPLATE_SQL \
	"SELECT " NAME("tmpl") " AS object, d.description AS comment, c.tmplinit::text AS init, c.tmpllexize::text AS lexize" \
	OBJECTS("pg_ts_template", "tmpl") " WHERE" CHOSEN("pg_ts_template")

#define TS_DICTIONARY_SQL \
	"SELECT " NAME("dict") " AS object, " OWNER("dict") ", c.dictinitoption AS settings," \
	" (SELECT quote_ident(s.nspname) || '.' || quote_ident(t.tmplname) FROM pg_ts_template t JOIN pg_namespace s ON s.oid = t.tmplnamespace WHERE t.oid = c.dicttemplate) AS template" \
	OBJECTS("pg_ts_dict", "dict") " WHERE" CHOSEN("pg_ts_dict")

/* Kinds of tokens by number: to name them would be to call the parser. */
#define TS_CONFIGURATION_SQL \
	"SELECT " NAME("cfg") " AS object, " OWNER("cfg") "," \
	" (SELECT quote_ident(s.nspname) || '.' || quote_ident(p.prsname) FROM pg_ts_parser p JOIN pg_namespace s ON s.oid = p.prsnamespace WHERE p.oid = c.cfgparser) AS parser," \
	" (SELECT array_agg('token ' || x.maptokentype || ': ' || x.names ORDER BY x.maptokentype) FROM (" \
	"  SELECT t.maptokentype, string_agg(t.mapdict::regdictionary::text, ', ' ORDER BY t.mapseqno) AS names FROM pg_ts_config_map t WHERE t.mapcfg = c.oid GROUP BY 1) x) AS mappings" \
	OBJECTS("pg_ts_config", "cfg") " WHERE" CHOSEN("pg_ts_config")

/* Those in a schema add to the others, which replace what is so without them. */
#define DEFAULT_PRIVILEGES_SQL \
	"SELECT 'of ' || quote_ident(pg_get_userbyid(c.defaclrole)) || ' on '" \
	" || CASE c.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END" \
	" || coalesce(' in ' || quote_ident(n.nspname), '') AS object," \
	" c.defaclacl AS grants, c.defaclrole AS _owner," \
	" CASE WHEN n.oid IS NULL THEN acldefault(CASE c.defaclobjtype WHEN 'S' THEN 's' ELSE c.defaclobjtype END, c.defaclrole) END AS _default" \
	" FROM pg_default_acl c LEFT JOIN pg_namespace n ON n.oid = c.defaclnamespace" \
	" WHERE (c.defaclnamespace = 0 AND $2 OR" SCHEMA_CHOSEN ") AND" SCHEMA_NOT_MEMBER("pg_default_acl", "c.oid")

const SchemaKind dbops_schema_objects[] = {
	{"schema", SCHEMA_SQL, NULL},
	{"collation", COLLATION_SQL, NULL},
	{"conversion", CONVERSION_SQL, NULL},
	{"type", TYPE_SQL(SCHEMA_ALL), TYPE_SQL(SCHEMA_SOME)},
	{"function", FUNCTION_SQL(SCHEMA_ALL), FUNCTION_SQL(SCHEMA_SOME)},
	{"aggregate", AGGREGATE_SQL(SCHEMA_ALL), AGGREGATE_SQL(SCHEMA_SOME)},
	{"operator", OPERATOR_SQL, NULL},
	{"operator family", OPERATOR_FAMILY_SQL, NULL},
	{"operator class", OPERATOR_CLASS_SQL, NULL},
	{"text search parser", TS_PARSER_SQL, NULL},
	{"text search template", TS_TEMPLATE_SQL, NULL},
	{"text search dictionary", TS_DICTIONARY_SQL, NULL},
	{"text search configuration", TS_CONFIGURATION_SQL, NULL},
	{"default privileges", DEFAULT_PRIVILEGES_SQL, NULL},
	{NULL}
};
