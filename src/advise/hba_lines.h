/*
 * hba_lines.h
 *		pg_hba.conf in the queries of rules.
 *
 * The first line that a connection is like decides. Each line stands for the kinds
 * of connections that it is for; of one that can never decide, since those before
 * take all that it is like, nothing is said.
 */
#ifndef DBOPS_HBA_LINES_H
#define DBOPS_HBA_LINES_H

/* Each line that can be read, though it may be without effect, in the order of the file and of those that it includes; what is the line without its options. */
#define HBA_LINES \
	"line AS MATERIALIZED (SELECT h.ordinality AS number, format('line %s of %s', h.line_number, " \
	"regexp_replace(coalesce(to_jsonb(h)->>'file_name', current_setting('hba_file')), '^.*/', '')) AS place, " \
	"concat_ws(' ', h.type, array_to_string(h.database, ','), array_to_string(h.user_name, ','), h.address, h.netmask, h.auth_method) AS what, " \
	"h.type, h.database, h.user_name, h.address, h.netmask, " \
	"CASE WHEN h.auth_method = 'trust' AND 'clientcert=verify-full' = ANY (h.options) THEN 'cert' ELSE h.auth_method END AS method, " \
	"CASE WHEN h.netmask IS NOT NULL THEN (SELECT network(set_masklen(h.address::inet, b)) FROM generate_series(0, CASE family(h.address::inet) WHEN 4 THEN 32 ELSE 128 END) b " \
	"WHERE netmask(set_masklen(h.address::inet, b)) = h.netmask::inet) END AS network " \
	"FROM pg_hba_file_rules() WITH ORDINALITY h WHERE h.type IS NOT NULL)"

/* The same for each kind of connection; remote: from another machine. */
#define HBA_DOORS \
	HBA_LINES ", door AS MATERIALIZED (SELECT l.*, k.kind, k.kind <> 'local' AND NOT coalesce(l.network <<= '127.0.0.0/8' OR l.network <<= '::1/128', " \
	"l.netmask IS NULL AND l.address IN ('localhost', 'samehost')) AS remote " \
	"FROM line l CROSS JOIN LATERAL unnest(CASE l.type WHEN 'local' THEN '{local}' WHEN 'hostssl' THEN '{ssl}' WHEN 'hostnossl' THEN '{plain,gss}' " \
	"WHEN 'hostgssenc' THEN '{gss}' WHEN 'hostnogssenc' THEN '{plain,ssl}' ELSE '{plain,ssl,gss}' END::text[]) k (kind))"

/* Does one take whatever comes from the addresses and goes to the databases of another, later one? */
#define IS_BEFORE(e, l) \
	e ".number < " l ".number AND " e ".kind = " l ".kind " \
	"AND (" e ".database @> " l ".database OR 'all' = ANY (" e ".database) AND NOT 'replication' = ANY (" l ".database)) " \
	"AND (" e ".kind = 'local' OR " e ".address = 'all' OR " e ".network >>= " l ".network " \
	"OR " e ".address = " l ".address AND " e ".netmask IS NOT DISTINCT FROM " l ".netmask)"

/* Those that can decide, for some role. */
#define HBA_OPEN \
	HBA_DOORS ", opened AS (SELECT d.* FROM door d WHERE NOT EXISTS (SELECT FROM door e WHERE " IS_BEFORE("e", "d") \
	" AND ('all' = ANY (e.user_name) OR e.user_name @> d.user_name)))"

#endif							/* DBOPS_HBA_LINES_H */
