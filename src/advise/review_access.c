/*
 * review_access.c
 *		Rules about who is let in: pg_hba.conf and encryption.
 *
 * What the file says is judged, which counts from its next reading on. A line of
 * addresses that are this machine's own is not open to others. A line is known by
 * what it says, since its number changes with those before it; its options, which
 * may have passwords in them, are not shown.
 */
#include "advise/hba_lines.h"
#include "advise/review.h"

/* Where the lines of a group stand. */
#define PLACES "string_agg(DISTINCT o.place, ', ')"

/* Methods by which the server gets the password itself. */
#define SENDS_PASSWORD "o.method IN ('password', 'ldap', 'pam', 'radius', 'bsd')"

static const DbopsRule rules[] = {
	{
		.name = "hba.trust",
		.severity = DBOPS_WARNING,
		.about = "lines of pg_hba.conf that let in whoever says who he is",
		.source = "guide 003's quarterly audit, pglinter, postgresqltuner",
		.sql = "WITH " HBA_OPEN " SELECT o.what, format('%s: %s', " PLACES ", CASE WHEN o.method = 'ident' THEN 'other machines say who their users are, and are believed' WHEN bool_or(o.remote) THEN 'anybody on other machines is let in as whoever he says he is' ELSE 'any user of this machine is let in as whoever he says he is' END),"
		" CASE WHEN o.type = 'local' THEN 'Write peer or scram-sha-256 instead of trust, and SELECT pg_reload_conf();' ELSE format('Write scram-sha-256 instead of %s, and SELECT pg_reload_conf();', o.method) END,"
		" CASE WHEN bool_or(o.remote) AND o.method = 'trust' THEN 'critical' END FROM opened o WHERE o.method = 'trust' OR o.method = 'ident' AND o.remote GROUP BY o.what, o.type, o.method",
		.as_owner = true
	},
	{
		.name = "hba.cleartext",
		.severity = DBOPS_WARNING,
		.about = "lines of pg_hba.conf that have passwords sent as they are",
		.source = "PostgreSQL's manual",
		.sql = "WITH " HBA_OPEN " SELECT o.what, format('%s: the password is sent as it is%s', " PLACES ", CASE WHEN bool_or(o.kind = 'plain' AND o.remote) THEN ', for all on the way to read' ELSE ', to whoever has the server''s certificate' END),"
		" CASE WHEN o.method = 'password' THEN 'Write scram-sha-256 instead of password, and SELECT pg_reload_conf();' ELSE format('Write hostssl instead of %s, and SELECT pg_reload_conf();', o.type) END,"
		" CASE WHEN bool_or(o.kind = 'plain' AND o.remote) THEN 'critical' ELSE 'info' END"
		" FROM opened o WHERE " SENDS_PASSWORD " GROUP BY o.what, o.type, o.method HAVING o.method = 'password' OR bool_or(o.kind = 'plain' AND o.remote)",
		.as_owner = true
	},
	{
		.name = "hba.md5",
		.severity = DBOPS_INFO,
		.about = "lines of pg_hba.conf that still speak of md5",
		.source = "guide 003's quarterly audit",
		.sql = "WITH " HBA_OPEN " SELECT o.what, format('%s: it takes passwords that are kept as md5', " PLACES "),"
		" 'Write scram-sha-256 instead of md5, when no role has an md5 password any more, and SELECT pg_reload_conf();' FROM opened o WHERE o.method = 'md5' GROUP BY o.what",
		.as_owner = true
	},
	{
		.name = "hba.unencrypted",
		.severity = DBOPS_WARNING,
		.about = "lines of pg_hba.conf that let in from anywhere without encryption",
		.source = "PostgreSQL's manual, Percona's advisors",
		.sql = "WITH " HBA_OPEN " SELECT o.what, format('%s: it lets in from %s, whether the connection is encrypted or not', " PLACES ", CASE WHEN o.address = 'all' OR masklen(o.network) = 0 THEN 'any address' ELSE 'a large part of all addresses' END),"
		" 'Write hostssl instead of host, or addresses, and SELECT pg_reload_conf();'"
		" FROM opened o WHERE o.kind = 'plain' AND o.method <> 'reject'"
		" AND (o.address = 'all' AND o.netmask IS NULL OR masklen(o.network) < CASE family(o.network) WHEN 4 THEN 8 ELSE 16 END AND NOT o.network <<= 'fc00::/7')"
		" GROUP BY o.what, o.address, o.network",
		.as_owner = true
	},
	{
		.name = "settings.access_errors",
		.severity = DBOPS_WARNING,
		.about = "lines of pg_hba.conf that cannot be read, for which none of it counts, or have no effect",
		.source = "check_pgactivity, pgmonitor",
		.sql = "SELECT format('line %s of pg_hba.conf', h.line_number), string_agg(DISTINCT h.error, '; ') || CASE WHEN bool_or(h.type IS NULL) THEN ': the server goes on by what it has read before' ELSE '' END, 'Correct it, and SELECT pg_reload_conf();'"
		" FROM pg_hba_file_rules() h WHERE h.error IS NOT NULL GROUP BY h.line_number",
		.as_owner = true
	},
	{
		.name = "settings.password_encryption",
		.severity = DBOPS_WARNING,
		.about = "whether new passwords are kept as md5",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT 'password_encryption', 'new passwords are kept as md5', E'ALTER SYSTEM SET password_encryption = ''scram-sha-256'';\\nSELECT pg_reload_conf();'"
		" FROM pg_settings s WHERE s.name = 'password_encryption' AND s.reset_val = 'md5'"
	},
	{
		.name = "settings.ssl",
		.severity = DBOPS_WARNING,
		.about = "whether the server listens to other machines and cannot encrypt",
		.source = "PostgreSQL's manual, Percona's advisors",
		.sql = "SELECT 'ssl', format('ssl is off, and the server listens on %s', l.setting), 'Give the server a certificate, ALTER SYSTEM SET ssl = on; and SELECT pg_reload_conf();'"
		" FROM pg_settings s JOIN pg_settings l ON l.name = 'listen_addresses' WHERE s.name = 'ssl' AND s.reset_val = 'off'"
		" AND EXISTS (SELECT FROM unnest(string_to_array(l.setting, ',')) a (address) WHERE btrim(a.address) NOT IN ('', 'localhost', '::1') AND btrim(a.address) NOT LIKE '127.%')",
		.as_owner = true
	}
};

const DbopsRuleSet dbops_access_rules = {.review = "privileges", .rules = rules, .n_rules = lengthof(rules)};
