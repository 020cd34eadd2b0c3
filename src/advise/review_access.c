/*
 * review_access.c
 *		Rules about who is let in: pg_hba.conf and encryption.
 *
 * What the file says is judged, which counts from its next reading on. A line of
 * addresses that are this machine's own is not open to others. A line is known by
 * what it says, since its number changes with those before it.
 */
#include "advise/review.h"

#define WHAT "concat_ws(' ', h.type, array_to_string(h.database, ','), array_to_string(h.user_name, ','), h.address, h.netmask, h.auth_method)"
#define IS_REMOTE "(h.type LIKE 'host%' AND coalesce(h.address NOT IN ('::1', 'localhost', 'samehost') AND h.address NOT LIKE '127.%', true))"

static const DbopsRule rules[] = {
	{
		.name = "hba.trust",
		.severity = DBOPS_WARNING,
		.about = "lines of pg_hba.conf that let in whoever says who he is",
		.source = "guide 003's quarterly audit, pglinter, postgresqltuner",
		.sql = "SELECT " WHAT ", format('line %s of pg_hba.conf: %s', h.line_number, CASE WHEN " IS_REMOTE " THEN 'anybody on other machines is let in as whoever he says he is' ELSE 'any user of this machine is let in as whoever he says he is' END),"
		" CASE WHEN h.type = 'local' THEN 'Write peer or scram-sha-256 instead of trust, and SELECT pg_reload_conf();' ELSE 'Write scram-sha-256 instead of trust, and SELECT pg_reload_conf();' END,"
		" CASE WHEN " IS_REMOTE " THEN 'critical' END FROM pg_hba_file_rules() h WHERE h.auth_method = 'trust'",
		.as_owner = true
	},
	{
		.name = "hba.cleartext",
		.severity = DBOPS_WARNING,
		.about = "lines of pg_hba.conf that have passwords sent as they are",
		.source = "PostgreSQL's manual",
		.sql = "SELECT " WHAT ", format('line %s of pg_hba.conf: the password is sent as it is%s', h.line_number, CASE WHEN h.type = 'hostssl' THEN ', to whoever has the server''s certificate' ELSE ', for all on the way to read' END),"
		" 'Write scram-sha-256 instead of password, and SELECT pg_reload_conf();', CASE WHEN " IS_REMOTE " AND h.type <> 'hostssl' THEN 'critical' WHEN NOT " IS_REMOTE " OR h.type = 'hostssl' THEN 'info' END"
		" FROM pg_hba_file_rules() h WHERE h.auth_method = 'password'",
		.as_owner = true
	},
	{
		.name = "hba.md5",
		.severity = DBOPS_INFO,
		.about = "lines of pg_hba.conf that still speak of md5",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT " WHAT ", format('line %s of pg_hba.conf: it takes passwords that are kept as md5', h.line_number),"
		" 'Write scram-sha-256 instead of md5, when no role has an md5 password any more, and SELECT pg_reload_conf();' FROM pg_hba_file_rules() h WHERE h.auth_method = 'md5'",
		.as_owner = true
	},
	{
		.name = "hba.unencrypted",
		.severity = DBOPS_WARNING,
		.about = "lines of pg_hba.conf that let in from anywhere without encryption",
		.source = "PostgreSQL's manual, Percona's advisors",
		.sql = "SELECT " WHAT ", format('line %s of pg_hba.conf: it lets in from any address, whether the connection is encrypted or not', h.line_number),"
		" 'Write hostssl instead of host, or addresses, and SELECT pg_reload_conf();'"
		" FROM pg_hba_file_rules() h WHERE h.type IN ('host', 'hostnossl') AND h.auth_method <> 'reject'"
		" AND (h.address = 'all' OR h.address IN ('0.0.0.0', '::') AND h.netmask IN ('0.0.0.0', '::'))",
		.as_owner = true
	},
	{
		.name = "settings.password_encryption",
		.severity = DBOPS_WARNING,
		.about = "whether new passwords are kept as md5",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT 'password_encryption', 'new passwords are kept as md5', 'ALTER SYSTEM SET password_encryption = ''scram-sha-256''; SELECT pg_reload_conf();'"
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
